"""The format of Meta's Code World Model (arXiv 2510.02387): a program, then a frame for each event.

    <|trace_context_start|>PROGRAM<|frame_sep|>
    <|call_sep|>LOCALS<|action_sep|>SOURCE LINE<|frame_sep|>
    <|line_sep|>LOCALS<|action_sep|>SOURCE LINE<|frame_sep|>
    <|return_sep|><|action_sep|>SOURCE LINE<|arg_sep|>VALUE<|frame_sep|>
    <|exception_sep|><|action_sep|>SOURCE LINE<|arg_sep|>VALUE<|frame_sep|>

without the line breaks. LOCALS is a JSON object of texts, ``".."`` where a variable is unchanged since the frame before
in that scope; VALUE is a JSON string. A comment ``# << START_OF_TRACE`` in the program says where the trace begins: the
snippet itself is the first scope, which ends with the last frame. ``begin_of_text`` and ``end_of_text`` are left to the
tokenizer; the reader takes a text with or without them.

``sys.settrace`` calls a ``yield`` a return, and a resumption a call; so it is here, and a call frame has all its
locals in full. An exception that leaves a scope is an exception frame, then a return frame of ``None``.

Text of the program may hold a separator. In JSON its ``<|`` is written ``\\u003c|``; elsewhere a backslash stands
between ``<`` and ``|`` (one more where one stood already): ``<\\|frame_sep|>``. ``read_cwm`` undoes both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from trace_mine.corpus.export.counts import NotGiven
from trace_mine.corpus.export.program_text import program_text
from trace_mine.tracer.event_log import Event, EventLog

KINDS = ("call", "line", "return", "exception")
UNCHANGED = ".."
"""Stands for the value that a variable had in the frame before."""
_WORDS = "frame_sep|action_sep|return_sep|call_sep|line_sep|exception_sep|arg_sep|trace_context_start"
_OTHERS = "begin_of_text|end_of_text|pad|start_header_id|end_header_id|eot_id"
_separator = re.compile(rf"<(\\*)\|(?=(?:{_WORDS}|{_OTHERS})\|>)")
_escaped = re.compile(rf"<\\(\\*)\|(?=(?:{_WORDS}|{_OTHERS})\|>)")
_frame = re.compile(r"<\|(call|line|return|exception)_sep\|>(.*)", re.DOTALL)

BEGIN, END = "<|begin_of_text|>", "<|end_of_text|>"
CONTEXT, FRAME = "<|trace_context_start|>", "<|frame_sep|>"
ACTION, ARGUMENT = "<|action_sep|>", "<|arg_sep|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class CwmFrame:
    """One frame.

    Attributes:
        kind: one of KINDS.
        source: the line at which it happens, without the newline.
        variables: of a call or line, the scope's variables with their values as text, in full.
        value: of a return or exception, the value as text.

    Raises:
        ValueError: the kind is unknown, or has other parts.
    """

    kind: str
    source: str
    variables: Mapping[str, str] | None = None
    value: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"expected CwmFrame.kind in {KINDS}, got {self.kind!r}; use one of them")
        has_variables = self.kind in ("call", "line")
        if (self.variables is not None) != has_variables or (self.value is None) != has_variables:
            raise ValueError(f"expected variables of calls and lines, a value of others, got another {self.kind}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CwmTrace:
    """A program with its frames, the first of which enters the scope that the trace is of."""

    context: str
    frames: tuple[CwmFrame, ...]


def render_cwm(trace: CwmTrace) -> str:
    """Write a trace.

    Raises:
        NotGiven: ``ambiguous_value``, a variable changed to the text ``..``.
        ValueError: a line, return or exception stands in no scope.
    """
    parts = [CONTEXT, _guarded(trace.context), FRAME]
    scopes: list[dict[str, str]] = []
    for frame in trace.frames:
        parts.append(f"<|{frame.kind}_sep|>")
        if frame.kind == "call":
            scopes.append({})
        elif not scopes:
            raise ValueError(f"expected a call before a {frame.kind}, got none; begin with the scope's call")
        if frame.variables is not None:
            before = scopes[-1]
            scopes[-1] = dict(frame.variables)
            parts.append(_json({name: _changed_value(name, value, before) for name, value in frame.variables.items()}))
        parts += [ACTION, _guarded(frame.source)]
        if frame.value is not None:
            parts += [ARGUMENT, _json(frame.value)]
        if frame.kind == "return":
            scopes.pop()
        parts.append(FRAME)
    return "".join(parts)


def _changed_value(name: str, value: str, before: Mapping[str, str]) -> str:
    if before.get(name) == value:
        return UNCHANGED
    if value == UNCHANGED and name in before:
        raise NotGiven("ambiguous_value")
    return value


def read_cwm(text: str) -> CwmTrace:
    """Read a trace that stands in this format.

    Raises:
        ValueError: the text is none.
    """
    text = text.removeprefix(BEGIN).removesuffix(END)
    context, separator, rest = text.removeprefix(CONTEXT).partition(FRAME)
    if not text.startswith(CONTEXT) or not separator:
        raise ValueError(f"expected {CONTEXT}PROGRAM{FRAME}, got {text[:40]!r}; give a trace of this format")
    if rest and not rest.endswith(FRAME):
        raise ValueError(f"expected each frame to end with {FRAME}, got {rest[-40:]!r}; the text is cut short")
    scopes: list[dict[str, str]] = []
    frames = [_read_frame(each, scopes) for each in rest.split(FRAME)[:-1]]
    return CwmTrace(context=_unguarded(context), frames=tuple(frames))


def _read_frame(text: str, scopes: list[dict[str, str]]) -> CwmFrame:
    match = _frame.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a frame of {', '.join(KINDS)}, got {text[:40]!r}")
    kind = match[1]
    observed, separator, action = match[2].partition(ACTION)
    if not separator:
        raise ValueError(f"expected {ACTION} in a frame, got {text[:40]!r}")
    if kind == "call":
        scopes.append({})
    elif not scopes:
        raise ValueError(f"expected a call before a {kind}, got none")
    if kind in ("call", "line"):
        given = _read_variables(observed)
        before = scopes[-1]
        variables = {name: before.get(name, value) if value == UNCHANGED else value for name, value in given.items()}
        scopes[-1] = variables
        return CwmFrame(kind=kind, source=_unguarded(action), variables=variables)
    source, separator, value = action.partition(ARGUMENT)
    if observed or not separator:
        raise ValueError(f"expected no variables and {ARGUMENT} in a {kind}, got {text[:40]!r}")
    if kind == "return":
        scopes.pop()
    return CwmFrame(kind=kind, source=_unguarded(source), value=_read_value(value))


def _read_variables(text: str) -> dict[str, str]:
    value = json.loads(text)
    if type(value) is not dict or not all(type(each) is str for each in value.values()):
        raise ValueError(f"expected variables as a JSON object of texts, got {text[:40]!r}")
    return value


def _read_value(text: str) -> str:
    value = json.loads(text)
    if type(value) is not str:
        raise ValueError(f"expected a value as a JSON string, got {text[:40]!r}")
    return value


def _json(value: object) -> str:
    return json.dumps(value).replace("<|", "\\u003c|")


def _guarded(text: str) -> str:
    return _separator.sub(r"<\\\1|", text)


def _unguarded(text: str) -> str:
    return _escaped.sub(r"<\1|", text)


def cwm_trace(log: EventLog) -> CwmTrace:
    """The trace of an event log. Its first scope is the snippet: all of its pieces, one after the other.

    Raises:
        NotGiven: ``no_events``, or ``no_source`` where a line is not known.
    """
    program = program_text(log)
    frames = [
        CwmFrame(
            kind=kind,
            source=program.line_of(event),
            variables=variables if kind in ("call", "line") else None,
            value=None if kind in ("call", "line") else event.value or "None",
        )
        for kind, event, variables in _frames(log)
    ]
    if not frames:
        raise NotGiven("no_events")
    return CwmTrace(context=program.text, frames=tuple(frames))


_FRAME_KINDS = {
    "call": "call",
    "line": "line",
    "return": "return",
    "yield": "return",
    "leave": "return",
    "raise": "exception",
}


def _frames(log: EventLog) -> Iterator[tuple[str, Event, Mapping[str, str]]]:
    """Yield (kind, event, all variables of its scope); the pieces' own activations are one scope."""
    events = [event for event in log.events if event.kind in _FRAME_KINDS]
    last = _last_of_pieces(log, events)
    known: dict[int, dict[str, str]] = {}
    has_begun = False
    for number, event in enumerate(events):
        is_piece = log.source_of(event).piece is not None
        scope = known.setdefault(event.activation, {})
        for name, value in event.changes.items():
            if value is None:
                scope.pop(name, None)
            else:
                scope[name] = value
        if is_piece and event.kind == "call":
            if has_begun:
                continue
            has_begun = True
        elif is_piece and event.kind in ("return", "leave") and number != last:
            continue
        yield _FRAME_KINDS[event.kind], event, dict(scope)


def _last_of_pieces(log: EventLog, events: Sequence[Event]) -> int:
    """The index of the event with which the last piece ends; -1 where the log ends before."""
    for number in range(len(events) - 1, -1, -1):
        event = events[number]
        if log.source_of(event).piece is not None:
            return number if event.kind in ("return", "leave") else -1
    return -1
