"""Forks a child whose parent is the caller's parent. Runs inside, in the zygote.

Init must be the parent of every runner, because only a parent can wait for a process and read what it used. There are
two ways to that:

* two forks with an exit between them, which work anywhere: the orphan goes to init;
* one clone with CLONE_PARENT, where the zygote has a single thread. It saves 0.4 ms of CPU in 3.3 ms a run, more after
  large imports. For one thread it does all that the C library's fork does (same flags, thread id kept up to date) but
  for calling handlers that libraries gave to pthread_atfork. With more threads those handlers are needed: they release
  locks (malloc's among them) that another thread may hold at the fork.

No function of ``os.register_at_fork`` runs: a fresh interpreter, which a reader's prompt is to be equal to, has never
been forked. One that an import registered would run in all forks, the recorder's and the readers', and nowhere else.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
from collections.abc import Callable

from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers

# Numbers of linux/sched.h and linux/prctl.h, equal on x86-64 and aarch64.
CLONE_PARENT, CLONE_CHILD_CLEARTID, CLONE_CHILD_SETTID = 0x00008000, 0x00200000, 0x01000000
_PR_GET_TID_ADDRESS = 40
_NUM_THREADS_FIELD = 17
"""Place in /proc/PID/stat, counted from 0 behind the closing bracket of the name (a name may hold blanks)."""

CLONE_ATTEMPTS = 20
CLONE_PAUSE = 0.05
"""The kernel refuses a process at once where the jail's memory is full of what imports left running; the next page that
one of these asks for has one of them killed. So the zygote asks again, in all for a second."""

_sleep = time.sleep  # the original, whatever imports make of the module
_libc = ctypes.CDLL(None, use_errno=True)
_python = ctypes.pythonapi
# PyDLL keeps the interpreter's lock held across the call. CDLL would release it, and the child, which has only the
# calling thread, would have to take a lock back whose state was copied in the middle of the release.
_syscall = ctypes.PyDLL(None).syscall
_syscall.restype = ctypes.c_long


def thread_id_address() -> int:
    """Return the address at which the C library keeps this thread's id, or 0 where the kernel does not tell.

    The kernel clears the id there when the thread exits. PR_GET_TID_ADDRESS needs CONFIG_CHECKPOINT_RESTORE.
    """
    address = ctypes.c_size_t(0)
    if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)):
        return 0
    return address.value


class AtFork:
    """The functions that the interpreter runs at a fork, in its own lists: what a module registers by whatever copy of
    ``os.register_at_fork`` it finds is in them.

    Make it before the first foreign import, while ``gc`` tells the truth.
    """

    def __init__(self) -> None:
        def mark() -> None:
            pass

        def mark_child() -> None:
            pass

        def mark_parent() -> None:
            pass

        marks = (mark, mark_child, mark_parent)
        os.register_at_fork(before=mark, after_in_child=mark_child, after_in_parent=mark_parent)
        self._lists: list[list[object]] = []
        for each in marks:
            lists = [held for held in gc.get_referrers(each) if type(held) is list]
            if len(lists) != 1:
                raise RuntimeError(f"expected one list of the functions run at a fork, got {len(lists)}")
            lists[0].remove(each)
            self._lists += lists
        self._held: list[list[object]] = []

    def hold(self) -> None:
        """Have none run until ``release``."""
        self._held = [held[:] for held in self._lists]
        for each in self._lists:
            each.clear()

    def release(self) -> None:
        """Have them run again, at forks that the program makes itself."""
        for each, held in zip(self._lists, self._held, strict=False):  # a second call finds none
            each[:] = held
        self._held = []


class SiblingForks:
    """Forks siblings of the process that made it."""

    def __init__(self, stat: int) -> None:
        """Make it before the filters are on: they refuse PR_GET_TID_ADDRESS.

        ``stat`` is an open descriptor of this process's /proc/self/stat, which a jail of level 3 can't open later.
        """
        machine = machine_of_this_process()
        self._stat = stat
        self._address = thread_id_address()
        flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | signal.SIGCHLD
        # the child's thread id must be written where the C library looks for it, or its locks and raise() name the
        # zygote's; the order of clone's last two arguments (thread-local storage, child's thread id) differs by
        # architecture
        words = (flags, 0, 0, self._address, 0) if machine == "x86_64" else (flags, 0, 0, 0, self._address)
        self._arguments = tuple(ctypes.c_long(word) for word in (syscall_numbers(machine)["clone"], *words))
        self._pid_read, self._pid_write = os.pipe()
        self._at_fork = AtFork()
        self._fork = os.fork

    def fork(self, child: Callable[[], object]) -> int:
        """Run ``child``, which must not return, in a new process; return the process's id.

        Raises:
            OSError: the kernel refuses another process (RLIMIT_NPROC, memory).
        """
        self._at_fork.hold()
        try:
            if self._address and self._single_threaded():
                return self._clone(child)
            return self._fork_twice(child)
        finally:
            self._at_fork.release()

    def _fork_twice(self, child: Callable[[], object]) -> int:
        middle = self._fork()
        if middle == 0:
            pid = self._fork()
            if pid == 0:
                self._at_fork.release()
                child()
            # a pipe, because the exit status has room for 8 bits of the id only
            os.write(self._pid_write, pid.to_bytes(4, "little"))
            os._exit(0)
        os.waitpid(middle, 0)
        return int.from_bytes(os.read(self._pid_read, 4), "little")

    def _single_threaded(self) -> bool:
        """Ask the kernel, not ``threading``, which does not know threads that a C library started."""
        fields = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split()
        return fields[_NUM_THREADS_FIELD] == b"1"

    def _clone(self, child: Callable[[], object]) -> int:
        """Fork with one system call, and do around it what ``os.fork`` does in the interpreter. Raises OSError."""
        # the import lock is held over it, and the child renews its locks,
        # its thread table and the seeds of ``random``.
        for attempt in range(CLONE_ATTEMPTS):
            if attempt:
                _sleep(CLONE_PAUSE)
            _python.PyOS_BeforeFork()
            pid: int = _syscall(*self._arguments)
            if pid == 0:
                _python.PyOS_AfterFork_Child()
                self._at_fork.release()
                child()
                os._exit(1)
            _python.PyOS_AfterFork_Parent()
            if pid > 0:
                return pid
        raise OSError("clone failed; are there too many processes, or too little memory?")
