"""The path check, the second of the three checks of every trace: the lines and the locals of every opened frame equal
those that ``sys.settrace`` recorded in the native run.

It runs no code of the snippet: values arrive as text.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from trace_mine.tracer.checks import NOTHING, Unstable, same_text
from trace_mine.tracer.inside.protocol.answers import Code, DrivenFrame, Event, NativeFrame


class PathMismatch(Exception):
    """The path check failed in a frame of ``code``; the message is the evidence.

    ``lines`` are those of the statements that the session ran in the frame since the two were last seen to be equal, in
    their order: one of them did something else than in the native run. Empty where they differ from the start.
    """

    def __init__(self, code: Code, evidence: str, lines: Sequence[int] = ()) -> None:
        super().__init__(evidence)
        self.code = code
        self.lines = tuple(lines)


MORE_VALUES = 4_000_000
"""Lines, and values of variables at them, that the path check looks at in recorded frames, beyond two for each that the
records hold: some three seconds.

Real sessions find each frame at once or nearly so. A forged one whose frames each equal the last of many, 1,500 of 20
lines, took 53 s before there was a bound.
"""


class _TooMuchWork(Exception):
    """The path check has looked at as much as it may."""


class _Budget:
    """The number of values that may still be looked at."""

    def __init__(self, values: int) -> None:
        self._left = values

    def take(self, values: int) -> None:
        """Take so many. Raises _TooMuchWork where fewer are left."""
        self._left -= values
        if self._left < 0:
            raise _TooMuchWork


def check_paths(recorded: Sequence[NativeFrame], driven: Sequence[DrivenFrame], unstable: Unstable = NOTHING) -> None:
    """Check the path: every driven frame equals a recorded frame of the same code, a different one for each.

    A recorded frame that was never opened (its call was kept as one command) is passed over. Lines at which the driver
    kept something as one command are passed over in both. Frames of one function are tried in the order of their
    calls, so a session that follows all calls finds each at once. The evidence is the difference from the first frame
    that is left, the one that should have been equal.

    The work is bounded by the size of the records, whatever a forged one makes of it: it is a mismatch where there is
    too much to look at.

    Raises:
        PathMismatch: a driven frame has no equal.
    """
    num_values = sum(1 + len(frame.lines) * (1 + len(frame.columns)) for frame in (*recorded, *driven))
    budget = _Budget(2 * num_values + MORE_VALUES)
    by_code: dict[Code, dict[int, NativeFrame]] = {}
    for number, candidate in enumerate(recorded):
        by_code.setdefault(_key(candidate), {})[number] = candidate
    for frame in driven:
        code = _key(frame)
        # a dict, in the order of the calls: from a list of many frames the first is taken out in as many steps
        candidates = by_code.get(code, {})
        comparable = {first for first, _ in frame.comparable}
        if not candidates and not any(line in comparable for line in frame.lines):
            # A frame whose statements all share a line with others (a lambda's body, ``def f(): return 1``): settrace
            # has no event for them that could be compared.
            continue
        evidence: str | None = None
        lines: Sequence[int] = ()
        session = _Session(frame, unstable.names)
        match: int | None = None
        try:
            for number, candidate in candidates.items():
                difference = session.difference(candidate, budget)
                if difference is None:
                    match = number
                    break
                if evidence is None:
                    evidence, lines = difference.evidence, session.lines_before(difference.entry)
        except _TooMuchWork:
            evidence = "too much to look at in the frames of this function"
        if match is None:
            evidence = evidence or "settrace recorded no frame of this function"
            raise PathMismatch(code, f"{code[2]} at {code[0]}:{code[1]}: {evidence}", lines)
        # taken: without this, a call that ran once would explain a session that shows it twice
        del candidates[match]


def _key(frame: NativeFrame | DrivenFrame) -> Code:
    filename, line, name = frame.code
    return filename, line, _number_at_end.sub("", name)  # a function of a followed call may have got a number


def compare_frame(recorded: NativeFrame, driven: DrivenFrame, ignored: frozenset[str] = frozenset()) -> str | None:
    """The first difference between a recorded frame and a driven one as evidence, None if they are equal.

    settrace reports lines, the driver runs statements. So each event is assigned to the statement on whose lines it
    lies, and counts once for each time that control enters the statement. Only ``comparable`` statements outside of
    ``gaps`` are compared: first the lines and locals of each, in order, then how many there are. Names in ``ignored``
    are not compared.
    """
    difference = _Session(driven, ignored).difference(recorded, _Budget(sys.maxsize))
    return None if difference is None else difference.evidence


class _FrameDifference(NamedTuple):
    """Where a driven frame differs from a recorded one: evidence, and the number of the driven frame's entry."""

    evidence: str
    entry: int


class _Session:
    """A driven frame, ready to be compared with recorded ones: what depends on it alone is found out once.

    All of it takes time in proportion to the frame's size, up to a logarithm: gaps and statements may be forged, each
    of them over all lines.
    """

    def __init__(self, driven: DrivenFrame, ignored: frozenset[str]) -> None:
        self._ignored = ignored
        gaps = _Owners(driven.gaps)
        self._kept = {line for line, _ in driven.comparable if gaps.of(line) is None}
        self._statements = _Owners(driven.comparable)
        self._last_line = dict(driven.comparable)
        self._lines = driven.lines
        self._wrote: list[Event] = []
        self._visits: list[int] = []  # for each entry, its index among the frame's lines
        for index, line in enumerate(driven.lines):
            if line in self._kept:
                entry = line, driven.locals_at(index)
                if not self._wrote or self._wrote[-1] != entry:
                    self._wrote.append(entry)
                    self._visits.append(index)

    def lines_before(self, entry: int) -> Sequence[int]:
        """The lines of the statements that ran since the entry before this one."""
        visits = [*self._visits, len(self._lines)]
        return self._lines[visits[entry - 1] if entry else 0 : visits[min(entry, len(visits) - 1)]]

    def difference(self, recorded: NativeFrame, budget: _Budget) -> _FrameDifference | None:
        """The first difference; what comes after it is not looked at. Raises _TooMuchWork."""
        num_ran = 0
        # lazily: of a frame that differs, most differ in their first lines
        for num_ran, (line, state) in enumerate(_distinct(self._entries(recorded, budget)), 1):
            if num_ran > len(self._wrote):
                continue  # counted, for the evidence below
            other_line, other = self._wrote[num_ran - 1]
            if line != other_line:
                evidence = f"step {num_ran - 1}: settrace at line {line}, session at line {other_line}"
                return _FrameDifference(evidence, num_ran - 1)
            difference = _state_difference(state, other, self._ignored)
            if difference is not None:
                return _FrameDifference(f"line {line}: {difference}", num_ran - 1)
        if num_ran != len(self._wrote):
            evidence = f"settrace saw {num_ran} statements, the session ran {len(self._wrote)}"
            return _FrameDifference(evidence, min(num_ran, len(self._wrote)))
        return None

    def _entries(self, recorded: NativeFrame, budget: _Budget) -> Iterator[Event]:
        """The events of a recorded frame by the statements on whose lines they lie, those that are kept by their first
        line.

        A statement has an entry for each time that control enters it, and one for each event at its first line.
        """
        before: int | None = None
        cost = 1 + len(recorded.columns)
        for index, line in enumerate(recorded.lines):
            budget.take(cost)
            start = self._statements.of(line)
            # A statement of many lines makes many events, and the first is not always at its first line: CPython
            # evaluates the arguments of a call that is spread over lines before it comes back to the line of the call.
            if start is not None and start in self._kept and (start != before or self._last_line[start] == start):
                yield start, recorded.locals_at(index)
            before = start


class _Owners:
    """Of overlapping (first, last) spans of lines: which one a line belongs to, the last in their order.

    The spans are cut at their ends into pieces that none of them divides. They are then gone through backwards, and
    each takes the pieces that no later one has taken; taken pieces are skipped together.
    """

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        spans = [(first, last) for first, last in spans if first <= last]
        self._starts = sorted({edge for first, last in spans for edge in (first, last + 1)})
        place = {start: index for index, start in enumerate(self._starts)}
        self._owners: list[int | None] = [None] * len(self._starts)
        free = list(range(len(self._starts) + 1))  # the next piece from this one on that is not taken, or nearer to it
        for first, last in reversed(spans):
            index, end = _next_free(free, place[first]), place[last + 1]
            while index < end:
                self._owners[index] = first
                free[index] = index + 1
                index = _next_free(free, index)

    def of(self, line: int) -> int | None:
        """The first line of the span that the line belongs to, None if it is in none."""
        index = bisect_right(self._starts, line) - 1
        return self._owners[index] if index >= 0 else None


def _next_free(free: list[int], index: int) -> int:
    while free[index] != index:
        free[index] = free[free[index]]  # halves the way, so that all of them together are short
        index = free[index]
    return index


def _distinct(path: Iterable[Event]) -> Iterator[Event]:
    """Drop an entry equal to the one before it: a statement of many lines makes many events at its first line."""
    before: Event | None = None
    for entry in path:
        if entry != before:
            yield entry
        before = entry


_number_at_end = re.compile(r"_\d+$")


def _state_difference(ran: Mapping[str, str], wrote: Mapping[str, str], ignored: frozenset[str]) -> str | None:
    """The first name, in alphabetical order, that is bound on one side only or to another value."""
    # sorted, so that the evidence of a drop is the same each time that it is mined
    for name in sorted((ran.keys() | wrote.keys()) - ignored):
        if name in ran and name in wrote and not same_text(ran[name], wrote[name]):
            return f"{name} is {ran[name][:120]} in settrace, {wrote[name][:120]} in the session"
        if name in ran and name not in wrote:
            return f"{name} is bound in settrace only ({ran[name][:80]})"
        if name in wrote and name not in ran:
            return f"{name} is bound in the session only ({wrote[name][:80]})"
    return None
