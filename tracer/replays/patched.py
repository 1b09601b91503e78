"""The reader ``patched``: sessions with recorded draws, which only our interceptors of draws can give again.

It reads in the recorder's kind of jail, with our code in the process, so that it says less than the others; still it
tells what was printed, and the comparison is made here. Its answers about variables say what differs from run to run,
and verify none.
"""

from __future__ import annotations

from trace_mine.tracer.inside.protocol.choice_answers import ReplayReport
from trace_mine.tracer.inside.protocol.jobs import ReplayJob
from trace_mine.tracer.replays.reader import SessionReader
from trace_mine.tracer.replays.session import Printed, Session, SessionReading
from trace_mine.tracer.rounds import result_of
from trace_mine.tracer.sandbox import Worker


def read(worker: Worker, session: Session, reseed: int = 0) -> SessionReading:
    """Run the session at a prompt of ours, with its draws given again. Raises Failed."""
    num_asked = len(session.commands) if session.questions else 0
    watch = tuple(tuple(each.name for each in session.asked_after(index)) for index in range(num_asked))
    job = ReplayJob(
        program=session.program,
        commands=tuple(command.source for command in session.commands),
        watch=watch,
        reseed=reseed,
        draws=session.draws,
        laws=session.laws,
    )
    report = result_of(worker.run(job), "patched", ReplayReport)
    printed = tuple(
        Printed(out=each.output, error=each.error or "", raised=each.error is not None) for each in report.commands
    )
    # The report comes from a process in which programs find our code: it is no replay if it does not fit the session.
    if len(report.values) != len(printed) or len(printed) > len(session.commands):
        return SessionReading(printed=(), why="a report of another session")
    answers = tuple(
        {name: values.get(name) for name in names}
        for names, values in zip(watch[: len(printed)], report.values[:num_asked], strict=True)
    )
    ending = "" if len(printed) == len(session.commands) else "the command is not complete"
    return SessionReading(printed=printed, why=ending, answers=answers)


PATCHED = SessionReader(
    name="patched",
    promise="printed with its draws given again, in a process that holds our interceptors of draws",
    jail="other world",
    read=read,
    asks=True,
)
