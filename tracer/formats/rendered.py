"""What a format is: a trace in, a text with segments out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trace_mine.tracer.schema import Segment, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A text with its segments, which cover it exactly: every character belongs to one, in order.

    Raises:
        ValueError: they do not.
    """

    text: str
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        position = 0
        for segment in self.segments:
            if segment.start != position or segment.end <= position:
                raise ValueError(f"expected a segment from {position} on, got {segment}; cover the text without gaps")
            position = segment.end
        if position != len(self.text):
            raise ValueError(f"expected segments up to {len(self.text)}, got {position}; cover the whole text")


class Pieces:
    """Collects a text piece by piece, with the role and the step of each; equal neighbours become one segment."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._segments: list[Segment] = []
        self._position = 0

    def add(self, piece: str, role: str, step: int) -> None:
        """Appends a piece; an empty one is nothing."""
        if not piece:
            return
        start, end = self._position, self._position + len(piece)
        if self._segments and self._segments[-1].role == role and self._segments[-1].step == step:
            start = self._segments.pop().start
        self._segments.append(Segment(start=start, end=end, role=role, step=step))
        self._parts.append(piece)
        self._position = end

    def rendered(self) -> Rendered:
        """All that was added."""
        return Rendered(text="".join(self._parts), segments=tuple(self._segments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A rendering of traces: its name, what a reader sees in it, and the function that writes it."""

    name: str
    description: str
    render: Callable[[Trace], Rendered]
