"""The events of a native run in their order: calls, lines, returns, exceptions, the locals that changed, the output.

The record of a run has its activations one after the other (``inside.protocol.answers.NativeFrame``), and the place of
each mark among all lines and marks. ``event_log`` puts them together again: the lines between two marks are those of
the activation that was entered last.

The record is the account of the process that ran the snippet, which may have forged it. So whatever it says, the log is
well-formed: a mark of an activation that does not run is left out, and what would be more than ``MAX_EVENTS`` or
``MAX_CHARACTERS`` ends the log, with the word for it in ``cut``.

Values are the texts of ``inside.observe.describe``, of at most some 300 characters; a longer one is its beginning with
``...<N characters, DIGEST>``. Not covered: other threads, lambdas and comprehensions, activations deeper than calls are
followed, in which line of a piece its output was printed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from trace_mine.tracer.inside.protocol.answers import Code, CodeText, FrameMark, NativeFrame, NativeSummary
from trace_mine.tracer.inside.protocol.jobs import Piece

MAX_EVENTS = 20_000
"""Events of a log: mined snippets have 40 to 400."""
MAX_CHARACTERS = 1_000_000
"""Characters of all values and sources of a log together."""

EVENT_KINDS = ("call", "line", "return", "yield", "raise", "leave", "output", "echo")
"""The kinds of events. ``call``: an activation is entered, a generator's at each resumption; ``line``: a line is about
to run; ``return``, ``yield``: the activation gives a value; ``raise``: an exception was raised in it, or came to it;
``leave``: an exception left it; ``output``, ``echo``: what a piece printed, and what a prompt would echo of it."""
CUTS = ("", "events", "characters", "limit", "marks", "path")
"""Why a log has not all events: it is at a limit of its own (``events``, ``characters``), at the tracer's limit of
lines (``limit``), some marks were not made at the limit of recursion (``marks``), or they show a folder of this machine
and are left out (``path``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """The source of a function, class, module or piece.

    Attributes:
        path: its file, relative to the repository; that of the snippet for a piece.
        line: its first line in that file, from 1.
        name: its qualified name; ``<module>`` of a module or piece.
        text: its lines; empty where they are not known, or too long to be kept.
        piece: the index of the piece that it is; None where it is none.
    """

    path: str
    line: int
    name: str
    text: str
    piece: int | None = None

    def line_at(self, line: int) -> str:
        """The text of a line of the file, with its indentation; empty where it is not known."""
        lines = self.text.split("\n")
        place = line - self.line
        return lines[place] if 0 <= place < len(lines) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a run.

    Attributes:
        kind: one of EVENT_KINDS.
        activation: the index of the activation in ``EventLog.activations``; -1 of output and echoes.
        line: the line of its file at which it happens; 0 of output and echoes.
        changes: locals that changed since the activation's last event, with their values as text; None: it is gone.
        value: what was returned, yielded, raised, printed or echoed; empty elsewhere.
    """

    kind: str
    activation: int
    line: int = 0
    changes: Mapping[str, str | None] = field(default_factory=dict)
    value: str = ""

    def __post_init__(self) -> None:
        if self.kind not in EVENT_KINDS:
            raise ValueError(f"expected Event.kind in {EVENT_KINDS}, got {self.kind!r}; use one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLog:
    """The events of a run, with the sources that they speak of.

    Attributes:
        sources: the pieces that ran, in order, then functions, classes and modules.
        activations: for each activation the index of its source.
        events: the events in their order.
        cut: one of CUTS, ``""`` where the log is whole.

    Raises:
        ValueError: an index points at nothing, or ``cut`` is unknown.
    """

    sources: tuple[EventSource, ...]
    activations: tuple[int, ...]
    events: tuple[Event, ...]
    cut: str = ""

    def __post_init__(self) -> None:
        if self.cut not in CUTS:
            raise ValueError(f"expected EventLog.cut in {CUTS}, got {self.cut!r}; use one of them")
        if not all(0 <= index < len(self.sources) for index in self.activations):
            raise ValueError("expected a source of each activation, got an index of none; add it")
        if not all(-1 <= event.activation < len(self.activations) for event in self.events):
            raise ValueError("expected the activation of each event, got an index of none; add it")

    def source_of(self, event: Event) -> EventSource:
        """The source of the activation in which an event happens."""
        return self.sources[self.activations[event.activation]]

    def with_paths(self, renamed: Callable[[str], str]) -> EventLog:
        """The log with other paths of its sources."""
        return replace(self, sources=tuple(replace(each, path=renamed(each.path)) for each in self.sources))

    def shows(self, texts: Sequence[str]) -> bool:
        """Return True if one of these texts stands in a value or a source."""
        values = itertools.chain(
            (source.text for source in self.sources),
            (event.value for event in self.events),
            (value for event in self.events for value in event.changes.values() if value is not None),
        )
        return any(text in each for each in values for text in texts)

    def without_events(self, cut: str) -> EventLog:
        """The log of the same run without events and sources, for the reason that ``cut`` names."""
        return EventLog(sources=(), activations=(), events=(), cut=cut)

    def masked(self, names: frozenset[str], mark: str) -> EventLog:
        """The log with ``mark`` as the value of variables with these names."""
        if not names:
            return self
        events = [
            replace(
                event,
                changes={
                    name: mark if name in names and value is not None else value
                    for name, value in event.changes.items()
                },
            )
            if names & event.changes.keys()
            else event
            for event in self.events
        ]
        return replace(self, events=tuple(events))


def event_log(
    summary: NativeSummary,
    frames: Sequence[NativeFrame],
    pieces: Sequence[Piece],
    path: str,
    relative: Callable[[str], str],
) -> EventLog:
    """Put the record of a run together.

    Args:
        summary: the run's summary.
        frames: its activations, in the order of their calls.
        pieces: the snippet's pieces.
        path: the snippet's file, relative to the repository.
        relative: gives the path, relative to the repository, of a file as code in the sandbox sees it.
    """
    sources = [
        EventSource(path=path, line=piece.line, name="<module>", text=piece.source, piece=index)
        for index, piece in enumerate(pieces[: len(summary.pieces)])
    ]
    num_pieces = len(sources)
    places: dict[Code, int] = {}
    texts = {each.code: each for each in summary.texts}
    for code in dict.fromkeys(frame.code for frame in frames):
        piece = _piece_of(code, num_pieces)
        if piece is not None and code[2] == "<module>":
            places[code] = piece
            continue
        text = texts.get(code, CodeText(code=code, qualname=code[2], text=""))
        places[code] = len(sources)
        sources.append(
            EventSource(
                path=relative(code[0]) if piece is None else path,
                line=code[1] if piece is None else code[1] + pieces[piece].line - 1,
                name=text.qualname,
                text=text.text,
            )
        )
    activations = [places[frame.code] for frame in frames]
    writer = _Writer(frames, [sources[place] for place in activations], summary)
    left = MAX_CHARACTERS - sum(len(source.text) for source in sources)
    events: list[Event] = []
    cut = ""
    for event in map(_without_addresses, writer.events()):
        left -= len(event.value) + sum(len(name) + len(value or "") for name, value in event.changes.items())
        if len(events) == MAX_EVENTS or left < 0:
            cut = "events" if left >= 0 else "characters"
            break
        events.append(event)
    if not cut and any(frame.is_cut for frame in frames):
        cut = "limit"
    if not cut and summary.num_lost_marks:
        cut = "marks"
    return EventLog(sources=tuple(sources), activations=tuple(activations), events=tuple(events), cut=cut)


_LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z_.])[0-9]{14,15}(?![0-9A-Za-z_.])")
_ADDRESSES = (range(0x5500_0000_0000, 0x5700_0000_0000), range(0x7E00_0000_0000, 0x8000_0000_0000))
"""Where Linux puts a program's heap, and its libraries and mapped memory, on a 64-bit machine."""
ADDRESS = "<address>"
"""The mark in the place of an object's address, which hangs on all that ran before and differs from run to run."""


def _without_addresses(event: Event) -> Event:
    """The event with ``ADDRESS`` in the place of numbers that are addresses, as ``id()`` and thread identifiers are.

    What was printed stays: replays print it again, or the session is dropped. A value that was cut keeps the digest of
    all of it.
    """
    value = event.value if event.kind in ("output", "echo") else _masked_addresses(event.value)
    changes = {name: each if each is None else _masked_addresses(each) for name, each in event.changes.items()}
    if value == event.value and changes == event.changes:
        return event
    return replace(event, value=value, changes=changes)


def _masked_addresses(text: str) -> str:
    """The text without addresses.

    >>> _masked_addresses("(140737339489232, 'f', 20261129120000)")
    "(<address>, 'f', 20261129120000)"
    """
    if len(text) < 14:
        return text
    return _LONG_NUMBER.sub(
        lambda match: ADDRESS if any(int(match[0]) in each for each in _ADDRESSES) else match[0], text
    )


_piece_file = re.compile(r"<piece ([0-9]{1,9})>")


def _piece_of(code: Code, num_pieces: int) -> int | None:
    """The index of the piece that code stands in; None of code of a file."""
    match = _piece_file.fullmatch(code[0])
    return int(match[1]) if match is not None and int(match[1]) < num_pieces else None


class _Writer:
    """Puts lines and marks in their order."""

    def __init__(self, frames: Sequence[NativeFrame], sources: Sequence[EventSource], summary: NativeSummary) -> None:
        self._frames, self._summary = frames, summary
        self._sources = sources
        # lines of a piece, and of functions in it, count from 1 in the record; a module's own code may begin at line 0
        self._offsets = [
            source.line - (1 if source.piece is not None else frame.code[1])
            for source, frame in zip(sources, frames, strict=True)
        ]
        self._paths = [frame.path for frame in frames]
        self._left = [len(frame.lines) for frame in frames]
        self._known: list[Mapping[str, str]] = [{}] * len(frames)
        self._line = [frame.code[1] for frame in frames]
        self._stack: list[int] = []
        self._entered = [False] * len(frames)
        self._piece: int | None = None

    def events(self) -> Iterator[Event]:
        """Yield all events."""
        marks = sorted(
            ((mark.at, index, mark) for index, frame in enumerate(self._frames) for mark in frame.marks),
            key=lambda each: each[:2],
        )
        position = 0
        for at, index, mark in marks:
            yield from self._lines(at - position)
            position = at + 1
            yield from self._marked(index, mark)
        while self._stack:
            yield from self._lines(self._left[self._stack[-1]])
            self._stack.pop()
        yield from self._outputs(None)

    def _lines(self, number: int) -> Iterator[Event]:
        """The next lines of the activation that was entered last."""
        if not self._stack:
            return
        index = self._stack[-1]
        for _ in range(min(number, self._left[index])):
            line, known = self._next_line(index)
            changes = _changes(self._known[index], known)
            self._known[index] = known
            yield Event(kind="line", activation=index, line=line + self._offsets[index], changes=changes)

    def _next_line(self, index: int) -> tuple[int, Mapping[str, str]]:
        self._left[index] -= 1
        line, known = next(self._paths[index])
        self._line[index] = line
        return line, known

    def _marked(self, index: int, mark: FrameMark) -> Iterator[Event]:
        line = self._line[index] + self._offsets[index]
        if mark.kind == "call":
            if self._sources[index].piece is not None:
                self._stack.clear()  # the piece before ended, whatever became of its activations
                yield from self._outputs(self._sources[index].piece)
            changes: Mapping[str, str | None] = {}
            if not self._entered[index]:
                self._entered[index] = True
                changes = self._arguments(index)
            self._stack.append(index)
            yield Event(kind="call", activation=index, line=line, changes=changes)
        elif index in self._stack:
            while self._stack[-1] != index:
                self._stack.pop()
            changes = self._after(index, mark.after)
            if mark.kind != "raise":
                self._stack.pop()
            yield Event(kind=mark.kind, activation=index, line=line, changes=changes, value=mark.value or "")

    def _arguments(self, index: int) -> Mapping[str, str | None]:
        """The locals before an activation's first line."""
        frame = self._frames[index]
        if not frame.lines:
            return {}
        self._known[index] = frame.locals_at(0)
        return dict(self._known[index])

    def _after(self, index: int, after: Mapping[str, str | None]) -> Mapping[str, str | None]:
        """The locals that changed since the last line; they are known from then on."""
        if not after:
            return {}
        known = {name: value for name, value in {**self._known[index], **after}.items() if value is not None}
        changes = _changes(self._known[index], known)
        self._known[index] = known
        return changes

    def _outputs(self, piece: int | None) -> Iterator[Event]:
        """The output and echoes of the pieces that ended before this one (None: all)."""
        first = 0 if self._piece is None else self._piece
        last = len(self._summary.pieces) if piece is None else min(piece, len(self._summary.pieces))
        for number in range(first, last):
            ended = self._summary.pieces[number]
            if ended.stdout:
                yield Event(kind="output", activation=-1, value=ended.stdout)
            for echo in ended.echoes:
                yield Event(kind="echo", activation=-1, value=echo)
        self._piece = max(first, last)


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str | None]:
    changes: dict[str, str | None] = {name: value for name, value in after.items() if before.get(name) != value}
    changes.update({name: None for name in before if name not in after})
    return changes
