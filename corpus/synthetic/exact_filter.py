"""The exact filter: the joint belief over states in float64, renormalised at every step. The oracle of all tasks.

b' = T Z b / |T Z b|: Z keeps the states in which the symbol may be emitted, T is the symbol's transition. With
``symbol_law`` the likelihood of the symbol takes the place of Z's ones, which matters where which symbol is emitted
depends on the state; where it is chosen independently of the state the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.synthetic.automaton import Automaton, Floats


class ImpossibleSymbol(ValueError):
    """The symbol can't be emitted in any state that is still possible."""


def belief_step(belief: Floats, automaton: Automaton, symbol: int, *, weigh: bool = False) -> tuple[Floats, float]:
    """The belief [states] after one symbol, and the symbol's survival mass |Z b| (with ``weigh``: its probability).

    Raises:
        ImpossibleSymbol: the mass is zero.
    """
    allowed = automaton.symbol_law()[symbol] if weigh else automaton.reveals[symbol].astype(np.float64)
    kept = allowed * belief
    mass = float(kept.sum())
    if mass <= 0.0:
        raise ImpossibleSymbol(
            f"expected a symbol that the belief allows, got {automaton.symbols[symbol]!r} of {automaton.name}, "
            "which has no state left; check the sequence"
        )
    after: Floats = automaton.transitions[symbol] @ (kept / mass)
    return after / after.sum(), mass


def beliefs_along(automaton: Automaton, symbols: Sequence[int], *, weigh: bool = False) -> Floats:
    """Beliefs [len(symbols) + 1, states]; row n conditions on ``symbols[:n]``."""
    beliefs = np.empty((len(symbols) + 1, len(automaton.states)))
    beliefs[0] = automaton.start
    for n, symbol in enumerate(symbols):
        beliefs[n + 1], _ = belief_step(beliefs[n], automaton, symbol, weigh=weigh)
    return beliefs


def beliefs_of_batch(automaton: Automaton, symbols: np.ndarray, *, weigh: bool = False) -> Floats:
    """As ``beliefs_along`` for ``symbols`` [batch, length]: [batch, length + 1, states]."""
    batch, length = symbols.shape
    beliefs = np.empty((batch, length + 1, len(automaton.states)))
    beliefs[:, 0] = automaton.start
    law = automaton.symbol_law() if weigh else automaton.reveals.astype(np.float64)
    for n in range(length):
        kept = law[symbols[:, n]] * beliefs[:, n]
        mass = kept.sum(axis=1, keepdims=True)
        if (mass <= 0).any():
            row = int(np.flatnonzero(mass[:, 0] <= 0)[0])
            raise ImpossibleSymbol(f"expected symbols that the beliefs allow, got none left in row {row} at step {n}")
        after = np.einsum("bij,bj->bi", automaton.transitions[symbols[:, n]], kept / mass)
        beliefs[:, n + 1] = after / after.sum(axis=1, keepdims=True)
    return beliefs
