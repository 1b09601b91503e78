"""The registry of jobs that a runner does, and the one way into them.

A job sends its answers and gives an end record. The snippet's own exceptions are part of the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from trace_mine.tracer.inside import channel
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.jobs import automaton, beliefs, drive, native, plain, replay, samples
from trace_mine.tracer.inside.jobs.context import JobContext
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.inside.observe.record import EventsFull, ValuesFull
from trace_mine.tracer.inside.program import OutputFull, SetupError
from trace_mine.tracer.inside.protocol.answers import ANSWERS, VALUES, End, SetupFailed
from trace_mine.tracer.inside.protocol.codec import ProtocolError, Record, to_json
from trace_mine.tracer.inside.protocol.jobs import (
    JOBS,
    AutomatonJob,
    BeliefsJob,
    DriveJob,
    JobLimits,
    NativeJob,
    PathJob,
    PlainJob,
    ReplayJob,
    SamplesJob,
)

KINDS: dict[type[Record], Callable[..., End]] = {
    NativeJob: native.run,
    DriveJob: drive.run,
    ReplayJob: replay.run,
    BeliefsJob: beliefs.run,
    SamplesJob: samples.run,
    PathJob: samples.run_path,
    AutomatonJob: automaton.run,
    PlainJob: plain.run,
}
"""Each function is ``run(job, context)`` with its own class of job, so a common type can't name the parameter."""

FOLLOWING = (BeliefsJob, PathJob, AutomatonJob)
"""These jobs decide draws themselves, so the primitives that draw are patched even where no outcomes are recorded."""


def run(job: object, limits: Mapping[str, object], send: channel.Send, guard: Guard) -> dict[str, object]:
    """Do one job.

    Args:
        job: the job as JSON, as the supervisor sent it.
        limits: the run's limits, as ``Limits.as_dict`` gives them.
        send: takes each answer as JSON.
        guard: watches the snippet's code while that runs.

    Returns:
        The end record, as JSON. It names the limit, where one is reached that the job keeps itself. Where ``job`` or
        ``limits`` are malformed, it is that of an error of our own code, and its ``exception`` says what is wrong.
    """
    return to_json(_run(job, limits, send, guard))


def _run(value: object, limits: Mapping[str, object], send: channel.Send, guard: Guard) -> End:
    try:
        job = JOBS.from_json(value, "a job")
        context = JobContext(
            limits=JobLimits.of(limits), send=lambda answer: send(ANSWERS.to_json(answer)), guard=guard
        )
    except ProtocolError as error:
        return End(end="exception", exception=f"ProtocolError: {error}"[:300], escaped=True)
    # Before the program's module is imported: ``from random import randint`` binds what it finds for good. A run that
    # records no draws stays unpatched, so that it is CPython's own.
    if getattr(job, "draws", None) is not None or isinstance(job, FOLLOWING):
        install()
    try:
        return KINDS[type(job)](job, context)
    # an answer, not a failed run: there is just no program that could have run
    except SetupError as error:
        context.send(SetupFailed(reason=error.reason, evidence=str(error)))
        return End(end="ok")
    # limits that the job keeps itself: the jail sees only that the process ended well
    except ValuesFull:
        return End(end="trace-limit", exception=VALUES)
    except EventsFull:
        return End(end="trace-limit", exception="events")
    except OutputFull:
        return End(end="output-limit", exception="output")
