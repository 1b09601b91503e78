"""What ``units`` and an engine promise each other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from trace_mine.corpus.work import Marker


class Task(Protocol):
    """Finishes one unit, in a worker. Can be pickled; calling it twice with a key is harmless."""

    def __call__(self, key: str) -> Marker:
        """The marker of the unit, whose result is then on disk."""


class WorkersLost(Exception):
    """A worker died. ``keys`` are the units that were handed out and didn't come back: one of them may be the cause,
    the others are bystanders. Some may be done all the same, when the worker died between the marker and the answer.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"a worker died over one of {len(keys)} units")
        self.keys = tuple(keys)


class Engine(Protocol):
    """Calls a task with each of many keys, in processes of its own, several at a time."""

    def run(self, task: Task, keys: Sequence[str]) -> Generator[tuple[str, Marker], None, None]:
        """(key, its marker), as the units are finished, in any order; each key at most once.

        Hands out few more units than there are workers, so that few are suspects when one dies. Closing the generator
        early (an exception in the loop over it, Ctrl-C) ends the workers and whatever they run before it returns.
        One key alone runs in a worker that runs nothing else.

        Raises:
            WorkersLost: a worker died; all units that were finished have been given before.
            Exception: what the task raised, as it was.
        """
