"""The keys of units as an engine takes them: a list, or a feed into which planning puts one after the other."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Protocol


class PlanningEnded(Exception):
    """The planning of units failed or was interrupted: nothing more is to be run."""


class KeySource(Protocol):
    """Gives each key once. An engine takes keys while others may still be planned.

    Each method raises ``PlanningEnded`` where planning ended before its time.
    """

    def take(self) -> str | None:
        """Return the next key; None where none is known now."""

    def left(self) -> int | None:
        """Return how many keys are still to be taken; None while more may come."""

    def wait(self, number: int, seconds: float) -> bool:
        """Wait until so many keys can be taken, until no more will come, or for so many seconds.

        Returns:
            False where the time was over first.
        """


class KeyList:
    """A source of keys that are all known."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = deque(keys)

    def take(self) -> str | None:
        """Return the next key, None behind the last one."""
        return self._keys.popleft() if self._keys else None

    def left(self) -> int | None:
        """Return how many keys are left."""
        return len(self._keys)

    def wait(self, number: int, seconds: float) -> bool:
        """Return True at once: all keys are known."""
        return True


class KeyFeed:
    """A source of keys for an engine in another thread than the one that plans."""

    def __init__(self) -> None:
        self._keys: deque[str] = deque()
        self._is_complete = self._is_stopped = False
        self._changed = threading.Condition()

    def put(self, key: str) -> None:
        """Add a key."""
        with self._changed:
            self._keys.append(key)
            self._changed.notify_all()

    def end(self) -> None:
        """Say that there are no more keys."""
        with self._changed:
            self._is_complete = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Have the engine end now: from here on it gets ``PlanningEnded``."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def take(self) -> str | None:
        """Return the next key, None where none is known now. Raises PlanningEnded."""
        with self._changed:
            self._check()
            return self._keys.popleft() if self._keys else None

    def left(self) -> int | None:
        """Return how many keys are left, None until ``end``. Raises PlanningEnded."""
        with self._changed:
            self._check()
            return len(self._keys) if self._is_complete else None

    def wait(self, number: int, seconds: float) -> bool:
        """Wait for so many keys, for the end, or for so many seconds; False for these. Raises PlanningEnded."""
        with self._changed:
            is_there = self._changed.wait_for(
                lambda: len(self._keys) >= number or self._is_complete or self._is_stopped, timeout=seconds
            )
            self._check()
            return is_there

    def _check(self) -> None:
        if self._is_stopped:
            raise PlanningEnded
