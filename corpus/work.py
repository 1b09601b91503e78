"""The records of work that is done unit by unit: a unit, the row or drop of each of its snippets, and the marker of a
finished unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypedDict

from trace_mine.corpus.rows import Row, printable


class SnippetEntry(TypedDict):
    """The place of a snippet: all that is needed to count the snippet when it becomes no row."""

    path: str
    name: str
    repository: str
    entry: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A snippet that became no row: the counted ``reason`` (see ``docs/reasons.md``), where the snippet stands, and
    ``evidence`` for people. Its fields are the keys of a line of ``errors.jsonl``.
    """

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

    @staticmethod
    def at(entry: SnippetEntry, *, reason: str, evidence: str) -> Dropped:
        """Make the drop of a snippet; its names and the evidence become writable as UTF-8 (``printable``)."""
        return Dropped(
            reason=reason,
            path=printable(entry["path"]),
            name=printable(entry["name"]),
            repository=entry["repository"],
            entry=entry["entry"],
            line=entry["line"],
            evidence=printable(evidence),
        )


Item = Row | Dropped

Payload = Mapping[str, object]
"""The input of a worker for one unit, a JSON object. Its ``snippets`` are SnippetEntry objects; all other keys, and
further keys of the snippets, belong to the origin.
"""

Traces = Callable[[Payload], Iterator[Item]]
"""An origin's function that turns a unit's payload into one item for each of its snippets, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkUnit:
    """A deterministic slice of an origin's work.

    ``key`` is a content hash, and the unit's name on disk. It must not depend on this machine (folders, clock), so that
    a dataset can be finished on another one; ``payload`` may.

    Raises:
        ValueError: the key is no file name, or the payload lists no snippets.
    """

    key: str
    payload: Payload

    def __post_init__(self) -> None:
        # The key names files below the ledger: a slash would lead out of their folder.
        if not self.key or "/" in self.key:
            raise ValueError(f"expected WorkUnit.key to be a file name, got {self.key!r}; use content_key")
        entries_of(self.payload)

    @property
    def num_snippets(self) -> int:
        """The number of rows and drops, together, that the unit gives."""
        return len(entries_of(self.payload))


def entries_of(payload: Payload) -> Sequence[SnippetEntry]:
    """Return the unit's snippets, which are counted as drops when no worker survives the unit.

    Raises:
        ValueError: the payload has no list of SnippetEntry objects.
    """
    # Checked by hand: a payload was read back from JSON, where a TypedDict promises nothing.
    entries = payload.get("snippets")
    if not isinstance(entries, list) or not all(isinstance(each, dict) and {*_ENTRY} <= {*each} for each in entries):
        raise ValueError(f"expected payload['snippets'] to be a list of {', '.join(_ENTRY)}, got {entries!r:.200}")
    return entries


_ENTRY = tuple(SnippetEntry.__annotations__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Says that a unit is finished, and counts what its result holds. A marker has a few kilobytes, so that an engine
    may send it between machines.

    Attributes:
        found: number of the unit's snippets: ``rows`` + ``drops``.
        texts: the text keys of the rows, in order.
        repositories: repository to number of rows.
        bytes: size of the result's file; ``sha256`` is the hash of its content.
    """

    found: int
    rows: int
    drops: int
    texts: tuple[str, ...]
    repositories: Mapping[str, int]
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        if self.found != self.rows + self.drops:
            raise ValueError(
                f"expected Marker.found = rows + drops, got {self.found} with {self.rows} rows and {self.drops} drops; "
                "a unit gives one item for each snippet"
            )
        if not len(self.texts) == self.rows == sum(self.repositories.values()):
            raise ValueError(
                f"expected a text key and a repository for each of {self.rows} rows, got {len(self.texts)} and "
                f"{sum(self.repositories.values())}; count each row once"
            )

    def to_json(self) -> dict[str, object]:
        """Return the marker as a JSON object; ``from_json`` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Marker:
        """Return the marker whose ``to_json`` is ``data``.

        Raises:
            TypeError: a key is missing, or there is one too many.
            ValueError: the counts contradict each other.
        """
        # JSON has no tuples; a wrong key is a TypeError of the constructor.
        return Marker(**{**data, "texts": tuple(data["texts"])})  # type: ignore[arg-type]
