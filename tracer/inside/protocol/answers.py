"""What a run answers: one record for each kind of message on its record pipe, and the end record.

What arrives may have been written by the snippet: everything that indexes something in the same record is checked
there; what refers to the job or to another record is checked by ``dialogue``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from trace_mine.tracer.inside.protocol.codec import AtMost, Between, OneOf, ProtocolError, Record, checked
from trace_mine.tracer.inside.protocol.jobs import (
    Count,
    DrawnOutcome,
    Line,
    Locals,
    Location,
    Name,
    Place,
    Probability,
    check_outcomes,
)

Reason = Annotated[str, AtMost(80)]
"""A word that is counted."""
Evidence = Annotated[str, AtMost(4_096)]
"""For people."""
Code = tuple[Location, Line, Name]
"""A code object by file, first line and name."""
Stand = tuple[Line, Locals]
"""A line that is about to run, with the frame's locals."""
Move = tuple[Probability, str, str]
"""Probability, next state, text shown."""
CommandKind = Literal["statement", "condition", "bind", "iterate", "returned", "reveal"]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Record):
    """An exception as text: its type's name and what it says, addresses masked."""

    type_name: Name
    message: Evidence

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}"


# native runs and sessions ---------------------------------------------------------------------------------------------


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class PieceResult(Record):
    """What a piece did: output, echoes as text, and the exception that it ended with. ``is_syntax_error``: it was not
    run, ``exception`` says why.
    """

    stdout: str = ""
    echoes: tuple[str, ...] = ()
    exception: Error | None = None
    is_syntax_error: bool = False

    def agree(self) -> None:
        if self.is_syntax_error and self.exception is None:
            raise ProtocolError("expected an exception of a piece with a syntax error, got none; send it")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class NativePieceResult(PieceResult):
    """Of a native run also: ``repr_checksums`` of what its echoes look like, which the order of a set changes;
    ``is_complete``, that settrace was on to the end; ``is_unpromised``, that it raised what no docstring promises.
    """

    repr_checksums: tuple[Count, ...] = ()
    is_complete: bool = True
    is_unpromised: bool = False

    def agree(self) -> None:
        PieceResult.agree(self)
        if self.is_unpromised and self.exception is None:
            raise ProtocolError("expected an exception of a piece that raised one unpromised, got none; send it")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class NativeSummary(Record):
    """The native run's pieces as far as they ran, whether all docstrings' promises held, the variables at the end and
    the outcomes of its draws.
    """

    pieces: tuple[NativePieceResult, ...]
    passed: bool
    variables: Locals
    outcomes: tuple[DrawnOutcome, ...]

    def agree(self) -> None:
        check_outcomes(self.outcomes)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class NativeFrame(Record):
    """One activation in the native run, as settrace saw it: the ``lines`` it went, and the ``locals`` before each.

    They are two columns, because a long run has 100,000 lines: a pair for each costs more than all that is checked.
    """

    code: Code
    lines: tuple[Line, ...]
    locals: tuple[Locals, ...]

    @property
    def path(self) -> Iterator[Stand]:
        """Each line with its locals."""
        return zip(self.lines, self.locals, strict=True)

    def agree(self) -> None:
        _check_columns(self)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class DrivenFrame(Record):
    """One activation in the session: the ``lines`` of its statements as they ran and the ``locals`` before each,
    ``gaps``, the (first, last) lines of what was kept whole, and ``comparable``, those of the statements at which it
    can be held against settrace.
    """

    code: Code
    lines: tuple[Line, ...]
    locals: tuple[Locals, ...]
    gaps: tuple[tuple[Line, Line], ...]
    comparable: tuple[tuple[Line, Line], ...]

    @property
    def path(self) -> Iterator[Stand]:
        """Each line with its locals."""
        return zip(self.lines, self.locals, strict=True)

    def agree(self) -> None:
        _check_columns(self)


def _check_columns(frame: NativeFrame | DrivenFrame) -> None:
    if len(frame.lines) != len(frame.locals):
        raise ProtocolError(f"expected locals for each of {len(frame.lines)} lines, got {len(frame.locals)}")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCommand(Record):
    """One command of a session. ``output`` is raw, without the traceback, which ``error`` holds as doctest writes it.
    ``changes`` are the variables that it changed (None: gone); ``path``, ``line``, ``depth`` and ``piece`` say where
    its statement stands.
    """

    source: str
    output: str
    error: str | None
    kind: CommandKind
    raised: bool
    wrote: tuple[str, ...]
    changes: Mapping[str, str | None]
    depth: Count
    path: Location
    line: Line
    piece: Count


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class DriveSummary(Record):
    """The session's pieces and variables, what was kept whole by reason, how many calls were opened, the outcomes of
    its draws, and the name that takes values that are not shown.
    """

    pieces: tuple[PieceResult, ...]
    kept: Mapping[str, Count]
    opened_calls: Count
    outcomes: tuple[DrawnOutcome, ...]
    variables: Locals
    spare: Name

    def agree(self) -> None:
        check_outcomes(self.outcomes)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class MustRestart(Record):
    """The session has to be written again, with this place kept whole."""

    place: Place
    reason: Reason


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class NotShowable(Record):
    """The session can't be a doctest: some output can't stand in one."""

    evidence: Evidence


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SetupFailed(Record):
    """The module could not be imported or the silent code raised; nothing of the program ran."""

    reason: Reason
    evidence: Evidence


# replays --------------------------------------------------------------------------------------------------------------


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Record):
    """A command of a replay that printed something else."""

    command: Count
    source: str
    wanted: str
    got: str


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport(Record):
    """Every difference in order; from the console also the watched values after each command."""

    differences: tuple[Difference, ...]
    values: tuple[Locals, ...] = ()


# what follows choices -------------------------------------------------------------------------------------------------


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class CommandBelief(Record):
    """What a command's output could have been; see ``trace_mine.tracer.schema.Belief``."""

    command: Count
    outcomes: tuple[str, ...]
    probabilities: tuple[Probability, ...]
    method: Literal["exact", "bounded", "sampled"]
    stderr: tuple[Annotated[float, Between(0.0, 1e300)], ...]

    def agree(self) -> None:
        if not len(self.outcomes) == len(self.probabilities) == len(self.stderr):
            raise ProtocolError("expected a probability and an error for each outcome of a belief, got more or fewer")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class CommandChoice(Record):
    """One choice that a command made; see ``trace_mine.tracer.schema.Choice``."""

    command: Count
    kind: Name
    outcomes: tuple[str, ...]
    probabilities: tuple[Probability, ...]
    taken: Count

    def agree(self) -> None:
        if len(self.outcomes) != len(self.probabilities) or self.taken >= len(self.outcomes):
            raise ProtocolError("expected a probability for each outcome of a choice, and the one taken among them")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefsReport(Record):
    """Beliefs in the order of the commands; ``failure`` says why there are fewer of them than outputs. ``mismatch``:
    the session drew something else than was recorded, so that ``choices`` has none.
    """

    beliefs: tuple[CommandBelief, ...]
    failure: Evidence | None
    choices: tuple[CommandChoice, ...]
    mismatch: Evidence | None
    num_forked: Count


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SampledTexts(Record):
    """What each command showed in one native run."""

    texts: tuple[str, ...]


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class PathChoice(Record):
    """One choice that a path met, and which way it went."""

    kind: Name
    probabilities: tuple[Probability, ...]
    taken: Count

    def agree(self) -> None:
        if self.taken >= len(self.probabilities):
            raise ProtocolError("expected the outcome taken among those of the choice, got another")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class PathReport(Record):
    """One path: what each command showed, the choices met; ``is_sampled`` where a draw had no outcomes to follow."""

    texts: tuple[str, ...]
    choices: tuple[PathChoice, ...]
    is_sampled: bool


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAutomaton(Record):
    """The automaton that a session's commands are: from each state, each command's moves."""

    variables: tuple[str, ...]
    states: tuple[str, ...]
    start: str
    commands: Mapping[str, Mapping[str, tuple[Move, ...]]]

    def agree(self) -> None:
        known = set(self.states)
        if self.start not in known:
            raise ProtocolError("expected the start among the automaton's states, got another")
        for table in self.commands.values():
            if table.keys() != known:
                raise ProtocolError("expected moves of each command from each of the automaton's states")
            if any(after not in known for moves in table.values() for _, after, _ in moves):
                raise ProtocolError("expected moves to the automaton's states, got one to another")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class AutomatonReport(Record):
    """The automaton, or why there is none."""

    automaton: SessionAutomaton | None
    why_not: Evidence | None

    def agree(self) -> None:
        if (self.automaton is None) == (self.why_not is None):
            raise ProtocolError("expected either an automaton or why there is none, got both or neither")


Answer = (
    NativeSummary
    | NativeFrame
    | SessionCommand
    | DrivenFrame
    | DriveSummary
    | MustRestart
    | NotShowable
    | SetupFailed
    | ReplayReport
    | BeliefsReport
    | SampledTexts
    | PathReport
    | AutomatonReport
)
ANSWERS = OneOf(
    NativeSummary,
    NativeFrame,
    SessionCommand,
    DrivenFrame,
    DriveSummary,
    MustRestart,
    NotShowable,
    SetupFailed,
    ReplayReport,
    BeliefsReport,
    SampledTexts,
    PathReport,
    AutomatonReport,
)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class End(Record):
    """The last record of a run: how it ended, by its own word, and what the guard saw (``tripped``, ``tampered``).
    ``exception`` is a type's name, or what a limit or a bad job was; ``escaped``: the error is our own code's.
    """

    end: Literal["ok", "exception", "exit", "syntax", "trace-limit", "output-limit"]
    exception: Annotated[str, AtMost(300)] | None = None
    tripped: Annotated[tuple[Annotated[str, AtMost(80)], ...], AtMost(20)] = ()
    tampered: bool = False
    escaped: bool = False
