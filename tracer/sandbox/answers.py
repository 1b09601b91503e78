"""From the JSON on a run's record pipe to records: what is no answer to the job makes the run ``forged``."""

from __future__ import annotations

from dataclasses import replace

from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.codec import ProtocolError, from_json
from trace_mine.tracer.inside.protocol.dialogue import read_answers
from trace_mine.tracer.inside.protocol.jobs import Job
from trace_mine.tracer.sandbox.frames import Received
from trace_mine.tracer.schema import Outcome


def read_end(received: Received) -> tuple[End | None, str, tuple[str, ...]]:
    """The end record, the run's integrity, and why it is forged where the end record is a bad one.

    Never raises: whatever came is a grade.
    """
    if received.end is None:
        return None, received.integrity, ()
    try:
        return from_json(End, received.end), received.integrity, ()
    except ProtocolError as error:
        return None, "forged", (f"a bad end record: {error}",)


def with_answers(outcome: Outcome, job: Job) -> Outcome:
    """The outcome with its records, which are JSON so far, as answers to the job; ``forged`` and without any where one
    of them is bad.

    Never raises: whatever came is an outcome.
    """
    try:
        answers = read_answers(job, outcome.records, is_complete=outcome.status == "ok")
    except ProtocolError as error:
        return replace(outcome, records=(), integrity="forged", tripped=(*outcome.tripped, f"a bad record: {error}"))
    return replace(outcome, records=answers)
