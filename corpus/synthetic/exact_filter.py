"""The exact filter: the joint belief over states in float64, renormalised at every step. The oracle of all tasks.

b' = T Z b / |T Z b|: Z keeps the states in which the symbol may be emitted, T is the symbol's transition. With
``weigh`` the likelihood of the symbol takes the place of Z's ones, which matters where which symbol is emitted
depends on the state; where it is chosen independently of the state the two agree.

Not covered: a state whose weight falls below 5e-324 counts as impossible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.automaton import Automaton, Floats


class ImpossibleSymbol(ValueError):
    """The symbol can't be emitted in any state that is still possible."""


def belief_step(belief: Floats, automaton: Automaton, symbol: int, *, weigh: bool = False) -> tuple[Floats, float]:
    """The belief [states] after one symbol, and the symbol's survival mass |Z b| (with ``weigh``: its probability).

    Raises:
        ImpossibleSymbol: the mass is zero.
        ValueError: there is no such symbol.
    """
    _known(np.array([symbol]), automaton)
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
    """Beliefs [len(symbols) + 1, states]; row n conditions on ``symbols[:n]``.

    Raises:
        ImpossibleSymbol: the sequence can't happen.
    """
    beliefs = np.empty((len(symbols) + 1, len(automaton.states)))
    beliefs[0] = automaton.start
    for n, symbol in enumerate(symbols):
        beliefs[n + 1], _ = belief_step(beliefs[n], automaton, symbol, weigh=weigh)
    return beliefs


def _known(symbols: NDArray[np.int64], automaton: Automaton) -> None:
    if not np.issubdtype(symbols.dtype, np.integer):
        raise ValueError(f"expected symbols as integers, got {symbols.dtype}; take Automaton.index of their names")
    wrong = symbols[(symbols < 0) | (symbols >= len(automaton.symbols))]
    if len(wrong):
        raise ValueError(f"expected symbols from 0 to {len(automaton.symbols) - 1}, got {int(wrong[0])}; see Sigma")
