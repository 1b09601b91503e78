"""The automaton that a session's commands are: every command from every state that they reach.

States are those of the support, projected on variables: what the others hold must not matter (lumpability), which is
checked. Commands before the first draw are the opening; the alphabet is the distinct commands from there on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.states.records import NEGLIGIBLE, State
from trace_mine.tracer.inside.states.world import World

MOST_STATES = 2_000
TOLERANCE = 1e-9
UNIMPORTED = ("ImportError", "ModuleNotFoundError")


class NoFit(Exception):
    """The commands are no automaton over these variables; the message says why."""


def kernel_of(sources: Sequence[str], world: World, variables: Sequence[str]) -> dict[str, Any]:
    """``{"variables", "states", "start", "commands": {source: {state: [[probability, next state, text], ...]}}}``.

    States are texts such as ``x=1 y=2``; ``variables`` empty means all those whose value differs between states.

    Raises:
        NoFit: nothing is drawn, a command fails or has too many outcomes, or the variables are not all that matters.
    """
    start, first = world.start, len(sources)
    for index, source in enumerate(sources):
        reach = world.run(source, "single", start)
        if world.sampled:
            raise NoFit(f"{source!r} has outcomes that can't be enumerated")
        if all(result.raised in UNIMPORTED for result in reach.results):
            raise NoFit(f"{source!r} can't be run here: {reach.results[0].text.splitlines()[-1]}")
        if reach.num_paths > 1 or len(reach.results) != 1:
            first = index
            break
        start = reach.results[0].state
    alphabet = list(dict.fromkeys(sources[first:]))
    if not alphabet:
        raise NoFit("no command draws anything")
    moves: dict[tuple[str, State], list[Any]] = {}
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
    held = {state: _variables(world, state) for state in seen}
    names = list(variables) or _varying(held)
    for name in names:
        if any(name not in table for table in held.values()):
            raise NoFit(f"{name} has no plain value in some state")
    lumps = {state: " ".join(f"{name}={table[name]}" for name in names) or "only" for state, table in held.items()}
    commands: dict[str, dict[str, list[Any]]] = {source: {} for source in alphabet}
    for (source, state), results in moves.items():
        law: dict[tuple[str, str], float] = {}
        for result in results:
            key = (lumps[result.state], result.text)
            law[key] = law.get(key, 0.0) + result.probability
        known = commands[source].get(lumps[state])
        told = [[p, after, text] for (after, text), p in sorted(law.items())]
        if known is not None and not _same(known, told):
            raise NoFit(f"{source!r} does different things where {lumps[state]}: other variables matter")
        commands[source][lumps[state]] = told
    states = sorted(set(lumps.values()))
    return {"variables": names, "states": states, "start": lumps[start], "commands": commands}


def _variables(world: World, state: State) -> dict[str, str]:
    with world.aside():
        world.restore(state)
        return {
            name: repr(value)
            for name, value in world.namespace.items()
            if not name.startswith("_") and values.stable(value)
        }


def _varying(held: dict[State, dict[str, str]]) -> list[str]:
    names = sorted(set().union(*held.values()))
    return [name for name in names if len({table.get(name) for table in held.values()}) > 1]


def _same(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(
        a[1:] == b[1:] and abs(a[0] - b[0]) < TOLERANCE for a, b in zip(left, right, strict=True)
    )
