"""Forks a child that belongs to our parent. Runs inside, in the zygote.

Init must be the parent of every runner, to hear of its end. Two forks with an exit between them do that anywhere;
where the zygote has a single thread, one clone with CLONE_PARENT saves 0.4 ms of CPU in 3.3 ms a run, more after large
imports. For one thread it does all that the C library's fork does (same flags, thread id kept up
to date), but for handlers that libraries gave to pthread_atfork; with more threads their locks need the C library.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers

# linux/sched.h and linux/prctl.h
CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x00008000, 0x00200000, 0x01000000
_PR_GET_TID_ADDRESS = 40
_NUM_THREADS_FIELD = 17
"""In /proc/PID/stat, counted from 0 behind the name's closing bracket."""

_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.pythonapi
# Holds the interpreter's lock across the call, which in the child nobody else could release.
_syscall = ctypes.PyDLL(None).syscall
_syscall.restype = ctypes.c_long


def thread_id_address() -> int:
    """Where the C library keeps this thread's id (the kernel clears it at exit), 0 where the kernel does not tell."""
    address = ctypes.c_size_t(0)
    if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        return 0
    return address.value


class SiblingForks:
    """``stat`` is an open descriptor of this process's /proc/self/stat; made before the filters are on."""

    def __init__(self, stat: int) -> None:
        machine = machine_of_this_process()
        self._stat = stat
        self._address = thread_id_address()
        flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | signal.SIGCHLD
        # the order of clone's last two arguments (thread-local storage, child's thread id) differs by architecture
        words = (flags, 0, 0, self._address, 0) if machine == "x86_64" else (flags, 0, 0, 0, self._address)
        self._arguments = tuple(ctypes.c_long(word) for word in (syscall_numbers(machine)["clone"], *words))
        self._pid_read, self._pid_write = os.pipe()

    def fork(self, child: Callable[[], object]) -> int:
        """Runs ``child``, which must not return, in a new process; its id. Raises OSError."""
        if self._address and self._single_threaded():
            return self._clone(child)
        middle = os.fork()
        if middle == 0:
            pid = os.fork()
            if pid == 0:
                child()
            os.write(self._pid_write, pid.to_bytes(4, "little"))
            os._exit(0)
        os.waitpid(middle, 0)
        return int.from_bytes(os.read(self._pid_read, 4), "little")

    def _single_threaded(self) -> bool:
        fields = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split()
        return fields[_NUM_THREADS_FIELD] == b"1"

    def _clone(self, child: Callable[[], object]) -> int:
        _python.PyOS_BeforeFork()
        pid: int = _syscall(*self._arguments)
        if pid == 0:
            _python.PyOS_AfterFork_Child()
            child()
            os._exit(1)
        _python.PyOS_AfterFork_Parent()
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone failed; are there too many processes?")
        return pid
