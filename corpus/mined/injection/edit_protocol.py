"""The records in which the jail that edits programs says what it made.

They come from a process in which the repository's own code ran: each field has a length and a form. An invented program
is a snippet that runs in a sandbox like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Annotated

from trace_mine.corpus.mined.marked_lines import marked_lines
from trace_mine.tracer.inside.protocol.codec import AtMost, OneOf, ProtocolError, Record, record
from trace_mine.tracer.inside.protocol.jobs import Count, Line

MAX_RECORDS = 300_000
Text = Annotated[str, AtMost(100_000)]
Word = Annotated[str, AtMost(60)]


def lines_in(piece: str) -> int:
    """The number of lines of a program's piece, whose last one may have no end.

    >>> lines_in("x = 1\\ny = 2"), lines_in("x = 1\\n")
    (2, 1)
    """
    return piece.removesuffix("\n").count("\n") + 1


@record
class ProgramEdit(Record):
    """One edit.

    Attributes:
        kind: ``maybe``, ``either`` or ``order``; ``reveal`` for a command that was put in, ``input`` for a further
            call, ``assert`` for an assertion that is asked instead.
        line: where it stands in the text that was edited, from 1; a reveal in the text that ran, an input and an
            assertion in all pieces.
        law: the probabilities of the outcomes; reveals, inputs and assertions have none.
        before, after: its lines, without their common indentation.
        author_line: the line of the author's file at which it was made, 0 where that is not known; a question stands
            behind that line.
    """

    kind: Word
    line: Line
    law: Annotated[tuple[float, ...], AtMost(20)]
    before: Text
    after: Text
    author_line: Count

    def agree(self) -> None:
        if self.kind in ("reveal", "input", "assert"):
            if self.law:
                raise ProtocolError(f"expected no law of a {self.kind}, got {self.law}")
        elif len(self.law) < 2 or not all(0 < p < 1 for p in self.law) or abs(sum(self.law) - 1) > 1e-9:
            raise ProtocolError(f"expected the law of an edit, got {self.law}")


@record
class EditedProgram(Record):
    """A snippet's program with edits.

    Attributes:
        number: the snippet's.
        variant: of the programs that were made of it, from 0.
        pieces: its sources, with the statement that binds the functions which draw.
        origins: of each line of the pieces, the line of the author's file that it is or was made of; 0: of none.
        edits: in the order of the text.
        runs, raised, distinct: of the sample: its runs, those that raised or did not end, the outputs that differ.
    """

    number: Count
    variant: Count
    pieces: Annotated[tuple[Text, ...], AtMost(2_000)]
    origins: Annotated[tuple[Count, ...], AtMost(100_000)]
    edits: Annotated[tuple[ProgramEdit, ...], AtMost(500)]
    runs: Count
    raised: Count
    distinct: Count

    def agree(self) -> None:
        if not self.pieces or not self.edits:
            raise ProtocolError("expected pieces and edits of an edited program, got none")
        num_lines = sum(map(lines_in, self.pieces))
        if len(self.origins) != num_lines:
            raise ProtocolError(f"expected an origin of each of {num_lines} lines, got {len(self.origins)}")


_WHYS = """
no_place no_function no_source layout method syntax raises_unedited raises not_reached no_program
"""
WHYS = frozenset(_WHYS.split())
"""The words for why a snippet got no draws, as ``docs/choices.md`` explains them."""


@record
class NotEdited(Record):
    """A snippet of which no program was made, with a word that says why."""

    number: Count
    why: Word

    def agree(self) -> None:
        if self.why not in WHYS:
            raise ProtocolError(f"expected why a snippet is not edited, got {self.why!r}")


EDITED = OneOf(EditedProgram, NotEdited)


def edit_records(output: bytes, word: str) -> Iterator[Record]:
    """Read what a jail wrote: lines that begin with the secret word. What is no record is passed over."""
    for line in islice(marked_lines(output, word), MAX_RECORDS):
        try:
            yield EDITED.from_json(json.loads(line))
        except (ValueError, RecursionError):  # ProtocolError among them
            continue
