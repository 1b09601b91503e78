"""The reader ``doc``: commands one by one as ``doctest`` runs them, and the values of variables between them.

``inside.readers.doc`` is its other end. Exceptions come as exactly the text that doctest compares.
"""

from __future__ import annotations

import secrets

from trace_mine.tracer.inside.readers.doc_requests import DESCRIBE, EXECUTE, NONCE_BYTES, REPR
from trace_mine.tracer.replays.questions import StateQuestion
from trace_mine.tracer.replays.reader import SessionReader, speak
from trace_mine.tracer.replays.session import Printed, Session, SessionReading
from trace_mine.tracer.sandbox import Worker
from trace_mine.tracer.sandbox.conversation import Conversation, RunOver
from trace_mine.tracer.sandbox.prompt import RunRequest, SetUpResult, read_set_up

PROGRAM = "trace_mine.tracer.inside.readers.doc"
FORGED = "wrote an answer of its own"


def read(worker: Worker, session: Session, reseed: int = 0) -> SessionReading:
    """Run the session command by command, and ask its questions between them. Raises Failed."""
    program = session.program
    request = RunRequest(module=program.module, code=program.code, reseed=reseed, program=PROGRAM)
    reading, _, _ = speak("doc", worker, request, lambda talk: _talk(talk, session))
    return reading


def _talk(talk: Conversation, session: Session) -> tuple[SetUpResult, SessionReading, str]:
    printed: list[Printed] = []
    answers: list[dict[str, str | None]] = []
    set_up, why = SetUpResult(), ""
    try:
        set_up = read_set_up(talk)
        for index, command in enumerate(() if set_up.failed else session.commands):
            well, out, error = _ask(talk, EXECUTE, command.source)
            printed.append(Printed(out=out, error=error, raised=not well))
            answers.append({each.name: _answer(talk, each) for each in session.asked_after(index)})
        talk.take_now()
        if talk.mark:
            printed, why = printed[:-1], FORGED
    except RunOver as over:
        why = over.why
    return set_up, SessionReading(printed=tuple(printed), why=why, answers=tuple(answers)), why


def _answer(talk: Conversation, question: StateQuestion) -> str | None:
    """Ask for a variable; None where it is not bound. Raises RunOver."""
    well, text, _ = _ask(talk, REPR if question.by_repr else DESCRIBE, question.name)
    if well:
        return text
    return None if text == "KeyError" else f"<{text}>"


def _ask(talk: Conversation, kind: int, text: str) -> tuple[bool, str, str]:
    """Send a request and wait for its answer; return if all went well, and two texts.

    Raises:
        RunOver: the run ended, is over a limit, or wrote something else.
    """
    mark = talk.mark
    if mark:
        raise RunOver(FORGED)
    nonce = secrets.token_bytes(NONCE_BYTES)
    data = text.encode("utf-8", "surrogatepass")
    talk.send(len(data).to_bytes(4, "big") + bytes([kind]) + nonce + data)
    head = NONCE_BYTES + 9
    while len(mark) < head:
        if not nonce.startswith(mark[:NONCE_BYTES]):
            raise RunOver(FORGED)
        talk.wait()
    first, second = (int.from_bytes(mark[at : at + 4], "big") for at in (NONCE_BYTES + 1, NONCE_BYTES + 5))
    if mark[:NONCE_BYTES] != nonce:
        raise RunOver(FORGED)
    while len(mark) < head + first + second:
        talk.wait()  # a length that is a lie ends at the run's limit
    if len(mark) > head + first + second:
        raise RunOver(FORGED)
    body = bytes(mark[head:])
    well = mark[NONCE_BYTES] == ord("+")
    mark.clear()
    # printed past ``sys.stdout``: doctest does not see it either
    talk.out.clear()
    talk.err.clear()
    return well, _text(body[:first]), _text(body[first:])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


DOC = SessionReader(
    name="doc",
    promise="printed command by command as doctest runs them, with variables asked for between",
    jail="replayer",
    read=read,
    asks=True,
    vouches=True,
)
