"""The records in which the jail that harvests calls says what it saw and tried.

They come from a process in which the repository's own code ran: each field has a length and a form, and what is right
in form may still be wrong. An invented call is a snippet that runs in a sandbox like any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Literal

from trace_mine.corpus.mined.marked_lines import marked_lines
from trace_mine.corpus.mined.reader_protocol import check_relative
from trace_mine.tracer.inside.protocol.codec import AtMost, OneOf, ProtocolError, Record, record
from trace_mine.tracer.inside.protocol.jobs import Count, Line, Location, Name

MAX_FOCUS = 40
"""Frames on the way from a call to the function that it is wanted for."""
MAX_RECORDS = 300_000
"""Records of one run that are read."""
Command = Annotated[str, AtMost(4_000)]
Commands = Annotated[tuple[Command, ...], AtMost(200)]
Names = Annotated[tuple[Name, ...], AtMost(200)]
Word = Annotated[str, AtMost(60)]
Focus = Annotated[tuple[tuple[Location, Line], ...], AtMost(MAX_FOCUS)]
FunctionKind = Literal["function", "method", "classmethod", "staticmethod", "property", "setter", "init", "new"]


@record
class OfFunction(Record):
    """The fields by which records name a function of the repository.

    Attributes:
        module, qualname: by which it is imported.
        path: its file, relative to the repository's root.
        line, end_line: its span there.
        kind: ``init`` and ``new`` are run by a call of their class.
        is_generator: a call of it runs nothing of it.
        problem: why no call of it can be written, a word; empty where it can.
    """

    module: Name
    qualname: Name
    path: Location
    line: Line
    end_line: Line
    kind: FunctionKind
    is_generator: bool
    problem: Word

    def agree(self) -> None:
        check_function(self.path, self.line, self.end_line)


@record
class ReachedFunction(OfFunction):
    """A function that was called."""


@record
class SeenCall(OfFunction):
    """A call that has a text.

    Attributes:
        imports, before, call: the commands: imports, statements that make objects, and the call.
        named_imports, named_before, named_call: the same with arguments that may change in variables.
        variables: names of the objects that ``named_before`` makes; ``given``: of its other variables.
        shape: the classes of its arguments.
        focus: where the call is another function's, which leads to this one: the functions on the way, by file and
            first line, from the one that is called to this one. ``kind`` is that of the one that is called.
    """

    imports: Commands
    before: Commands
    call: Command
    named_imports: Commands
    named_before: Commands
    named_call: Command
    variables: Names
    given: Names
    shape: Command
    focus: Focus

    def agree(self) -> None:
        OfFunction.agree(self)  # a record with slots is another class than its text, so that ``super()`` has none
        for path, line in self.focus:
            check_function(path, line, line)
        for dotted in (self.module, self.qualname):
            parts = dotted.replace(".<locals>", "").split(".") if self.focus else dotted.split(".")
            if not all(part.isidentifier() for part in parts):
                raise ProtocolError(f"expected dotted names of a SeenCall, got {dotted[:40]!r}")
        if not all(name.isidentifier() for name in (*self.variables, *self.given)):
            raise ProtocolError("expected names of variables in a SeenCall, got others")


@record
class SeenWay(Record):
    """How a test or snippet comes to call a function.

    Attributes:
        path, qualname: the function's.
        start: the test or snippet, by the name that the harvest has for it.
        num_before: the calls of watched functions in it before.
        focus: the repository's functions on the way, by file and first line, this one last.
    """

    path: Location
    qualname: Name
    start: Annotated[str, AtMost(3_000)]
    num_before: Count
    focus: Focus

    def agree(self) -> None:
        for path, line in self.focus:
            check_function(path, line, line)


@record
class UnspeltCall(Record):
    """The first call of a function that has no text for the reason ``why``, a word."""

    path: Location
    qualname: Name
    why: Word


@record
class HarvestCounts(Record):
    """Counts of one run so far: calls of watched functions, those that have a text, and why others have none."""

    calls: Count
    spelt: Count
    not_spelt: Mapping[Word, Count]


@record
class SnippetDone(Record):
    """A snippet came to its end, whichever it was: the numbers of the pieces that failed, and the first error."""

    number: Count
    failed: Annotated[tuple[Count, ...], AtMost(100_000)]
    error: Annotated[str, AtMost(400)]


@record
class TriedCall(Record):
    """A call that was tried.

    Attributes:
        number: the call's.
        problem: why it is no snippet, a word; empty where it is one.
        raised: the name of the exception that it ended with.
        lines: the lines of its function that ran.
        commands: the session's.
        num_before: of a call of another function, the lines of those on the way that ran before its function did.
    """

    number: Count
    problem: Word
    raised: Name
    lines: Annotated[tuple[Line, ...], AtMost(1_000)]
    commands: Commands
    num_before: Count


SEEN = OneOf(ReachedFunction, SeenCall, SeenWay, UnspeltCall, HarvestCounts, SnippetDone, TriedCall)


def check_function(path: str, line: int, end_line: int) -> None:
    """Raises ProtocolError where a function has no place in the repository."""
    check_relative(path)
    if not path or not 1 <= line <= end_line:
        raise ProtocolError(f"expected a function's file and lines, got {path[:40]!r} and {line} to {end_line}")


def records_of(output: bytes, word: str) -> Iterator[Record]:
    """Read what a jail wrote: lines that begin with the secret word; others are the repository's own.

    A run that was ended may have left half a line, so that a line which is no record is passed over; what it would have
    said was never more than a claim.
    """
    for line in islice(marked_lines(output, word), MAX_RECORDS):
        try:
            yield SEEN.from_json(json.loads(line))
        except (ValueError, RecursionError):  # ProtocolError among them
            continue
