"""The readers ``stock`` and ``fresh``: the interpreter's own prompt, with nothing of ours in its process.

At a prompt an exception is a traceback on standard error, where programs print tracebacks too: if a command raised is
for ``doc`` to say, and these two look for the message where the text has one.

``stock`` forks a zygote that has imported the repository; ``fresh`` one that has imported nothing, so that the session
also does without whatever imports before it left behind.
"""

from __future__ import annotations

import os

from trace_mine.tracer.replays.reader import SessionReader, speak
from trace_mine.tracer.replays.session import Printed, Session, SessionReading
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.conversation import Conversation, RunOver
from trace_mine.tracer.sandbox.prompt import Prompt, RunRequest, SetUpResult, read_set_up

STATEMENT_FEATURES = frozenset({"annotations", "barry_as_FLUFL"})
"""Features of ``__future__`` that a prompt has only after a statement; the others are every interpreter's by now."""


def read(worker: Worker, session: Session, reseed: int = 0) -> SessionReading:
    """Run the session at the interpreter's prompt. Raises Failed."""
    return _read("stock", worker, session, reseed)


def read_fresh(worker: Worker, session: Session, reseed: int = 0) -> SessionReading:
    """As ``read``, for evidence that names the other jail. Raises Failed."""
    return _read("fresh", worker, session, reseed)


def _read(name: str, worker: Worker, session: Session, reseed: int) -> SessionReading:
    program = session.program
    request = RunRequest.at_prompt(program.module, program.code, reseed)
    (printed, left), why, report = speak(name, worker, request, lambda talk: _talk(talk, session, request))
    exited = os.WEXITSTATUS(report.status) if why and os.WIFEXITED(report.status) else None
    return SessionReading(printed=tuple(printed), why=why, exit_status=exited, left=left)


def _talk(
    talk: Conversation, session: Session, request: RunRequest
) -> tuple[SetUpResult, tuple[list[Printed], Printed | None], str]:
    """Give one command after the other; return what they printed and what was left, and why not all were read."""
    printed: list[Printed] = []
    set_up = SetUpResult()
    try:
        set_up = read_set_up(talk)
        if set_up.failed:
            return set_up, (printed, None), ""
        prompt = Prompt(talk, request)
        features = [name for name in set_up.features if name in STATEMENT_FEATURES]
        if features:
            prompt.run(f"from __future__ import {', '.join(features)}")  # names that the namespace has already
        for command in session.commands:
            out, err = prompt.run(command.source)
            printed.append(Printed(out=_text(out), error=_text(err)))
        talk.take_now()
        if talk.out or talk.err:
            return set_up, (printed[:-1], None), "wrote after its last command"
    except RunOver as over:
        # as far as the last command came: its own output, and what its SystemExit has an interpreter write
        error = talk.err.replace(request.ps2.encode(), b"").replace(request.ps1.encode(), b"")
        return set_up, (printed, Printed(out=_text(talk.out), error=_text(error))), over.why
    return set_up, (printed, None), ""


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", "backslashreplace")


STOCK = SessionReader(
    name="stock",
    promise="printed at the interpreter's own prompt, with nothing of ours in its process",
    jail="replayer",
    read=read,
    survives_exit=False,
)
FRESH = SessionReader(
    name="fresh",
    promise="as stock, where nothing had been imported before",
    jail="fresh replayer",
    read=read_fresh,
    survives_exit=False,
)
