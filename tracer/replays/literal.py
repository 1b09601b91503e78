"""The reader ``literal``: the unchanged ``doctest`` runner, whose promised outputs are secrets.

All commands are inside at once, so a program can read ahead; what it finds in place of the outputs are secrets. The
supervisor knows each report's head to the byte, so that only what stands between two heads is the program's.
"""

from __future__ import annotations

import json
import re
import secrets

from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.replays.reader import SessionReader, speak
from trace_mine.tracer.replays.session import Printed, Session, SessionReading, TextCommand
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.conversation import Conversation, RunOver
from trace_mine.tracer.sandbox.prompt import RunRequest, SetUpResult, read_set_up

PROGRAM = "trace_mine.tracer.inside.readers.literal"
DIVIDER = "*" * 70
INDENTED = 16
"""Bytes of a report for one that a program printed, at most: a blank line is marked, and indented by four spaces."""
SPARE_BYTES = 1 << 16
"""Bytes of one report beside: the words before an output, and the frames of a traceback."""
_line_start = re.compile(r"^(?!$)", re.MULTILINE)
TRACEBACK = "Traceback (most recent call last):\n"


def read(worker: Worker, session: Session, reseed: int = 0) -> SessionReading:
    """Run the session as one doctest. Raises Failed."""
    program = session.program
    request = RunRequest(module=program.module, code=program.code, reseed=reseed, program=PROGRAM)
    pairs = [(command.source, secrets.token_hex(16)) for command in session.commands]
    heads = [_head(source, secret) for source, secret in pairs]
    most = sum(len(head) + SPARE_BYTES for head in heads) + INDENTED * worker.limits.output_bytes
    reports, _, _ = speak("literal", worker, request, lambda talk: _talk(talk, pairs, most))
    return _reading(session.commands, heads, reports)


def _talk(talk: Conversation, pairs: list[tuple[str, str]], most: int) -> tuple[SetUpResult, str, str]:
    """Give all commands at once, and return what came until the end of the run, ``most`` bytes of it."""
    set_up = SetUpResult()
    try:
        set_up = read_set_up(talk)
        if set_up.failed:
            return set_up, "", ""
        talk.send(json.dumps(pairs).encode("ascii"))
        talk.end_commands()
        while len(talk.mark) <= most:
            talk.wait()
        raise RunOver("output-limit")
    except RunOver as over:
        # the end of the run is what is waited for, and reports that lack show by themselves
        why = "" if over.why == "ended" else over.why
        return set_up, talk.mark.decode("utf-8", "backslashreplace"), why


def _head(source: str, secret: str) -> str:
    """What doctest's report of a command begins with, to the character."""
    return f"{DIVIDER}\nLine 1, in session\nFailed example:\n{_indented(source)}Expected:\n    {secret}\n"


def _reading(commands: tuple[TextCommand, ...], heads: list[str], reports: str) -> SessionReading:
    """Cut doctest's reports at their heads, each of which holds a secret of its own."""
    printed: list[Printed] = []
    start = 0  # an index, since to cut off what is read would copy the rest once for each command
    for index, head in enumerate(heads):
        if not reports.startswith(head, start):
            return SessionReading(printed=tuple(printed), why="no report of doctest's")
        start += len(head)
        end = reports.find(heads[index + 1], start) if index + 1 < len(heads) else len(reports)
        if end < 0:
            return SessionReading(printed=tuple(printed), why="no report of doctest's")
        printed.append(_printed(reports[start:end], commands[index]))
        start = end
    return SessionReading(printed=tuple(printed))


def _printed(report: str, command: TextCommand) -> Printed:
    """What a report says that a command printed. An exception stands last, with its traceback."""
    if report == "Got nothing\n":
        return Printed(out="", raised=False)
    got = "\n".join(line.removeprefix("    ") for line in report.removeprefix("Got:\n").split("\n"))
    if got.startswith(TRACEBACK) and command.message is not None:
        # doctest marks blank lines in its reports; ``shows`` looks for the message as an interpreter writes it
        return Printed(out="", error=doctext.unmarked(got))
    return Printed(out=got, raised=False)


def _indented(source: str) -> str:
    """The source as doctest's reports have it."""
    return _line_start.sub("    ", source if source.endswith("\n") else source + "\n")


LITERAL = SessionReader(
    name="literal",
    promise="printed under the unchanged doctest runner, whose promised outputs were secrets",
    jail="replayer",
    read=read,
)
