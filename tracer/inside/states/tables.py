"""Tables: what a command does to states, learnt once for each of the values of the variables that it names.

A table belongs to one command of one world. For the numbers that some states have at the positions of the command's
variables (``packing``) it holds every result that the command may have from there: its probability, the difference
between the state after and the one before, and the text that is shown. It is learnt by running the command, along all
its paths, in a namespace of these variables alone.

Left to the world, which runs the command from the whole state: what uses anything but plain data and harmless functions
(``footprints``), what samples a draw or isn't followed in full, and what changes state outside the namespace.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Protocol

from trace_mine.tracer.inside.states.footprints import HARMLESS, names_of
from trace_mine.tracer.inside.states.packing import REST, Packing
from trace_mine.tracer.inside.states.records import Mode, Reach

Moves = Sequence[tuple[float, int, str, bool | None, str | None]]
"""(probability, difference of states, text, truth of a test, name of an exception's class) of each result."""

MOST_LEARNT = 200_000
"""Rows of a table, and of all tables together as many times as there are commands; 100 bytes each."""


class Small(Protocol):
    """A world of plain data: see ``world``."""

    def learn(self, source: str, mode: Mode, state: int, names: frozenset[str]) -> Reach | None:
        """All results of a command from a state, None where the world itself has to run it."""
        ...


class Table:
    """The effect of one command.

    Attributes:
        mask: the bits of the command's variables, and of the rest.
        moves_by_key: the moves for states with these bits; None where the world has to run the command.
    """

    def __init__(self, source: str, mode: Mode, names: frozenset[str], packing: Packing, small: Small) -> None:
        self._source = source
        self._mode = mode
        self._names = names
        self._packing = packing
        self._small = small
        self._num_positions = -1
        self.mask = REST
        self.moves_by_key: dict[int, Moves | None] = {}

    def look(self) -> None:
        """Widen the mask where states have groups that they had not before."""
        if self._packing.num_positions != self._num_positions:
            self._num_positions = self._packing.num_positions
            self.mask = self._packing.mask(self._names)

    def moves(self, state: int) -> Moves | None:
        """What the command does from a state; None where the world has to run it."""
        self.look()
        key = state & self.mask
        try:
            return self.moves_by_key[key]
        except KeyError:
            pass
        moves = self._learnt(key) if len(self.moves_by_key) < MOST_LEARNT else None
        self.moves_by_key[key] = moves
        return moves

    def _learnt(self, key: int) -> Moves | None:
        rest = self._packing.rest(key)
        if rest.is_seeded or not self._names.isdisjoint(rest.others):
            return None
        reach = self._small.learn(self._source, self._mode, key, self._names)
        if reach is None:
            return None
        moves = []
        for result in reach.results:
            if not isinstance(result.state, int):
                return None
            moves.append((result.probability, result.state - key, result.text, result.value, result.raised))
        return moves


def names_of_command(source: str, mode: Mode, is_built_in: Callable[[str], bool]) -> frozenset[str] | None:
    """The names of a command that may have a table; None where it may have none.

    Args:
        is_built_in: tells if a name is one of the interpreter's built-ins.
    """
    try:
        tree = ast.parse(source, mode="eval" if mode == "eval" else "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    names = names_of(tree)
    if names is None or any(name not in HARMLESS and is_built_in(name) for name in names):
        return None
    return names
