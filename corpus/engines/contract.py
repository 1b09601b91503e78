"""The contract between ``corpus/units.py`` and an engine: what each promises the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from trace_mine.corpus.engines.keys import KeySource
from trace_mine.corpus.sending.unit import LackedBundles, UnitResult
from trace_mine.corpus.work import Marker


class UnitCall(Protocol):
    """Finishes one unit: in a worker that sees the command's disk by one call, in others by way of a ``SentCall``."""

    def __call__(self, key: str) -> Marker:
        """Write the result of the unit to disk, and return its marker. For workers that see the command's disk.

        The call can be pickled, and calling it twice with a key is harmless.
        """

    def sent(self, key: str, name_of: Callable[[Path], str]) -> SentCall:
        """Return what a worker elsewhere is to call; asked for in the command's process.

        Args:
            key: of the unit.
            name_of: names the bundle of a file or folder.
        """

    def received(self, key: str, result: UnitResult) -> Marker:
        """Write what came back to disk, in the command's process, and return its marker."""


class SentCall(Protocol):
    """A call for a worker elsewhere. It can be pickled."""

    @property
    def bundles(self) -> Mapping[Path, str]:
        """The files and folders of the command's machine that it needs, with the names of their bundles."""

    def __call__(self) -> UnitResult | LackedBundles:
        """Return the unit's result, or which bundles this machine lacks."""


class WorkersLost(Exception):
    """Workers died. ``keys`` are the units that were handed out and didn't come back.

    One of them may be the cause. Some may be finished: a worker may die after it wrote the marker and before the
    marker reached the caller. ``deaths`` is how many workers died over each: more than one where a cluster tried again
    by itself.
    """

    def __init__(self, keys: Sequence[str], *, deaths: int = 1) -> None:
        super().__init__(f"a worker died over one of {len(keys)} units")
        self.keys = tuple(keys)
        self.deaths = deaths


class Engine(Protocol):
    """Makes a unit call with each of many keys, in processes of its own, several at a time."""

    def run(self, task: UnitCall, keys: KeySource) -> Generator[tuple[str, Marker], None, None]:
        """Yield (key, marker) of each unit when it is finished, in any order, each key at most once.

        Keys may come while it runs: an engine takes those that are known, runs them, and asks again, until the source
        is over. It asks a few times a second, so that it ends soon where the source says ``PlanningEnded``.

        An engine hands out few more units than it has workers, so that few are suspects when a worker dies. A single
        key runs in a worker that runs nothing else. Closing the generator early (an exception in the loop over it,
        Ctrl-C) ends the workers that the engine started, and the sandboxes below them, before ``close`` returns; a
        cluster that was there before is given nothing more. Other workers may stay for the next run, until ``close``.

        Raises:
            WorkersLost: a worker died. All units that were finished have been yielded before.
            PlanningEnded: the source's; the workers have ended.
            CorpusError: there is no such cluster, or it can't run units.
            Exception: the exception that the task raised, unchanged.
        """

    def close(self) -> None:
        """End the workers that the engine started. A second call does nothing."""


class EngineMaker(Protocol):
    """Makes an engine; starts nothing, and imports nothing heavy."""

    def __call__(self, jobs: int, address: str | None = None) -> Engine:
        """Make an engine.

        Args:
            jobs: its workers, where it starts them.
            address: of a cluster to use instead.

        Raises:
            ValueError: there are no jobs, or the engine has no clusters.
            CorpusError: the engine needs packages that are not installed.
        """
