"""The format of CodeExecutor (Liu et al., Findings of ACL 2023, arXiv 2305.05383): a program, then for each line that
ran its number and the variables after it.

    <line> <3> <state> n : 3 <dictsep> total : 4 </state>
    <output> 4

Lines count from 0 in ``code``, in the order in which they began. The variables are those of the function that the line
stands in (or of the snippet), as they were when the line had run; of a line that an exception ended as they were then.
``<output>`` is what the program printed. Values are texts as in the event log (the paper's own lack quotes and stand
spaced); a separator within one has a backslash after its ``<``. Frames of functions that yield are cut where they wait.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from trace_mine.corpus.export.counts import NotGiven
from trace_mine.corpus.export.program_text import ProgramText

_SEPARATORS = r"line|/?state|dictsep|output|[0-9]+"
_separator = re.compile(rf"<(\\*)(?=(?:{_SEPARATORS})>)")
_escaped = re.compile(rf"<\\(\\*)(?=(?:{_SEPARATORS})>)")
_line = re.compile(r"<line> <([0-9]+)> <state>(.*)</state>", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedLine:
    """A line that ran: its index in the program, and the variables after it.

    Or, where ``output`` is not None, what the program printed.
    """

    index: int = 0
    state: Mapping[str, str]
    output: str | None = None


def executed_lines(program: ProgramText) -> list[ExecutedLine]:
    """The lines that ran, in the order in which they began.

    Raises:
        NotGiven: ``no_source``, a line is not known; ``no_events``.
    """
    log = program.log
    lines: list[ExecutedLine] = []
    known: dict[int, dict[str, str]] = {}
    running: dict[int, int] = {}  # of each activation the place in ``lines`` of the line that runs
    for event in log.events:
        if event.kind == "output":
            lines.append(ExecutedLine(state={}, output=event.value))
        if event.activation < 0:
            continue
        state = known.setdefault(event.activation, {})
        _apply(state, event.changes)
        place = running.get(event.activation)
        if place is not None:
            lines[place] = ExecutedLine(index=lines[place].index, state=dict(state))
        if event.kind == "line":
            running[event.activation] = len(lines)
            lines.append(ExecutedLine(index=program.index_of(event), state=dict(state)))
    if not lines:
        raise NotGiven("no_events")
    return lines


def _apply(state: dict[str, str], changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            state.pop(name, None)
        else:
            state[name] = value


def render_lines(lines: Iterable[ExecutedLine]) -> Iterator[str]:
    """Yield the text of each line."""
    for line in lines:
        if line.output is not None:
            yield f"<output> {_guarded(line.output)}"
        else:
            state = " <dictsep> ".join(f"{_guarded(name)} : {_guarded(value)}" for name, value in line.state.items())
            yield f"<line> <{line.index}> <state> {state}{' ' if state else ''}</state>"


def read_line(text: str) -> ExecutedLine:
    """Read a line that stands in this format.

    Raises:
        ValueError: the text is none.
    """
    if text.startswith("<output> "):
        return ExecutedLine(state={}, output=_unguarded(text.removeprefix("<output> ")))
    match = _line.fullmatch(text)
    if match is None:
        raise ValueError(f"expected <line> <N> <state> ... </state>, got {text[:60]!r}")
    state: dict[str, str] = {}
    body = match[2].removeprefix(" ").removesuffix(" ")
    for part in body.split(" <dictsep> ") if body else ():
        name, separator, value = part.partition(" : ")
        if not separator:
            raise ValueError(f"expected NAME : VALUE, got {part[:60]!r}")
        state[_unguarded(name)] = _unguarded(value)
    return ExecutedLine(index=int(match[1]), state=state)


def _guarded(text: str) -> str:
    return _separator.sub(r"<\\\1", text)


def _unguarded(text: str) -> str:
    return _escaped.sub(r"<\1", text)
