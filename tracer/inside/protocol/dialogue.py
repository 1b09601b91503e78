"""The dialogue of a job and its answers: which answers a job sends, and what in them refers to the job.

The supervisor reads all answers through ``read_answers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trace_mine.tracer.inside.protocol.answers import (
    ANSWERS,
    Answer,
    CommandBegun,
    DriveSummary,
    MustRestart,
    NativeFrames,
    NativeSummary,
    SetupFailed,
)
from trace_mine.tracer.inside.protocol.choice_answers import (
    AutomatonReport,
    BeliefsReport,
    PathReport,
    ReplayReport,
    SampledTexts,
)
from trace_mine.tracer.inside.protocol.codec import ProtocolError, Record
from trace_mine.tracer.inside.protocol.jobs import (
    AutomatonJob,
    BeliefsJob,
    DriveJob,
    Job,
    NativeJob,
    PathJob,
    PlainJob,
    ReplayJob,
    SamplesJob,
)

ANY_NUMBER: dict[type[Job], tuple[type[Record], ...]] = {
    NativeJob: (NativeFrames,),
    DriveJob: (CommandBegun, BeliefsReport),
    ReplayJob: (),
    BeliefsJob: (),
    SamplesJob: (SampledTexts,),
    PathJob: (),
    AutomatonJob: (),
    PlainJob: (),
}
"""Answers of which a job sends any number, none included."""

JUST_ONE: dict[type[Job], tuple[type[Record], ...]] = {
    NativeJob: (NativeSummary, SetupFailed),
    DriveJob: (DriveSummary, MustRestart, SetupFailed),
    ReplayJob: (ReplayReport, SetupFailed),
    BeliefsJob: (BeliefsReport, SetupFailed),
    SamplesJob: (SetupFailed,),
    PathJob: (PathReport, SetupFailed),
    AutomatonJob: (AutomatonReport, SetupFailed),
    PlainJob: (),
}
"""Summaries, of which a job that ends well sends one. Samples and plain jobs need not send any."""


def read_answers(job: Job, values: Iterable[object], *, is_complete: bool) -> tuple[Answer, ...]:
    """Read the answers that a run of the job sent.

    Args:
        job: the job that was sent to the run.
        values: what the run sent, as JSON.
        is_complete: the run ended well, so that its summary must be there.

    Raises:
        ProtocolError: a value is no answer, or not one that this job sends; it refers to something that the job does
            not have; or there are more summaries than one, or none.
    """
    # All are read before any is used: one bad value makes the whole run forged, whatever came before it.
    answers = tuple(ANSWERS.from_json(value) for value in values)
    kind = type(job)
    allowed = ANY_NUMBER[kind] + JUST_ONE[kind]
    # a well-formed answer to another job is as wrong as a malformed one: a snippet may send what it has seen sent
    for answer in answers:
        if type(answer) not in allowed:
            raise ProtocolError(f"expected answers to a {kind.__name__}, got a {type(answer).__name__}")
    num_summaries = sum(type(answer) in JUST_ONE[kind] for answer in answers)
    # Without the last of the table, which is SetupFailed: a job that has no other summary need not send one. And of a
    # run that was cut off, an answer that is missing is no fault.
    if num_summaries > 1 or (is_complete and num_summaries < 1 and JUST_ONE[kind][:-1]):
        raise ProtocolError(f"expected one summary of a {kind.__name__}, got {num_summaries}")
    for answer in answers:
        _check_references(job, answer)
    return answers  # type: ignore[return-value]  # only the classes of ``Answer`` are in ``ANSWERS``


def _check_references(job: Job, answer: Record) -> None:
    """Raises ProtocolError where an index of the answer points past what the job has."""
    # At most, not just as many: a program ends at the piece that raises, a replay at a command that is incomplete.
    match job, answer:
        case NativeJob(), NativeSummary():
            _at_most("pieces", len(answer.pieces), len(job.program.pieces))
        case DriveJob(), DriveSummary():
            _at_most("pieces", len(answer.pieces), len(job.program.pieces))
            last_piece = max((command.piece for command in answer.commands), default=-1)
            _below("SessionCommand.piece", last_piece, job.program.pieces)
            # each opened call is an activation that the session went through
            _at_most("opened calls", answer.opened_calls, len(answer.frames))
        case ReplayJob(), ReplayReport():
            _at_most("commands", len(answer.commands), len(job.commands))
            _at_most("watched values", len(answer.values), len(answer.commands))
        case BeliefsJob(), BeliefsReport():
            check_beliefs(job, answer)
        case SamplesJob(), SampledTexts():
            _at_most("texts", len(answer.texts), len(job.commands))
        case PathJob(), PathReport():
            _at_most("texts", len(answer.texts), len(job.commands))
        case AutomatonJob(), AutomatonReport():
            if answer.automaton is not None and not answer.automaton.commands.keys() <= {*job.commands}:
                raise ProtocolError("expected an automaton of the job's commands, got one of others")


def check_beliefs(job: BeliefsJob, report: BeliefsReport) -> None:
    """Check that beliefs are of a job's commands.

    Raises:
        ProtocolError: they are not.
    """
    for law in report.silent:
        _below("CommandBelief.command", law.command, job.commands)
    for choice in report.choices:
        _below("CommandChoice.command", choice.command, job.commands)
    last = -1
    for belief in report.beliefs:
        _below("CommandBelief.command", belief.command, job.commands)
        # a command that showed nothing has no segment that a belief could be about
        if not job.commands[belief.command][1] or belief.command <= last:
            raise ProtocolError("expected one belief for each command that showed something, in their order")
        last = belief.command
    if [law.command for law in report.states] != [belief.command for belief in report.beliefs]:
        raise ProtocolError("expected a law of states for each belief, in their order")
    for joint, belief in zip(report.states, report.beliefs, strict=True):
        for number in joint.outcomes:
            _below("CommandStates.outcomes", number, belief.outcomes)


def _below(name: str, index: int, items: Sequence[object]) -> None:
    if index >= len(items):
        raise ProtocolError(f"expected {name} below {len(items)}, got {index}")


def _at_most(name: str, number: int, most: int) -> None:
    if number > most:
        raise ProtocolError(f"expected at most {most} {name}, got {number}")
