"""Jobs: the records by which the supervisor asks something of a run, and the records that they are made of.

``NativeJob``     run the program under settrace, as its author's tools would
``DriveJob``      write the session
``ReplayJob``     run a session's commands again, with recorded draws
``BeliefsJob``    find the law of each output of a session
``SamplesJob``    run a session's commands natively, again and again: beliefs are compared with these
``PathJob``       run one path of them in a process of its own: the slow reference of beliefs
``AutomatonJob``  fit the automaton that a session's commands are
``PlainJob``      run a source as it is: for the self-test and the attacks

The limits of a run are no part of a job: the jail gets them from the run's ``Limits``, and ``JobLimits`` are those that
the job itself keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, ClassVar, Literal

from trace_mine.tracer.inside.protocol.codec import (
    AtMost,
    Between,
    OneOf,
    ProtocolError,
    Record,
    from_json,
    record,
)

# Bounded, because a column of 64 bits takes no more: one row with a count of 2**70 once stopped every merge after it.
# Up to 2**53 each int is a float exactly, too, which is all that a reader of JSON has to have.
Count = Annotated[int, Between(0, 1 << 53)]
Line = Annotated[int, Between(0, 1 << 31)]
"""A line or a column; 0 where code has none."""
Name = Annotated[str, AtMost(4_096)]
"""An identifier, a module, an option or a type's name; far longer than any in real source."""
Evidence = Annotated[str, AtMost(4_096)]
"""Particulars for people: an error's text, the command that differed."""
Location = Annotated[str, AtMost(8_192)]
"""A file as a code object names it."""
Probability = Annotated[float, Between(0.0, 1.0 + 1e-9)]
"""A probability; sums of many may pass 1 by rounding."""
Seconds = Annotated[float, Between(0.0, 1e9)]
"""A span of time; at most 32 years, so that no arithmetic on it overflows."""
Locals = Mapping[Name, str]
"""Variables with their values as text."""
# Python writes and reads ints of at most 4,300 digits, so that one more bit would be refused by who reads a row's JSON.
DrawnInt = Annotated[int, Between(-(1 << 14_280), 1 << 14_280)]
"""An int that was drawn: ``getrandbits(4096)`` is what programs for cryptography draw."""
# JSON has no bytes. An object can't be taken for a drawn text, which a text of digits could.
DrawnOutcome = DrawnInt | float | str | None | Mapping[Name, str]
"""The outcome of one draw: an int, a float, a text, nothing, or bytes as ``{"bytes": hexadecimal digits}``."""
Law = tuple[tuple[str | None, Probability], ...]
"""(value, probability) pairs; None for an environment variable that is not set."""

TOLERANCE = 1e-9
"""How far the probabilities of a declared law may be from a sum of 1: thirds in decimal notation don't sum to it."""


def check_outcomes(outcomes: tuple[DrawnOutcome, ...]) -> None:
    """Check that each mapping among outcomes is one of bytes.

    Raises:
        ProtocolError: one is not.
    """
    for outcome in outcomes:
        if isinstance(outcome, dict):
            digits = outcome.get("bytes", "-")  # "-" is no digit, so that another key is refused below
            if len(outcome) != 1 or len(digits) % 2 or digits.strip("0123456789abcdef"):
                raise ProtocolError(
                    'expected {"bytes": hexadecimal digits} as the outcome of a draw, got another object'
                )


@record
class Piece(Record):
    """One example of a docstring, or a whole script: source that is run as one unit.

    ``line`` is the 1-based line of the source's first line in its file. ``want`` is the output that the
    docstring promises (None where nothing is promised), ``options`` the doctest option names that are on for it.
    ``quiet``: its expression statements echo nothing, at a prompt too; it may have several statements there.
    """

    source: str
    line: Line
    want: str | None = None
    options: tuple[Name, ...] = ()
    quiet: bool = False


@record
class Program(Record):
    """The source that is run, and the namespace that it is run in.

    The pieces run in order in one namespace: a copy of ``module``'s globals, or, where it is None, a fresh
    ``__main__``; ``code`` runs silently first. ``single``: pieces are examples at a prompt, so expression statements
    echo. ``continue_on_error``: a piece that raises does not end the program. ``own`` are path prefixes as code in the
    jail sees them: functions of files there are the repository's. ``opens`` are callables whose call is opened without
    counting as a depth. ``file`` is the script's own file, relative to the working folder, where there is one.
    ``focus`` are functions by file, as code in the jail sees it, and first line: where there are some, calls of others
    are not opened.
    """

    pieces: tuple[Piece, ...] = ()
    module: Name | None = None
    code: str = ""
    single: bool = False
    continue_on_error: bool = False
    own: tuple[Location, ...] = ()
    opens: tuple[Name, ...] = ()
    file: Location = ""
    focus: tuple[tuple[Location, Line], ...] = ()


@record
class Seeded(Record):
    """Draws are made from a private generator with this seed, and recorded."""

    seed: Count


@record
class Recorded(Record):
    """Draws give the outcomes again that an earlier run recorded, in order."""

    outcomes: tuple[DrawnOutcome, ...]

    def agree(self) -> None:
        check_outcomes(self.outcomes)


Draws = Seeded | Recorded


@record
class Laws(Record):
    """Declared laws of a program's inputs.

    ``inputs[i]`` is the law of the i-th call of ``input``, the last one that of all further calls. ``environ`` has laws
    of environment variables, by name.

    Raises:
        ProtocolError: the probabilities of a law don't sum to 1.
    """

    inputs: tuple[Law, ...] = ()
    environ: Mapping[str, Law] = field(default_factory=dict)

    def agree(self) -> None:
        # here, not where an input is drawn: a law comes from a user, who is to hear of it before anything runs
        for law in (*self.inputs, *self.environ.values()):
            total = sum(p for _, p in law)
            if abs(total - 1.0) > TOLERANCE:
                raise ProtocolError(
                    f"expected probabilities that sum to 1, got {total}; correct the declared law {law}"
                )

    @classmethod
    def from_json(cls, declared: Mapping[str, object]) -> Laws:
        """Read ``{"inputs": [[[value, probability], ...], ...], "environ": {name: [[value, probability], ...]}}``.

        Either key may be left out.

        Raises:
            ProtocolError: ``declared`` has another form, or the probabilities of a law don't sum to 1.
        """
        # the codec takes no record with a key left out; a declaration, written by hand, may lack one
        return from_json(cls, {"inputs": [], "environ": {}, **declared})


@record
class Place(Record):
    """A statement by its file, line and column; where ``column`` is None, a function by its file and first line."""

    path: Location
    line: Line
    column: Line | None = None


@record
class ViewRequest(Record):
    """A view that hides outcomes or spaces its reveals: what the driver may open and show.

    Attributes:
        every: commands between two reveals; 0: no reveals but the program's own output.
        partial: a reveal shows one variable, else all of them.
        style: a reveal is an expression (``echo``) or a call of print.
        asked: variables that hold hidden inputs, with the commands that show them at the end.
        seed: draws the variables that are shown.
        repeats: reveals that tell nothing are shown, too.
        uncertain: reveals ask what the text doesn't tell.
        has_draws: the native run drew something, so that there are outcomes to hide.
        max_seconds: how long the driver may follow the outcomes that could have been.
    """

    every: Count
    partial: bool
    style: Literal["echo", "print"]
    asked: Mapping[str, str]
    seed: Count
    repeats: bool
    uncertain: bool
    has_draws: bool
    max_seconds: Seconds


@record
class NativeJob(Record):
    """Run the program under settrace, recording activations down to ``max_depth`` of them on the stack.

    ``reseed`` seeds ``random`` first (0: not). Where ``draws`` are decided, it has no effect. ``cuts``: at the limit of
    lines the records end, and the run goes on. ``traces``: False records nothing, so that the run takes its own time.
    """

    # no field, and sent nowhere: the supervisor asks the class, because a run's filter of system calls depends on it
    may_fork: ClassVar[bool] = False
    program: Program
    max_depth: Count
    reseed: Count = 0
    draws: Draws | None = None
    laws: Laws | None = None
    cuts: bool = False
    traces: bool = True


@record
class DriveJob(Record):
    """Write the session.

    Attributes:
        follow: the depth of calls whose bodies are shown.
        hide: sources of commands whose output is not shown.
        unshown: sources of commands whose output is not shown, each with the number of commands before it.
        whole: statements and functions to keep as one command.
        open_statements: False keeps each statement of the snippet as one command.
        open_comprehensions: all comprehensions are shown as loops.
        skip_loops: loops are one command each.
        repeats: without a ``view``, reveals that tell nothing are shown, too.
        from_file: definitions are compiled under the program's file and lines.
        as_file: the program's file is run by one command.
        view: what may be opened and shown; None: everything.
        believes: beliefs are wanted, and sent beside the session where the view followed all that it hides.
        cpu_seconds, wall_seconds: when the run ends, with the session up to the command that runs then; 0: it does not.
            Such a run says which command begins, for one that is killed in it.
        stop_before: the command, counted from 1, before which the run ends; 0: none.
    """

    may_fork: ClassVar[bool] = False
    program: Program
    follow: Count
    hide: tuple[str, ...] = ()
    unshown: tuple[tuple[str, Count], ...] = ()
    whole: tuple[Place, ...] = ()
    open_statements: bool = True
    open_comprehensions: bool = False
    skip_loops: bool = False
    repeats: bool = False
    as_file: bool = False
    from_file: bool = False
    view: ViewRequest | None = None
    draws: Draws | None = None
    laws: Laws | None = None
    believes: bool = False
    cpu_seconds: Seconds = 0.0
    wall_seconds: Seconds = 0.0
    stop_before: Count = 0


@record
class ReplayJob(Record):
    """Run a session's commands at a prompt of ours, for sessions whose draws only our interceptors can give again.

    ``watch`` names, for each command, the variables whose values after it are wanted. ``reseed`` is as in
    ``NativeJob``. No output of the session is in it: the supervisor compares.
    """

    may_fork: ClassVar[bool] = False
    program: Program
    commands: tuple[str, ...]
    watch: tuple[tuple[str, ...], ...] = ()
    reseed: Count = 0
    draws: Draws | None = None
    laws: Laws | None = None


@record
class BeliefsJob(Record):
    """Find the law of each output of a session.

    ``commands`` are the source and the output, as a doctest has it, of each. ``outcomes`` are those of the session's
    draws, of which its choices are made; None where choices are not wanted. Where a draw can't be enumerated, laws are
    averaged over up to ``num_seeds`` runs. For each number of ``windows`` there is a further law of each open output:
    that of a reader who has seen the outputs of so many commands before it, and of no earlier ones.
    """

    may_fork: ClassVar[bool] = True
    program: Program
    # the session's text and no more: what the driver knew beside it would make beliefs better than a reader's
    commands: tuple[tuple[str, str], ...]
    outcomes: tuple[DrawnOutcome, ...] | None
    num_seeds: Count
    max_seconds: Seconds
    laws: Laws | None = None
    windows: tuple[Count, ...] = ()

    def agree(self) -> None:
        check_outcomes(self.outcomes or ())


@record
class SamplesJob(Record):
    """Run a session's commands natively ``num_samples`` times, from seed ``first_seed`` on."""

    may_fork: ClassVar[bool] = False
    program: Program
    commands: tuple[str, ...]
    first_seed: Count
    num_samples: Count
    max_seconds: Seconds
    laws: Laws | None = None


@record
class PathJob(Record):
    """Run the one path of a session that takes the outcomes ``prefix`` first."""

    may_fork: ClassVar[bool] = False
    program: Program
    commands: tuple[str, ...]
    prefix: tuple[Count, ...]
    max_seconds: Seconds
    laws: Laws | None = None


@record
class AutomatonJob(Record):
    """Fit the automaton that a session's commands are.

    ``variables`` are those whose values make up a state; none: all that differ between states.
    """

    may_fork: ClassVar[bool] = True
    program: Program
    commands: tuple[str, ...]
    variables: tuple[str, ...]
    max_seconds: Seconds
    laws: Laws | None = None


@record
class PlainJob(Record):
    """Run a source as ``__main__``, and count its trace events.

    ``counts_events`` False is for code of ours over hostile data, which is a quarter faster without a tracer.
    """

    may_fork: ClassVar[bool] = False
    source: str
    counts_events: bool = True


# Twice, for two readers: a type checker can't make a union of a tuple, nor ``OneOf`` a registry of a union.
Job = NativeJob | DriveJob | ReplayJob | BeliefsJob | SamplesJob | PathJob | AutomatonJob | PlainJob
JOBS = OneOf(NativeJob, DriveJob, ReplayJob, BeliefsJob, SamplesJob, PathJob, AutomatonJob, PlainJob)


@record
class JobLimits(Record):
    """The limits of a run that the job itself keeps (see ``trace_mine.tracer.limits``)."""

    max_events: Count
    max_commands: Count
    max_output: Count
    max_forks: Count

    @classmethod
    def of(cls, limits: Mapping[str, object]) -> JobLimits:
        """Read them from ``Limits.as_dict``; the other limits are the jail's.

        Raises:
            ProtocolError: a limit is missing, or is no count.
        """
        names = {"max_events": "events", "max_commands": "commands", "max_output": "output_bytes", "max_forks": "forks"}
        # ``get``: None in the place of a missing limit is refused like any other value that is no count
        return from_json(cls, {name: limits.get(key) for name, key in names.items()})
