"""A session as a replay needs it, what a reader tells of it, and how the two are compared.

The comparison is the supervisor's: wanted outputs never go inside, and of what comes out nothing is read but text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.tracer.inside.protocol.jobs import Draws, Laws, Program
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.replays.questions import StateQuestion
from trace_mine.tracer.replays.session_text import parts_of

# What an interpreter adds to a NameError's message, and ``traceback`` to a lesser degree, which doctest reads.
_suggestion = re.compile(
    r"(\. Did you mean: '[^'\n]*'\?)?(( Or did|\. Did) you forget to import '[^'\n]*'\?)?$", re.MULTILINE
)
RUNS_EXIT_FUNCTIONS = "._run_exitfuncs()\n"
ENDED = "ended"
"""Why nothing more was read of a run that ended by itself (``sandbox.conversation``)."""
_exit = re.compile(r"SystemExit(?:: (?P<code>.*))?\n?", re.DOTALL)
_exit_number = re.compile(r"-?\d{1,9}")


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
    """Read a session's text, all of which is commands and their outputs.

    Raises:
        ValueError: it is no session (``session_text``).
    """
    ended = "{}\n".format
    return tuple(
        TextCommand(
            source=ended(part.source.removesuffix("\n")),
            want=part.output and ended(part.output),
            message=None if part.message is None else ended(part.message),
        )
        for part in parts_of(text)
    )


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
        left: what was printed after the last command that was read, until the end of such a run.
        answers: for each command that was asked after, each variable's value as text, None where it is not bound.

    Raises:
        ValueError: an exit status is told of a run that did not end early.
    """

    printed: tuple[Printed, ...]
    why: str = ""
    exit_status: int | None = None
    left: Printed | None = None
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


def differences(commands: Sequence[TextCommand], reading: SessionReading, *, at_exit: str = "") -> list[Difference]:
    """The commands that printed something else, in order; after the first that was not read there is no other.

    ``at_exit`` is what the text has an interpreter print that ends with the last command (``exit_output``).
    """
    different: list[Difference] = []
    for index, command in enumerate(commands):
        if index >= len(reading.printed):
            if not _ended_as_shown(command, reading, at_exit, is_last=index == len(commands) - 1):
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
        return not printed.raised and _is_shown_as(printed.out, command.want)
    if printed.out:
        return False
    if printed.raised is None:
        return shows(printed.error, command.message)
    return printed.raised and _is_shown_as(printed.error, command.message)


def _is_shown_as(printed: str, want: str) -> bool:
    """Return True if this is the text of what was printed: exact to the character, but for marked blank lines and the
    last line end. ``doctest`` would accept ``\\xe9`` for a letter, and ``1`` for ``True``.
    """
    text = want.removesuffix("\n")
    # a program that prints nothing and one that prints an empty line are not the same to a reader
    return bool(printed) == bool(want) and (printed.removesuffix("\n") == text or doctext.shown(printed) == text)


def shows(error: str, message: str) -> bool:
    """Return True if what an interpreter wrote to standard error has this exception's message, on lines of its own.

    Frames, chained exceptions, notes and groups may stand around it, and a suggestion may follow it.

    >>> shows("Traceback (most recent call last):\\n  File ...\\nValueError: no\\n", "ValueError: no\\n")
    True
    """
    wanted = _plain(doctext.unmarked(message.rstrip("\n")))
    written = "\n" + _plain(error) + "\n"
    in_group = "  | " + wanted.replace("\n", "\n  | ")
    return any(f"\n{form}\n" in written for form in (wanted, in_group))


def _plain(text: str) -> str:
    """The text without suggestions, and with empty lines in place of lines of white space."""
    lines = (line if line.strip() else "" for line in text.split("\n"))
    return _suggestion.sub("", "\n".join(lines))


def ends_at_prompt(commands: Sequence[TextCommand]) -> bool:
    """Return True if the session goes on after a SystemExit: a prompt shows the part up to it alone."""
    return len(prompt_part(commands)) < len(commands)


def prompt_part(commands: Sequence[TextCommand]) -> tuple[TextCommand, ...]:
    """The commands that a prompt runs: all of them, or those up to the first SystemExit, which ends it."""
    exits = (index for index, command in enumerate(commands) if _exit.fullmatch(command.message or ""))
    return tuple(commands[: next(exits, len(commands)) + 1])


def exit_output(commands: Sequence[TextCommand]) -> str:
    """What a session shows of its exit functions, which an interpreter runs by itself after a SystemExit; else nothing.

    They stand in the text as one more command, the last one; between may stand what a ``finally`` does.
    """
    after = commands[len(prompt_part(commands)) :]
    return after[-1].want if after and after[-1].source.endswith(RUNS_EXIT_FUNCTIONS) else ""


def _ended_as_shown(command: TextCommand, reading: SessionReading, at_exit: str, *, is_last: bool) -> bool:
    """Return True if the run ended by itself in its last command, as the SystemExit shown there ends an interpreter.

    Any other exception leaves a prompt where it is: a run that ends there shows nothing of it.
    """
    shown = _exit.fullmatch(command.message or "")
    if not is_last or shown is None or reading.why != ENDED or reading.exit_status is None or reading.left is None:
        return False
    if not _is_shown_as(reading.left.out, at_exit):
        return False
    code = None if shown["code"] is None else shown["code"].removesuffix("\n")
    if code is None or code in ("None", "False"):
        silent = 0
    elif code == "True":
        silent = 1
    else:
        silent = int(code) & 0xFF if _exit_number.fullmatch(code) else -1
    # a code that is no number is written to standard error, and ends the process with 1: a text of digits too
    is_written = code is None or shows(reading.left.error, code)
    return reading.exit_status == silent or (reading.exit_status == 1 and is_written and bool(reading.left.error))


def _difference(index: int, command: TextCommand, got: str) -> Difference:
    return Difference(command=index, source=command.source.rstrip("\n"), wanted=command.want[:400], got=got[:400])
