"""What the mined and the synthetic origin share: named work units, and a function that turns one unit into rows and
drops.

An origin cuts its work into units, deterministic slices whose ``key`` is a hash of everything that their result depends
on. The engine, the ledger, the merge and the card know nothing else of an origin, and the two origins never import
each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from trace_mine.corpus.stats import Notes
from trace_mine.corpus.work import Traces, WorkUnit


class Origin(Protocol):
    """Where rows come from."""

    @property
    def name(self) -> str:
        """``mined`` or ``synthetic``: the rows' column ``origin``."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that every unit's result depends on besides its own snippets (code, configuration, versions)."""

    @property
    def traces(self) -> Traces:
        """Turns a unit's payload into exactly one item for each of its snippets, in order. A module-level function,
        so that worker processes can be handed it.
        """

    @property
    def splits(self) -> Mapping[str, str] | None:
        """Split of each ``repository`` where the origin decides that itself, so that its splits are disjoint by
        construction and near-duplicates are welcome; None: by the repository's name.
        """

    def units(self) -> Iterator[WorkUnit]:
        """All units, in the order of the dataset. The same inputs give the same units."""

    def notes(self) -> Notes:
        """Further entries of ``stats.json``, known once ``units()`` is exhausted (files that could not be read,
        ...).
        """
