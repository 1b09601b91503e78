"""Makes two runs of ordinary code alike: environment, seeds, clock, ``os.urandom``. Runs inside; no safety depends on
it.

Not covered: ``datetime.now()`` (the clock of its C type can't be replaced), addresses and ``id()``, thread schedules.
``time.monotonic`` stays real because asyncio and locks wait on it; ``time.sleep`` really sleeps, and the pinned clock
moves on by as much.
"""

from __future__ import annotations

import os
import random
import sys
import time
from typing import Any

PINNED_TIME = 1_700_000_000.0
TICK_SECONDS = 0.001
"""The pinned clock moves on by this much at each reading, so that a loop that waits for it comes to an end."""


def environment(hash_seed: int, scratch: str = "/") -> dict[str, str]:
    """The whole environment inside; nothing is inherited."""
    names = (
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
        **dict.fromkeys(names, "1"),
    }


def seed_generators(seed: int) -> None:
    """The global generators of ``random`` and, where it is loaded, of numpy."""
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed)


def pin_clock(seed: int) -> None:
    """Replaces the clocks of ``time`` and the system's source of randomness, in this process and what it forks.

    In the zygote, before its imports, so that ``from time import time`` finds the pinned clock; every fork goes on
    from there.
    """
    replaced: Any = time
    now = PINNED_TIME
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

    def strftime(format: str, when: Any = None, /) -> str:
        return real_strftime(format, localtime() if when is None else when)

    def asctime(when: Any = None, /) -> str:
        return real_asctime(localtime() if when is None else when)

    def ctime(seconds: float | None = None, /) -> str:
        return real_asctime(localtime(seconds))

    for function in (sleep, gmtime, localtime, strftime, asctime, ctime):
        setattr(replaced, function.__name__, function)
    replaced.time, replaced.time_ns = read, read_ns
    for name in ("perf_counter", "process_time", "thread_time"):
        setattr(replaced, name, elapsed)
        setattr(replaced, f"{name}_ns", elapsed_ns)
    source = random.Random(seed)
    patched: Any = random
    os.urandom = patched._urandom = source.randbytes
