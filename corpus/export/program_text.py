"""The program that an event log speaks of as one text: the functions that ran, then the snippet.

Functions stand in the order of their files and lines, each once, as their files have them; a function that stands in
another one that is there is not repeated. Before the functions of each file stands a comment with its path, before
methods a line ``class NAME:``, so that the text reads as Python. The snippet's pieces follow, one after the other.

Example: a doctest ``>>> f(2)`` of ``pkg/m.py`` becomes ::

    # pkg/m.py
    def f(x):
        return x + 1

    # << START_OF_TRACE
    f(2)
"""

from __future__ import annotations

from dataclasses import dataclass

from trace_mine.corpus.export.counts import NotGiven
from trace_mine.tracer.event_log import Event, EventLog, EventSource

START = "# << START_OF_TRACE"
"""The comment before the snippet: where a trace begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramText:
    """A program's lines, and where each source of the log begins among them.

    Attributes:
        lines: the text's lines.
        begins: for each source of the log, the index of its first line in ``lines``; -1: it is not there.
        log: the log.
    """

    lines: tuple[str, ...]
    begins: tuple[int, ...]
    log: EventLog

    @property
    def text(self) -> str:
        """All lines, each ended by a newline."""
        return "".join(f"{line}\n" for line in self.lines)

    def index_of(self, event: Event) -> int:
        """The index in ``lines`` of the line at which an event happens; of a call the one with ``def``.

        Raises:
            NotGiven: ``no_source``, the line is not known.
        """
        place = self.log.activations[event.activation]
        source = self.log.sources[place]
        within = event.line - source.line
        if event.kind == "call" and source.piece is None and event.line == source.line:
            within = _definition(source)
        if self.begins[place] < 0 or not 0 <= within < source.text.count("\n") + 1:
            raise NotGiven("no_source")
        return self.begins[place] + within

    def line_of(self, event: Event) -> str:
        """The text of the line at which an event happens. Raises NotGiven, as ``index_of`` does."""
        return self.lines[self.index_of(event)]


def program_text(log: EventLog) -> ProgramText:
    """Write the program of a log."""
    lines: list[str] = []
    begins = [-1] * len(log.sources)
    functions = [place for place, source in enumerate(log.sources) if source.piece is None and source.text]
    functions.sort(key=lambda place: (log.sources[place].path, log.sources[place].line, -len(log.sources[place].text)))
    path: str | None = None
    owner = ""
    outer = -1
    for place in functions:
        source = log.sources[place]
        if outer >= 0 and _holds(log.sources[outer], source):
            begins[place] = begins[outer] + source.line - log.sources[outer].line
            continue
        outer = place
        if source.path != path:
            path, owner = source.path, ""
            lines.append(f"# {_one_line(path)}")
        if _owner(source) != owner:
            owner = _owner(source)
            lines += [f"class {owner}:"] if owner else []
        begins[place] = len(lines)
        lines += [*source.text.split("\n"), ""]
    lines.append(START)
    for place, source in enumerate(log.sources):
        if source.piece is not None:
            begins[place] = len(lines)
            lines += source.text.rstrip("\n").split("\n")
    return ProgramText(lines=tuple(lines), begins=tuple(begins), log=log)


def _definition(source: EventSource) -> int:
    """The index, in a source, of the line with ``def`` or ``class``, which stands after the decorators."""
    for index, line in enumerate(source.text.split("\n")):
        if line.lstrip().startswith(("def ", "async def ", "class ")):
            return index
    return 0


def _holds(outer: EventSource, inner: EventSource) -> bool:
    """Return True if one source is a part of another one."""
    start = inner.line - outer.line
    if outer.path != inner.path or start < 0:
        return False
    lines = inner.text.split("\n")
    return outer.text.split("\n")[start : start + len(lines)] == lines


def _owner(source: EventSource) -> str:
    """The class that a method stands in; empty of a function at module level and of one within a function."""
    owner = source.name.rpartition(".")[0]
    return "" if "<" in owner or not source.text.startswith((" ", "\t")) else owner.rpartition(".")[2]


def _one_line(path: str) -> str:
    return path.replace("\n", " ").replace("\r", " ")
