"""The contract of formats: a trace goes in, a text with segments comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trace_mine.tracer.schema import Segment, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A text with its segments, which cover it exactly: every character belongs to one, in order.

    Raises:
        ValueError: the segments leave a gap, overlap, are empty, or end elsewhere than the text.
    """

    text: str
    segments: tuple[Segment, ...]

    def __post_init__(self) -> None:
        # Checked in full: the loss by role and the places of beliefs go by these numbers, and one character too few
        # would be noticed nowhere else.
        position = 0
        for segment in self.segments:
            if segment.start != position or segment.end <= position:
                raise ValueError(f"expected a segment from {position} on, got {segment}; cover the text without gaps")
            position = segment.end
        if position != len(self.text):
            raise ValueError(f"expected segments up to {len(self.text)}, got {position}; cover the whole text")


class Pieces:
    """Collects a text piece by piece, with the role and the step of each.

    Neighbours with the same role and step become one segment.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._segments: list[Segment] = []
        self._position = 0

    def add(self, piece: str, role: str, step: int) -> None:
        """Append a piece; an empty one makes no segment."""
        if not piece:
            return
        start, end = self._position, self._position + len(piece)
        # so that a format may add a text in as many pieces as suits it: beliefs and roles count segments
        if self._segments and self._segments[-1].role == role and self._segments[-1].step == step:
            start = self._segments.pop().start
        self._segments.append(Segment(start=start, end=end, role=role, step=step))
        self._parts.append(piece)
        self._position = end

    def rendered(self) -> Rendered:
        """The text of all pieces that were added, with its segments."""
        return Rendered(text="".join(self._parts), segments=tuple(self._segments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A way to write traces as text.

    ``name`` is the word for it in ``registry``, ``description`` says in a phrase what the text
    shows, and ``render`` writes it (ValueError where a trace can't be written in this format).

    Raises:
        ValueError: ``name`` is empty or has spaces.
    """

    name: str
    description: str
    render: Callable[[Trace], Rendered]

    def __post_init__(self) -> None:
        # typed at a prompt, and a key of the registry
        if not self.name.isidentifier():
            raise ValueError(f"expected Format.name to be one word, got {self.name!r}; use letters, digits and _")
