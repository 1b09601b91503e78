"""Event logs as text, and back: base64 of zlib of JSON, for a column of a dataset.

    {"version": 1, "cut": "",
     "sources": [[path, line, name, text, piece or null], ...],
     "activations": [index of a source, ...],
     "events": [[kind, activation, line, {name: text or null}, value], ...]}

An event ends at the last of its fields that is not empty, and a kind is its first letter (``e`` for ``echo`` is ``h``,
``r`` for ``raise`` is ``x``: see ``LETTERS``). Files of strangers hold this, so it is read in bounds and checked.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import TypeVar, cast

from trace_mine.tracer.event_log import Event, EventLog, EventSource

T = TypeVar("T", str, int)

VERSION = 1
MAX_PACKED = 8 << 20
"""Characters of a packed log that are read: a row has no more."""
MAX_UNPACKED = 32 << 20
"""Bytes of a log's JSON that are read. A log that was made here has at most some 6 MB: ``event_log`` bounds it."""
MAX_BRACKETS = 1_500_000
"""Characters ``[`` and ``{`` of that JSON. Each may be a list or an object of some 60 bytes, so that 32 MB of ``[],``
would be read as a gigabyte. A log has two for each of its 20,000 events, and those within its million characters."""
LEVEL = 6
"""Of zlib: 9 takes 2.4 times as long for 1% less (measured on 300 logs)."""

LETTERS = {
    "call": "c",
    "line": "l",
    "return": "r",
    "yield": "y",
    "raise": "x",
    "leave": "v",
    "output": "o",
    "echo": "h",
}
"""The letter of each kind of event."""
_KINDS = {letter: kind for kind, letter in LETTERS.items()}


def pack(log: EventLog) -> str:
    """Write a log as ASCII text; equal logs give equal texts (with the same zlib)."""
    document = {
        "version": VERSION,
        "cut": log.cut,
        "sources": [[each.path, each.line, each.name, each.text, each.piece] for each in log.sources],
        "activations": list(log.activations),
        "events": [_short(event) for event in log.events],
    }
    # ASCII: lone surrogates are escaped, which UTF-8 does not have
    raw = json.dumps(document, separators=(",", ":")).encode("ascii")
    return base64.b64encode(zlib.compress(raw, LEVEL)).decode("ascii")


def _short(event: Event) -> list[object]:
    fields: list[object] = [LETTERS[event.kind], event.activation, event.line, dict(event.changes), event.value]
    while len(fields) > 3 and not fields[-1]:
        fields.pop()
    return fields


def unpack(text: str) -> EventLog:
    """Read a log that ``pack`` wrote.

    Raises:
        ValueError: the text is none, or is larger than a log may be.
    """
    try:
        if len(text) > MAX_PACKED:
            raise ValueError(f"it has {len(text)} characters")
        reader = zlib.decompressobj()
        raw = reader.decompress(base64.b64decode(text.encode("ascii"), validate=True), MAX_UNPACKED)
        if not reader.eof:
            raise ValueError("it is cut short, or longer than a log may be")
        if raw.count(b"[") + raw.count(b"{") > MAX_BRACKETS:
            raise ValueError("it has more lists and objects than a log may have")
        return _log(json.loads(raw))
    except (ValueError, TypeError, KeyError, RecursionError, zlib.error) as error:
        raise ValueError(f"expected a packed event log, got {type(error).__name__}: {str(error)[:200]}") from None


def _log(document: object) -> EventLog:
    if type(document) is not dict or document.get("version") != VERSION:
        raise ValueError(f"expected an object of version {VERSION}")
    return EventLog(
        sources=tuple(map(_source, _list(document["sources"]))),
        activations=tuple(_of(int, each) for each in _list(document["activations"])),
        events=tuple(map(_event, _list(document["events"]))),
        cut=_of(str, document["cut"]),
    )


def _source(value: object) -> EventSource:
    path, line, name, text, piece = _list(value)
    return EventSource(
        path=_of(str, path),
        line=_of(int, line),
        name=_of(str, name),
        text=_of(str, text),
        piece=None if piece is None else _of(int, piece),
    )


def _event(value: object) -> Event:
    fields = _list(value)
    if not 3 <= len(fields) <= 5:
        raise ValueError(f"expected 3 to 5 fields of an event, got {len(fields)}")
    letter, activation, line, *rest = fields
    changes = rest[0] if rest else {}
    if type(changes) is not dict or not all(each is None or type(each) is str for each in changes.values()):
        raise ValueError("expected changes as an object of texts")
    return Event(
        kind=_KINDS[_of(str, letter)],
        activation=_of(int, activation),
        line=_of(int, line),
        changes=cast("Mapping[str, str | None]", changes),
        value=_of(str, rest[1]) if len(rest) > 1 else "",
    )


def _list(value: object) -> list[object]:
    if type(value) is not list:
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value


def _of(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value
