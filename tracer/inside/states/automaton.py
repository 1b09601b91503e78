"""The automaton that a session's commands are: every command from every state that they reach.

States are those of the support, projected on variables: what the others hold must not matter (lumpability), which is
checked. Commands before the first draw are the opening; the alphabet is the distinct commands from there on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.states.records import NEGLIGIBLE, Result, State
from trace_mine.tracer.inside.states.world import World

MOST_STATES = 2_000
TOLERANCE = 1e-9
UNIMPORTED = ("ImportError", "ModuleNotFoundError")


class NoFit(Exception):
    """The commands are no automaton over these variables; the message says why."""


def automaton_of(sources: Sequence[str], world: World, variables: Sequence[str]) -> dict[str, Any]:
    """``{"variables", "states", "start", "commands": {source: {state: [[probability, next state, text], ...]}}}``.

    States are texts such as ``x=1 y=2``; ``variables`` empty means all those whose value differs between states.

    Raises:
        NoFit: nothing is drawn, a command fails or has too many outcomes, or the variables are not all that matters.
    """
    start, num_opening = _after_opening(sources, world)
    alphabet = list(dict.fromkeys(sources[num_opening:]))
    if not alphabet:
        raise NoFit("no command draws anything")
    moves = _moves_from(start, alphabet, world)
    values_by_state = {state: _variables(world, state) for state in {state for _, state in moves}}
    names = list(variables) or _varying(values_by_state)
    for name in names:
        if any(name not in table for table in values_by_state.values()):
            raise NoFit(f"{name} has no plain value in some state")
    labels = {
        state: " ".join(f"{name}={table[name]}" for name in names) or "only" for state, table in values_by_state.items()
    }
    return {
        "variables": names,
        "states": sorted(set(labels.values())),
        "start": labels[start],
        "commands": _projected(moves, alphabet, labels),
    }


def _after_opening(sources: Sequence[str], world: World) -> tuple[State, int]:
    """The state after the commands before the first draw, and how many they are."""
    state = world.start
    for index, source in enumerate(sources):
        reach = world.run(source, "single", state)
        if world.sampled:
            raise NoFit(f"{source!r} has outcomes that can't be enumerated")
        if all(result.raised in UNIMPORTED for result in reach.results):
            raise NoFit(f"{source!r} can't be run here: {reach.results[0].text.splitlines()[-1]}")
        if reach.num_paths > 1 or len(reach.results) != 1:
            return state, index
        state = reach.results[0].state
    return state, len(sources)


def _moves_from(start: State, alphabet: Sequence[str], world: World) -> dict[tuple[str, State], list[Result]]:
    """What each command does to each state that they reach from ``start``."""
    moves: dict[tuple[str, State], list[Result]] = {}
    waiting, seen = [start], {start}
    while waiting:
        state = waiting.pop()
        for source in alphabet:
            reach = world.run(source, "single", state)
            if reach.unexplored > NEGLIGIBLE or world.sampled:
                raise NoFit(f"{source!r} has outcomes that can't be enumerated")
            moves[source, state] = reach.results
            for result in reach.results:
                if result.raised:
                    raise NoFit(f"{source!r} raises in some state: {result.text.splitlines()[-1]}")
                if result.state not in seen:
                    seen.add(result.state)
                    waiting.append(result.state)
        if len(seen) > MOST_STATES:
            raise NoFit(f"more than {MOST_STATES} states are reached: some variable counts without end")
    return moves


def _projected(
    moves: Mapping[tuple[str, State], list[Result]], alphabet: Sequence[str], labels: Mapping[State, str]
) -> dict[str, dict[str, list[Any]]]:
    """The moves between labels instead of states.

    Raises:
        NoFit: states of one label move differently (the projection is not lumpable).
    """
    commands: dict[str, dict[str, list[Any]]] = {source: {} for source in alphabet}
    for (source, state), results in moves.items():
        law: dict[tuple[str, str], float] = {}
        for result in results:
            key = (labels[result.state], result.text)
            law[key] = law.get(key, 0.0) + result.probability
        row = [[probability, after, text] for (after, text), probability in sorted(law.items())]
        known = commands[source].setdefault(labels[state], row)
        if not _same(known, row):
            raise NoFit(f"{source!r} does different things where {labels[state]}: other variables matter")
        commands[source][labels[state]] = row
    return commands


def _variables(world: World, state: State) -> dict[str, str]:
    with world.aside():
        world.restore(state)
        return {
            name: repr(value)
            for name, value in world.namespace.items()
            if not name.startswith("_") and values.stable(value)
        }


def _varying(values_by_state: Mapping[State, dict[str, str]]) -> list[str]:
    """The variables whose value differs between states, sorted."""
    names = sorted(set().union(*values_by_state.values()))
    return [name for name in names if len({table.get(name) for table in values_by_state.values()}) > 1]


def _same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(
        a[1:] == b[1:] and abs(a[0] - b[0]) < TOLERANCE for a, b in zip(left, right, strict=True)
    )
