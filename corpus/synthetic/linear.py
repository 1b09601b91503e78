"""The paper's two linear representations of a belief, and when and how they leave the truth.

Joint: h' = T Z h over all states, without the norm. Exact after normalising until it underflows: its mass is the
product of the survival masses, hence decays exponentially, and no input can refill it.
Marginal: H [positions, values] of a permutation. A maybe-swap mixes rows; "position i holds j" clears row i and column
j and puts 1 there; the decoder makes H doubly stochastic (Sinkhorn). Approximate even without underflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np

from corpus.synthetic.automaton import Automaton, Floats

DTYPES = ("fp16", "bf16", "fp32", "fp64")
_numpy: dict[str, Any] = {"fp16": np.float16, "fp32": np.float32, "fp64": np.float64}


def rounded(values: Floats, dtype: str) -> Floats:
    """The values as ``dtype`` holds them (round to nearest even, gradual underflow), in float64."""
    if dtype in _numpy:
        return values.astype(_numpy[dtype]).astype(np.float64)
    if dtype != "bf16":
        raise ValueError(f"expected a dtype among {', '.join(DTYPES)}, got {dtype!r}")
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    bits = bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))
    kept = (bits & np.uint64(0xFFFF0000)).astype(np.uint32)
    return kept.view(np.float32).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRun:
    """Arrays of length + 1; entry n is before symbol n.

    ``log2_mass``: log2 of |h|, -inf once it is zero; ``error``: the largest difference between h/|h| and the exact
    belief, 1 once |h| is zero; ``underflow``: the first n at which h is zero in this dtype, None if it never is.
    """

    log2_mass: Floats
    error: Floats
    underflow: int | None


def run_joint(automaton: Automaton, symbols: Sequence[int], dtype: str = "fp64") -> JointRun:
    """h' = T Z h along the symbols, rounded to ``dtype`` after every step, beside the exact filter."""
    from corpus.synthetic.exact_filter import beliefs_along

    exact = beliefs_along(automaton, symbols)
    state = rounded(automaton.start.copy(), dtype)
    log2_mass, error = np.full(len(symbols) + 1, -np.inf), np.ones(len(symbols) + 1)
    underflow: int | None = None
    for n in range(len(symbols) + 1):
        mass = state.sum()
        if mass > 0:
            log2_mass[n] = np.log2(mass)
            error[n] = np.abs(state / mass - exact[n]).max()
        elif underflow is None:
            underflow = n
        if n < len(symbols):
            state = rounded(automaton.transitions[symbols[n]] @ (automaton.reveals[symbols[n]] * state), dtype)
    return JointRun(log2_mass=log2_mass, error=error, underflow=underflow)


def halvings_to_zero(dtype: str) -> int:
    """How many times 1 can be halved before it is zero: the horizon of the joint form under Fig. 9's adversary."""
    value, count = np.array([1.0]), 0
    while value[0] > 0:
        value = rounded(value * 0.5, dtype)
        count += 1
    return count


def sinkhorn(matrix: Floats, rounds: int = 200, tolerance: float = 1e-12) -> Floats:
    """The doubly stochastic matrix with the same pattern, by alternate normalising of rows and columns."""
    result = np.maximum(matrix, 0.0)
    for _ in range(rounds):
        result = result / np.maximum(result.sum(axis=1, keepdims=True), 1e-300)
        result = result / np.maximum(result.sum(axis=0, keepdims=True), 1e-300)
        if np.abs(result.sum(axis=1) - 1.0).max() < tolerance:
            break
    return result


Event = tuple[str, int, int] | tuple[str, int, int, float]
"""``("mix", i, k, p)``: positions i and k are swapped with probability p; ``("reveal", i, j)``: position i holds j."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalRun:
    """After each event [events]: the largest entry of |decoded marginals - exact marginals|, and ``unrevealed``, the
    mass of H outside the revealed row and column (before the decoder).
    """

    error: Floats
    unrevealed: Floats


def run_marginal(n: int, events: Sequence[Event]) -> MarginalRun:
    """The marginal form along the events, from the identity, beside the exact filter over all n! orders.

    Raises:
        ValueError: a reveal contradicts the events before it.
    """
    held = np.eye(n)
    orders = np.array(list(permutations(range(n))))  # orders[s, i]: the value at position i
    index = {tuple(order): s for s, order in enumerate(orders.tolist())}
    belief = np.zeros(len(orders))
    belief[index[tuple(range(n))]] = 1.0
    error, unrevealed = np.zeros(len(events)), np.zeros(len(events))
    for step, event in enumerate(events):
        i, j = event[1], event[2]
        if event[0] == "mix":
            p = float(event[3])  # type: ignore[misc]
            swap = np.eye(n)
            swap[[i, j]] = swap[[j, i]]
            held = (1 - p) * held + p * swap @ held
            moved = orders.copy()
            moved[:, [i, j]] = moved[:, [j, i]]
            belief = (1 - p) * belief + p * belief[[index[tuple(order)] for order in moved.tolist()]]
        else:
            kept = belief * (orders[:, i] == j)
            if kept.sum() <= 0:
                raise ValueError(f"expected events that can happen, got position {i} holding {j} at event {step}")
            belief = kept / kept.sum()
            row, column = np.eye(n)[:, [i]], np.eye(n)[:, [j]]
            held = (np.eye(n) - row @ row.T) @ held @ (np.eye(n) - column @ column.T) + row @ column.T
        exact = np.zeros((n, n))
        for order, weight in zip(orders, belief, strict=True):
            exact[np.arange(n), order] += weight
        error[step] = np.abs(sinkhorn(held) - exact).max()
        rest = np.delete(np.delete(held, i, axis=0), j, axis=1)
        unrevealed[step] = rest.sum()
    return MarginalRun(error=error, unrevealed=unrevealed)
