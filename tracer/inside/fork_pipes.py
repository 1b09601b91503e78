"""What forks of one run tell each other, and what they have to know about the process that they copy.

``Pipes`` are made before the first fork, so that every process has them: a request pipe for each place where a fork
point may wait, one pipe for all answers. Messages are marshalled plain data with length and MAC: bytes that a program
writes to descriptors at random are no answer. The key is no secret from the program; it could always spoil its own run.

``watch`` notices what a copy of a process does not share with the process run again: written files, threads, signals.
While it is active, forks of the program itself are refused with the error that a run without forks gives.
"""

from __future__ import annotations

import _blake2
import _thread
import fcntl
import marshal
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from tracer.inside import draws

MAC_BYTES = 16
HEAD_BYTES = 4 + MAC_BYTES
LARGEST = 64 << 20
MOST_DESCRIPTORS = 1024

clock = time.perf_counter  # bound, as all below, before a program can replace it
_read, _write, _close, _pipe, _fstat = os.read, os.write, os.close, os.pipe, os.fstat
_poll, _fcntl = select.poll, fcntl.fcntl
_digest = _blake2.blake2b
_dumps: Any = marshal.dumps
_loads: Any = marshal.loads


class Broken(Exception):
    """The pipes are closed, replaced or hold what nobody of us wrote: no more forks in this run."""


class Late(Exception):
    """No answer in time."""


class Pipes:
    """One request pipe for each slot, one for answers; their descriptors are high ones, which no program is given."""

    def __init__(self, num_slots: int) -> None:
        self._key = f"{clock()} {id(self)}".encode()
        lowest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._ends: list[tuple[int, int]] = []
        for _ in range(num_slots + 1):
            low = _pipe()
            self._ends.append(
                (_fcntl(low[0], fcntl.F_DUPFD_CLOEXEC, lowest), _fcntl(low[1], fcntl.F_DUPFD_CLOEXEC, lowest))
            )
            for fd in low:
                _close(fd)
        self._known = [(_identity(reader), _identity(writer)) for reader, writer in self._ends]

    @property
    def descriptors(self) -> frozenset[int]:
        """The pipes' ends."""
        return frozenset(fd for ends in self._ends for fd in ends)

    def request(self, slot: int, told: object) -> None:
        """From the root to the fork point that waits at ``slot``. Raises Broken."""
        self._send(slot, told)

    def requested(self, slot: int) -> Any:
        """What the root wants. Raises Broken, also where the root is gone."""
        return self._receive(slot, None)

    def answer(self, told: object) -> None:
        """To the root. Raises Broken, ValueError for what is no plain data."""
        self._send(-1, told)

    def answered(self, until: float) -> Any:
        """What some fork told. Raises Broken, Late."""
        return self._receive(-1, until)

    def keep_forks_ends(self) -> None:
        """In a fork: it neither requests nor hears answers, so that the end of the root is the end of the pipes."""
        for _, writer in self._ends[:-1]:
            _close(writer)
        _close(self._ends[-1][0])

    def close(self) -> None:
        """In the root, for good; what waits hears it."""
        for ends, known in zip(self._ends, self._known, strict=True):
            for fd, identity in zip(ends, known, strict=True):
                if _identity(fd) == identity:
                    _close(fd)

    def _send(self, slot: int, told: object) -> None:
        payload: bytes = _dumps(told)
        mac = _digest(payload, key=self._key, digest_size=MAC_BYTES).digest()
        message = len(payload).to_bytes(4, "big") + mac + payload
        writer = self._ends[slot][1]
        if _identity(writer) != self._known[slot][1]:
            raise Broken("the program closed or replaced a pipe")
        try:
            while message:
                message = message[_write(writer, message) :]
        except OSError as error:
            raise Broken(str(error)) from error

    def _receive(self, slot: int, until: float | None) -> Any:
        reader = self._ends[slot][0]
        if _identity(reader) != self._known[slot][0]:
            raise Broken("the program closed or replaced a pipe")
        head = self._exactly(reader, HEAD_BYTES, until)
        size = int.from_bytes(head[:4], "big")
        if size > LARGEST:
            raise Broken(f"expected at most {LARGEST} bytes, got {size}")
        payload = self._exactly(reader, size, until)
        if _digest(payload, key=self._key, digest_size=MAC_BYTES).digest() != head[4:]:
            raise Broken("expected a message of ours, got other bytes")
        return _loads(payload)

    def _exactly(self, reader: int, size: int, until: float | None) -> bytes:
        found = bytearray()
        poll = _poll()
        poll.register(reader, select.POLLIN)
        try:
            while len(found) < size:
                if until is not None and not poll.poll(max(0.0, until - clock()) * 1000):
                    raise Late
                chunk = _read(reader, min(size - len(found), 1 << 20))
                if not chunk:
                    raise Broken("closed")
                found += chunk
        except OSError as error:
            raise Broken(str(error)) from error
        return bytes(found)


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        told = _fstat(fd)
    except OSError:
        return None
    return told.st_dev, told.st_ino


def closed_descriptors() -> frozenset[int]:
    """The low descriptor numbers that lead nowhere: two processes with the same ones have the same open."""
    poll = _poll()
    for fd in range(3, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MOST_DESCRIPTORS)):
        poll.register(fd, 0)
    return frozenset(fd for fd, event in poll.poll(0) if event & select.POLLNVAL)


def is_alone() -> bool:
    """Whether a copy of this process would be all of it, and nobody notices: no threads, no timers, no handler for the
    end of children.
    """
    if _num_threads() or _getsignal(signal.SIGCHLD) is not signal.SIG_DFL:
        return False
    return not any(_getitimer(timer)[0] for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF))


_num_threads, _getsignal, _getitimer = _thread._count, signal.getsignal, signal.getitimer

_FAMILIES = frozenset(
    {"os", "shutil", "tempfile", "socket", "sqlite3", "subprocess", "mmap", "fcntl", "signal", "ctypes"}
)
_HARMLESS = frozenset({"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv", "os.getxattr"})
_OF_A_PROCESS = frozenset({"os.kill", "os.killpg", "signal.pthread_kill", "_thread.start_new_thread"})
_FORKS = frozenset({"os.fork", "os.forkpty", "subprocess.Popen"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """``touched``: something outside the process was changed since the flag was put down. ``asked``: something was done
    that depends on which process it is. ``active`` while paths are explored with forks, ``ours`` while we fork.
    """

    __slots__ = ("active", "asked", "ours", "touched")

    def __init__(self) -> None:
        self.active = self.asked = self.ours = self.touched = False


watch = Watch()
_installed: list[bool] = []


def install_watch() -> None:
    """Once a process; an audit hook stays."""
    if _installed:
        return
    _installed.append(True)

    def hook(
        event: str,
        arguments: tuple[Any, ...],
        watch: Watch = watch,
        families: frozenset[str] = _FAMILIES,
        harmless: frozenset[str] = _HARMLESS,
        of_a_process: frozenset[str] = _OF_A_PROCESS,
        forks: frozenset[str] = _FORKS,
        refusal: Callable[..., PermissionError] = PermissionError,
        writes: int = _WRITES,
        size: Callable[[Any], int] = len,
        kind: Callable[[Any], type] = type,
        whole: type = int,
    ) -> None:
        if not watch.active or watch.ours:
            return
        if event in forks:
            raise refusal(1, "Operation not permitted")
        if draws.current is None:
            return  # an import, which happens once a process
        if event == "open":
            flags = arguments[2] if size(arguments) == 3 else writes
            watch.touched = watch.touched or kind(flags) is not whole or flags & writes != 0
        elif event in of_a_process:
            watch.touched = watch.asked = True
        elif event.partition(".")[0] in families and event not in harmless:
            watch.touched = True

    sys.addaudithook(hook)


def answer_for(process_id: int) -> None:
    """In a fork: whoever asks which process this is hears the root's number, and the path is run again there."""

    def getpid() -> int:
        watch.asked = True
        return process_id

    def getppid() -> int:
        watch.asked = True
        return 0

    def get_native_id() -> int:
        watch.asked = True
        return process_id

    def raise_signal(number: int, /) -> None:
        watch.asked = True

    for names, stand_in in (
        (("os", "posix"), getpid),
        (("os", "posix"), getppid),
        (("_thread", "threading"), get_native_id),
        (("signal", "_signal"), raise_signal),
    ):
        for name in names:
            module = sys.modules.get(name)
            if module is not None:
                setattr(module, stand_in.__name__, stand_in)
