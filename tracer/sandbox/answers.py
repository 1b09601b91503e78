"""From the JSON on a run's record pipe to records: what is no answer to the job makes the run ``forged``."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import replace

from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.codec import ProtocolError, from_json
from trace_mine.tracer.inside.protocol.dialogue import read_answers
from trace_mine.tracer.inside.protocol.jobs import Job
from trace_mine.tracer.sandbox.frames import Received
from trace_mine.tracer.schema import Outcome


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """For reading records, which are many small objects without a cycle: looking for garbage among them meanwhile finds
    none, and takes more than half of the time (a frame of 50,000 lines: 40 instead of 102 ms to parse it as JSON, 46
    instead of 116 to make the record of that).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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
        with no_collection():
            answers = read_answers(job, outcome.records, is_complete=outcome.status == "ok")
    except ProtocolError as error:
        return replace(outcome, records=(), integrity="forged", tripped=(*outcome.tripped, f"a bad record: {error}"))
    return replace(outcome, records=answers)
