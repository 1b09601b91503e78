"""A session as a replay needs it, what a reader tells of it, and how the two are compared.

The comparison is the supervisor's: wanted outputs never go inside, and of what comes out nothing is read but text.
"""

from __future__ import annotations

import doctest
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.tracer.inside.protocol.jobs import Draws, Laws, Program
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.replays.questions import StateQuestion

EXACT = doctest.DONT_ACCEPT_TRUE_FOR_1
"""The only option of doctest's comparison: without it ``1`` is accepted where a text says ``True``."""
_check = doctest.OutputChecker().check_output
# What an interpreter adds to a NameError's message, and ``traceback`` to a lesser degree, which doctest reads.
_suggestion = re.compile(
    r"(\. Did you mean: '[^'\n]*'\?)?(( Or did|\. Did) you forget to import '[^'\n]*'\?)?$", re.MULTILINE
)
_exit_code = re.compile(r"\w+: (-?\d{1,9})\n?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCommand:
    """One command of a session's text with the output that it should give; ``message``: the exception's own lines.

    Raises:
        ValueError: the source is empty.
    """

    source: str
    want: str
    message: str | None

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ValueError("expected a TextCommand with a source, got none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session to be replayed.

    Attributes:
        commands: its commands with their outputs.
        program: what it is run in: ``module`` and ``code``.
        questions: for each command the variables that are asked for after it; shorter where none is asked.
        draws, laws: the outcomes that its draws give again, for the reader that can do that.

    Raises:
        ValueError: there are questions of more commands than there are.
    """

    commands: tuple[TextCommand, ...]
    program: Program
    questions: tuple[tuple[StateQuestion, ...], ...] = ()
    draws: Draws | None = None
    laws: Laws | None = None

    def __post_init__(self) -> None:
        if len(self.questions) > len(self.commands):
            raise ValueError(f"expected questions of {len(self.commands)} commands, got {len(self.questions)}")

    def asked_after(self, index: int) -> tuple[StateQuestion, ...]:
        """The questions after a command."""
        return self.questions[index] if index < len(self.questions) else ()


def commands_of(text: str) -> tuple[TextCommand, ...]:
    """Read a session's text as ``doctest`` reads it.

    Raises:
        ValueError: it is no doctest.
    """
    examples = doctest.DocTestParser().get_examples(text)
    return tuple(TextCommand(source=each.source, want=each.want, message=each.exc_msg) for each in examples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a command printed, and what it showed of an exception: the exception's own last entry, as doctest reads it,
    or all of standard error. ``raised`` is None where the reader can't tell if there was an exception.
    """

    out: str
    error: str = ""
    raised: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionReading:
    """What a reader told of a session.

    Attributes:
        printed: by each command, as far as the run came.
        why: why it came no further; empty where it did.
        exit_status: the status with which the run ended by itself; None where it did not.
        answers: for each command that was asked after, each variable's value as text, None where it is not bound.

    Raises:
        ValueError: an exit status is told of a run that did not end early.
    """

    printed: tuple[Printed, ...]
    why: str = ""
    exit_status: int | None = None
    answers: tuple[dict[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        if self.exit_status is not None and not self.why:
            raise ValueError("expected an exit status only of a run that ended before it was told to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A command of a replay that printed something else than the session says; texts are cut at 400 characters.

    Raises:
        ValueError: ``command`` is negative.
    """

    command: int
    source: str
    wanted: str
    got: str

    def __post_init__(self) -> None:
        if self.command < 0:
            raise ValueError(f"expected Difference.command >= 0, got {self.command}")


def differences(commands: Sequence[TextCommand], reading: SessionReading) -> list[Difference]:
    """The commands that printed something else, in order; after the first that was not read there is no other."""
    different: list[Difference] = []
    for index, command in enumerate(commands):
        if index >= len(reading.printed):
            if not _ended_as_shown(command, reading, is_last=index == len(commands) - 1):
                different.append(_difference(index, command, f"<{reading.why}>"))
            break
        printed = reading.printed[index]
        if not agrees(command, printed):
            different.append(_difference(index, command, printed.out + printed.error))
    return different


def agrees(command: TextCommand, printed: Printed) -> bool:
    """Return True if a command printed what its text says.

    Output beside an exception differs, though doctest would not look at it: a prompt shows both.
    """
    if command.message is None:
        # what else is on standard error (warnings, logging) is no output of a session
        out = printed.out if not printed.out or printed.out.endswith("\n") else printed.out + "\n"
        return not printed.raised and _check(command.want, out, EXACT)
    if printed.out:
        return False
    if printed.raised is None:
        return shows(printed.error, command.message)
    error = printed.error if printed.error.endswith("\n") else printed.error + "\n"
    return printed.raised and _check(command.message, error, EXACT)


def shows(error: str, message: str) -> bool:
    """Return True if what an interpreter wrote to standard error has this exception's message, on lines of its own.

    Frames, chained exceptions, notes and groups may stand around it, and a suggestion may follow it.

    >>> shows("Traceback (most recent call last):\\n  File ...\\nValueError: no\\n", "ValueError: no\\n")
    True
    """
    wanted = _plain(message.rstrip("\n").replace(doctext.BLANK, ""))
    written = "\n" + _plain(error) + "\n"
    in_group = "  | " + wanted.replace("\n", "\n  | ")
    return any(f"\n{form}\n" in written for form in (wanted, in_group))


def _plain(text: str) -> str:
    """The text without suggestions, and with empty lines in place of lines of white space."""
    lines = (line if line.strip() else "" for line in text.split("\n"))
    return _suggestion.sub("", "\n".join(lines))


def ends_at_prompt(commands: Sequence[TextCommand]) -> bool:
    """Return True if the session goes on after a SystemExit: at a prompt, which that ends, it can't be replayed."""
    return any((command.message or "").startswith("SystemExit") for command in commands[:-1])


def _ended_as_shown(command: TextCommand, reading: SessionReading, *, is_last: bool) -> bool:
    """Return True if the run ended by itself in its last command, with the exit status of the exception shown there."""
    if not is_last or command.message is None or reading.exit_status is None:
        return False
    code = _exit_code.fullmatch(command.message)
    # a text as the exit code ends a process with 1, a text of digits too
    allowed = {1} if code is None else {int(code.group(1)) & 0xFF, 1}
    return reading.exit_status in allowed | ({0} if code is None else set())


def _difference(index: int, command: TextCommand, got: str) -> Difference:
    return Difference(command=index, source=command.source.rstrip("\n"), wanted=command.want[:400], got=got[:400])
