"""The paper's worked examples as automata and symbol sequences, that the filter and the linear forms are held to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.linear import Event


def coin() -> Automaton:
    """Two states mixed by ``flip``, told by ``see 1`` and ``see 2``: [1/2, 1/2] becomes [1, 0]."""
    half = np.full((2, 2), 0.5)
    transitions = np.stack([half, np.eye(2), np.eye(2)])
    reveals = np.array([[True, True], [True, False], [False, True]])
    return Automaton(
        name="coin",
        states=("1", "2"),
        symbols=("flip", "see 1", "see 2"),
        transitions=transitions,
        reveals=reveals,
        start=np.array([1.0, 0.0]),
    )


def figure_10(cycles: int) -> list[Event]:
    """Positions 2 and 3 mixed, then position 2 revealed to hold 2, again and again (numbers from 0 here)."""
    events: list[Event] = []
    for _ in range(cycles):
        events += [("mix", 1, 2, 0.5), ("reveal", 1, 1)]
    return events


def figure_9_symbols(cycles: int) -> list[int]:
    """``mix``, ``not 1``, again and again."""
    return [0, 1] * cycles


def symbols_of(automaton: Automaton, events: Sequence[Event]) -> list[int]:
    """Events as symbols of ``maybe_swaps``; the probability of a mix is the automaton's, not the event's.

    Raises:
        ValueError: the automaton has no such symbol.
    """
    names = [
        f"swap {min(event[1:3])} {max(event[1:3])}" if event[0] == "mix" else f"{event[1]}={event[2]}"
        for event in events
    ]
    return [automaton.index(name) for name in names]


def two_swaps() -> tuple[Automaton, list[int]]:
    """``a, b, c = 1, 2, 3``, ``a, b = b, a``, ``b, c = c, b``, then each variable printed: 2, 3, 1 (numbers from 0
    here). Permuting values where the program permutes variables would print 3, 1, 2.
    """
    automaton = maybe_swaps(3, 1.0)
    events: list[Event] = [("mix", 0, 1, 1.0), ("mix", 1, 2, 1.0), ("reveal", 0, 1), ("reveal", 1, 2), ("reveal", 2, 0)]
    return automaton, symbols_of(automaton, events)


def maybe_swaps(n: int, p: float) -> Automaton:
    """n! orders; ``swap i k`` swaps positions i and k with probability p; ``i=j`` reveals that position i holds j."""
    orders = list(permutations(range(n)))
    index = {order: s for s, order in enumerate(orders)}
    symbols, transitions, reveals = [], [], []
    for i in range(n):
        for k in range(i + 1, n):
            matrix = np.zeros((len(orders), len(orders)))
            for s, order in enumerate(orders):
                swapped = list(order)
                swapped[i], swapped[k] = swapped[k], swapped[i]
                matrix[s, s] += 1 - p
                matrix[index[tuple(swapped)], s] += p
            symbols.append(f"swap {i} {k}")
            transitions.append(matrix)
            reveals.append(np.ones(len(orders), dtype=bool))
    for i in range(n):
        for j in range(n):
            symbols.append(f"{i}={j}")
            transitions.append(np.eye(len(orders)))
            reveals.append(np.array([order[i] == j for order in orders]))
    start = np.zeros(len(orders))
    start[0] = 1.0
    return Automaton(
        name=f"maybe-swaps n={n} p={p:g}",
        states=tuple("".join(map(str, order)) for order in orders),
        symbols=tuple(symbols),
        transitions=np.stack(transitions),
        reveals=np.stack(reveals),
        start=start,
    )


def sample(automaton: Automaton, length: int, generator: np.random.Generator) -> list[int]:
    """The symbols of one run."""
    law = automaton.symbol_law()
    state = int(generator.choice(len(automaton.states), p=automaton.start))
    symbols = []
    for _ in range(length):
        symbol = int(generator.choice(len(automaton.symbols), p=law[:, state]))
        state = int(generator.choice(len(automaton.states), p=automaton.transitions[symbol, :, state]))
        symbols.append(symbol)
    return symbols
