"""A plain format of ours: an event log line by line, each line a word and what it says, indented by the depth of calls.

    enter pkg/m.py:10 f
      assign n = 3
      line 11: total = n + 1
      assign total = 4
      line 12: return total
      return 4
    output 4\\n

| line | says |
|---|---|
| ``enter PATH:LINE NAME`` | a function is entered, or the snippet (``<module>``); what it was entered with follows |
| ``resume PATH:LINE NAME`` | a generator goes on |
| ``assign NAME = VALUE``, ``delete NAME`` | what the line before did to the variables |
| ``line N: SOURCE`` | a line is about to run |
| ``return VALUE``, ``yield VALUE`` | what the function gives |
| ``raise VALUE`` | an exception was raised in it, or came to it |
| ``leave`` | an exception left it |
| ``output TEXT``, ``echo VALUE`` | what a piece printed, and what a prompt echoes of it |

A backslash, a newline and a carriage return within a text are ``\\\\``, ``\\n`` and ``\\r``, and a space within a NAME
is ``\\s``; nothing else is escaped. ``read_lines`` is the inverse of ``render_lines``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trace_mine.tracer.event_log import EventLog

WORDS = ("enter", "resume", "assign", "delete", "line", "return", "yield", "raise", "leave", "output", "echo")
_SINGLE = frozenset({"return", "yield", "raise", "output", "echo"})
_escapes = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", " ": "\\s"}
_plain = {escape: plain for plain, escape in _escapes.items()}
_special = re.compile(r"[\\\n\r]")
_special_in_name = re.compile(r"[\\\n\r ]")
_escape = re.compile(r"\\[\\nrs]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One line.

    Attributes:
        depth: the number of activations around it.
        word: one of WORDS.
        name: of a function that is entered, or of a variable.
        path: of the file of a function that is entered.
        number: a line in a file.
        text: a source line, a value, or output.
    """

    depth: int
    word: str
    name: str = ""
    path: str = ""
    number: int = 0
    text: str = ""

    def __post_init__(self) -> None:
        if self.word not in WORDS or self.depth < 0 or self.number < 0:
            raise ValueError(f"expected a word of {WORDS} and counts, got {self.word!r}; see there")


def event_lines(log: EventLog) -> Iterator[EventLine]:
    """Yield the lines of a log."""
    stack: list[int] = []
    entered: set[int] = set()
    for event in log.events:
        if event.kind in ("output", "echo"):
            yield EventLine(depth=0, word=event.kind, text=event.value)
            continue
        source = log.source_of(event)
        if event.kind == "call":
            if source.piece is not None:
                stack.clear()
            word = "resume" if event.activation in entered else "enter"
            entered.add(event.activation)
            yield EventLine(depth=len(stack), word=word, name=source.name, path=source.path, number=event.line)
            stack.append(event.activation)
        elif event.activation in stack:
            del stack[stack.index(event.activation) + 1 :]
        depth = len(stack)
        for name, value in event.changes.items():
            yield (
                EventLine(depth=depth, word="delete", name=name)
                if value is None
                else EventLine(depth=depth, word="assign", name=name, text=value)
            )
        if event.kind == "line":
            yield EventLine(depth=depth, word="line", number=event.line, text=source.line_at(event.line).strip())
        elif event.kind != "call":
            yield EventLine(depth=depth, word=event.kind, text=event.value if event.kind != "leave" else "")
            if event.kind != "raise" and stack:
                stack.pop()


def render_lines(lines: Iterable[EventLine]) -> str:
    """Write lines, each ended by a newline."""
    return "".join(f"{'  ' * line.depth}{_rendered(line)}\n" for line in lines)


def _rendered(line: EventLine) -> str:
    text, name = _escaped(line.text), _special_in_name.sub(lambda match: _escapes[match[0]], line.name)
    match line.word:
        case "enter" | "resume":
            return f"{line.word} {_escaped(line.path)}:{line.number} {name}"
        case "assign":
            return f"assign {name} = {text}"
        case "delete":
            return f"delete {name}"
        case "line":
            return f"line {line.number}: {text}"
        case "leave":
            return "leave"
    return f"{line.word} {text}"


def read_lines(text: str) -> tuple[EventLine, ...]:
    """Read lines that stand in this format.

    Raises:
        ValueError: a line is none.
    """
    if text and not text.endswith("\n"):
        raise ValueError("expected a newline at the end of each line, got a text that is cut short")
    return tuple(map(_read, text.split("\n")[:-1]))


def _read(line: str) -> EventLine:
    body = line.lstrip(" ")
    depth, odd = divmod(len(line) - len(body), 2)
    word, _, rest = body.partition(" ")
    if odd or word not in WORDS:
        raise ValueError(f"expected a line of this format, got {line[:60]!r}")
    if word in _SINGLE:
        return EventLine(depth=depth, word=word, text=_unescaped(rest))
    if word in ("enter", "resume"):
        place, separator, name = rest.rpartition(" ")
        path, colon, number = place.rpartition(":")
        if not separator or not colon or not number.isdecimal():
            raise ValueError(f"expected {word} PATH:LINE NAME, got {line[:60]!r}")
        return EventLine(depth=depth, word=word, path=_unescaped(path), number=int(number), name=_unescaped(name))
    if word == "assign":
        name, separator, value = rest.partition(" = ")
        if not separator:
            raise ValueError(f"expected assign NAME = VALUE, got {line[:60]!r}")
        return EventLine(depth=depth, word=word, name=_unescaped(name), text=_unescaped(value))
    if word == "delete":
        return EventLine(depth=depth, word=word, name=_unescaped(rest))
    if word == "line":
        number, separator, source = rest.partition(": ")
        if not separator:
            raise ValueError(f"expected line N: SOURCE, got {line[:60]!r}")
        return EventLine(depth=depth, word=word, number=int(number), text=_unescaped(source))
    return EventLine(depth=depth, word=word)


def _escaped(text: str) -> str:
    return _special.sub(lambda match: _escapes[match[0]], text)


def _unescaped(text: str) -> str:
    return _escape.sub(lambda match: _plain[match[0]], text)
