"""The protocol of an origin of rows, which the mined and the synthetic origin keep.

An origin cuts its work into units, deterministic slices whose ``key`` is a hash of everything that their result depends
on, and has a function that turns a unit into rows and drops. Engine, ledger, merge and card know nothing else of an
origin, and the two origins never import each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from trace_mine.corpus.sending.unit import UnitInputs
from trace_mine.corpus.splits import SplitRule
from trace_mine.corpus.stats import Notes
from trace_mine.corpus.work import Traces, WorkUnit


class Origin(Protocol):
    """An origin of rows: its units, and the function that makes the rows of a unit."""

    @property
    def name(self) -> str:
        """``mined`` or ``synthetic``: the rows' column ``origin``."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that the result of every unit depends on, beside the unit's own snippets: code, configuration,
        versions.
        """

    def signature(self) -> str:
        """Return a hash of all that the dataset depends on beside its configuration, found without much work: where it
        is that of a finished dataset, nothing is to be done.
        """

    @property
    def is_settled(self) -> bool:
        """False where the same command may give more rows next time (an index could not be reached); known once
        ``units()`` is exhausted.
        """

    @property
    def num_inputs(self) -> int:
        """The number of inputs, of which each has a ``place``; for progress alone."""

    @property
    def traces(self) -> Traces:
        """The function that turns a unit's payload into exactly one item for each of its snippets, in order.

        It is a function of a module, so that it can be pickled by name and sent to worker processes.
        """

    @property
    def inputs(self) -> UnitInputs:
        """The files of this machine that units read, for workers on others."""

    @property
    def split_rule(self) -> SplitRule:
        """The rule by which rows stand in splits.

        Where it says that splits are disjoint by construction, near-duplicates stay: sessions of one synthetic task
        resemble each other.
        """

    @property
    def keeps_copies(self) -> bool:
        """Keep near-duplicates within a split, too."""

    def units(self) -> Iterator[WorkUnit]:
        """Yield all units, in the order of the dataset. The same inputs give the same units."""

    def notes(self) -> Notes:
        """Return further entries of ``stats.json``, such as the files that could not be read. They are known once
        ``units()`` is exhausted.
        """

    def plan_notes(self) -> tuple[Sequence[tuple[int, Notes]], Notes]:
        """Return the parts that ``notes`` are joined from: of each input by its place, and of the whole command."""
