"""Answers: the records that a run sends on its record pipe, one class for each kind of message, and the end record.

The snippet may have written what arrives. So an index into the same record is checked there, and a reference to the
job or to another record by ``dialogue``.

``choice_answers`` has those of jobs that follow choices; ``ANSWERS`` lists all. Over 400 lines because the records of a
native run and of a session are made of the same parts, which stand with them.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Annotated, Literal, TypeVar

from trace_mine.tracer.inside.protocol.choice_answers import (
    AutomatonReport,
    BeliefsReport,
    PathReport,
    ReplayReport,
    SampledTexts,
)
from trace_mine.tracer.inside.protocol.codec import AtMost, OneOf, ProtocolError, Record, record
from trace_mine.tracer.inside.protocol.jobs import (
    Count,
    DrawnOutcome,
    Evidence,
    Line,
    Locals,
    Location,
    Name,
    Place,
    check_outcomes,
)
from trace_mine.tracer.inside.reasons import reason_of

T = TypeVar("T")

MAX_CODE_TEXT = 20_000
"""Characters of a function's source that are kept; 500 lines, of which few functions have more."""
MAX_CODE_TEXTS = 200
"""Functions of a run whose source is kept."""
Word = Annotated[str, AtMost(80)]
"""A word that is counted: that of a ``Reason``."""
Code = tuple[Location, Line, Name]
"""A code object by file, first line and name."""
Event = tuple[Line, Locals]
"""A line that is about to run, with the activation's locals before it."""
# A closed list: a kind decides the role of a segment, and a word of the snippet's own would get into a column.
CommandKind = Literal["statement", "condition", "bind", "iterate", "returned", "reveal", "source"]


def _check_reasons(words: Iterable[str]) -> None:
    """Raises ProtocolError where one of the words is no reason's: they are counted in datasets."""
    for word in words:
        try:
            reason_of(word)
        except ValueError as error:
            # cut: the error names the word, which the snippet may have sent
            raise ProtocolError(str(error)[:200]) from None


@record
class Error(Record):
    """An exception as text: its type's name and its message, with addresses masked."""

    type_name: Name
    message: Evidence

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


# native runs and sessions ---------------------------------------------------------------------------------------------


@record
class PieceResult(Record):
    """The result of a piece: its output, its echoes as text, and the exception that it ended with.

    ``is_syntax_error``: the piece does not compile, so that it was not run; ``exception`` says why.
    """

    stdout: str = ""
    echoes: tuple[str, ...] = ()
    exception: Error | None = None
    is_syntax_error: bool = False

    def agree(self) -> None:
        if self.is_syntax_error and self.exception is None:
            raise ProtocolError("expected an exception of a piece with a syntax error, got none; send it")


@record
class NativePieceResult(PieceResult):
    """The result of a piece in a native run.

    ``repr_checksums`` are checksums of the ``repr`` of its echoes, which the order of a set changes where the echoes'
    texts are equal. ``is_complete``: settrace was on to the end. ``is_unpromised``: the piece raised an exception that
    its docstring does not promise.
    """

    repr_checksums: tuple[Count, ...] = ()
    is_complete: bool = True
    is_unpromised: bool = False

    def agree(self) -> None:
        # not ``super()``: a slotted dataclass is another class than the one that this method was compiled in
        PieceResult.agree(self)
        if self.is_unpromised and self.exception is None:
            raise ProtocolError("expected an exception of a piece that raised one unpromised, got none; send it")


@record
class Path(Record):
    """The lines that one activation of a function went through, with its locals before each of them.

    ``lines`` are line numbers in the order in which they ran. ``columns`` has one column for each local that was ever
    bound, in the order in which they first were: its value as text before each line, None where it was not bound. Per
    line a dict of all locals says the same, and takes twice as long to send, to check and to read.
    """

    code: Code
    lines: tuple[Line, ...]
    columns: Mapping[Name, tuple[str | None, ...]]

    def locals_at(self, index: int) -> dict[str, str]:
        """The locals before ``lines[index]``, by name."""
        return {name: column[index] for name, column in self.columns.items() if column[index] is not None}  # type: ignore[misc]

    @property
    def path(self) -> Iterator[Event]:
        """Each line with the locals before it."""
        names = tuple(self.columns)
        # row by row in C: ``locals_at`` for each of 100,000 lines looks up each column anew
        for line, values in zip(self.lines, rows_of(self.columns.values(), len(self.lines)), strict=True):
            yield line, {name: value for name, value in zip(names, values, strict=True) if value is not None}

    def agree(self) -> None:
        for name, column in self.columns.items():
            if len(column) != len(self.lines):
                raise ProtocolError(
                    f"expected a value of {name[:40]!r} for each of {len(self.lines)} lines, got {len(column)}"
                )


def rows_of(columns: Collection[Sequence[T]], num_rows: int) -> Iterable[tuple[T, ...]]:
    """Columns of ``num_rows`` items each, row by row; no columns give empty rows."""
    # ``zip`` of no columns gives no rows at all, and a frame without locals has lines all the same
    return zip(*columns, strict=True) if columns else repeat((), num_rows)


def columns_of(states: Sequence[Locals]) -> dict[str, tuple[str | None, ...]]:
    """The columns of a ``Path`` from the locals before each line."""
    names = dict.fromkeys(chain.from_iterable(states))  # a set would order columns by the hash seed
    return {name: tuple([state.get(name) for state in states]) for name in names}


@record
class FrameMark(Record):
    """What happened in an activation beside its lines.

    ``at`` counts the lines and marks of the run before it, so that it has a place among the lines of all activations.
    ``kind``: the activation was entered (``call``; a generator's at each resumption), it returned or yielded a value,
    an exception was raised in it or came to it (``raise``) or left it (``leave``). ``value`` is what was returned,
    yielded or raised, as text. ``after``: where the activation was left, the locals that changed since its last line;
    None: the local is gone.
    """

    at: Count
    kind: Literal["call", "return", "yield", "raise", "leave"]
    value: str | None
    after: Mapping[Name, str | None]


@record
class NativeFrame(Path):
    """One activation in the native run, as ``sys.settrace`` saw it; ``is_cut``: it may have run on after that."""

    is_cut: bool = False
    marks: tuple[FrameMark, ...] = ()


@record
class NativeFrames(Record):
    """Some of the native run's activations, in the order of their calls; the next answer goes on with them."""

    # Several answers, because one of all frames could take more memory than a run may have.
    frames: tuple[NativeFrame, ...]


@record
class EnteredFrames(Record):
    """The number of times that frames of one code object were entered in one way, the word of a ``Reason``."""

    code: Code
    way: Word
    number: Count

    def agree(self) -> None:
        _check_reasons((self.way,))


@record
class CodeText(Record):
    """The source of a function, or of a module or class, of which activations were recorded, with its qualified name;
    empty where it is not known or too long.
    """

    code: Code
    qualname: Name
    text: Annotated[str, AtMost(MAX_CODE_TEXT)]


@record
class NativeSummary(Record):
    """The result of a native run: its pieces as far as they ran, if all promises of docstrings held (``passed``), the
    module's variables at the end and the outcomes of the draws, in order. ``noticed``: audit events, known by name
    (``observe.guard``), that tell how the session is to be replayed. ``entered``: the program's own frames, each
    resumption of a generator for itself, without the frames of the pieces. ``texts``: the sources of recorded
    activations, without those of the pieces. ``num_lost_marks``: marks that could not be made, at the limit of
    recursion.
    """

    pieces: tuple[NativePieceResult, ...]
    passed: bool
    variables: Locals
    outcomes: tuple[DrawnOutcome, ...]
    noticed: Annotated[tuple[Word, ...], AtMost(20)] = ()
    entered: tuple[EnteredFrames, ...] = ()
    texts: tuple[CodeText, ...] = ()
    num_lost_marks: Count = 0

    def agree(self) -> None:
        check_outcomes(self.outcomes)


@record
class DrivenFrame(Path):
    """One activation in the session: its statements as the driver ran them.

    ``gaps`` are the (first, last) lines of constructs that were kept as one command, whose lines the driver did not
    see. ``comparable`` are the (first, last) lines of the statements that can be compared with settrace's lines.
    ``entries``: how often the frame was entered, which of a generator's is more than once.
    """

    gaps: tuple[tuple[Line, Line], ...]
    comparable: tuple[tuple[Line, Line], ...]
    entries: Count = 1


@record
class RefusedCalls(Record):
    """Calls of a function that stayed calls for a reason: ``number`` of them, or all that stayed calls where it is
    None, because the function itself can't be opened.
    """

    code: Code
    reason: Word
    number: Count | None

    def agree(self) -> None:
        _check_reasons((self.reason,))


@record
class SessionCommand(Record):
    """One command of a session.

    ``output`` is raw and without the traceback, which ``error`` holds as doctest writes it. ``wrote`` names the
    variables that the command wrote, ``changes`` maps those whose value it changed to the new one (None: the variable
    is gone). ``path``, ``line``, ``depth`` (0: in the snippet itself) and ``piece`` (an index) say where its statement
    stands.
    """

    source: str
    output: str
    error: str | None
    kind: CommandKind
    raised: bool
    wrote: tuple[Name, ...]
    changes: Mapping[Name, str | None]
    depth: Count
    path: Location
    line: Line
    piece: Count


@record
class RunningPlace(Record):
    """A statement that ran, or a function whose body did, with the number of the place that it ran in (0: none)."""

    outer: Count
    place: Place


@record
class FollowedFunction(Record):
    """A function whose body the session shows: its qualified name, where it stands, and its lines there."""

    name: Name
    path: Location
    line: Line
    text: str


@record
class FollowedCall(Record):
    """A call whose body the session shows: the number of the call that made it (from 1; 0: the program itself), the
    function's qualified name, and the call as it is written, on one line. ``at``: the index of the command in which
    that stands as a comment; None where none came after it.
    """

    caller: Count
    name: Name
    text: Evidence
    at: Count | None

    def agree(self) -> None:
        # it becomes a line of the session's text, before a command
        if "\t" in self.text or len(self.text.splitlines()) > 1:
            raise ProtocolError(f"expected a call on one line, got {self.text[:40]!r}; escape what can't be printed")


@record
class SetUpName(Record):
    """A name that the row's set-up binds: to a module (no ``path``), to what attributes lead to from it, or to a part
    of the function there: a default, by its index or name, or what a cell of its closure holds, by its index.

    A record and no text: it becomes code that no reader of a session sees.
    """

    name: Name
    module: Name
    path: Annotated[tuple[Name, ...], AtMost(20)]
    part: Literal["", "__defaults__", "__kwdefaults__", "__closure__"] = ""
    key: Name = ""

    @staticmethod
    def is_name(text: str) -> bool:
        """Return True for an identifier of ASCII letters that is no keyword."""
        return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)

    @property
    def source(self) -> str:
        """The statement that binds the name."""
        if not self.path:
            return f"import {self.module}" + ("" if self.module == self.name else f" as {self.name}")
        if len(self.path) == 1 and not self.part:
            alias = "" if self.path[0] == self.name else f" as {self.name}"
            return f"from {self.module} import {self.path[0]}{alias}"
        holder = f"__import__({self.module!r}, fromlist=['_']).{'.'.join(self.path)}"
        if not self.part:
            return f"{self.name} = {holder}"
        key = repr(self.key) if self.part == "__kwdefaults__" else str(int(self.key))
        return f"{self.name} = {holder}.{self.part}[{key}]" + ".cell_contents" * (self.part == "__closure__")

    def agree(self) -> None:
        names = [self.name, *self.module.split("."), *self.path]
        if self.part == "__kwdefaults__":
            names.append(self.key)
        elif self.part and not (self.key.isascii() and self.key.isdecimal() and len(self.key) < 6):
            raise ProtocolError(f"expected the index of a default or cell, got {self.key[:40]!r}; count from 0")
        # a built-in is what each command means by its name
        if not all(map(SetUpName.is_name, names)) or hasattr(builtins, self.name):
            raise ProtocolError(f"expected identifiers of a set-up, got {names}"[:400])
        if self.part and not self.path:
            raise ProtocolError("expected a function with a part, got a module; name the function")


@record
class DriveSummary(Record):
    """A session that was written: its commands and activations in order, and the result that they gave.

    ``pieces`` and ``variables`` are compared with the native run's. ``kept`` counts constructs that were kept as one
    command, by reason, ``opened_calls`` the calls whose bodies are shown, ``refused`` calls that stayed calls.
    ``outcomes`` are those of the draws. The session assigns values that are not to be shown to the name ``spare``.
    ``is_full``: it had as many commands as it may, from where on nothing was opened. ``ended``: why the run ended
    early, with the session up to the command that ran then, and nothing to compare; empty where it did not.

    ``places`` are the statements and functions that ran, each after the one around it. ``stands_in`` has for each
    command the number of the innermost of them around it (from 1; 0: none), ``printed`` how many characters the program
    had printed after it since its piece began. ``in_call`` has the number of the call that it belongs to (from 1 in
    ``calls``; 0: none), ``functions`` are those of the calls, each once.
    ``set_up`` are the names that the row's set-up binds for them. ``tells``: a command is written in a way that hangs
    on a hidden outcome.
    """

    commands: tuple[SessionCommand, ...]
    frames: tuple[DrivenFrame, ...]
    pieces: tuple[PieceResult, ...]
    kept: Mapping[Word, Count]  # its keys are texts here; ``agree`` holds them to the enumeration
    opened_calls: Count
    outcomes: tuple[DrawnOutcome, ...]
    variables: Locals
    spare: Name
    refused: tuple[RefusedCalls, ...] = ()
    is_full: bool = False
    ended: Word = ""
    places: tuple[RunningPlace, ...] = ()
    # two columns of numbers, and no fields of the commands: a field of each takes longer to send and to check
    stands_in: tuple[Count, ...] = ()
    printed: tuple[Count, ...] = ()
    functions: tuple[FollowedFunction, ...] = ()
    calls: tuple[FollowedCall, ...] = ()
    in_call: tuple[Count, ...] = ()
    set_up: Annotated[tuple[SetUpName, ...], AtMost(1_000)] = ()
    tells: bool = False

    def agree(self) -> None:
        check_outcomes(self.outcomes)
        _check_reasons(self.kept)
        # so that a walk from a place outwards ends
        if any(place.outer > index for index, place in enumerate(self.places)):
            raise ProtocolError("expected each place after the one around it, got another order")
        if not len(self.stands_in) == len(self.printed) == len(self.commands):
            raise ProtocolError("expected a place and an end of output for each command, got more or fewer")
        if max(self.stands_in, default=0) > len(self.places):
            raise ProtocolError(f"expected places up to {len(self.places)} of commands, got a further one")
        if self.in_call and len(self.in_call) != len(self.commands):
            raise ProtocolError("expected a call for each command, got more or fewer")
        if max(self.in_call, default=0) > len(self.calls):
            raise ProtocolError(f"expected calls up to {len(self.calls)} of commands, got a further one")
        if any(call.caller > index for index, call in enumerate(self.calls)):
            raise ProtocolError("expected each call after the one that made it, got another order")
        if any(call.at is not None and call.at >= len(self.commands) for call in self.calls):
            raise ProtocolError(f"expected calls that begin in {len(self.commands)} commands, got a further one")


@record
class CommandBegun(Record):
    """A command begins of a session whose run may be killed before its end; ``number`` counts them from 1."""

    number: Count


@record
class MustRestart(Record):
    """The session has to be written again, with this place kept as one command.

    ``tells``: between the place's beginning and that, something was shown which could have been something else, so that
    other sessions that begin alike keep nothing whole.
    """

    place: Place
    reason: Word
    tells: bool = False

    def agree(self) -> None:
        _check_reasons((self.reason,))


@record
class SetupFailed(Record):
    """The module could not be imported or the silent code raised; nothing of the program ran."""

    # Two words, not any reason's: a forged message of this kind once put HTML of the snippet's into the dataset card.
    reason: Literal["import_error", "setup_error"]
    evidence: Evidence


Answer = (
    NativeSummary
    | NativeFrames
    | DriveSummary
    | CommandBegun
    | MustRestart
    | SetupFailed
    | ReplayReport
    | BeliefsReport
    | SampledTexts
    | PathReport
    | AutomatonReport
)
# ``End`` is in neither list: it comes as a message of its own kind, which no answer can imitate.
ANSWERS = OneOf(
    NativeSummary,
    NativeFrames,
    DriveSummary,
    CommandBegun,
    MustRestart,
    SetupFailed,
    ReplayReport,
    BeliefsReport,
    SampledTexts,
    PathReport,
    AutomatonReport,
)


VALUES = "values"
"""``End.exception`` of a native run whose record would have to look at more values than it may."""


@record
class End(Record):
    """The last record of a run: how it ended, by its own account. The sandbox's verdict is made of more than that.

    ``exception`` is a type's name, the limit that was reached, or what is wrong with a malformed job. ``tripped`` and
    ``tampered`` are what the guard noticed. ``escaped``: the error is one of our own code.
    """

    end: Literal["ok", "exception", "exit", "syntax", "trace-limit", "output-limit"]
    # Short, each of them: the process that writes this is the snippet's, and people read it in evidence.
    exception: Annotated[str, AtMost(300)] | None = None
    tripped: Annotated[tuple[Annotated[str, AtMost(80)], ...], AtMost(20)] = ()
    tampered: bool = False
    escaped: bool = False
