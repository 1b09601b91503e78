"""Turns the JSON that came over a run's record pipe into records; a value that is no answer to the job makes the run
``forged``.

``frames`` has verified before that our sender wrote the bytes. Their content is still hostile: code of the snippet can
reach the sender within its own process, so every value is checked against the job here, in the supervisor.
"""

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
    """Switches the cyclic garbage collector off while records are read.

    Records are many small objects without a cycle, so a collection meanwhile finds nothing and takes more than half of
    the time: for a frame of 50,000 lines, parsing the JSON takes 40 ms instead of 102, making the record 46 instead of
    116.
    """
    was_on = gc.isenabled()
    gc.disable()  # for all threads of the supervisor; reference counts go on freeing what has no cycle
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_end(received: Received) -> tuple[End | None, str, tuple[str, ...]]:
    """Read the end record of a run.

    Returns:
        The end record (None where there is none or a bad one), the run's integrity so far, and, where the end record
        is a bad one, a text that says why. Never raises: bad input is the grade ``forged``.
    """
    if received.end is None:
        return None, received.integrity, ()
    try:
        return from_json(End, received.end), received.integrity, ()
    except ProtocolError as error:
        return None, "forged", (f"a bad end record: {error}",)


def with_answers(outcome: Outcome, job: Job) -> Outcome:
    """Replace an outcome's records, which are JSON so far, by answers to the job.

    Where one record is bad, the outcome returned is ``forged`` and has no record: a sender that forged one of them can
    have forged all. Never raises: bad input is a grade.
    """
    try:
        with no_collection():
            # a run that was cut off may have sent fewer answers than its job asks for; a complete one may not
            answers = read_answers(job, outcome.records, is_complete=outcome.status == "ok")
    except ProtocolError as error:
        return replace(outcome, records=(), integrity="forged", tripped=(*outcome.tripped, f"a bad record: {error}"))
    return replace(outcome, records=answers)
