"""The paper's two linear representations of a belief, and where each departs from the exact belief.

Joint form: h' = T Z h over all states, without normalisation. Normalised afterwards it is exact until it underflows:
its mass is the product of the survival masses, so it decays exponentially, and no input can refill it. Near the
smallest number of a dtype it is wrong before it is zero, and may stay so: 0.9 of the smallest number rounds back to it.

Marginal form: H [positions, values] of a permutation. A maybe-swap mixes two rows; the reveal "position i holds j"
clears row i and column j and puts 1 there; the decoder makes H doubly stochastic (Sinkhorn). Of three positions with
p = 1/2 and one mix between two reveals it is exact until it underflows; else it is approximate, since it forgets how
positions depend on each other.

The exact belief is the filter in float64. A dtype here is that of the state between two steps: each step is computed in
float64 and rounded once, so that the errors seen are those of storing the state. Not covered: sums that are accumulated
in the dtype itself, and hardware that flushes subnormal numbers to zero; both reach zero sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from trace_mine.corpus.synthetic.automaton import Automaton, Flags, Floats
from trace_mine.corpus.synthetic.exact_filter import ImpossibleSymbol, belief_step, beliefs_along

# bf16's largest is (2 - 2^-7) 2^127, fp32's (2 - 2^-23) 2^127; past them a sum is infinite, as on hardware.
DTYPES = {"fp16": (10, -14, 65504.0), "bf16": (7, -126, 2.0**128 - 2.0**120), "fp32": (23, -126, 2.0**128 - 2.0**104)}
"""Name to (stored bits of the mantissa, smallest normal exponent, largest finite number). fp64 is known too, and needs
no rounding.
"""


def rounded(values: Floats, dtype: str) -> Floats:
    """Return the values as ``dtype`` (fp16, bf16, fp32, fp64) stores them, as float64.

    They are rounded once to nearest, ties to even, with gradual underflow; past the largest number they are infinite.
    numpy has no bf16, and a cast by way of float32 would round twice.

    Raises:
        ValueError: there is no such dtype.

    >>> rounded(np.array([1.01171875]), "bf16").tolist()
    [1.015625]
    """
    if dtype == "fp64":
        return values.copy()
    if dtype not in DTYPES:
        raise ValueError(f"expected a dtype among {', '.join([*DTYPES, 'fp64'])}, got {dtype!r}; take one of them")
    mantissa_bits, smallest, largest = DTYPES[dtype]
    _, exponents = np.frexp(values)  # |values| = m 2^exponent, 1/2 <= m < 1
    # The exponent of the last stored bit; below the smallest normal number it stays, which is gradual underflow.
    quantum = np.maximum(exponents - 1, smallest) - mantissa_bits
    result: Floats = np.ldexp(np.rint(np.ldexp(values, -quantum)), quantum)
    return np.where(np.abs(result) > largest, np.copysign(np.inf, result), result)


def halvings_to_zero(dtype: str) -> int:
    """Return the number of times that 1 can be halved until it is zero: the number of cycles of Fig. 9's automaton
    after which the joint form has lost all mass.
    """
    # Counted, not derived: with ties to even, half of the smallest number rounds to zero, which no formula would show.
    value, count = np.array([1.0]), 0
    while value[0] > 0:
        value = rounded(value * 0.5, dtype)
        count += 1
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRun:
    """The joint form along a sequence. Arrays have length + 1 entries; entry n is before symbol n.

    Attributes:
        log2_mass: log2 of |h|; -inf once h is zero.
        error: the largest absolute difference between h/|h| and the exact belief; 1 once h is zero.
        underflow: the first n at which h is zero in this dtype; None if there is none.
    """

    log2_mass: Floats
    error: Floats
    underflow: int | None

    def off_at(self, tolerance: float) -> int | None:
        """Return the first n at which the error is above ``tolerance``; None if there is none."""
        return _first(self.error > tolerance)


def run_joint(automaton: Automaton, symbols: Sequence[int], dtype: str = "fp64") -> JointRun:
    """Run the joint form h' = T Z h along the symbols, rounded to ``dtype`` after every step, beside the exact filter.

    Raises:
        ImpossibleSymbol: the sequence can't happen.
        ValueError: there is no such dtype or symbol.
    """
    exact = beliefs_along(automaton, symbols)
    state = rounded(automaton.start, dtype)
    mass, error = np.zeros(len(symbols) + 1), np.ones(len(symbols) + 1)
    for n in range(len(symbols) + 1):
        mass[n] = state.sum()
        # Once h is zero nothing can be decoded: the error stays at its largest value, 1.
        if mass[n] > 0:
            error[n] = np.abs(state / mass[n] - exact[n]).max()
        if n < len(symbols):
            state = rounded(automaton.transitions[symbols[n]] @ (automaton.reveals[symbols[n]] * state), dtype)
    with np.errstate(divide="ignore"):  # log2 of a mass of 0 is meant to be -inf
        log2_mass = np.log2(mass)
    return JointRun(log2_mass=log2_mass, error=error, underflow=_first(mass == 0))


def log2_masses(automaton: Automaton, symbols: Sequence[int]) -> Floats:
    """Return log2 of the mass that h would have without rounding, [len(symbols) + 1]; entry n is before symbol n.

    It is the sum of the logarithms of the exact filter's survival masses, so it goes on where every dtype is at zero.

    Raises:
        ImpossibleSymbol: the sequence can't happen.
    """
    belief, logs = automaton.start, np.zeros(len(symbols) + 1)
    for n, symbol in enumerate(symbols):
        belief, mass = belief_step(belief, automaton, symbol)
        logs[n + 1] = logs[n] + np.log2(mass)
    return logs


def sinkhorn(matrix: Floats, rounds: int = 2_000, tolerance: float = 1e-12) -> Floats:
    """Return the doubly stochastic matrix to which normalising rows and columns in turn leads; columns come last.

    It stops when all rows sum to 1 within ``tolerance``, or after ``rounds``. A matrix with a row or column of zeros
    has no such limit: that row or column stays zero.

    Entries that lie on no positive diagonal go to 0 in the limit, but as slowly as 1 / rounds: after 25, 50 and 200
    rounds a belief was off by 1 / (2 rounds + 2), which looked like an error of the representation. So they are set to
    0 at once, after which the convergence is geometric (R. Sinkhorn and P. Knopp, 1967).
    """
    result = np.maximum(matrix, 0.0)  # a model's decoder may be given small negative entries
    result = np.where(_on_a_diagonal(result), result, 0.0)
    for _ in range(rounds):
        result = _over(_over(result, 1), 0)
        if np.abs(result.sum(axis=1) - 1.0).max() < tolerance:
            break
    return result


def _on_a_diagonal(matrix: Floats) -> Flags:
    """Tell of each entry [n, n] if it lies on a positive diagonal: n positive entries, one in each row and column.

    All are True where there is no such diagonal at all: then no entry is better than another.
    """
    n = len(matrix)
    orders = np.array(list(permutations(range(n))))
    positive = orders[(matrix[np.arange(n), orders] > 0).all(axis=1)]
    if not len(positive):
        return np.ones((n, n), dtype=bool)
    flags = np.zeros((n, n), dtype=bool)
    flags[np.broadcast_to(np.arange(n), positive.shape), positive] = True
    return flags


Event = tuple[str, int, int] | tuple[str, int, int, float]
"""``("mix", i, k, p)``: positions i and k are swapped with probability p; ``("reveal", i, j)``: position i holds j."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalRun:
    """The marginal form along a sequence of events. Arrays are [events]; entry n is after event n.

    Attributes:
        error: the largest entry of |decoded marginals - exact marginals|.
        unrevealed: the mass of H outside the revealed row and column; after a mix, of all of H.
        lightest: the mass of H in its lightest row or column. This and ``unrevealed`` are taken before the decoder.
        residual: the largest distance of a decoded row's sum from 1; above 1e-12 where Sinkhorn did not converge.
        underflow: the first event after which a row or column of H is all zero in this dtype, so that no decoder can
            restore it; None if there is none.
    """

    error: Floats
    unrevealed: Floats
    lightest: Floats
    residual: Floats
    underflow: int | None

    def off_at(self, tolerance: float) -> int | None:
        """Return the first event after which the error is above ``tolerance``; None if there is none."""
        return _first(self.error > tolerance)


def run_marginal(n: int, events: Sequence[Event], dtype: str = "fp64") -> MarginalRun:
    """Run the marginal form along the events, rounded to ``dtype`` after each, beside the exact filter.

    Both start from the identity: position i holds value i. The exact filter keeps a weight for each of the n! orders.

    Raises:
        ImpossibleSymbol: a reveal contradicts the events before it.
        ValueError: an event is neither a mix nor a reveal, or there is no such dtype.
    """
    marginals = np.eye(n)
    orders = np.array(list(permutations(range(n))))  # orders[s, i]: the value at position i
    index = {tuple(order): s for s, order in enumerate(orders.tolist())}
    belief = np.zeros(len(orders))
    belief[index[tuple(range(n))]] = 1.0
    one_hot = np.eye(n)[orders]  # [orders, positions, values]
    error, unrevealed, lightest, residual = np.zeros((4, len(events)))
    for step, event in enumerate(events):
        i, j = event[1], event[2]
        if event[0] == "mix" and len(event) == 4:
            p = float(event[3])
            swap = np.eye(n)
            swap[[i, j]] = swap[[j, i]]
            marginals = (1 - p) * marginals + p * swap @ marginals
            moved = orders.copy()
            moved[:, [i, j]] = moved[:, [j, i]]
            # A swap is its own inverse: the mass that comes to an order is that of the order which the swap makes of
            # it.
            belief = (1 - p) * belief + p * belief[[index[tuple(order)] for order in moved.tolist()]]
        elif event[0] == "reveal" and len(event) == 3:
            # The exact filter: orders that contradict the reveal get weight 0.
            kept = belief * (orders[:, i] == j)
            if kept.sum() <= 0:
                raise ImpossibleSymbol(
                    f"expected events that can happen, got position {i} holding {j} at event {step}; check the events"
                )
            belief = kept / kept.sum()
            # (I - e_i e_i') H (I - e_j e_j') + e_i e_j', the paper's erase and write.
            row, column = np.eye(n)[:, [i]], np.eye(n)[:, [j]]
            marginals = (np.eye(n) - row @ row.T) @ marginals @ (np.eye(n) - column @ column.T) + row @ column.T
        else:
            raise ValueError(f"expected ('mix', i, k, p) or ('reveal', i, j), got {event} at event {step}; write one")
        marginals = rounded(marginals, dtype)
        decoded = sinkhorn(marginals)
        error[step] = np.abs(decoded - np.einsum("s,sij->ij", belief, one_hot)).max()
        residual[step] = np.abs(decoded.sum(axis=1) - 1.0).max()
        # Before the decoder: Sinkhorn would restore the sums of all rows but those that are zero.
        lightest[step] = min(marginals.sum(axis=0).min(), marginals.sum(axis=1).min())
        rest = marginals if event[0] == "mix" else np.delete(np.delete(marginals, i, axis=0), j, axis=1)
        unrevealed[step] = rest.sum()
    return MarginalRun(
        error=error,
        unrevealed=unrevealed,
        lightest=lightest,
        residual=residual,
        underflow=_first(lightest == 0),
    )


def _over(matrix: Floats, axis: int) -> Floats:
    """Return the matrix with sums of 1 along the axis; a sum of zero stays zero."""
    total = matrix.sum(axis=axis, keepdims=True)
    result: Floats = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    return result


def _first(flags: Flags) -> int | None:
    """Return the place of the first true flag; None if all are false."""
    places = np.flatnonzero(flags)
    return int(places[0]) if len(places) else None
