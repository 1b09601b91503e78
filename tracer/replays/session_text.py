"""Reads a session's text strictly: every character of it is a prompt, a command, or what readers compare.

``doctest`` alone is no measure of a text: it skips what stands after a blank line, all of a traceback's stack, and
commands that are comments with their output, so that a lie there would be compared with nothing. What ``repl`` writes
of an honest session has none of these, and what has one is no session.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trace_mine.tracer.formats import repl
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.replays.linear_parser import LinearParser

MAX_COMMAND = 1 << 18
"""Characters of a command; the longest statement that people write is a table of a few thousand lines."""
HEAD = f"{doctext.HEADER}\n{doctext.STACK}\n"
_empty_line = re.compile(r"^[^\S\n]*$", re.MULTILINE)
_message_start = re.compile(r"\w")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """A command of a text: its ``source``, the ``output`` below it without the last newline, and of an exception the
    ``message``, all of it.

    Raises:
        ValueError: no session that ``repl`` writes has it.
    """

    source: str
    output: str
    message: str | None

    def __post_init__(self) -> None:
        if len(self.source) > MAX_COMMAND:
            raise ValueError(f"expected a command of at most {MAX_COMMAND} characters, got {len(self.source)}")
        if "\r" in self.source:  # where a terminal and an interpreter see another line
            raise ValueError(f"expected a command without carriage returns, got {self.source[:80]!r}")
        if self.output.startswith(doctext.HEADER) != (self.message is not None):
            raise ValueError(f"expected a message with a traceback, got {self.output[:80]!r}")
        shown = self.output if self.message is None else self.message
        if self.message is not None and not _message_start.match(self.message):
            raise ValueError(f"expected the name of an exception, got {self.message[:80]!r}")
        if shown and _empty_line.search(shown):
            raise ValueError(f"expected no blank line in an output, got {shown[:80]!r}")
        if not doctext.is_showable(doctext.unmarked(shown)):
            raise ValueError(f"expected an output that a doctest can show, got {shown[:80]!r}")


def parts_of(text: str) -> tuple[TextPart, ...]:
    """Read a session's text, of which nothing is left over.

    ``doctest`` has to read the same commands with the same outputs, one to one.

    Raises:
        ValueError: it is no session.
    """
    if not text.endswith("\n"):
        raise ValueError(f"expected a session that ends with a line end, got {text[-80:]!r}")
    parts = tuple(_part(source, output) for source, output in repl.parse(text))
    examples = LinearParser().get_examples(text)
    if len(examples) != len(parts):
        raise ValueError(f"expected {len(parts)} commands, got {len(examples)} of doctest's; leave comments out")
    for part, example in zip(parts, examples, strict=True):
        wanted = (_with_end(_expanded(part.source)), _with_end(part.output), part.message and _with_end(part.message))
        if wanted != (example.source, example.want, example.exc_msg):
            raise ValueError(f"expected {part.source[:80]!r} to be what doctest reads, got {example.source[:80]!r}")
    return parts


def check_written(text: str, pairs: list[tuple[str, str]]) -> None:
    """Check that a text has these commands with these outputs, and no others.

    Raises:
        ValueError: a command or an output holds a line that is read as another's.
    """
    if repl.parse(text) != pairs:
        raise ValueError("expected commands and outputs that are read as they were written, got other ones")


def _part(source: str, output: str) -> TextPart:
    if not output.startswith(doctext.HEADER):
        return TextPart(source=source, output=output, message=None)
    if not output.startswith(HEAD):
        raise ValueError(f"expected a traceback whose stack is {doctext.STACK!r}, got {output[:80]!r}")
    return TextPart(source=source, output=output, message=output.removeprefix(HEAD))


def _with_end(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _expanded(source: str) -> str:
    """The source with the tabs of its lines as doctest expands them, behind prompts."""
    if "\t" not in source:
        return source
    width = len(repl.PROMPT)
    return "\n".join((repl.PROMPT + line).expandtabs()[width:] for line in source.split("\n"))
