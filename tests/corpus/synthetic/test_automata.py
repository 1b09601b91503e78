"""Automata, their YAML, the exact filter and the linear forms, against brute force and the paper's own numbers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.corpus.synthetic.automaton_yaml import (
    AutomatonError,
    parse_automaton,
    read_automaton,
    write_automaton,
)
from trace_mine.corpus.synthetic.exact_filter import ImpossibleSymbol, belief_step, beliefs_along
from trace_mine.corpus.synthetic.examples import figure_9
from trace_mine.corpus.synthetic.linear import halvings_to_zero, rounded, run_joint, run_marginal, sinkhorn
from worked_automata import coin, figure_10, maybe_swaps, sample

ROOT = Path(__file__).resolve().parents[3]


def random_automaton(seed: int) -> Automaton:
    generator = np.random.default_rng(seed)
    num_states, num_symbols = int(generator.integers(1, 5)), int(generator.integers(1, 4))
    transitions = generator.dirichlet(np.ones(num_states), size=(num_symbols, num_states)).transpose(0, 2, 1)
    reveals = generator.random((num_symbols, num_states)) < 0.6
    reveals[generator.integers(num_symbols, size=num_states), np.arange(num_states)] = True
    reveals[~reveals.any(axis=1), 0] = True
    emissions = None
    if generator.random() < 0.5:
        weights = generator.random((num_symbols, num_states)) * reveals
        emissions = weights / weights.sum(axis=0, keepdims=True)
    return Automaton(
        name=f"random {seed}",
        states=tuple(f"q{i}" for i in range(num_states)),
        symbols=tuple(f"s{i}" for i in range(num_symbols)),
        transitions=np.ascontiguousarray(transitions),
        reveals=reveals,
        start=generator.dirichlet(np.ones(num_states)),
        emissions=emissions,
    )


def brute_belief(automaton: Automaton, symbols: list[int], law: np.ndarray) -> np.ndarray:
    """The belief after the symbols, by all paths of states; nothing of the filter."""
    num_states = len(automaton.states)
    weights = np.zeros(num_states)
    for path in itertools.product(range(num_states), repeat=len(symbols) + 1):
        weight = automaton.start[path[0]]
        for n, symbol in enumerate(symbols):
            weight *= law[symbol, path[n]] * automaton.transitions[symbol, path[n + 1], path[n]]
        weights[path[-1]] += weight
    return weights / weights.sum()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.booleans())
def test_the_filter_agrees_with_all_paths(seed: int, weigh: bool) -> None:
    automaton = random_automaton(seed)
    symbols = sample(automaton, 4, np.random.default_rng(seed))
    law = automaton.symbol_law() if weigh else automaton.reveals.astype(float)
    along = beliefs_along(automaton, symbols, weigh=weigh)
    for n in range(5):
        np.testing.assert_allclose(along[n], brute_belief(automaton, symbols[:n], law), atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_yaml_is_written_and_read_bit_for_bit(seed: int) -> None:
    automaton = random_automaton(seed)
    again = parse_automaton(write_automaton(automaton))
    assert (again.name, again.states, again.symbols) == (automaton.name, automaton.states, automaton.symbols)
    for name in ("transitions", "reveals", "start"):
        assert np.array_equal(getattr(again, name), getattr(automaton, name))
    assert (again.emissions is None) == (automaton.emissions is None)
    assert automaton.emissions is None or np.array_equal(again.emissions, automaton.emissions)


def test_the_documented_example_reads() -> None:
    automaton = read_automaton(ROOT / "docs" / "examples" / "leaky_switch.yaml")
    assert automaton.states == ("on", "off") and automaton.symbols == ("tick", "see-on")
    assert automaton.transitions[0].tolist() == [[0.9, 0.0], [0.1, 1.0]]
    assert automaton.reveals.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Q: [a, b]\nSigma: [s]\nq0: c", "q0.*'c'"),
        ("Q: [a, b]\nSigma: [s]\nq0: a\ndelta: {s: {a: {a: 0.9}}}", "delta of s in a to sum to 1, got 0.9"),
        ("Q: [a, b]\nSigma: [s]\nq0: a\ndelta: {t: {a: b}}", "delta.*'t'"),
        ("Q: [a, b]\nSigma: [s]\nq0: a\ndelta: {s: {a: {a: x}}}", "a number or a fraction.*'x'"),
        ("Q: [a, b]\nSigma: [s]\nq0: a\ndelta: {s: {a: {a: 1/0}}}", "a number or a fraction"),
        ("Q: [a, b]\nSigma: [s]\nq0: a\nrho: {s: []}", "rho of s to be a list"),
        ("Q: [a, b]\nSigma: [s, t]\nq0: a\nrho: {s: [a], t: [a]}", "may be emitted in state b"),
        ("Q: [a, a]\nSigma: [s]\nq0: a", "distinct names in Q"),
        ("Q: [a]\nQ: [b]\nSigma: [s]\nq0: a", "'Q' twice"),
        ("Q: [a]\nSigma: [s]", "missing \\['q0'\\]"),
        ("Q: [a]\nSigma: [s]\nq0: a\nextra: 1", "unknown \\['extra'\\]"),
        ("[1, 2]", "expected a mapping"),
        ("Q: [", "expected YAML"),
        ("Q: [a]\nSigma: [s]\nq0: a\nemissions: {a: {s: -1}}", "sum to 1"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(AutomatonError, match=says):
        parse_automaton(text)


def test_half_and_half_becomes_certain() -> None:
    automaton = coin()
    along = beliefs_along(automaton, [0, 1])
    assert along.tolist() == [[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]]
    with pytest.raises(ImpossibleSymbol, match="see 2"):
        belief_step(along[2], automaton, automaton.index("see 2"))


def test_figure_9_halves_the_mass_and_keeps_the_belief() -> None:
    automaton = figure_9()
    run = run_joint(automaton, [0, 1] * 20)
    assert run.log2_mass[2::2].tolist() == [-float(n) for n in range(1, 21)]
    assert run.error.max() < 1e-15
    assert beliefs_along(automaton, [0, 1] * 20)[-1].tolist() == [0.0, 0.5, 0.5]


def test_figure_10_halves_the_unrevealed_mass() -> None:
    run = run_marginal(3, figure_10(10))
    # position 1 is never touched and holds 1 of the unrevealed mass; the other row's is 1, .5, .25, ...
    assert (run.unrevealed[1::2] - 1.0).tolist() == [0.5**n for n in range(1, 11)]


def test_halvings_until_exact_zero() -> None:
    assert [halvings_to_zero(dtype) for dtype in ("fp16", "bf16", "fp32", "fp64")] == [25, 134, 150, 1075]
    assert run_joint(figure_9(), [0, 1] * 80, "fp16").underflow is not None
    assert run_joint(figure_9(), [0, 1] * 80, "fp64").underflow is None


def test_bf16_rounds_to_nearest_even() -> None:
    assert rounded(np.array([1.0, 1.00390625, 1.01171875, 257.0]), "bf16").tolist() == [1.0, 1.0, 1.015625, 256.0]


def test_the_joint_form_loses_mass_at_the_paper_s_rate() -> None:
    """n=3, p=.1, a random position revealed every 2: log2 mass per reveal, mean of 40 streams of 200 reveals."""
    automaton = maybe_swaps(3, 0.1)
    slopes = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        order, symbols = [0, 1, 2], []
        for step in range(400):
            i, k = sorted(int(x) for x in generator.choice(3, 2, replace=False))
            symbols.append(automaton.index(f"swap {i} {k}"))
            if generator.random() < 0.1:
                order[i], order[k] = order[k], order[i]
            if step % 2:
                at = int(generator.integers(3))
                symbols.append(automaton.index(f"{at}={order[at]}"))
        slopes.append(run_joint(automaton, symbols).log2_mass[-1] / 200)
    assert np.mean(slopes) == pytest.approx(-0.74, abs=0.05)


def test_sinkhorn_makes_rows_and_columns_sum_to_one() -> None:
    matrix = sinkhorn(np.random.default_rng(0).random((4, 4)) + 0.01)
    assert np.abs(matrix.sum(axis=0) - 1).max() < 1e-9 and np.abs(matrix.sum(axis=1) - 1).max() < 1e-9
