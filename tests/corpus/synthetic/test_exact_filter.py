"""The batched filter, against the formula for one sequence and against every path of states."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.exact_filter import (
    ExactFilter,
    ImpossibleSymbol,
    belief_step,
    beliefs_along,
    beliefs_of_batch,
)
from trace_mine.corpus.synthetic.examples import coin, maybe_swaps, symbols_of, two_swaps


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
def test_batch_is_single_is_all_paths(num_states: int, seed: int, weigh: bool) -> None:
    automaton = random_automaton(num_states, seed)
    batch = np.array([automaton.sample(4, np.random.default_rng([seed, row]))[0] for row in range(3)])
    tracked = ExactFilter(automaton, 3, weigh=weigh)
    mass = np.ones(3)
    for n in range(4):
        mass *= tracked.update(batch[:, n])
    for row, symbols in enumerate(batch.tolist()):
        weights = paths(automaton, symbols, weigh)
        np.testing.assert_allclose(tracked.belief[row], weights / weights.sum(), atol=1e-12)
        np.testing.assert_allclose(mass[row], weights.sum(), rtol=1e-12)
        np.testing.assert_allclose(tracked.belief[row], beliefs_along(automaton, symbols, weigh=weigh)[-1], atol=1e-14)


def test_gathered_transitions_are_the_product() -> None:
    """120 states: maybe-swaps are gathered there, unlike in the small automata above; 8 sequences, 90 symbols."""
    automaton = maybe_swaps(5, 0.1)
    generator = np.random.default_rng(0)
    batch = []
    for _ in range(8):
        order, events = list(range(5)), []
        for step in range(60):
            i, k = (int(x) for x in generator.choice(5, 2, replace=False))
            events.append(("mix", i, k, 0.1))
            if generator.random() < 0.1:
                order[i], order[k] = order[k], order[i]
            if step % 2:
                at = int(generator.integers(5))
                events.append(("reveal", at, order[at]))
        batch.append(symbols_of(automaton, events))
    beliefs = beliefs_of_batch(automaton, np.array(batch))
    for row, symbols in enumerate(batch):
        np.testing.assert_allclose(beliefs[row], beliefs_along(automaton, symbols), atol=1e-14)


def test_swaps_permute_variables_and_not_values() -> None:
    automaton, symbols = two_swaps()
    tracked = ExactFilter(automaton)
    for symbol in symbols[:2]:
        tracked.update([symbol])
    assert automaton.states[int(tracked.belief[0].argmax())] == "120"
    assert [tracked.update([symbol])[0] for symbol in symbols[2:]] == [1.0, 1.0, 1.0]


def test_reveals_are_predicted_by_their_text() -> None:
    automaton = maybe_swaps(3, 0.25)
    tracked = ExactFilter(automaton, 2)
    tracked.update([automaton.index("swap 0 1"), automaton.index("swap 1 2")])
    texts, law = tracked.predict_reveal([f"a {int(state[0]) + 1}" for state in automaton.states])
    assert texts == ("a 1", "a 2", "a 3")
    assert law.tolist() == [[0.75, 0.25, 0.0], [1.0, 0.0, 0.0]]
    with pytest.raises(ValueError, match="expected 6 texts, got 1"):
        tracked.predict_reveal(["a"])


def test_symbols_are_predicted_by_the_emissions() -> None:
    tracked = ExactFilter(coin(), 1)
    assert tracked.predict_symbol().tolist() == [[0.5, 0.5, 0.0]]
    tracked.update([0])
    assert tracked.predict_symbol().tolist() == [[0.5, 0.25, 0.25]]


def test_an_impossible_symbol_changes_nothing() -> None:
    tracked = ExactFilter(coin(), 2)
    tracked.update([0, 1])
    before = tracked.belief.copy()
    with pytest.raises(ImpossibleSymbol, match="'see 2' of coin, none left in row 1 at step 1"):
        tracked.update([0, 2])
    assert np.array_equal(tracked.belief, before) and tracked.num_updates == 1
    with pytest.raises(ImpossibleSymbol, match="row 0 at step 2"):
        beliefs_of_batch(coin(), np.array([[0, 1, 2]]))


@pytest.mark.parametrize(
    ("symbols", "says"),
    [([0], "expected 2 symbols"), ([0, 3], "from 0 to 2, got 3"), ([0, -1], "got -1"), ([0.0, 1.0], "as integers")],
)
def test_symbols_that_are_none_are_refused(symbols: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ExactFilter(coin(), 2).update(symbols)
    with pytest.raises(ValueError, match="from 0 to 2, got -1"):
        belief_step(coin().start, coin(), -1)


def test_a_belief_that_was_handed_out_stays() -> None:
    tracked = ExactFilter(coin())
    first = tracked.belief
    tracked.update([0])
    assert first.tolist() == [[1.0, 0.0]] and tracked.belief.tolist() == [[0.5, 0.5]]
    with pytest.raises(ValueError, match="read-only"):
        tracked.belief[0, 0] = 1.0
