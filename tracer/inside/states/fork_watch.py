"""What a copy of a process does not share with the same process run again: open and written files, threads, signals.

``watch`` notices it. While it is active, forks of the program itself are refused with the error that they meet in a run
that may not fork.
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
from typing import Any

from trace_mine.tracer.inside.draws import deciders as draws

MOST_DESCRIPTORS = 1024

_poll = select.poll  # bound before a program can replace it


def closed_descriptors() -> frozenset[int]:
    """The low descriptor numbers that lead nowhere: two processes with the same ones have the same open."""
    poll = _poll()
    for fd in range(3, min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MOST_DESCRIPTORS)):
        poll.register(fd, 0)
    return frozenset(fd for fd, event in poll.poll(0) if event & select.POLLNVAL)


def is_alone() -> bool:
    """True if a fork would copy all of this process, and the program could not notice it: there are no threads, no
    timers, and no handler for the end of children.
    """
    if _num_threads() or _getsignal(signal.SIGCHLD) is not signal.SIG_DFL:
        return False
    return not any(_getitimer(timer)[0] for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF))


_num_threads, _getsignal, _getitimer = _thread._count, signal.getsignal, signal.getitimer

_FAMILIES = frozenset(
    {"os", "shutil", "tempfile", "socket", "sqlite3", "subprocess", "mmap", "fcntl", "signal", "ctypes"}
)
_HARMLESS = frozenset({"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv", "os.getxattr"})
_OF_A_PROCESS = frozenset({"os.kill", "os.killpg", "signal.pthread_kill"})
_STARTS = frozenset(
    {"start_new_thread", "start_new", "start_joinable_thread", "_start_new_thread", "_start_joinable_thread"}
)
_FORKS = frozenset({"os.fork", "os.forkpty", "subprocess.Popen"})
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """``touched``: something outside the process was changed since the flag was put down. ``asked``: something was done
    that depends on which process it is. ``threaded``: a thread was asked for, ever; where forks are allowed there may
    be fewer than elsewhere. ``active`` while paths are explored with forks, ``ours`` while we fork.
    """

    __slots__ = ("active", "asked", "ours", "threaded", "touched")

    def __init__(self) -> None:
        self.active = self.asked = self.ours = self.threaded = self.touched = False


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
    for module in filter(None, map(sys.modules.get, ("_thread", "threading"))):
        for name in _STARTS & vars(module).keys():
            setattr(module, name, _told(getattr(module, name)))


def _told(start: Callable[..., Any]) -> Callable[..., Any]:
    """What starts a thread, telling the watch: 3.11 raises no audit event there."""

    @functools.wraps(start)
    def told(*given: Any, **named: Any) -> Any:
        watch.threaded = watch.touched = watch.asked = True
        return start(*given, **named)

    return told


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
