"""Limits within which one step of reading has to end: CPU time, Python's stack, memory.

CPU time and not wall time, so that what is read does not depend on the machine's load. The limits of the sandbox end
the reader; these make a file that is over them cost itself and not its repository.

Not covered: a call into C that does not come back to the interpreter, for which the sandbox's limits are there.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop

Made = TypeVar("Made")


class OutOfTime(BaseException):
    """The CPU time of a step is used up. No ``Exception``: parsers that catch all of those must not swallow it."""


AGAIN_SECONDS = 0.5
"""When ``OutOfTime`` is raised again: callbacks of the garbage collector and ``__del__`` swallow every exception."""


@dataclass(slots=True)
class CpuClock:
    """The clock of one step; ``over`` once its time is used up."""

    over: bool = False

    def expire(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal. Raises OutOfTime."""
        self.over = True
        raise OutOfTime


@contextmanager
def cpu_clock(seconds: float) -> Iterator[CpuClock]:
    """A context that raises ``OutOfTime`` in the main thread, after so many seconds of this process's CPU time.

    Within another one it stops the other's clock: time that an inner clock bounds is not counted twice.

    Raises:
        OutOfTime: the time is used up.
        ValueError: this is not the main thread, which alone receives signals.
    """
    clock = CpuClock()
    outer_handler = signal.signal(signal.SIGPROF, clock.expire)
    outer_timer = signal.setitimer(signal.ITIMER_PROF, seconds, AGAIN_SECONDS)
    try:
        yield clock
    finally:
        signal.setitimer(signal.ITIMER_PROF, *outer_timer)
        signal.signal(signal.SIGPROF, outer_handler)


def within_limits(step: Callable[[], Made], seconds: float) -> Made | Drop:
    """The result of a step, or the drop of the file that it reads where it goes over a limit."""
    try:
        with cpu_clock(seconds) as clock:
            return step()
    except (OutOfTime, SystemError) as error:
        # CPython's parser says SystemError of an exception that comes while it makes a tree
        if isinstance(error, SystemError) and not clock.over:
            raise
        return Drop(reason=Reason.TOO_SLOW, evidence=f"more than {seconds:g} s of CPU time")
    except RecursionError:
        return Drop(reason=Reason.TOO_DEEP, evidence="RecursionError")
    except MemoryError:
        return Drop(reason=Reason.TOO_LARGE, evidence="MemoryError")
