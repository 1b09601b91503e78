"""Makes two runs of ordinary code alike: environment, seeds, clock, ``os.urandom``. Runs inside.

No safety depends on this file: code that wants the real clock finds it (the system call is allowed).

Not covered: ``datetime.now()`` (its C type reads the clock itself, and can't be patched), addresses and ``id()``,
thread schedules. ``time.monotonic`` stays real because asyncio and locks wait on it. ``time.sleep`` really sleeps, and
the pinned clock moves on by as much.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable

PINNED_TIME = 1_700_000_000.0
"""Seconds since 1970 at which each run begins: 2023-11-14, 22:13:20 UTC."""
TICK_SECONDS = 0.001
"""The pinned clock moves on by this much at each reading, so that a loop that waits for it comes to an end."""

TimeTuple = time.struct_time | tuple[int, int, int, int, int, int, int, int, int]


def environment(hash_seed: int, scratch: str = "/") -> dict[str, str]:
    """Return all environment variables of a run; none is inherited, so that no secret of the host's can be read."""
    # one thread for each numerical library: sums are then added in one order, and no pool counts against RLIMIT_NPROC
    ones = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "PYTHONDONTWRITEBYTECODE",
    )
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "HOME": scratch,
        "TMPDIR": scratch,
        "PYTHONHASHSEED": str(hash_seed),
        **dict.fromkeys(ones, "1"),
    }


def seed_generators(seed: int) -> None:
    """Seed the global generators of ``random`` and, where it is loaded, of numpy."""
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed)


def pin_clock(seed: int) -> None:
    """Replace the clocks of ``time`` and the system's source of randomness, in this process and in what it forks.

    Called in the zygote, before its imports, so that ``from time import time`` binds the pinned clock. Each fork has a
    copy of the clock and goes on by itself, so runs do not see each other's readings.
    """
    now = PINNED_TIME
    # bound here, because the names below replace them in the module
    real_sleep, real_gmtime, real_localtime = time.sleep, time.gmtime, time.localtime
    real_strftime, real_asctime = time.strftime, time.asctime

    def read() -> float:
        nonlocal now
        now += TICK_SECONDS
        return now

    def read_ns() -> int:
        return round(read() * 1e9)

    def elapsed() -> float:
        return read() - PINNED_TIME

    def elapsed_ns() -> int:
        return round(elapsed() * 1e9)

    def sleep(seconds: float, /) -> None:
        nonlocal now
        real_sleep(seconds)
        now += seconds

    def gmtime(seconds: float | None = None, /) -> time.struct_time:
        return real_gmtime(read() if seconds is None else seconds)

    def localtime(seconds: float | None = None, /) -> time.struct_time:
        return real_localtime(read() if seconds is None else seconds)

    def strftime(format: str, when: TimeTuple | None = None, /) -> str:
        return real_strftime(format, localtime() if when is None else when)

    def asctime(when: TimeTuple | None = None, /) -> str:
        return real_asctime(localtime() if when is None else when)

    def ctime(seconds: float | None = None, /) -> str:
        return real_asctime(localtime(seconds))

    for function in (sleep, gmtime, localtime, strftime, asctime, ctime):
        setattr(time, function.__name__, function)
    replacements: dict[str, Callable[[], float]] = {"time": read, "time_ns": read_ns}
    # clocks without a fixed origin; programs print only differences of their readings
    for name in ("perf_counter", "process_time", "thread_time"):
        replacements |= {name: elapsed, f"{name}_ns": elapsed_ns}
    for name, reading in replacements.items():
        setattr(time, name, reading)
    generator = random.Random(seed)
    # ``random`` has bound os.urandom under a name of its own at its import; SystemRandom calls that one
    os.urandom = generator.randbytes
    setattr(random, "_urandom", generator.randbytes)  # noqa: B010  # typeshed does not know the name
