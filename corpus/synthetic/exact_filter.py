"""The exact filter of an automaton: the joint belief over states in float64, renormalised at every step.

b' = T Z b / |T Z b|: the diagonal matrix Z keeps the states in which the symbol may be emitted, T is the symbol's
transition. With ``weigh``, Z holds the likelihood of the symbol in each state instead of ones. The two differ where the
state influences which symbol is emitted; they agree where the symbol is chosen independently of the state.

Not covered: a state whose weight falls below 5e-324 counts as impossible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.automaton import Automaton, Floats


class ImpossibleSymbol(ValueError):
    """A symbol can't be emitted in any state that is still possible."""


def belief_step(belief: Floats, automaton: Automaton, symbol: int, *, weigh: bool = False) -> tuple[Floats, float]:
    """Return the belief [states] after one symbol, and the symbol's survival mass |Z b|.

    Args:
        belief: [states], the law of the state before the symbol.
        symbol: the symbol's number.
        weigh: weigh states by the likelihood of the symbol; the mass is then the symbol's probability.

    Raises:
        ImpossibleSymbol: the mass is zero.
        ValueError: the automaton has no such symbol.
    """
    _check_symbols(np.array([symbol]), automaton)
    allowed = automaton.symbol_law()[symbol] if weigh else automaton.reveals[symbol].astype(np.float64)
    kept = allowed * belief
    # Divided by the mass before the transition: a mass of 1e-300 is still one that the product could lose.
    mass = float(kept.sum())
    if mass <= 0.0:
        raise ImpossibleSymbol(
            f"expected a symbol that the belief allows, got {automaton.symbols[symbol]!r} of {automaton.name}, "
            "which has no state left; check the sequence"
        )
    after: Floats = automaton.transitions[symbol] @ (kept / mass)
    return after / after.sum(), mass  # columns of T sum to 1 within 1e-9 only: the error would grow with the steps


def beliefs_along(automaton: Automaton, symbols: Sequence[int], *, weigh: bool = False) -> Floats:
    """Return the beliefs along a sequence, [len(symbols) + 1, states]; row n conditions on ``symbols[:n]``.

    Raises:
        ImpossibleSymbol: the sequence can't happen.
        ValueError: the automaton has no such symbol.
    """
    beliefs = np.empty((len(symbols) + 1, len(automaton.states)))
    beliefs[0] = automaton.start
    for n, symbol in enumerate(symbols):
        beliefs[n + 1], _ = belief_step(beliefs[n], automaton, symbol, weigh=weigh)
    return beliefs


def _check_symbols(symbols: NDArray[np.int64], automaton: Automaton) -> None:
    # A negative number would index from the end, and give the belief of another symbol.
    if not np.issubdtype(symbols.dtype, np.integer):
        raise ValueError(f"expected symbols as integers, got {symbols.dtype}; take Automaton.index of their names")
    wrong = symbols[(symbols < 0) | (symbols >= len(automaton.symbols))]
    if len(wrong):
        raise ValueError(f"expected symbols from 0 to {len(automaton.symbols) - 1}, got {int(wrong[0])}; see Sigma")
