"""The replay job: runs a session's commands at a prompt of ours, where recorded draws can be given again.

It tells what each command printed and raised, and compares nothing: what the session says is not known here. Sessions
without draws are replayed where nothing of ours is (``tracer.replays``).
"""

from __future__ import annotations

import code
import os
import sys
from types import CodeType
from typing import Any

from trace_mine.tracer.inside.jobs.context import JobContext, drawing, reseed, watched
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.describe import note_output
from trace_mine.tracer.inside.program import Capture, OutputFull, fresh_namespace, future_flags
from trace_mine.tracer.inside.protocol.answers import End
from trace_mine.tracer.inside.protocol.choice_answers import ReplayedCommand, ReplayReport
from trace_mine.tracer.inside.protocol.jobs import ReplayJob
from trace_mine.tracer.inside.syntax import doctext


def run(job: ReplayJob, context: JobContext) -> End:
    """Replay the session. Sends a ReplayReport.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
        OutputFull: the replay printed more than a run may.
    """
    reseed(job.reseed, job.draws)
    with drawing(job.draws, job.laws):
        context.send(_replay(job, context))
    return End(end="ok")


class _Console(code.InteractiveConsole):
    """A prompt that survives ``SystemExit``, and keeps the exception that a command raised as doctest reads it."""

    def __init__(self, namespace: dict[str, Any], flags: int) -> None:
        super().__init__(namespace)
        self.compile.compiler.flags |= flags  # of ``from __future__`` in the set-up
        self.error: str | None = None

    def runcode(self, code: CodeType) -> None:
        try:
            exec(code, self.locals)
        except OutputFull:
            raise  # it ends the run, and is no exception of the program's
        except BaseException as error:  # SystemExit too: a session goes on after it, where a prompt would close
            self.error = _message(error)

    def showsyntaxerror(self, filename: str | None = None, **rest: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        self.error = _message(error)


def _message(error: BaseException) -> str:
    message = doctext.message_of(error)
    return f"{values.type_name(type(error))}\n" if message is None else message


def _shift_descriptors() -> None:
    """Take a few descriptors, so that a file gets another number here than it got by chance in the session."""
    # any number would do: it is the same file that must not get the same one
    for _ in range(5):
        os.dup(1)


def _replay(job: ReplayJob, context: JobContext) -> ReplayReport:
    """Feed the commands to a console: what each printed and raised, and the values of watched variables as text.

    The values let a trace's states be compared with those of another world, whether or not a reveal shows them.
    """
    answers: list[dict[str, str]] = []
    replayed: list[ReplayedCommand] = []
    _shift_descriptors()
    capture = Capture(context.limits.max_output)
    note_output(capture)
    sys.stdout = capture
    namespace = fresh_namespace(job.program)
    console = _Console(namespace, future_flags(namespace))
    capture.take()
    # a prompt's own: a module may have set another when it was imported, of which the text says nothing
    sys.displayhook = sys.__displayhook__
    for index, source in enumerate(job.commands):
        console.error = None
        with watched(context):
            more = False
            for line in source.rstrip("\n").split("\n"):
                more = console.push(line)
            if more:
                more = console.push("")  # an indented block ends with an empty line at a prompt
        if more:
            break  # the console would take the next command for the rest of this one
        replayed.append(ReplayedCommand(output=capture.take(), error=console.error))
        # as snapshots: nothing of the program runs for it
        names = job.watch[index] if index < len(job.watch) else ()
        bound = {name: namespace[name] for name in names if name in namespace}
        answers.append({name: values.text(values.snapshot(value)) for name, value in bound.items()})
    return ReplayReport(commands=tuple(replayed), values=tuple(answers))
