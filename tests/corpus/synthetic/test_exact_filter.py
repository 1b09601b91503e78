"""The exact filter against every path of states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.exact_filter import ImpossibleSymbol, belief_step, beliefs_along
from worked_automata import coin, sample, two_swaps


def random_automaton(num_states: int, seed: int) -> Automaton:
    """Per symbol a dense, a deterministic or an identity transition, or a maybe-permutation."""
    generator = np.random.default_rng([num_states, seed])
    num_symbols = int(generator.integers(2, 6))
    eye = np.eye(num_states)
    makers = (
        lambda: generator.dirichlet(np.ones(num_states), size=num_states).T,
        lambda: eye[:, generator.integers(num_states, size=num_states)],
        lambda: eye,
        lambda: 0.75 * eye + 0.25 * eye[:, generator.permutation(num_states)],
    )
    reveals = generator.random((num_symbols, num_states)) < 0.5
    reveals[0] = True
    reveals[~reveals.any(axis=1), 0] = True
    weights = (generator.random((num_symbols, num_states)) + 0.1) * reveals
    return Automaton(
        name=f"random {num_states} {seed}",
        states=tuple(f"q{i}" for i in range(num_states)),
        symbols=tuple(f"s{i}" for i in range(num_symbols)),
        transitions=np.stack([makers[int(generator.integers(4))]() for _ in range(num_symbols)]),
        reveals=reveals,
        start=generator.dirichlet(np.ones(num_states)),
        emissions=weights / weights.sum(axis=0) if seed % 2 else None,
    )


def paths(automaton: Automaton, symbols: list[int], weigh: bool) -> np.ndarray:
    """Weight of each last state, over all paths of states, not normalised: the slow reference."""
    likelihood = automaton.symbol_law() if weigh else automaton.reveals
    weights = np.zeros(len(automaton.states))
    for path in itertools.product(range(len(automaton.states)), repeat=len(symbols) + 1):
        weight = float(automaton.start[path[0]])
        for symbol, now, after in zip(symbols, path, path[1:], strict=False):
            weight *= float(likelihood[symbol, now]) * float(automaton.transitions[symbol, after, now])
        weights[path[-1]] += weight
    return weights


@pytest.mark.parametrize("num_states", [2, 3, 4])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), weigh=st.booleans())
def test_the_filter_is_all_paths(num_states: int, seed: int, weigh: bool) -> None:
    automaton = random_automaton(num_states, seed)
    symbols = sample(automaton, 4, np.random.default_rng(seed))
    belief, mass = automaton.start, 1.0
    for n, symbol in enumerate(symbols):
        belief, survived = belief_step(belief, automaton, symbol, weigh=weigh)
        mass *= survived
        weights = paths(automaton, symbols[: n + 1], weigh)
        np.testing.assert_allclose(belief, weights / weights.sum(), atol=1e-12)
        np.testing.assert_allclose(mass, weights.sum(), rtol=1e-12)
        assert np.array_equal(beliefs_along(automaton, symbols, weigh=weigh)[n + 1], belief)


def test_swaps_permute_variables_and_not_values() -> None:
    automaton, symbols = two_swaps()
    along = beliefs_along(automaton, symbols)
    assert automaton.states[int(along[2].argmax())] == "120"
    masses = [belief_step(along[n], automaton, symbol)[1] for n, symbol in enumerate(symbols)]
    assert masses[2:] == [1.0, 1.0, 1.0]


def test_an_impossible_symbol_is_refused() -> None:
    with pytest.raises(ImpossibleSymbol, match="got 'see 2' of coin, which has no state left"):
        beliefs_along(coin(), [0, 1, 2])
    assert len(beliefs_along(coin(), [0, 1])) == 3


@pytest.mark.parametrize("symbol", [-1, 3])
def test_symbols_that_are_none_are_refused(symbol: int) -> None:
    with pytest.raises(ValueError, match=f"from 0 to 2, got {symbol}"):
        belief_step(coin().start, coin(), symbol)
    with pytest.raises(ValueError, match="as integers"):
        belief_step(coin().start, coin(), 1.0)  # type: ignore[arg-type]
