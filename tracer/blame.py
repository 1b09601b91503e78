"""The constructs to keep as one command where a check of a session fails: those around the command that differs.

A check names the command, or the lines of a frame, at which the session is first seen to differ from the native run.
What did that is the statement there or, if keeping it whole does not help, a construct around it: the function that it
stands in, then the statement that calls the function, and so on outwards. Next come the constructs that gave a variable
which the command reads its value. So one failed check costs a session one construct, not all that is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from trace_mine.tracer.checks import ResultDifference
from trace_mine.tracer.inside.protocol.answers import DriveSummary, NativeSummary
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.syntax.doctext import without_addresses
from trace_mine.tracer.path_check import PathMismatch
from trace_mine.tracer.rounds import Blame, names_in

MOST_WRITERS = 6
"""Earlier commands that are asked for what a command reads: each may cost a session written again."""


def blame(driven: DriveSummary, command: int | None, mismatch: PathMismatch | None = None) -> Blame:
    """Blame constructs for a difference.

    Args:
        driven: the session that differs.
        command: the index of the first command that differs; None where it is not known.
        mismatch: the failed path check, where that failed too: it sees wrong values before anything prints them.
    """
    around = _Around(driven)
    numbers: list[int] = []
    if mismatch is not None:
        path, line, name = mismatch.code
        # the last statement first: it ran right before the difference was seen
        for each in reversed(mismatch.lines):
            numbers += around.statements(path, each)
        if name != "<module>":
            numbers += around.functions(path, line)
        if command is None:
            command = _command_in(driven, path, mismatch.lines)
    if command is not None:
        numbers += [driven.stands_in[index] for index in (command, *_writers(driven, command))]
    places = dict.fromkeys(place for number in numbers for place in around.opened(number))
    return Blame(command=command, places=tuple(places), outermost=around.outermost())


def command_of(native: NativeSummary, driven: DriveSummary, difference: ResultDifference) -> int | None:
    """The index of the first command at which a difference of the results shows, None where no command shows it."""
    if difference.variable is not None:
        wrote = (index for index, each in enumerate(driven.commands) if difference.variable in each.changes)
        return max(wrote, default=None)
    if difference.piece is None:
        return len(driven.commands) - 1 if driven.commands else None
    commands = [index for index, each in enumerate(driven.commands) if each.piece == difference.piece]
    ran, wrote_piece = native.pieces[difference.piece], driven.pieces[difference.piece]
    offset = _first_difference(ran.stdout, wrote_piece.stdout)
    if offset is not None:
        for index in commands:
            if driven.printed[index] > offset:
                return index
    acting = [index for index in commands if driven.commands[index].kind != "reveal"]
    return acting[-1] if acting else None


def _first_difference(ran: str, wrote: str) -> int | None:
    """The position in ``wrote`` of the first character that differs, addresses apart; None where the texts are equal.

    It is the length of ``wrote`` where that is a beginning of ``ran``.
    """
    if without_addresses(ran) == without_addresses(wrote):
        return None
    offset = 0
    lines = ran.splitlines(keepends=True)
    for number, line in enumerate(wrote.splitlines(keepends=True)):
        wanted = lines[number] if number < len(lines) else ""
        if without_addresses(line) != without_addresses(wanted):
            same = next((at for at, pair in enumerate(zip(line, wanted, strict=False)) if pair[0] != pair[1]), None)
            return offset + (min(len(line), len(wanted)) if same is None else same)
        offset += len(line)
    return offset


def _writers(driven: DriveSummary, command: int) -> list[int]:
    """The commands before this one that last wrote what it reads, the latest first."""
    names = names_in(driven.commands[command].source)
    indices: list[int] = []
    for index in range(command - 1, -1, -1):
        each = driven.commands[index]
        if names.intersection(each.wrote):
            indices.append(index)
            if len(indices) == MOST_WRITERS:
                break
    return indices


def _command_in(driven: DriveSummary, path: str, lines: Sequence[int]) -> int | None:
    """The first command of the statement that ran last on these lines."""
    for line in reversed(lines):
        for index, each in enumerate(driven.commands):
            if (each.path, each.line) == (path, line):
                return index
    return None


class _Around:
    """The places of a session, from the inside out."""

    def __init__(self, driven: DriveSummary) -> None:
        self._places = driven.places
        self._with_inner = {place.outer for place in driven.places}

    def opened(self, number: int) -> Iterator[Place]:
        """The place of this number and those around it, innermost first, without statements that are one command."""
        while number:
            place = self._places[number - 1]
            if place.place.column is None or number in self._with_inner:
                yield place.place
            number = place.outer

    def statements(self, path: str, line: int) -> Iterable[int]:
        """The numbers of the statements that begin at this line."""
        return self._numbers(lambda place: place.column is not None and (place.path, place.line) == (path, line))

    def functions(self, path: str, line: int) -> Iterable[int]:
        """The numbers of the function that begins at this line, one for each place that it was called from."""
        return self._numbers(lambda place: place.column is None and (place.path, place.line) == (path, line))

    def outermost(self) -> tuple[Place, ...]:
        """The program's own statements that were opened."""
        numbers = (n for n, each in enumerate(self._places, 1) if not each.outer and n in self._with_inner)
        return tuple(dict.fromkeys(self._places[number - 1].place for number in numbers))

    def _numbers(self, wanted: Callable[[Place], bool]) -> list[int]:
        return [number for number, each in enumerate(self._places, 1) if wanted(each.place)]
