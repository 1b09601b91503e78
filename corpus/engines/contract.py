"""The contract between ``corpus/units.py`` and an engine: what each promises the other."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from trace_mine.corpus.engines.keys import KeySource
from trace_mine.corpus.work import Marker


class UnitCall(Protocol):
    """Finishes one unit, in a worker. It can be pickled, and calling it twice with a key is harmless."""

    def __call__(self, key: str) -> Marker:
        """Write the result of the unit to disk, and return its marker."""


class WorkersLost(Exception):
    """A worker died. ``keys`` are the units that were handed out and didn't come back.

    One of them may be the cause. Some may be finished: a worker may die after it wrote the marker and before the
    marker reached the caller.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(f"a worker died over one of {len(keys)} units")
        self.keys = tuple(keys)


class Engine(Protocol):
    """Makes a unit call with each of many keys, in processes of its own, several at a time."""

    def run(self, task: UnitCall, keys: KeySource) -> Generator[tuple[str, Marker], None, None]:
        """Yield (key, marker) of each unit when it is finished, in any order, each key at most once.

        Keys may come while it runs: an engine takes those that are known, runs them, and asks again, until the source
        is over. It asks a few times a second, so that it ends soon where the source says ``PlanningEnded``.

        An engine hands out few more units than it has workers, so that few are suspects when a worker dies. A single
        key runs in a worker that runs nothing else. Closing the generator early (an exception in the loop over it,
        Ctrl-C) ends the workers, and the sandboxes below them, before ``close`` returns.

        Raises:
            WorkersLost: a worker died. All units that were finished have been yielded before.
            PlanningEnded: the source's; the workers have ended.
            Exception: the exception that the task raised, unchanged.
        """
