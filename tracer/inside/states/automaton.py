"""The automaton that a session's commands are: every command run from every state that the commands reach.

The states are those of the support, projected on some of the variables. The projection is right only if the other
variables don't matter (it is *lumpable*), which is checked. Commands before the first draw are the opening; the
alphabet is the distinct commands from there on.

Example: ``x = 1`` and then ``if random() < 0.5: x = 1 - x`` again and again is an automaton of the states ``x=0`` and
``x=1`` with one command, which has two moves of probability 0.5 from each of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.protocol.choice_answers import MOST_STATES, Move, SessionAutomaton
from trace_mine.tracer.inside.states.records import NEGLIGIBLE, State, StateResult
from trace_mine.tracer.inside.states.world import World

TOLERANCE = 1e-9
"""Two states with one label must move alike, but for rounding in sums of up to MOST_STATES probabilities."""
UNIMPORTED = ("ImportError", "ModuleNotFoundError")


class NoFit(Exception):
    """The commands are no automaton over these variables; the message says why."""


def automaton_of(sources: Sequence[str], world: World, variables: Sequence[str]) -> SessionAutomaton:
    """Fit the automaton that the commands are.

    Args:
        sources: the session's commands.
        world: at the session's start.
        variables: those to project on; none means all whose value differs between states.

    Returns:
        The automaton, with states named by texts such as ``x=1 y=2`` (``only`` where no variable differs).

    Raises:
        NoFit: nothing is drawn, a command fails or has too many outcomes, or the variables are not all that matters.
    """
    start, num_opening = _after_opening(sources, world)
    alphabet = list(dict.fromkeys(sources[num_opening:]))
    if not alphabet:
        raise NoFit("no command draws anything")
    results_by_move = _explore_moves(start, alphabet, world)
    values_by_state = {state: _plain_variables(world, state) for state in {state for _, state in results_by_move}}
    names = list(variables) or _varying(values_by_state)
    labels = _labels(names, values_by_state)
    return SessionAutomaton(
        variables=tuple(names),
        states=tuple(sorted(set(labels.values()))),
        start=labels[start],
        commands=_project(results_by_move, alphabet, labels),
    )


def _labels(names: Sequence[str], values_by_state: Mapping[State, Mapping[str, str]]) -> dict[State, str]:
    """Name each state by the variables' values.

    Raises:
        NoFit: a variable is missing in a state, or its value has no text that is the same in every process.
    """
    for name in names:
        if any(name not in table for table in values_by_state.values()):
            raise NoFit(f"{name} has no plain value in some state")
    return {
        state: " ".join(f"{name}={table[name]}" for name in names) or "only" for state, table in values_by_state.items()
    }


def _after_opening(sources: Sequence[str], world: World) -> tuple[State, int]:
    """The state after the commands before the first draw, and the number of those commands."""
    state = world.start
    for index, source in enumerate(sources):
        reach = world.run(source, "single", state)
        if world.sampled:
            raise NoFit(f"{source!r} has outcomes that can't be enumerated")
        # An import fails here and not where the session was recorded when the repository's packages were not bound:
        # the message names the module, instead of the NameErrors that all later commands would give.
        if all(result.raised in UNIMPORTED for result in reach.results):
            raise NoFit(f"{source!r} can't be run here: {reach.results[0].text.splitlines()[-1]}")
        if reach.num_paths > 1 or len(reach.results) != 1:
            return state, index
        state = reach.results[0].state
    return state, len(sources)


def _explore_moves(start: State, alphabet: Sequence[str], world: World) -> dict[tuple[str, State], list[StateResult]]:
    """The results of each command from each state that the commands reach from ``start``."""
    results_by_move: dict[tuple[str, State], list[StateResult]] = {}
    waiting, seen = [start], {start}
    while waiting:
        state = waiting.pop()
        for source in alphabet:
            reach = world.run(source, "single", state)
            if reach.unexplored > NEGLIGIBLE or world.sampled:
                raise NoFit(f"{source!r} has outcomes that can't be enumerated")
            results_by_move[source, state] = reach.results
            for result in reach.results:
                # The session met no exception here, but a state of another order of the commands does: an automaton
                # would have to say what a command does after a failed one, which no mined session shows.
                if result.raised:
                    raise NoFit(f"{source!r} raises in some state: {result.text.splitlines()[-1]}")
                if result.state not in seen:
                    seen.add(result.state)
                    waiting.append(result.state)
        if len(seen) > MOST_STATES:
            raise NoFit(f"more than {MOST_STATES} states are reached: some variable counts without end")
    return results_by_move


def _project(
    results_by_move: Mapping[tuple[str, State], list[StateResult]], alphabet: Sequence[str], labels: Mapping[State, str]
) -> dict[str, dict[str, tuple[Move, ...]]]:
    """The moves between labels instead of states.

    Raises:
        NoFit: states of one label move differently (the projection is not lumpable).
    """
    commands: dict[str, dict[str, tuple[Move, ...]]] = {source: {} for source in alphabet}
    for (source, state), results in results_by_move.items():
        law: dict[tuple[str, str], float] = {}
        for result in results:
            key = (labels[result.state], result.text)
            law[key] = law.get(key, 0.0) + result.probability
        moves = tuple((probability, after, text) for (after, text), probability in sorted(law.items()))
        earlier = commands[source].setdefault(labels[state], moves)
        if not _are_same(earlier, moves):
            raise NoFit(f"{source!r} does different things where {labels[state]}: other variables matter")
        commands[source][labels[state]] = moves
    return commands


def _plain_variables(world: World, state: State) -> dict[str, str]:
    """The variables of a state whose ``repr`` runs no code of the snippet, as texts."""
    with world.aside():
        world.restore(state)
        return {
            name: repr(value)
            for name, value in world.namespace.items()
            if not name.startswith("_") and values.stable(value)
        }


def _varying(values_by_state: Mapping[State, Mapping[str, str]]) -> list[str]:
    """The variables whose value differs between states, sorted."""
    names = sorted(set().union(*values_by_state.values()))
    return [name for name in names if len({table.get(name) for table in values_by_state.values()}) > 1]


def _are_same(left: Sequence[Move], right: Sequence[Move]) -> bool:
    return len(left) == len(right) and all(
        a[1:] == b[1:] and abs(a[0] - b[0]) < TOLERANCE for a, b in zip(left, right, strict=True)
    )
