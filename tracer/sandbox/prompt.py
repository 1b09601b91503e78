"""Speaks with the interpreter's own prompt in a replayer: commands go in, secret prompts are counted, bytes come out.

The prompts (``sys.ps1`` and ``sys.ps2``) are secrets of the run, on standard error, so that no text that a program
prints can be taken for one. A program that reads ``sys.ps1`` can print one; the count of prompts then tells, unless it
also reads the commands from descriptor 0 and answers in the interpreter's place.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass

from trace_mine.tracer.sandbox.conversation import Conversation, RunOver

FIRST_FDS = range(200, 900)
"""Numbers that a run's own pipes may have while it is set up; another for each run."""
READY_BYTES = 4_096
"""What a run says of its set-up at most: the names of ``__future__``, or why it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run before its first command.

    Attributes:
        module: the module whose globals are copied for the namespace; None: a fresh ``__main__``.
        code: source that runs silently first.
        reseed: a seed of ``random``; 0: none but the jail's own.
        program: the module of ours that reads the commands; None: the interpreter's own prompt.
        ps1, ps2: the prompts; secrets.

    Raises:
        ValueError: a prompt is empty, or both are the same: they could not be counted.
    """

    module: str | None = None
    code: str = ""
    reseed: int = 0
    program: str | None = None
    ps1: str = ">>> "
    ps2: str = "... "

    def __post_init__(self) -> None:
        if not self.ps1 or not self.ps2 or self.ps1 in self.ps2 or self.ps2 in self.ps1:
            raise ValueError(f"expected two prompts of which none holds the other, got {self.ps1!r} and {self.ps2!r}")

    @classmethod
    def at_prompt(cls, module: str | None = None, code: str = "", reseed: int = 0) -> RunRequest:
        """Make the request of a run at the interpreter's prompt, with secret prompts of its own."""
        word = secrets.token_hex(16)
        return cls(module=module, code=code, reseed=reseed, ps1=f"<{word}>>> ", ps2=f"<{word}... ")

    def as_json(self) -> bytes:
        """Return the request as the zygote reads it."""
        fields = {"module": self.module, "code": self.code, "reseed": self.reseed, "program": self.program}
        return json.dumps(fields | {"first_fd": secrets.choice(FIRST_FDS)}).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUpResult:
    """What a run says of its set-up: ``features`` of ``__future__`` that hold, or why there is no namespace.

    Raises:
        ValueError: it failed and has features.
    """

    features: tuple[str, ...] = ()
    failed: str = ""
    is_import: bool = False

    def __post_init__(self) -> None:
        if self.failed and self.features:
            raise ValueError("expected no features of a set-up that failed")


def read_set_up(conversation: Conversation) -> SetUpResult:
    """Wait for what a run says of its set-up; the first thing of a conversation.

    Raises:
        RunOver: the run ended, or said something else.
    """
    import __future__ as futures

    mark = conversation.mark
    try:
        while b"\n" not in mark and len(mark) <= READY_BYTES:
            conversation.wait()
    except RunOver:
        if not mark.startswith((b"I", b"S")):
            raise
    kind, text = bytes(mark[:1]), bytes(mark[1:READY_BYTES])
    if kind in (b"I", b"S"):
        return SetUpResult(failed=text.decode("utf-8", "replace") or "no reason told", is_import=kind == b"I")
    line, end, rest = text.partition(b"\n")
    features = tuple(filter(None, line.decode("ascii", "replace").split(",")))
    if kind != b"R" or not end or not set(features) <= set(futures.all_feature_names):
        raise RunOver("malformed set-up")
    mark[:] = rest
    return SetUpResult(features=features)


class Prompt:
    """The interpreter's prompt in a run whose request was ``RunRequest.at_prompt``.

    Making it, after the set-up, tells the prompts to the interpreter, as the first command: no import and no silent
    code meets them. Raises RunOver where the first does not come.
    """

    def __init__(self, conversation: Conversation, request: RunRequest) -> None:
        self._conversation = conversation
        self._first, self._second = request.ps1.encode(), request.ps2.encode()
        prompts = {"ps1": request.ps1, "ps2": request.ps2}
        conversation.send(f"__import__('sys').__dict__.update({prompts!r})\n".encode("utf-8", "backslashreplace"))
        self._wait_for(1)
        # output of the set-up is no part of a session
        conversation.take_now()
        conversation.out.clear()
        conversation.err.clear()

    def run(self, source: str) -> tuple[bytes, bytes]:
        """Run one command; return what it wrote to standard output and to standard error.

        Raises:
            RunOver: the run ended within it, wrote more than it may, or showed other prompts than its lines ask for.
        """
        conversation = self._conversation
        if conversation.err or conversation.out:
            raise RunOver("wrote between two commands")
        text = source.rstrip("\n") + "\n"
        lines = text.count("\n")
        conversation.send(text.encode("utf-8", "backslashreplace"))
        prompts = lines
        # an indented block ends with an empty line at a prompt; a command that goes on after two is not complete
        while self._wait_for(prompts) == 2:
            if prompts > lines:
                raise RunOver("the command is not complete")
            conversation.send(b"\n")
            prompts += 1
        conversation.take_now()
        out = bytes(conversation.out)
        err = bytes(conversation.err).replace(self._second, b"").replace(self._first, b"")
        conversation.out.clear()
        conversation.err.clear()
        return out, err

    def _wait_for(self, number: int) -> int:
        """Wait for so many prompts, the last one at the end; return 1 where that is the first prompt, 2 the second."""
        conversation, err = self._conversation, self._conversation.err
        while True:
            seen = err.count(self._first) + err.count(self._second)
            if seen > number:
                raise RunOver("more prompts than lines")
            if seen == number and err.endswith((self._first, self._second)):
                return 1 if err.endswith(self._first) else 2
            conversation.wait()


def run_source(conversation: Conversation, source: str) -> tuple[bytes, bytes]:
    """Run a whole source by one command, and return what came on standard output and standard error.

    For the self-test, whose questions end the run where exec is not refused. The prompt is not waited for: the end of
    the commands ends the run.
    """
    conversation.send(f"exec({source!r})\n".encode("utf-8", "backslashreplace"))
    conversation.end_commands()
    try:
        while True:
            conversation.wait()
    except RunOver:
        pass  # the end, or a limit: the report says which
    return bytes(conversation.out), bytes(conversation.err)
