"""Reveals with a spacing: after every k-th command, of variables that are drawn independently of their values.

If the values decided what is shown, then a variable that is *not* shown would tell something, and the exact belief over
hidden outcomes would have to account for it.

A reveal that tells nothing is left out: of a variable that no command has bound since the text gave its value, under
this name or another one that the text has for it (``x = y``), and that still has this value in every state that agrees
with the text. That is known from the text, so it gives nothing away.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import Assigned, assigned

LONGEST_VALUE = 160
"""Characters of a value that such a reveal may show: as many as a reveal of the plain view (``observe/reveals``)."""

STYLES = ("echo", "print")
EDGES = (0.6, 1.2, 2.0)
"""Bits that part questions whose answers are nearly certain, uncertain, and hardly to be answered."""


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
        uncertain: each reveal asks what the text doesn't tell; without outcomes to hide there is none.
        repeats: also reveals that tell nothing are given. A reveal of all variables always gives them all.
        asked: hidden inputs, each with the command that asks for it at the session's end. No reveal is due from the
            first of these commands on.
    """

    every: int
    partial: bool
    style: str
    seed: int
    repeats: bool = False
    uncertain: bool = False
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
        style: that of the spacing.
    """

    def __init__(self, spacing: Spacing) -> None:
        self.asked = tuple(spacing.asked)
        self.style = spacing.style
        self._spacing = spacing
        self._questions = frozenset(spacing.asked.values())
        self._is_over = False
        self._num_commands = 0
        # a dictionary, not a set: the order of insertion makes the draw the same in every process, whatever its hash
        # seed
        self._names: dict[str, None] = {}
        self._reveal_of: dict[str, str] = {}  # the command of each reveal that was given, with its variable
        self._given: dict[str, str] = {}  # variables whose value the text gave since it was bound, as a reveal shows it
        self._same: dict[str, int] = {}  # variables that the text binds to one value, by a number for each value
        # seeded by a text, which ``random`` hashes by SHA-512: neighbouring seeds give unrelated draws
        self._draw = random.Random(f"reveals {spacing.seed}")

    def emitted(self, source: str, output: str, error: str | None) -> None:
        """Take note of an executed command: a reveal, or the first question for a hidden input, which ends them."""
        self._is_over = self._is_over or source in self._questions
        name = self._reveal_of.get(source)
        if name is not None and error is None:
            prefix = f"{name} " if self._spacing.style == "print" else ""
            shown = output.removesuffix("\n").removeprefix(prefix)
            self._given.update(dict.fromkeys((name, *self._other_names(name)), shown))

    def given(self, name: str) -> tuple[str, str] | None:
        """Return an expression, and its value where the variable still is what the text gave; None: it was bound since.

        None, too, where reveals are wanted that tell nothing.
        """
        spacing = self._spacing
        if spacing.repeats or not spacing.partial or name not in self._given:
            return None
        conversion = "" if spacing.style == "print" else "!r"
        return f'f"{{{name}{conversion}}}"', self._given[name]

    def due(
        self,
        source: str,
        binds: Sequence[str],
        may_show: Callable[[str], bool],
        uncertain: Callable[[Sequence[str]], Mapping[str, float]] | None = None,
    ) -> list[str]:
        """Return the reveals after a command, as commands.

        Args:
            source: the command.
            binds: the names that the command's text binds. The variables whose value changed would not do: which ones
                changed may depend on hidden outcomes.
            may_show: returns True for a variable whose value may be shown now.
            uncertain: returns expressions over variables whose values the text doesn't tell, with the bits that are
                missing; None where nothing is hidden.
        """
        self._names.update(dict.fromkeys(binds))
        for name in binds:
            self._given.pop(name, None)
            self._same.pop(name, None)
        self._note_assigned(assigned(source))
        # a reveal is reported by ``emitted`` alone, so reveals do not count as commands here
        self._num_commands += 1
        spacing = self._spacing
        if self._is_over or not spacing.every or self._num_commands % spacing.every:
            return []
        # shuffled whether or not all are shown, and before anything is asked of values: the generator's state stays a
        # function of the text alone
        names = list(self._names)
        self._draw.shuffle(names)
        if spacing.uncertain:
            return self._asks({} if uncertain is None else uncertain(names))
        reveals: list[str] = []
        for name in names:
            if may_show(name):
                reveal = f"print({name!r}, {name})" if spacing.style == "print" else name
                self._reveal_of[reveal] = name
                reveals.append(reveal)
                if spacing.partial:
                    return reveals
        return sorted(reveals)

    def another(self, uncertain: Callable[[Sequence[str]], Mapping[str, float]]) -> list[str]:
        """Return a second question after a command, where questions are of what the text doesn't tell."""
        if not self._spacing.uncertain or self._is_over:
            return []
        names = list(self._names)
        self._draw.shuffle(names)
        return self._asks(uncertain(names))

    def _asks(self, bits: Mapping[str, float]) -> list[str]:
        """Return a question of those with these bits: each degree of uncertainty comes as often as the others."""
        degrees: dict[int, list[str]] = {}
        for question in sorted(bits):
            degrees.setdefault(sum(bits[question] > edge for edge in EDGES), []).append(question)
        if not degrees:
            return []
        question = self._draw.choice(degrees[self._draw.choice(sorted(degrees))])
        reveal = f"print({question!r}, {question})" if self._spacing.style == "print" else question
        if question.isidentifier():
            self._reveal_of[reveal] = question
        return [reveal]

    def forget(self, name: str) -> None:
        """Leave a variable out that is gone."""
        self._names.pop(name, None)
        self._given.pop(name, None)
        self._same.pop(name, None)

    def _other_names(self, name: str) -> list[str]:
        number = self._same.get(name)
        return [] if number is None else [other for other, of_other in self._same.items() if of_other == number]

    def _note_assigned(self, command: Assigned) -> None:
        """Take note of the names that a command binds to one value, and of the value, where the text gives it."""
        if not command.names:
            return
        if command.is_spelt:
            assert command.value is not None  # an assignment's
            value = ast.literal_eval(command.value)
            shown = str(value) if self._spacing.style == "print" else repr(value)
            self._given.update(dict.fromkeys(command.names, shown))
        elif command.other in self._given:
            self._given.update(dict.fromkeys(command.names, self._given[command.other]))
        other = command.other
        names = (*command.names, *([other] if other is not None and other.isidentifier() else []))
        if len(names) > 1:
            number = self._same.get(names[-1], self._num_commands)
            self._same.update(dict.fromkeys(names, number))
