"""Counts the processor time that following outcomes takes, in this process and in its forks. Budgets are of it.

By the clock, what else the machine does would decide how many paths are followed, and so if a belief is exact: rows of
a busy machine would differ from those of an idle one.
"""

from __future__ import annotations

import time

_process_seconds = time.process_time  # bound before it is pinned or patched
_forked_seconds = [0.0]


def spent_seconds() -> float:
    """Return the processor time of this process and of the paths that its forks ran, in seconds from some origin."""
    return _process_seconds() + _forked_seconds[0]


def process_seconds() -> float:
    """Return the processor time of this process alone; of a fork, since it was forked."""
    return _process_seconds()


def count_forked(seconds: float) -> None:
    """Add what a fork says that its path took. Negative numbers, which no clock gives, count as nothing."""
    _forked_seconds[0] += max(0.0, seconds)
