"""The paper's two linear representations of a belief, and when and how they leave the truth.

Joint: h' = T Z h over all states, without the norm. Exact after normalising until it underflows: its mass is the
product of the survival masses, hence decays exponentially, and no input can refill it. Near the smallest numbers it is
wrong before it is zero, and may stay so: 0.9 of the smallest number rounds back to it.
Marginal: H [positions, values] of a permutation. A maybe-swap mixes rows; "position i holds j" clears row i and column
j and puts 1 there; the decoder makes H doubly stochastic (Sinkhorn). Approximate even without underflow.

The truth is the exact filter in float64. A dtype here is that of the state between two steps: one step is computed in
float64 and rounded once, so that what is seen is the storage's doing. Not covered: sums that are accumulated in the
dtype itself, and hardware that flushes subnormal numbers to zero, which reach zero sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton, Floats
from trace_mine.corpus.synthetic.exact_filter import ImpossibleSymbol, belief_step, beliefs_along

DTYPES = {"fp16": (10, -14, 65504.0), "bf16": (7, -126, 2.0**128 - 2.0**120), "fp32": (23, -126, 2.0**128 - 2.0**104)}
"""Name to (stored bits of the mantissa, smallest normal exponent, largest finite number); fp64 is there besides."""


def rounded(values: Floats, dtype: str) -> Floats:
    """The values as ``dtype`` (fp16, bf16, fp32, fp64) holds them, in float64: once to nearest, ties to even, with
    gradual underflow, and infinite past the largest.

    Raises:
        ValueError: there is no such dtype.
    """
    if dtype == "fp64":
        return values.copy()
    if dtype not in DTYPES:
        raise ValueError(f"expected a dtype among {', '.join([*DTYPES, 'fp64'])}, got {dtype!r}; take one of them")
    mantissa_bits, smallest, largest = DTYPES[dtype]
    _, exponents = np.frexp(values)  # |values| = m 2^exponent, 1/2 <= m < 1
    quantum = np.maximum(exponents - 1, smallest) - mantissa_bits
    result: Floats = np.ldexp(np.rint(np.ldexp(values, -quantum)), quantum)
    return np.where(np.abs(result) > largest, np.copysign(np.inf, result), result)


def halvings_to_zero(dtype: str) -> int:
    """How many times 1 can be halved before it is zero: the horizon of the joint form under Fig. 9's adversary."""
    value, count = np.array([1.0]), 0
    while value[0] > 0:
        value = rounded(value * 0.5, dtype)
        count += 1
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRun:
    """Arrays of length + 1; entry n is before symbol n.

    ``log2_mass``: log2 of |h|, -inf once it is zero; ``error``: the largest difference between h/|h| and the exact
    belief, 1 once |h| is zero; ``underflow``: the first n at which h is zero in this dtype, None if it never is.
    """

    log2_mass: Floats
    error: Floats
    underflow: int | None

    def off_at(self, tolerance: float) -> int | None:
        """The first n at which the error is above ``tolerance``, None if it never is."""
        return _first(self.error > tolerance)


def run_joint(automaton: Automaton, symbols: Sequence[int], dtype: str = "fp64") -> JointRun:
    """h' = T Z h along the symbols, rounded to ``dtype`` after every step, beside the exact filter.

    Raises:
        ImpossibleSymbol: the sequence can't happen.
    """
    exact = beliefs_along(automaton, symbols)
    state = rounded(automaton.start, dtype)
    mass, error = np.zeros(len(symbols) + 1), np.ones(len(symbols) + 1)
    for n in range(len(symbols) + 1):
        mass[n] = state.sum()
        if mass[n] > 0:
            error[n] = np.abs(state / mass[n] - exact[n]).max()
        if n < len(symbols):
            state = rounded(automaton.transitions[symbols[n]] @ (automaton.reveals[symbols[n]] * state), dtype)
    with np.errstate(divide="ignore"):
        log2_mass = np.log2(mass)
    return JointRun(log2_mass=log2_mass, error=error, underflow=_first(mass == 0))


def log2_masses(automaton: Automaton, symbols: Sequence[int]) -> Floats:
    """log2 of the mass that h has without rounding [len(symbols) + 1]; entry n is before symbol n.

    Sums the logarithms of the exact filter's survival masses: goes on where every dtype has reached zero.

    Raises:
        ImpossibleSymbol: the sequence can't happen.
    """
    belief, logs = automaton.start, np.zeros(len(symbols) + 1)
    for n, symbol in enumerate(symbols):
        belief, mass = belief_step(belief, automaton, symbol)
        logs[n + 1] = logs[n] + np.log2(mass)
    return logs


def sinkhorn(matrix: Floats, rounds: int = 200, tolerance: float = 1e-12) -> Floats:
    """The doubly stochastic matrix that alternate normalising of rows and columns leads to, columns last.

    Stops when rows sum to 1 within ``tolerance``, or after ``rounds``; a matrix without total support converges
    slowly, and one with a row or column of zeros never: that row or column stays zero.
    """
    result = np.maximum(matrix, 0.0)
    for _ in range(rounds):
        result = _over(_over(result, 1), 0)
        if np.abs(result.sum(axis=1) - 1.0).max() < tolerance:
            break
    return result


Event = tuple[str, int, int] | tuple[str, int, int, float]
"""``("mix", i, k, p)``: positions i and k are swapped with probability p; ``("reveal", i, j)``: position i holds j."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalRun:
    """After each event [events]: the largest entry of |decoded marginals - exact marginals| (``error``); the mass of H
    outside the revealed row and column, after a mix all of it (``unrevealed``), and in its lightest row or column
    (``lightest``), both before the decoder; how far the decoded rows are from sums of 1 (``residual``), above 1e-12
    where Sinkhorn did not converge.

    ``underflow``: the first event after which a row or column of H is all zero in this dtype (no decoder can restore
    what it held), None if there is none.
    """

    error: Floats
    unrevealed: Floats
    lightest: Floats
    residual: Floats
    underflow: int | None

    def off_at(self, tolerance: float) -> int | None:
        """The first event after which the error is above ``tolerance``, None if there is none."""
        return _first(self.error > tolerance)


def run_marginal(n: int, events: Sequence[Event], dtype: str = "fp64") -> MarginalRun:
    """The marginal form along the events, from the identity, rounded to ``dtype`` after each, beside the exact filter
    over all n! orders.

    Raises:
        ImpossibleSymbol: a reveal contradicts the events before it.
        ValueError: an event is neither a mix nor a reveal.
    """
    held = np.eye(n)
    orders = np.array(list(permutations(range(n))))  # orders[s, i]: the value at position i
    index = {tuple(order): s for s, order in enumerate(orders.tolist())}
    belief = np.zeros(len(orders))
    belief[index[tuple(range(n))]] = 1.0
    one_hot = np.eye(n)[orders]
    error, unrevealed, lightest, residual = np.zeros((4, len(events)))
    for step, event in enumerate(events):
        i, j = event[1], event[2]
        if event[0] == "mix" and len(event) == 4:
            p = float(event[3])
            swap = np.eye(n)
            swap[[i, j]] = swap[[j, i]]
            held = (1 - p) * held + p * swap @ held
            moved = orders.copy()
            moved[:, [i, j]] = moved[:, [j, i]]
            belief = (1 - p) * belief + p * belief[[index[tuple(order)] for order in moved.tolist()]]
        elif event[0] == "reveal" and len(event) == 3:
            kept = belief * (orders[:, i] == j)
            if kept.sum() <= 0:
                raise ImpossibleSymbol(
                    f"expected events that can happen, got position {i} holding {j} at event {step}; check the events"
                )
            belief = kept / kept.sum()
            row, column = np.eye(n)[:, [i]], np.eye(n)[:, [j]]
            held = (np.eye(n) - row @ row.T) @ held @ (np.eye(n) - column @ column.T) + row @ column.T
        else:
            raise ValueError(f"expected ('mix', i, k, p) or ('reveal', i, j), got {event} at event {step}; write one")
        held = rounded(held, dtype)
        decoded = sinkhorn(held)
        error[step] = np.abs(decoded - np.einsum("s,sij->ij", belief, one_hot)).max()
        residual[step] = np.abs(decoded.sum(axis=1) - 1.0).max()
        lightest[step] = min(held.sum(axis=0).min(), held.sum(axis=1).min())
        rest = held if event[0] == "mix" else np.delete(np.delete(held, i, axis=0), j, axis=1)
        unrevealed[step] = rest.sum()
    return MarginalRun(
        error=error,
        unrevealed=unrevealed,
        lightest=lightest,
        residual=residual,
        underflow=_first(lightest == 0),
    )


def _over(matrix: Floats, axis: int) -> Floats:
    """Sums along the axis made 1; a sum of zero stays zero."""
    total = matrix.sum(axis=axis, keepdims=True)
    result: Floats = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return result


def _first(flags: np.ndarray) -> int | None:
    places = np.flatnonzero(flags)
    return int(places[0]) if len(places) else None
