"""A support: the weighted set of states that a session may be in, given everything that it has shown.

``Support.push`` runs one command from every state, under every outcome of the draws that it makes; states that come
out equal are one state again, so that twenty maybe-swaps of three cups are six states and not a million paths.
``World`` remembers what a command does to a state: (command, state) is a transition of the automaton that the session
is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from trace_mine.tracer.inside.states.records import NEGLIGIBLE, State
from trace_mine.tracer.inside.states.world import World

LIGHTEST = 1e-15
"""Relative weight below which a state is dropped: its mass is counted as lost."""


class Impossible(Exception):
    """What was shown has no mass: the namespace is not all of the state, or a draw without outcomes was shown.

    ``law`` is the law of the text before it was shown.
    """

    def __init__(self, message: str, law: dict[str, float]) -> None:
        super().__init__(message)
        self.law = law


class Support:
    """The states that a session may be in, with their weights."""

    def __init__(self, world: World, max_states: int = 4_096) -> None:
        self.world = world
        self.max_states = max_states
        self.states: dict[State, float] = {world.start: 1.0}
        self.lost = 0.0
        self.log_mass = 0.0
        self._turn = 0

    def push(self, source: str, shown: str) -> dict[str, float]:
        """Runs the command everywhere and keeps what agrees with the text that was shown; gives the law of that text
        as it was before.

        Raises:
            Impossible: nothing agrees. Spent, Unstable: see ``World.run``.
        """
        law: dict[str, float] = {}
        kept: dict[State, float] = {}
        lost = self.lost
        self._turn += 1
        for state, weight in self.states.items():
            reach = self.world.run(source, "single", state, self._turn)
            lost += weight * reach.unexplored
            for result in reach.results:
                mass = weight * result.probability
                law[result.text] = law.get(result.text, 0.0) + mass
                if result.text == shown:
                    kept[result.state] = kept.get(result.state, 0.0) + mass
        total = sum(kept.values())
        if total <= 0:
            raise Impossible(f"{source!r} showed {shown!r}, which no state allows: {sorted(law)[:3]}", law)
        if len(kept) > self.max_states:
            heaviest = sorted(kept.items(), key=lambda item: -item[1])[: self.max_states]
            kept = dict(heaviest)
        kept = {state: mass for state, mass in kept.items() if mass >= LIGHTEST * total}
        held = sum(kept.values())
        self.states = {state: mass / held for state, mass in kept.items()}
        self.lost = (lost + total - held) / held
        self.log_mass += math.log(held)
        return law


def agreed(world: World, source: str, states: Iterable[State]) -> bool | None:
    """The truth of an expression where every state and draw gives the same; None where they don't, or it raises."""
    truths: set[bool | None] = set()
    for state in states:
        reach = world.run(source, "eval", state)
        truths |= {None if result.raised else result.value for result in reach.results}
        if reach.unexplored > NEGLIGIBLE:
            return None
        if len(truths) > 1 or None in truths:
            return None
    return truths.pop() if truths else None
