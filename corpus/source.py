"""What the mined and the synthetic origin share: named work units, and a function that turns one unit into rows and
drops.

An origin cuts its work into units, deterministic slices whose ``key`` is a hash of everything that their result depends
on. The engine, the ledger, the merge and the card know nothing else of an origin, and the two origins never import
each other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

Row = dict[str, Any]
"""One row as ``trace_mine.corpus.rows`` lays it out, without its split."""


class CorpusError(Exception):
    """A message for the person at the terminal; ``exit_code`` as in the design (1 failed, 2 wrong usage)."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A snippet that became no row: the counted ``reason``, where it stands, and ``evidence`` for people."""

    reason: str
    path: str
    name: str
    evidence: str = ""
    repository: str = ""
    entry: str = ""
    line: int = 0

    def __post_init__(self) -> None:
        if not self.reason:
            raise ValueError("expected Dropped.reason to be a word that can be counted, got ''; name the reason")


Item = Row | Dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkUnit:
    """A deterministic slice of an origin's work.

    ``payload`` is a JSON object; its ``snippets`` is a list of objects with ``path name repository entry line``,
    one for each snippet found, which is all that the engine needs to count them when no worker survives the unit.
    ``key`` is a content hash and the unit's name on disk. It must not depend on this machine (folders, clock);
    ``payload`` may.
    """

    key: str
    payload: Mapping[str, Any]

    @property
    def num_snippets(self) -> int:
        """How many rows and drops the unit has to give, together."""
        snippets: Sequence[Any] = self.payload["snippets"]
        return len(snippets)


class Origin(Protocol):
    """Where traces come from."""

    @property
    def name(self) -> str:
        """``mined`` or ``synthetic``: the rows' column ``origin``."""

    @property
    def fingerprint(self) -> str:
        """Hash of what every unit's result depends on besides its own snippets (code, configuration, versions)."""

    @property
    def traces(self) -> Callable[[Mapping[str, Any]], Iterator[Item]]:
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

    def notes(self) -> Mapping[str, Any]:
        """What else belongs in ``stats.json``, known once ``units()`` is exhausted (files that could not be read,
        ...).
        """


def content_key(*parts: Any) -> str:
    """A 32-digit hexadecimal hash of JSON values, the same on every machine.

    Raises:
        TypeError: a part is not JSON.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:32]


@cache
def code_hash() -> str:
    """Hash of this project's code that a row depends on: with another tracer, finished units are done again."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for folder in ("tracer", "corpus"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:32]
