"""Ends a run early, with its session up to the command that runs then: by a clock, or where the program leaves.

Signals of Python's own clocks reach the program between two of its instructions, so that a loop without an end is left
there; C code that holds the interpreter is not. Nothing of the program runs after that.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn

from trace_mine.tracer.inside.reasons import Reason

Stop = Callable[[Reason], NoReturn]
_exit = os._exit


def end_early(stop: Stop, *, cpu_seconds: float, wall_seconds: float) -> None:
    """Have ``stop`` called after so much time, or by ``os._exit``, with the reason; it calls ``end_as_usual`` first.

    Programs that set these clocks themselves, or handle their signals, take them away.
    """
    for clock, number, seconds, reason in (
        (signal.ITIMER_PROF, signal.SIGPROF, cpu_seconds, Reason.CPU),
        (signal.ITIMER_REAL, signal.SIGALRM, wall_seconds, Reason.WALL),
    ):
        signal.signal(number, lambda *_, reason=reason: stop(reason))
        signal.setitimer(clock, seconds)

    def leave(status: int) -> NoReturn:
        stop(Reason.NO_END)

    os._exit = leave


def end_as_usual() -> None:
    """Stop the clocks, and let ``os._exit`` be what it is."""
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    os._exit = _exit
