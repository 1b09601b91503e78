"""What the supervisor asks of a run: one record for each kind of job, and what they are made of.

``NativeJob``     runs the program under settrace, as its author's tools would, and tells what happened
``DriveJob``      writes the session
``ReplayJob``     replays a session's text, through ``code.InteractiveConsole`` or through ``doctest``
``BeliefsJob``    tells what each output of a session could have been
``SamplesJob``    runs a session's commands natively, again and again: what beliefs are held against
``PathJob``       runs one path of them in a process of its own: the slow reference
``AutomatonJob``  fits the automaton that its commands are
``PlainJob``      runs a source as it is: the self-test and the attacks

What a run may use is no part of a job: the jail gets it from the run's ``Limits`` (``JobLimits``).
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

Count = Annotated[int, Between(0, 1 << 53)]
Line = Annotated[int, Between(0, 1 << 31)]
"""A line or a column; 0 where code has none."""
Name = Annotated[str, AtMost(4_096)]
"""An identifier, a module, an option, a type's name: longer ones are nobody's."""
Location = Annotated[str, AtMost(8_192)]
"""A file as a code object names it."""
Probability = Annotated[float, Between(0.0, 1.0 + 1e-9)]
Seconds = Annotated[float, Between(0.0, 1e9)]
Locals = Mapping[str, str]
"""Variables with their values as text."""
DrawnOutcome = int | float | str | None | Mapping[str, str]
"""What a primitive gave: an int, a float, a text, nothing, or ``{"bytes": hex}``."""
Law = tuple[tuple[str | None, Probability], ...]
"""(value, probability) pairs; None for an environment variable that is not set."""

TOLERANCE = 1e-9


def check_outcomes(outcomes: tuple[DrawnOutcome, ...]) -> None:
    """Raises ProtocolError where a mapping among recorded outcomes is none of bytes."""
    for outcome in outcomes:
        if isinstance(outcome, dict):
            digits = outcome.get("bytes", "-")
            if len(outcome) != 1 or len(digits) % 2 or digits.strip("0123456789abcdef"):
                raise ProtocolError(
                    'expected {"bytes": hexadecimal digits} as the outcome of a draw, got another object'
                )


@record
class Piece(Record):
    """One example of a docstring, or a whole script: source that is run as one unit.

    ``line`` is the 1-based line of the source's first line in its file. ``want`` is the output that the
    docstring promises (None where nothing is promised), ``options`` the doctest option names that are on for it.
    """

    source: str
    line: Line
    want: str | None = None
    options: tuple[Name, ...] = ()


@record
class Program(Record):
    """What is run, and where.

    The pieces run in order in one namespace: a copy of ``module``'s globals, or, where it is None, a fresh
    ``__main__``; ``code`` runs silently first. ``single``: pieces are examples at a prompt, so expression statements
    echo. ``own`` are path prefixes inside the jail: functions from there are the repository's. ``opens`` are callables
    whose call is opened at no depth.
    """

    pieces: tuple[Piece, ...] = ()
    module: Name | None = None
    code: str = ""
    single: bool = False
    continue_on_error: bool = False
    own: tuple[Location, ...] = ()
    opens: tuple[Name, ...] = ()


@record
class Seeded(Record):
    """Draws are made from a private generator and recorded."""

    seed: Count


@record
class Recorded(Record):
    """Draws give these outcomes again, in order: what an earlier run recorded."""

    outcomes: tuple[DrawnOutcome, ...]

    def agree(self) -> None:
        check_outcomes(self.outcomes)


Draws = Seeded | Recorded


@record
class Laws(Record):
    """Declared laws: ``inputs[i]`` of the i-th call of ``input`` (the last one of all further calls), ``environ`` of
    environment variables.
    """

    inputs: tuple[Law, ...] = ()
    environ: Mapping[str, Law] = field(default_factory=dict)

    def agree(self) -> None:
        for law in (*self.inputs, *self.environ.values()):
            total = sum(p for _, p in law)
            if abs(total - 1.0) > TOLERANCE:
                raise ProtocolError(
                    f"expected probabilities that sum to 1, got {total}; correct the declared law {law}"
                )

    @classmethod
    def from_json(cls, declared: Mapping[str, object]) -> Laws:
        """``{"inputs": [[[value, probability], ...], ...], "environ": {name: [[value, probability], ...]}}``.

        Raises:
            ProtocolError: it is something else, or the probabilities of a law don't sum to 1.
        """
        return from_json(cls, {"inputs": [], "environ": {}, **declared})


@record
class Place(Record):
    """A statement, by file, line and column, or, where ``column`` is None, a function by file and first line."""

    path: Location
    line: Line
    column: Line | None = None


@record
class ViewRequest(Record):
    """What the driver may open and show in a view that hides outcomes or spaces its reveals.

    ``every``: commands between two reveals (0: none but the program's own output); ``partial``: one variable a time.
    ``asked`` are hidden inputs with the commands that show them at the end; ``seed`` draws the variables that are
    shown. ``has_draws``: the native run drew something, so that outcomes are hidden at all. ``max_seconds`` is for
    following what else could have been.
    """

    every: Count
    partial: bool
    style: Literal["echo", "print"]
    asked: Mapping[str, str]
    seed: Count
    has_draws: bool
    max_seconds: Seconds


@record
class NativeJob(Record):
    """Run the program under settrace, recording frames down to ``max_depth``. ``reseed`` seeds ``random`` first (0:
    not); for a job with draws it means nothing.
    """

    may_fork: ClassVar[bool] = False
    program: Program
    max_depth: Count
    reseed: Count = 0
    draws: Draws | None = None
    laws: Laws | None = None


@record
class DriveJob(Record):
    """Write the session. ``follow`` is the depth of calls whose bodies are shown; ``hide`` are sources of reveals to
    leave out, ``whole`` the statements and functions to keep whole. ``view`` is None where everything is shown.
    """

    may_fork: ClassVar[bool] = False
    program: Program
    follow: Count
    hide: tuple[str, ...] = ()
    whole: tuple[Place, ...] = ()
    open_statements: bool = True
    open_comprehensions: bool = False
    skip_loops: bool = False
    view: ViewRequest | None = None
    draws: Draws | None = None
    laws: Laws | None = None


@record
class ReplayJob(Record):
    """Replay a session's text. ``watch`` names, for each command, variables whose value after it is wanted; only the
    console tells them.
    """

    may_fork: ClassVar[bool] = False
    reader: Literal["console", "doctest"]
    program: Program
    text: str
    watch: tuple[tuple[str, ...], ...] = ()
    reseed: Count = 0
    draws: Draws | None = None
    laws: Laws | None = None


@record
class BeliefsJob(Record):
    """Tell beliefs of a session: (source, output as a doctest has it) of each command. ``outcomes`` are those that its
    draws had, for its choices; None where these are not wanted. Where a draw can't be enumerated, the law is averaged
    over up to ``num_seeds`` runs.
    """

    may_fork: ClassVar[bool] = True
    program: Program
    commands: tuple[tuple[str, str], ...]
    outcomes: tuple[DrawnOutcome, ...] | None
    num_seeds: Count
    max_seconds: Seconds
    laws: Laws | None = None

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
    """Fit the automaton that a session's commands are; no ``variables``: all those that differ between states."""

    may_fork: ClassVar[bool] = True
    program: Program
    commands: tuple[str, ...]
    variables: tuple[str, ...]
    max_seconds: Seconds
    laws: Laws | None = None


@record
class PlainJob(Record):
    """Run a source as ``__main__``, and count its trace events."""

    may_fork: ClassVar[bool] = False
    source: str


Job = NativeJob | DriveJob | ReplayJob | BeliefsJob | SamplesJob | PathJob | AutomatonJob | PlainJob
JOBS = OneOf(NativeJob, DriveJob, ReplayJob, BeliefsJob, SamplesJob, PathJob, AutomatonJob, PlainJob)


@record
class JobLimits(Record):
    """Those limits of a run that the job itself keeps (see ``trace_mine.tracer.limits``)."""

    max_events: Count
    max_commands: Count
    max_output: Count
    max_forks: Count

    @classmethod
    def of(cls, limits: Mapping[str, object]) -> JobLimits:
        """From ``Limits.as_dict``. Raises ProtocolError."""
        names = {"max_events": "events", "max_commands": "commands", "max_output": "output_bytes", "max_forks": "forks"}
        return from_json(cls, {name: limits.get(key) for name, key in names.items()})
