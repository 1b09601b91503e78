"""The replay job: runs a session's text in a fresh namespace, through ``code.InteractiveConsole`` or ``doctest``.

For both, ``doctest.DocTestParser`` splits the text into commands and the output that each should print. A row has to
pass both readers, because they differ: the console compiles line by line and prints as a person's prompt does; doctest
has rules of its own for exceptions and blank lines.
"""

from __future__ import annotations

import code
import doctest
import os
import sys
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any

from trace_mine.tracer.inside.jobs.context import JobContext, drawing, reseed
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.program import Capture, OutputFull, fresh_namespace, future_flags
from trace_mine.tracer.inside.protocol.answers import Difference, End, ReplayReport
from trace_mine.tracer.inside.protocol.jobs import ReplayJob
from trace_mine.tracer.inside.syntax import doctext

Out = Callable[[str], object]
"""The function by which doctest's runner writes; ours never calls it."""
ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType]

_parse = doctest.DocTestParser


def run(job: ReplayJob, context: JobContext) -> End:
    """Replay the session. Sends a ReplayReport.

    Raises:
        SetupError: the module can't be imported, or the silent code raises.
        OutputFull: the replay printed more than a run may.
    """
    reseed(job.reseed, job.draws)
    with drawing(job.draws, job.laws):
        context.send(_console(job, context) if job.reader == "console" else _doctest(job))
    return End(end="ok")


class _Console(code.InteractiveConsole):
    """A prompt whose errors go where its output goes, and that survives ``SystemExit`` to show it."""

    def __init__(self, namespace: dict[str, Any], flags: int) -> None:
        super().__init__(namespace)
        self.compile.compiler.flags |= flags  # of ``from __future__`` in the set-up

    def runcode(self, code: CodeType) -> None:
        try:
            exec(code, self.locals)
        except OutputFull:
            raise  # it ends the run, and is no exception of the program's
        except BaseException as error:  # SystemExit too: a session goes on after it, where a prompt would close
            self.write(doctext.shown_error(error) + "\n")

    def showsyntaxerror(self, filename: str | None = None, **rest: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        self.write(doctext.shown_error(error) + "\n")

    def write(self, data: str) -> None:
        sys.stdout.write(data)  # looked up each time: the session may have redirected it


def _shift_descriptors() -> None:
    """Take a few descriptors, so that a file gets another number here than it got by chance in the session."""
    # any number would do: it is the same file that must not get the same one
    for _ in range(5):
        os.dup(1)


def _examples(text: str) -> list[doctest.Example]:
    return _parse().get_examples(text)


def _console(job: ReplayJob, context: JobContext) -> ReplayReport:
    """Feed the commands to a console: each difference in output, and the values of watched variables as text.

    The values let a trace's states be compared with those of another world, whether or not a reveal shows them.
    """
    watched: list[dict[str, str]] = []
    differences: list[Difference] = []
    _shift_descriptors()
    capture = Capture(context.limits.max_output)
    sys.stdout = capture
    namespace = fresh_namespace(job.program)
    console = _Console(namespace, future_flags(namespace))
    capture.take()
    # a prompt's own: a module may have set another when it was imported, of which the text says nothing
    sys.displayhook = sys.__displayhook__
    for index, example in enumerate(_examples(job.text)):
        more = False
        for line in example.source.rstrip("\n").split("\n"):
            more = console.push(line)
        if more:
            more = console.push("")  # an indented block ends with an empty line at a prompt
        got = capture.take()
        if more:
            differences.append(_difference(index, example, "<the command is not complete>"))
            break  # the console would take the next command for the rest of this one
        # the console prints the blank lines that doctest marks
        wanted = doctext.comparable(example.want.replace(doctext.BLANK, ""))
        # as doctest does: a session's text ends each output with a newline, printed or not
        if got and not got.endswith("\n"):
            got += "\n"
        if doctext.comparable(got) != wanted:
            differences.append(_difference(index, example, got))
        # after the comparison, and as snapshots: nothing of the program runs for it
        if index < len(job.watch):
            bound = {name: namespace[name] for name in job.watch[index] if name in namespace}
            watched.append({name: values.text(values.snapshot(value)) for name, value in bound.items()})
    return ReplayReport(differences=tuple(differences), values=tuple(watched))


def _difference(index: int, example: doctest.Example, got: str) -> Difference:
    return Difference(command=index, source=example.source.rstrip("\n"), wanted=example.want[:400], got=got[:400])


class _Runner(doctest.DocTestRunner):
    """doctest's runner, which collects differences instead of printing them.

    The signatures are those of ``doctest.DocTestRunner``.
    """

    def __init__(self) -> None:
        super().__init__(verbose=False)
        self.differences: list[Difference] = []

    def report_start(self, out: Out, test: doctest.DocTest, example: doctest.Example) -> None:
        return

    def report_success(self, out: Out, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        return

    def report_failure(self, out: Out, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.differences.append(_difference(test.examples.index(example), example, got))

    def report_unexpected_exception(
        self,
        out: Out,
        test: doctest.DocTest,
        example: doctest.Example,
        exc_info: ExceptionInfo,
    ) -> None:
        shown = doctext.shown_error(exc_info[1])
        self.differences.append(_difference(test.examples.index(example), example, shown))


def _doctest(job: ReplayJob) -> ReplayReport:
    """Run the text as a doctest: each difference in output."""
    _shift_descriptors()
    namespace = fresh_namespace(job.program)
    test = _parse().get_doctest(job.text, namespace, "session", None, 0)
    runner = _Runner()
    # not cleared: the end of the program's objects would run its ``__del__`` after the last command
    runner.run(test, out=lambda text: None, clear_globs=False)
    return ReplayReport(differences=tuple(runner.differences))
