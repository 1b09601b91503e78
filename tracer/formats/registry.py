"""All formats by name."""

from __future__ import annotations

from trace_mine.tracer.formats.lines import LINES
from trace_mine.tracer.formats.rendered import Format
from trace_mine.tracer.formats.repl import REPL

# A new format is a line here: the contract test goes over all of these.
FORMATS: dict[str, Format] = {each.name: each for each in (REPL, LINES)}
"""The formats by the name that ``Format.name`` gives them."""
