"""A limit of CPU time for one step of reading, after which the step ends with an exception.

CPU time and not wall time, so that what is read does not depend on the machine's load. Between two limits that a process
is killed at, it makes a slow file cost itself and not its repository.

Not covered: a call into C that does not come back to the interpreter. The limits of the jail are there for that.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTime(BaseException):
    """The CPU time of a step is used up. No ``Exception``: parsers that catch all of those must not swallow it."""


@contextmanager
def cpu_clock(seconds: float) -> Iterator[None]:
    """A context that raises ``OutOfTime`` in the main thread, after so many seconds of this process's CPU time.

    One at a time: there is one such timer a process.

    Raises:
        OutOfTime: the time is used up.
        ValueError: this is not the main thread, which alone receives signals.
    """
    before = signal.signal(signal.SIGPROF, _raise)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _raise(number: int, frame: FrameType | None) -> None:
    raise OutOfTime
