"""The records of work that is done unit by unit: a unit, the row or drop of each of its snippets, and the marker of a
finished unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TypedDict

from trace_mine.corpus.rows import MAX_EVIDENCE, Row, printable
from trace_mine.tracer.inside.protocol.forms import shown
from trace_mine.tracer.inside.reasons import reason_of

MAX_NAME = 1000
"""Characters of a drop's path and name that are kept: a hostile ``def`` may have a name of a megabyte."""


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
        reason_of(self.reason)  # raises for a word that the card could not explain

    @staticmethod
    def at(entry: SnippetEntry, *, reason: str, evidence: str) -> Dropped:
        """Make the drop of a snippet; names and evidence become writable as UTF-8 (``printable``) and are cut."""
        return Dropped(
            reason=reason,
            path=printable(entry["path"])[:MAX_NAME],
            name=printable(entry["name"])[:MAX_NAME],
            repository=printable(entry["repository"]),
            entry=printable(entry["entry"]),
            line=entry["line"],
            evidence=printable(evidence)[:MAX_EVIDENCE],
        )

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Dropped:
        """Return the drop whose fields these are, as a line of the ledger has them.

        Raises:
            ValueError: a field is missing or unknown, or of another type, or a text is one that UTF-8 does not have.
        """
        if data.keys() != _FIELDS.keys():
            raise ValueError(f"expected the fields of a drop, got {len(data)} others; see corpus/work.py")
        for name, value in data.items():
            if type(value) is not _FIELDS[name]:
                raise ValueError(f"expected {name} to be a {_FIELDS[name].__name__}, got {shown(value)}; see there")
            if isinstance(value, str):
                value.encode("utf-8")  # UnicodeEncodeError is a ValueError
            elif not 0 <= value < 1 << 53:  # type: ignore[operator]
                raise ValueError(f"expected the line of a drop, got {shown(value)}; count from 1")
        return Dropped(**data)  # type: ignore[arg-type]  # as was found above


_FIELDS: dict[str, type] = {each.name: int if each.name == "line" else str for each in fields(Dropped)}

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
    a dataset can be finished on another one; ``payload`` may. ``place`` is that of its input among all inputs.

    Raises:
        ValueError: the key is no file name, or the payload lists no snippets.
    """

    key: str
    payload: Payload
    place: int = 0

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
        records: repository to number of records among these rows: snippets without a session that replays.
        interrupted: number of drops for which another try may give a row, since the sandbox died.
        bytes: size of the result's file; ``sha256`` is the hash of its content.
    """

    found: int
    rows: int
    drops: int
    texts: tuple[str, ...]
    repositories: Mapping[str, int]
    bytes: int
    sha256: str
    interrupted: int = 0
    records: Mapping[str, int] = field(default_factory=dict)

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

    @property
    def sessions(self) -> dict[str, int]:
        """Repository to number of rows that are no records."""
        return {name: number - self.records.get(name, 0) for name, number in self.repositories.items()}

    def to_json(self) -> dict[str, object]:
        """Return the marker as a JSON object; ``from_json`` is the inverse."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, object]) -> Marker:
        """Return the marker whose ``to_json`` is ``data``.

        Raises:
            ValueError: it is no marker: a key is missing or too many, a value of another type, or the counts contradict
                each other.
        """
        # Checked by hand: what was damaged on disk is refused here, or raises far from here, in the merge.
        names = [each.name for each in fields(Marker)]
        texts, repositories, records = data.get("texts"), data.get("repositories"), data.get("records")
        good = (
            sorted(data) == sorted(names)
            and all(_is_count(data[name]) for name in ("found", "rows", "drops", "bytes", "interrupted"))
            and isinstance(data["sha256"], str)
            and isinstance(texts, list)
            and all(isinstance(text, str) and _TEXT_KEY.fullmatch(text) for text in texts)
            and isinstance(repositories, dict)
            and all(map(_is_count, repositories.values()))
            and isinstance(records, dict)
            and all(_is_count(number) and number <= repositories.get(name, 0) for name, number in records.items())
        )
        if not good:
            raise ValueError(f"expected a marker with {', '.join(names)}, got another object; delete it")
        return Marker(**{**data, "texts": tuple(texts)})  # type: ignore[arg-type]


_TEXT_KEY = re.compile("(?:[0-9a-f]{2})+")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 53
