"""The record pipe, seen from the supervisor: what arrives is hostile input.

Checked in this order: length, sequence number, MAC, JSON. Grades: ``truncated`` (it ends early: no end record),
``forged`` (bytes that our sender did not write, or something after the end record).
"""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass

from trace_mine.tracer.inside.channel import END, HEADER, MAC_BYTES, RECORD, frame_mac

GRADES = ("clean", "truncated", "forged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """``records`` are JSON values; ``end`` is the end record, None where no genuine one came.

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
    """The genuine records at the front of ``data``, in order. Never raises: bad input is a grade."""
    view = memoryview(data)
    records: list[object] = []
    end: dict[str, object] | None = None
    position = sequence = 0
    integrity = "clean"
    while position < len(view):
        if end is not None:
            integrity = "forged"
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
            integrity = "truncated"
            break
        body = bytes(view[position:body_end])
        if not hmac.compare_digest(frame_mac(key, body), bytes(view[body_end : body_end + MAC_BYTES])):
            integrity = "forged"
            break
        try:
            value = json.loads(body[HEADER.size :])
        except (ValueError, RecursionError):
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
