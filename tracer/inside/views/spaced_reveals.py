"""Reveals with a spacing: after every k-th command, of variables that are drawn independently of their values.

If the values decided what is shown, then a variable that is *not* shown would tell something, and the exact belief over
hidden outcomes would have to account for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trace_mine.tracer.inside.observe import values

LONGEST_VALUE = 160
"""Characters of a value that such a reveal may show: as many as a reveal of the plain view (``observe/reveals``)."""

STYLES = ("echo", "print")


def is_showable(value: object) -> bool:
    """Return True if the value's ``repr`` is short and runs no code of the snippet."""
    return values.stable(value) and len(repr(value)) <= LONGEST_VALUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Spacing:
    """The reveals that a session gets.

    Attributes:
        every: commands between two reveals; 0 for none but the program's own output.
        partial: True for one variable at a time, False for all.
        style: ``echo`` (``>>> x``) or ``print`` (``>>> print('x', x)``).
        seed: the seed by which variables are drawn.
        asked: hidden inputs, each with the command that asks for it at the session's end. No reveal is due from the
            first of these commands on.
    """

    every: int
    partial: bool
    style: str
    seed: int
    asked: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.every < 0:
            raise ValueError(f"expected every >= 0, got every={self.every}; 0 stands for no reveals")
        if self.style not in STYLES:
            raise ValueError(f"expected a style of {STYLES}, got style={self.style!r}; choose one of them")


class SpacedReveals:
    """Counts a session's commands and draws its reveals.

    Attributes:
        asked: the names of the hidden inputs.
    """

    def __init__(self, spacing: Spacing) -> None:
        self.asked = tuple(spacing.asked)
        self._spacing = spacing
        self._questions = frozenset(spacing.asked.values())
        self._is_over = False
        self._num_commands = 0
        # a dictionary, not a set: the order of insertion makes the draw the same in every process, whatever its hash
        # seed
        self._names: dict[str, None] = {}
        # seeded by a text, which ``random`` hashes by SHA-512: neighbouring seeds give unrelated draws
        self._draw = random.Random(f"reveals {spacing.seed}")

    def emitted(self, source: str) -> None:
        """Take note of an executed command: the first question for a hidden input ends the reveals."""
        self._is_over = self._is_over or source in self._questions

    def due(self, binds: Sequence[str], may_show: Callable[[str], bool]) -> list[str]:
        """Return the reveals after a command, as commands.

        Args:
            binds: the names that the command's text binds. The variables whose value changed would not do: which ones
                changed may depend on hidden outcomes.
            may_show: returns True for a variable whose value may be shown now.
        """
        self._names.update(dict.fromkeys(binds))
        # a reveal is reported by ``emitted`` alone, so reveals do not count as commands here
        self._num_commands += 1
        spacing = self._spacing
        if self._is_over or not spacing.every or self._num_commands % spacing.every:
            return []
        # shuffled whether or not all are shown, and before anything is asked of values: the generator's state stays a
        # function of the text alone
        names = list(self._names)
        self._draw.shuffle(names)
        reveals: list[str] = []
        for name in names:
            if may_show(name):
                reveals.append(f"print({name!r}, {name})" if spacing.style == "print" else name)
                if spacing.partial:
                    return reveals
        return sorted(reveals)

    def forget(self, name: str) -> None:
        """Leave a variable out that is gone."""
        self._names.pop(name, None)
