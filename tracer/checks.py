"""Two of the three checks of every trace, on data that two sandboxed runs sent. The third, replay, needs a run of its
own, which ``replay_check`` asks for.

The result check: for each piece, the session's output, echoes and exception equal the native run's; so do the
variables at the end.

The path check: the lines and the locals of every opened frame equal those that ``sys.settrace`` recorded in the native
run.

Neither check runs any code of the snippet: values arrive as text.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from trace_mine.tracer.inside.protocol.answers import (
    Code,
    DrivenFrame,
    DriveSummary,
    Error,
    Event,
    NativeFrame,
    NativePieceResult,
    NativeSummary,
    PieceResult,
)
from trace_mine.tracer.inside.syntax import doctext


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstable:
    """The parts in which two native runs of one program differ, so that they prove nothing against a session.

    ``names`` are variables (of any frame), ``pieces`` indices of pieces whose output or exception text differs,
    ``orders`` of pieces that echo equal values in other words: the order of a set.
    """

    names: frozenset[str] = frozenset()
    pieces: frozenset[int] = frozenset()
    orders: frozenset[int] = frozenset()


def unstable_parts(
    one: NativeSummary, other: NativeSummary, frames: Sequence[NativeFrame], others: Sequence[NativeFrame]
) -> Unstable:
    """Compare two native runs of one program.

    ``frames`` are those of ``one``, ``others`` those of ``other``, each in the order of their calls. Frames are paired
    by that order, and lines within a pair too: where the paths part, what follows differs by chance, and more names
    are called unstable than need be. That errs on the safe side, since an unstable name is only left out of a check.
    """
    bound = one.variables.keys() | other.variables.keys()
    names = {name for name in bound if one.variables.get(name) != other.variables.get(name)}
    for frame, twin in zip(frames, others, strict=False):
        for name in frame.columns.keys() & twin.columns.keys():
            values = zip(frame.columns[name], twin.columns[name], strict=False)
            # a name that only one run bound at a line tells of another path, not of another value
            if any(ours is not None and theirs is not None and ours != theirs for ours, theirs in values):
                names.add(name)
    pieces: set[int] = set()
    orders: set[int] = set()
    # not strict: the run that raised earlier has fewer pieces, and the pieces after that have nothing to compare with
    for index, (ran, again) in enumerate(zip(one.pieces, other.pieces, strict=False)):
        # texts first: where they differ, checksums differ too, and would call an order what is another value
        if _shown_by(ran) != _shown_by(again):
            pieces.add(index)
        elif ran.repr_checksums != again.repr_checksums:
            orders.add(index)
    return Unstable(names=frozenset(names), pieces=frozenset(pieces), orders=frozenset(orders))


def _shown_by(piece: NativePieceResult) -> tuple[str, tuple[str, ...], Error | None]:
    return piece.stdout, piece.echoes, piece.exception


NOTHING = Unstable()
"""The unstable parts of a program that ran once: none is known to differ by itself yet."""


def check_result(
    native: NativeSummary, driven: DriveSummary, *, single: bool, unstable: Unstable = NOTHING
) -> str | None:
    """Check the result: the first difference between the native run and the session as evidence, None if there is none.

    ``single``: the pieces are examples at a prompt, whose echoes count; a script's expression statements echo nothing.
    What is ``unstable`` is not compared.
    """
    # pieces before variables: a piece that ended early leaves variables unbound, and its exception says why
    for index, (ran, wrote) in enumerate(zip(native.pieces, driven.pieces, strict=False)):
        difference = _piece_difference(ran, wrote, single=single, is_unstable=index in unstable.pieces)
        if difference is not None:
            return f"piece {index}: {difference}"
    if len(native.pieces) != len(driven.pieces):
        return f"native ran {len(native.pieces)} pieces, the session {len(driven.pieces)}"
    for name in sorted(native.variables.keys() | driven.variables.keys()):
        ran_value, wrote_value = native.variables.get(name), driven.variables.get(name)
        # the spare name is the session's own: the driver took one that the program binds nowhere
        if name == driven.spare or name in unstable.names:
            continue
        # a name that one side lacks is a difference as well: the session forgot a variable, or left one over
        if ran_value is None or wrote_value is None or not _same(ran_value, wrote_value):
            return f"variable {name}: native {str(ran_value)[:200]}, session {str(wrote_value)[:200]}"
    return None


def _piece_difference(ran: PieceResult, wrote: PieceResult, *, single: bool, is_unstable: bool) -> str | None:
    """The first difference between a piece as it ran natively and in the session; of an unstable one only the type of
    its exception counts.
    """
    # The exception's text is not compared: it names the file, which the driver compiles under another name.
    if ran.is_syntax_error or wrote.is_syntax_error:
        if ran.is_syntax_error != wrote.is_syntax_error:
            return f"native {ran.exception}, session {wrote.exception}"
        return None
    if is_unstable:
        # its text proves nothing, but another type of exception is another way through the program
        same = _type_name(ran.exception) == _type_name(wrote.exception)
        return None if same else f"native raised {ran.exception}, session raised {wrote.exception}"
    if ran.exception != wrote.exception:
        return f"native raised {ran.exception}, session raised {wrote.exception}"
    if _masked(ran.stdout) != _masked(wrote.stdout):
        # cut, as all evidence: a program may print a megabyte, and evidence is a line for people
        return f"native printed {ran.stdout[:200]!r}, session printed {wrote.stdout[:200]!r}"
    if single and ran.echoes != wrote.echoes:
        return f"native echoed {list(ran.echoes[:3])}, session echoed {list(wrote.echoes[:3])}"
    return None


def _type_name(error: Error | None) -> str | None:
    return None if error is None else error.type_name


def _masked(text: str) -> str:
    # ``<object at 0x7f...>``: no two runs print the same address, nor the same files of a printed traceback's frames
    return doctext.without_addresses(doctext.comparable(text) if doctext.has_printed_frames(text) else text)


class PathMismatch(Exception):
    """The path check failed in a frame of ``code``; the message is the evidence."""

    def __init__(self, code: Code, evidence: str) -> None:
        super().__init__(evidence)
        self.code = code


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
        session = _Session(frame, unstable.names)
        match: int | None = None
        try:
            for number, candidate in candidates.items():
                difference = session.difference(candidate, budget)
                if difference is None:
                    match = number
                    break
                evidence = evidence or difference
        except _TooMuchWork:
            evidence = "too much to look at in the frames of this function"
        if match is None:
            evidence = evidence or "settrace recorded no frame of this function"
            raise PathMismatch(code, f"{code[2]} at {code[0]}:{code[1]}: {evidence}")
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
    return _Session(driven, ignored).difference(recorded, _Budget(sys.maxsize))


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
        entries = ((line, driven.locals_at(index)) for index, line in enumerate(driven.lines) if line in self._kept)
        self._wrote = list(_distinct(entries))

    def difference(self, recorded: NativeFrame, budget: _Budget) -> str | None:
        """The first difference as evidence; what comes after it is not looked at. Raises _TooMuchWork."""
        num_ran = 0
        # lazily: of a frame that differs, most differ in their first lines
        for num_ran, (line, state) in enumerate(_distinct(self._entries(recorded, budget)), 1):
            if num_ran > len(self._wrote):
                continue  # counted, for the evidence below
            other_line, other = self._wrote[num_ran - 1]
            if line != other_line:
                return f"step {num_ran - 1}: settrace at line {line}, session at line {other_line}"
            difference = _state_difference(state, other, self._ignored)
            if difference is not None:
                return f"line {line}: {difference}"
        # of a record that is cut only the beginning can be compared
        if num_ran > len(self._wrote) or (num_ran < len(self._wrote) and not recorded.is_cut):
            return f"settrace saw {num_ran} statements, the session ran {len(self._wrote)}"
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
_number = re.compile(r"(?<=\w)_\d+(?=[(>])")


def _same(ran: str, wrote: str) -> bool:
    """Equal texts, but for the number that a function or class of a followed call may have got at its name.

    The driver runs bodies of calls in the session's one namespace, where a second ``def step`` becomes ``step_2``; its
    value shows as ``<function step_2>``, and an instance of a class as ``Point_1(x=1)``.
    """
    return ran == wrote or _number.sub("", ran) == _number.sub("", wrote)


def _state_difference(ran: Mapping[str, str], wrote: Mapping[str, str], ignored: frozenset[str]) -> str | None:
    """The first name, in alphabetical order, that is bound on one side only or to another value."""
    # sorted, so that the evidence of a drop is the same each time that it is mined
    for name in sorted((ran.keys() | wrote.keys()) - ignored):
        if name in ran and name in wrote and not _same(ran[name], wrote[name]):
            return f"{name} is {ran[name][:120]} in settrace, {wrote[name][:120]} in the session"
        if name in ran and name not in wrote:
            return f"{name} is bound in settrace only ({ran[name][:80]})"
        if name in wrote and name not in ran:
            return f"{name} is bound in the session only ({wrote[name][:80]})"
    return None
