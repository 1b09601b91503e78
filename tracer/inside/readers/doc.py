"""The reader ``doc``: runs commands as ``doctest`` does, one at a time, and says what each printed and raised.

A command comes as its length, a kind, a nonce and its text; an answer is the nonce, whether all went well, two lengths
and two texts. Nothing here knows what a command should print. The nonce is secret and another for each command, so that
bytes that a command writes on the answers' pipe by itself are noticed; a command that walks to this loop's frame finds
it, and can forge the answers of this reader (``docs/sandbox.md``: why there are others).
"""

from __future__ import annotations
import __future__

import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.readers.doc_requests import EXECUTE, HEADER_BYTES, REPR
from trace_mine.tracer.inside.syntax import doctext

MAX_ANSWER = 1 << 14
"""Characters of an answer about a variable: more than any text that is asked for."""


def run(commands: int, mark: int, namespace: dict[str, object], features: Sequence[str]) -> NoReturn:
    """Answer requests until the pipe of commands ends.

    Args:
        commands: descriptor of the pipe that they come on.
        mark: descriptor of the pipe for answers.
        namespace: the one that commands run in.
        features: names of ``__future__`` that hold in it.
    """
    read, write, execute, compiled, show = os.read, os.write, exec, compile, repr
    message_of, text_of, snapshot = doctext.message_of, values.text, values.snapshot
    flags = 0
    for name in filter(None, features):
        flags |= getattr(__future__, name).compiler_flag
    spoof = sys.stdout = io.StringIO()

    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            chunk = read(commands, size - len(data))
            if not chunk:
                os._exit(0)
            data += chunk
        return data

    def answer(nonce: bytes, well: bool, first: str, second: str = "") -> None:
        texts = [text.encode("utf-8", "backslashreplace") for text in (first, second)]
        lengths = b"".join(len(text).to_bytes(4, "big") for text in texts)
        left = nonce + (b"+" if well else b"-") + lengths + b"".join(texts)
        while left:
            left = left[write(mark, left) :]

    index = 0
    while True:
        header = exactly(HEADER_BYTES)
        kind, nonce = header[4], header[5:]
        source = exactly(int.from_bytes(header[:4], "big")).decode("utf-8", "surrogatepass")
        if kind != EXECUTE:
            try:
                value = namespace[source]
                shot = snapshot(value)
                # bytes are of exact built-in types, all the way down: no ``__repr__`` of the program's makes a literal
                shown = show(value) if kind == REPR and type(shot) is bytes else text_of(shot)
                del value  # a command that deletes the variable ends the object, too
            except BaseException as error:  # KeyError: the variable is not bound
                answer(nonce, False, type(error).__name__[:80])
            else:
                answer(nonce, True, shown[:MAX_ANSWER])
            continue
        raised = printed = ""
        try:
            execute(compiled(source, f"<doctest session[{index}]>", "single", flags, True), namespace)
        # KeyboardInterrupt too, which would end doctest: a prompt goes on after it, and a program may catch its own
        except BaseException as error:
            printed = spoof.getvalue()  # before its ``__str__`` prints, as doctest does
            raised = message_of(error) or "<its lines can't be had>\n"
            del error
        else:
            printed = spoof.getvalue()
        index += 1
        spoof.seek(0)
        spoof.truncate(0)
        answer(nonce, not raised, printed, raised)
