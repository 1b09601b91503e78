"""How fast a run goes, and how long the rest of it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

SOONEST_SECONDS = 10.0
"""Nothing is said before: the first units hold the start of the workers and of their sandboxes."""


class Pace:
    """Counts finished snippets against the clock.

    The clock runs from the beginning: opening the first inputs is a part of the work, as opening the later ones is.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._number = 0

    def add(self, number: int) -> None:
        """Count snippets that were finished now."""
        self._number += number

    def seconds_for(self, number: float) -> float | None:
        """Return how long so many further snippets take, in seconds; None as long as that can't be told."""
        seconds = self._clock() - self._began
        if self._number == 0 or seconds < SOONEST_SECONDS:
            return None
        return max(0.0, number) * seconds / self._number


def time_left(seconds: float) -> str:
    """A time as people say it.

    >>> [time_left(seconds) for seconds in (20, 89, 700, 7000)]
    ['less than a minute left', 'about 1 min left', 'about 12 min left', 'about 1.9 h left']
    """
    if seconds < 60:
        return "less than a minute left"
    minutes = round(seconds / 60)
    return f"about {minutes} min left" if minutes < 90 else f"about {seconds / 3600:.1f} h left"
