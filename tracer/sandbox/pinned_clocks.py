"""Pins every clock of a run: wall clocks, clocks without an origin, processor times. Runs inside.

The pinned clocks move on by ``TICK_SECONDS`` at each reading, and by as much as a program waited where it waits with a
time-out: a program that loops until a time has come gets to its end, and reads the same times in each run.

Not covered: waits with a time-out on a plain lock, or on a poll object of ``select``, after which the clocks stand
where they stood; clocks that C extensions read by themselves.
"""

from __future__ import annotations

import os
import resource
import select
import selectors
import threading
import time
from collections.abc import Callable, Sequence

from trace_mine.tracer.inside.draws import calendar_clock
from trace_mine.tracer.inside.draws.replacing import replace

PINNED_TIME = 1_700_000_000.0
"""Seconds since 1970 at which each run begins: 2023-11-14, 22:13:20 UTC."""
TICK_SECONDS = 0.001
"""The pinned clock moves on by this much at each reading, so that a loop that waits for it comes to an end."""
UPTIME_SECONDS = 100_000.0
"""What ``time.monotonic`` begins with: not near 0, which programs take for a moment long ago."""
WALL_CLOCKS = frozenset({time.CLOCK_REALTIME, time.CLOCK_TAI, 5})
"""The clocks of ``clock_gettime`` that count from 1970; 5 is CLOCK_REALTIME_COARSE, which ``time`` has no name for."""
PEAK_MEMORY_KILOBYTES = 16_384
"""What ``resource.getrusage`` says that a run used at most."""

TimeTuple = time.struct_time | tuple[int, int, int, int, int, int, int, int, int]


class Clock:
    """The one clock that all others are made of; each run goes on by itself from where the zygote left it."""

    def __init__(self) -> None:
        self.now = PINNED_TIME

    def read(self) -> float:
        """Read the clock, in seconds since 1970, which moves it on."""
        self.now += TICK_SECONDS
        return self.now

    def elapsed(self) -> float:
        """Read the clock, in seconds since the run began."""
        return self.read() - PINNED_TIME

    def waited(self, seconds: float | None, arrived: object) -> None:
        """Move on by a wait that ended without what was waited for; any other took a time that nobody can tell."""
        if seconds is not None and seconds > 0 and not arrived:
            self.now += seconds


def pin_clocks() -> Clock:
    """Replace the clocks of this process and of what it forks; returns the clock.

    Called in the zygote, before its imports, so that ``from time import time`` binds the pinned clock. Each fork has a
    copy of the clock and goes on by itself, so runs do not see each other's readings.
    """
    clock = Clock()
    _pin_calendar(clock)
    _pin_readings(clock)
    _pin_processor_times(clock)
    _count_waits(clock)
    # one function with ``time.time``, so that both are one clock for a program that reads both
    calendar_clock.install(time.time)
    return clock


def _pin_calendar(clock: Clock) -> None:
    # bound here, because the names below replace them in the module
    real_gmtime, real_localtime = time.gmtime, time.localtime
    real_strftime, real_asctime = time.strftime, time.asctime

    def gmtime(seconds: float | None = None, /) -> time.struct_time:
        return real_gmtime(clock.read() if seconds is None else seconds)

    def localtime(seconds: float | None = None, /) -> time.struct_time:
        return real_localtime(clock.read() if seconds is None else seconds)

    def strftime(format: str, when: TimeTuple | None = None, /) -> str:
        return real_strftime(format, localtime() if when is None else when)

    def asctime(when: TimeTuple | None = None, /) -> str:
        return real_asctime(localtime() if when is None else when)

    def ctime(seconds: float | None = None, /) -> str:
        return real_asctime(localtime(seconds))

    for function in (gmtime, localtime, strftime, asctime, ctime):
        replace(time, function.__name__, function)


def _pin_readings(clock: Clock) -> None:
    """Pin the functions that give a number of seconds or nanoseconds."""
    real_gettime = time.clock_gettime

    def uptime() -> float:
        return UPTIME_SECONDS + clock.elapsed()

    readings = {"time": clock.read, "monotonic": uptime}
    # clocks without a fixed origin; programs print only differences of their readings
    readings |= dict.fromkeys(("perf_counter", "process_time", "thread_time"), clock.elapsed)

    def seconds_of(reading: Callable[[], float]) -> Callable[[], float]:
        return lambda: reading()

    def nanoseconds_of(reading: Callable[[], float]) -> Callable[[], int]:
        return lambda: round(reading() * 1e9)

    for name, reading in readings.items():
        replace(time, name, seconds_of(reading))
        replace(time, f"{name}_ns", nanoseconds_of(reading))

    def clock_gettime(clk_id: int, /) -> float:
        real_gettime(clk_id)  # raises for what is no clock
        return clock.read() if clk_id in WALL_CLOCKS else uptime()

    def clock_gettime_ns(clk_id: int, /) -> int:
        return round(clock_gettime(clk_id) * 1e9)

    replace(time, "clock_gettime", clock_gettime)
    replace(time, "clock_gettime_ns", clock_gettime_ns)


def _pin_processor_times(clock: Clock) -> None:
    """Pin what the kernel counts of a process: a run used the processor for as long as its clock says."""
    real_usage = resource.getrusage

    def getrusage(who: int, /) -> resource.struct_rusage:
        real_usage(who)  # raises for what is none of RUSAGE_*
        return resource.struct_rusage((clock.elapsed(), 0.0, PEAK_MEMORY_KILOBYTES, *[0] * 13))

    def times() -> os.times_result:
        elapsed = clock.elapsed()
        return os.times_result((elapsed, 0.0, 0.0, 0.0, UPTIME_SECONDS + elapsed))

    replace(resource, "getrusage", getrusage)
    replace(os, "times", times)


def _count_waits(clock: Clock) -> None:
    """Have the waits of the standard library move the clock on: a loop around one then ends after as many turns as
    with a real clock, where it would else wait the whole time again in each turn.
    """
    real_sleep, real_select, real_wait = time.sleep, select.select, threading.Condition.wait

    def sleep(seconds: float, /) -> None:
        real_sleep(seconds)
        clock.now += seconds

    def wait(self: threading.Condition, timeout: float | None = None) -> bool:
        notified = real_wait(self, timeout)
        clock.waited(timeout, notified)
        return notified

    def select_files(
        rlist: Sequence[int], wlist: Sequence[int], xlist: Sequence[int], timeout: float | None = None, /
    ) -> tuple[list[int], list[int], list[int]]:
        ready = real_select(rlist, wlist, xlist, timeout)
        clock.waited(timeout, any(ready))
        return ready

    replace(time, "sleep", sleep)
    replace(select, "select", select_files)
    wait.__qualname__, wait.__module__ = "Condition.wait", "threading"
    threading.Condition.wait = wait  # type: ignore[method-assign]
    for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
        _count_waits_of(kind, clock)


def _count_waits_of(kind: type[selectors.BaseSelector], clock: Clock) -> None:
    """The same for a selector, by which asyncio waits."""
    real_select = kind.select

    def select(self: selectors.BaseSelector, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = real_select(self, timeout)
        clock.waited(timeout, ready)
        return ready

    select.__qualname__, select.__module__ = f"{kind.__name__}.select", "selectors"
    kind.select = select  # type: ignore[method-assign]
