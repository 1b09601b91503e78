"""Notices the state that a copy of a process does not share with the same process run again.

Such state is open and written files, threads, timers and signals. ``watch`` has a flag for each case. While it is
active, forks of the program itself are refused, with the error that they meet in a run that may not fork.

An audit hook does the noticing: it can't be taken off, and it sees C code as well. CPython 3.11 raises no audit event
where a thread starts, so that the functions that start one are wrapped.
"""

from __future__ import annotations

import _thread
import functools
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from trace_mine.tracer.inside.draws import deciders as draws

MOST_DESCRIPTORS = 1024

P = ParamSpec("P")
R = TypeVar("R")

_poll, _getrlimit = select.poll, resource.getrlimit  # bound before a program can replace them


def closed_descriptors() -> frozenset[int]:
    """The low descriptor numbers that are closed: two processes with the same ones have the same open."""
    # One call for all: ``poll`` says POLLNVAL of each that is closed, where ``fstat`` would be 1,000 calls.
    poll = _poll()
    for fd in range(3, min(_getrlimit(resource.RLIMIT_NOFILE)[0], MOST_DESCRIPTORS)):
        poll.register(fd, 0)
    return frozenset(fd for fd, event in poll.poll(0) if event & select.POLLNVAL)


def is_alone() -> bool:
    """Return True if a fork would copy all of this process, and the program could not notice it.

    A fork has none of the other threads and timers, and its end would call the program's handler for children.
    """
    if _num_threads() or _getsignal(signal.SIGCHLD) is not signal.SIG_DFL:
        return False
    return not any(_getitimer(timer)[0] for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF))


_num_threads, _getsignal, _getitimer = _thread._count, signal.getsignal, signal.getitimer

_FAMILIES = frozenset(
    {"os", "shutil", "tempfile", "socket", "sqlite3", "subprocess", "mmap", "fcntl", "signal", "ctypes"}
)
"""Beginnings of the names of audit events that change something outside the process, but for the harmless ones."""
_HARMLESS = frozenset({"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv", "os.getxattr"})
_OF_A_PROCESS = frozenset({"os.kill", "os.killpg", "signal.pthread_kill"})
_STARTS = frozenset(
    {"start_new_thread", "start_new", "start_joinable_thread", "_start_new_thread", "_start_joinable_thread"}
)
"""Functions of ``_thread`` and ``threading`` that start a thread, in CPython 3.11 to 3.13."""
_FORKS = frozenset({"os.fork", "os.forkpty", "subprocess.Popen"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """The flags of one process.

    Attributes:
        touched: something outside the process was changed since the flag was put down.
        asked: something was done that depends on which process does it.
        threaded: a thread was asked for, ever; where forks are allowed there may be fewer than elsewhere.
        active: True while paths are explored with forks.
        ours: True while we fork ourselves.
    """

    __slots__ = ("active", "asked", "ours", "threaded", "touched")

    def __init__(self) -> None:
        self.active = self.asked = self.ours = self.threaded = self.touched = False


watch = Watch()
_installed: list[bool] = []


def install_watch() -> None:
    """Install the audit hook and the wrappers; once a process, as an audit hook stays."""
    if _installed:
        return
    _installed.append(True)

    # All that the hook uses is a default argument: no name that it looks up can be replaced by the program.
    def hook(
        event: str,
        arguments: tuple[object, ...],
        watch: Watch = watch,
        families: frozenset[str] = _FAMILIES,
        harmless: frozenset[str] = _HARMLESS,
        of_a_process: frozenset[str] = _OF_A_PROCESS,
        forks: frozenset[str] = _FORKS,
        refusal: Callable[..., PermissionError] = PermissionError,
        writes: int = _WRITES,
        size: Callable[[tuple[object, ...]], int] = len,
        kind: Callable[[object], type] = type,
        integer: type = int,
    ) -> None:
        if not watch.active or watch.ours:
            return
        if event in forks:
            raise refusal(1, "Operation not permitted")
        # Outside a path nothing that the program does is followed, and what we do ourselves is no event of its own.
        if draws.current is None:
            return  # an import, which happens once a process
        if event == "open":
            flags = arguments[2] if size(arguments) == 3 else writes
            # flags that are no int are a program's own event under this name: it is taken for a write
            is_read = kind(flags) is integer and flags & writes == 0  # type: ignore[operator]
            watch.touched = watch.touched or not is_read  # a file that is only read is the same in each process
        elif event in of_a_process:
            watch.touched = watch.asked = True
        elif event.partition(".")[0] in families and event not in harmless:
            watch.touched = True

    sys.addaudithook(hook)
    # In both modules: ``threading`` bound the functions of ``_thread`` when it was imported.
    for module in filter(None, map(sys.modules.get, ("_thread", "threading"))):
        for name in _STARTS & vars(module).keys():
            setattr(module, name, _noticed(getattr(module, name)))


def _noticed(start: Callable[P, R]) -> Callable[P, R]:
    """A function that starts a thread, wrapped so that the watch notices it."""

    @functools.wraps(start)
    def start_noticed(*args: P.args, **kwargs: P.kwargs) -> R:
        watch.threaded = watch.touched = watch.asked = True
        return start(*args, **kwargs)

    return start_noticed


def answer_for(process_id: int) -> None:
    """In a fork: tell the program that asks for its process id that of the root, and note that it asked.

    The path is run again in the root then, since the program may have asked by a way that can't be answered for.
    """

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

    replacements: tuple[tuple[tuple[str, ...], Callable[..., object]], ...] = (
        (("os", "posix"), getpid),
        (("os", "posix"), getppid),
        (("_thread", "threading"), get_native_id),
        (("signal", "_signal"), raise_signal),
    )
    for module_names, replacement in replacements:
        for module_name in module_names:
            module = sys.modules.get(module_name)
            if module is not None:
                setattr(module, replacement.__name__, replacement)
