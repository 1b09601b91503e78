"""Verifies what arrived on a record pipe. Runs in the supervisor, on hostile input.

``inside.channel`` writes the frames. Each is checked in this order: sequence number and kind, length, MAC, JSON; so
JSON is parsed only where the MAC shows that our sender wrote it. Grades: ``truncated`` (the data end early: no end
record), ``forged`` (bytes that our sender did not write, or anything after the end record).

Not covered: a snippet that finds the key on the heap can write genuine frames about itself (``inside.observe.guard``
notices the search); never about another run, because each has a key and a pipe of its own.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass

from trace_mine.tracer.inside.channel import END, HEADER, MAC_BYTES, RECORD, frame_mac

GRADES = ("clean", "truncated", "forged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """The content of a record pipe: ``records``, JSON values in the order sent, and ``end``, the end record (None where
    no genuine one came).

    Raises:
        ValueError: ``integrity`` is no grade of this file, or ``clean`` without an end record.
    """

    records: tuple[object, ...]
    end: dict[str, object] | None
    integrity: str

    def __post_init__(self) -> None:
        if self.integrity not in GRADES:
            raise ValueError(f"expected Received.integrity in {GRADES}, got {self.integrity!r}")
        if self.integrity == "clean" and self.end is None:
            raise ValueError("expected an end record with integrity 'clean', got none; it is 'truncated'")


def verify_frames(data: bytes | bytearray, key: bytes) -> Received:
    """Read the genuine records at the front of ``data``; ``key`` is the run's.

    Reading stops at the first frame that is not genuine: what follows it can't be trusted to begin where it seems to.
    Never raises: bad input is a grade.
    """
    view = memoryview(data)
    records: list[object] = []
    end: dict[str, object] | None = None
    position = sequence = 0
    integrity = "clean"
    while position < len(view):
        if end is not None:
            integrity = "forged"  # our sender writes nothing after its end record
            break
        if len(view) - position < HEADER.size:
            integrity = "truncated"
            break
        length, number, kind = HEADER.unpack_from(view, position)
        body_end = position + HEADER.size + length
        if number != sequence or kind not in (RECORD, END):
            integrity = "forged"
            break
        if body_end + MAC_BYTES > len(view):
            integrity = "truncated"  # the usual end of a run that was killed while it wrote
            break
        body = bytes(view[position:body_end])
        # the MAC covers header and payload: neither length nor number can be changed alone
        if not hmac.compare_digest(frame_mac(key, body), bytes(view[body_end : body_end + MAC_BYTES])):
            integrity = "forged"
            break
        try:
            value = json.loads(body[HEADER.size :])
        except (ValueError, RecursionError):  # RecursionError: arrays nested deeper than the parser goes
            integrity = "forged"
            break
        if kind == END and not isinstance(value, dict):
            integrity = "forged"
            break
        if kind == END:
            end = value
        else:
            records.append(value)
        sequence += 1
        position = body_end + MAC_BYTES
    if end is None and integrity == "clean":
        integrity = "truncated"
    return Received(records=tuple(records), end=end, integrity=integrity)
