"""The readers by name; see ``reader``."""

from __future__ import annotations

from trace_mine.tracer.replays.doc import DOC
from trace_mine.tracer.replays.literal import LITERAL
from trace_mine.tracer.replays.patched import PATCHED
from trace_mine.tracer.replays.reader import SessionReader
from trace_mine.tracer.replays.stock import FRESH, STOCK

READERS: dict[str, SessionReader] = {reader.name: reader for reader in (DOC, STOCK, LITERAL, FRESH, PATCHED)}
