"""A support: the weighted set of states that a session may be in, given everything that it has shown.

``Support.push`` runs one command from every state, under every outcome of the draws that it makes. States that come out
equal are one state again: twenty maybe-swaps of three cups are six states and not a million paths, in 8 ms. ``World``
remembers the results of a command from a state: (command, state) is a transition of the automaton that the session is.

Source: the forward algorithm of hidden Markov models, with states that are found on the way. On 360 sequences of two to
four cups it agreed with the exact joint filter to 3.3e-16.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from trace_mine.tracer.inside.states.records import NEGLIGIBLE, Oddity, State
from trace_mine.tracer.inside.states.world import World

MOST_SNAPSHOTS = 4_096
MANY = 8
"""States from which on they are numbers: packing one takes as long as running a command from it."""
MOST_NUMBERS = 65_536
"""States that are kept where they are numbers, of eight distinct items 40,320."""
LIGHTEST = 1e-15
"""Relative weight below which a state is dropped: its mass is counted as lost."""


class Impossible(Exception):
    """The text that was shown has no mass: the namespace is not all of the state, or a sampled number was shown.

    Attributes:
        law: that of the text before it was shown.
        lost: the mass that was not followed, and may be that of the text.
    """

    def __init__(self, message: str, law: dict[str, float], lost: float) -> None:
        super().__init__(message)
        self.law = law
        self.lost = lost


class Joint(Protocol):
    """A receiver of masses of states and texts: see ``state_laws``."""

    def add(self, state: State, text: str, mass: float) -> None:
        """Add to the mass of a state with a text."""
        ...


Mark = tuple[dict[State, float], float, float, int]
"""The states with their weights, the lost mass, the logarithm of the followed mass, and the number of commands."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The facts of a command that was not run yet.

    Attributes:
        is_one: it has one outcome alone: it shows the same whatever is hidden.
        oddities: what some outcome has for which a session writes the command in another way.
        shows: some outcome shows a text.
    """

    is_one: bool
    oddities: frozenset[Oddity]
    shows: bool = True


class Support:
    """The states that a session may be in, with their weights.

    Attributes:
        states: the weight of each state; they sum to 1.
        lost: the mass that was not followed, relative to that of ``states``. Of it nobody knows if it agrees with what
            was shown, so that it grows where the mass that was followed is conditioned.
        log_mass: the logarithm of the probability of everything shown, as far as it was followed.
    """

    def __init__(self, world: World, max_states: int | None = None) -> None:
        self.world = world
        self.max_states = max_states
        self.states: dict[State, float] = {world.start: 1.0}
        self.lost = 0.0
        self.log_mass = 0.0
        self._turn = 0

    def mark(self) -> Mark:
        """The support as it is, to ``go_back`` to."""
        return self.states, self.lost, self.log_mass, self._turn

    def go_back(self, mark: Mark) -> None:
        """Be as the support was when ``mark`` gave this; the world keeps what it has learnt since."""
        self.states, self.lost, self.log_mass, self._turn = mark

    def push(self, source: str, shown: str | None, joint: Joint | None = None) -> dict[str, float]:
        """Run the command from all states, and keep those that agree with the text that it showed.

        Args:
            source: the command.
            shown: the text; None where nobody looked at it, so that all states are kept.
            joint: gets the mass of each state after the command with the text that leads there, before states are left
                out.

        Returns:
            The mass of each text that the command may have shown, the support being what it was before.

        Raises:
            Impossible: no state agrees.
            Spent, RunsDisagree: see ``World.run``.
        """
        law: dict[str, float] = {}
        agreeing: dict[State, float] = {}
        lost = self.lost
        # A number for each command of the session: a state that comes back must not repeat its sampled draws.
        self._turn += 1
        world = self.world
        self._choose_form()
        table = world.table(source, "single") if world.packs else None
        for state, weight in self.states.items():
            # The loop within a loop of a million turns: what a table knows is not asked for by a call.
            moves = None
            if table is not None and isinstance(state, int):
                table.look()
                moves = table.moves_by_key.get(state & table.mask)
            if moves is not None:
                for probability, more, text, _, _ in moves:
                    mass = weight * probability
                    law[text] = law.get(text, 0.0) + mass
                    if joint is not None:
                        joint.add(state + more, text, mass)  # type: ignore[operator]  # a number, as it has moves
                    if shown is None or text == shown:
                        after = state + more  # type: ignore[operator]  # a number, as it has moves
                        agreeing[after] = agreeing.get(after, 0.0) + mass
                continue
            unexplored, results = world.follow(source, "single", state, self._turn)
            lost += weight * unexplored
            for probability, end, text, _, _ in results:
                mass = weight * probability
                law[text] = law.get(text, 0.0) + mass
                if joint is not None:
                    joint.add(end, text, mass)
                if shown is None or text == shown:
                    agreeing[end] = agreeing.get(end, 0.0) + mass
        total = sum(agreeing.values())
        if total <= 0:
            raise Impossible(f"{source!r} showed {shown!r}, which no state allows: {sorted(law)[:3]}", law, lost)
        most = self.max_states if self.max_states is not None else MOST_NUMBERS if world.packs else MOST_SNAPSHOTS
        if len(agreeing) > most:
            # Of equally heavy states those met first stay (sorting is stable): another order would be another row.
            heaviest = sorted(agreeing.items(), key=lambda item: -item[1])[:most]
            agreeing = dict(heaviest)
        agreeing = {state: mass for state, mass in agreeing.items() if mass >= LIGHTEST * total}
        remaining = sum(agreeing.values())
        self.states = {state: mass / remaining for state, mass in agreeing.items()}
        self.lost = (lost + total - remaining) / remaining
        self.log_mass += math.log(remaining)
        return law

    def look(self, source: str, mode: Literal["single", "eval"] = "single") -> Outlook:
        """Run the command from all states and keep them as they are: what may be seen of it, before it is seen.

        Oddities are those of all runs of the command so far. Which these were follows from the text, too.

        Raises:
            Spent, RunsDisagree: see ``World.run``.
        """
        self._choose_form()
        seen: set[tuple[str, bool | None, str | None]] = set()
        lost = 0.0
        for state in self.states:
            unexplored, results = self.world.follow(source, mode, state, self._turn + 1)
            lost += unexplored
            seen.update((text, value, raised) for _, _, text, value, raised in results)
        oddities = frozenset(self.world.oddities.get(source, ()))
        is_one = len(seen) == 1 and lost <= NEGLIGIBLE
        if is_one and oddities:
            # outcomes that look alike may differ in what is not shown: what was printed above a traceback
            (state, *others) = self.states
            is_one = not others and self.world.run(source, mode, state, self._turn + 1).num_paths == 1
        return Outlook(is_one, oddities, any(text for text, _, _ in seen))

    def _choose_form(self) -> None:
        """Have states as numbers where there are many."""
        num_states = len(self.states)
        if self.world.packs != (num_states > 2 if self.world.packs else num_states >= MANY):
            self.world.packs = not self.world.packs
            form = self.world.packed if self.world.packs else self.world.unpacked
            self.states = {form(state): weight for state, weight in self.states.items()}


def agreed(world: World, source: str, states: Iterable[State]) -> bool | None:
    """The truth of an expression where every state and every draw gives the same one.

    None where they differ, where the expression raises or was not followed in full, and of no states at all.
    """
    truths: set[bool | None] = set()
    for state in states:
        unexplored, results = world.follow(source, "eval", state)
        truths |= {None if raised else value for _, _, _, value, raised in results}
        if unexplored > NEGLIGIBLE:
            return None
        if len(truths) > 1 or None in truths:
            return None
    return truths.pop() if truths else None
