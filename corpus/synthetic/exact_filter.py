"""The exact filter: the joint belief over states in float64, renormalised at every step. The oracle of all tasks.

b' = T Z b / |T Z b|: Z keeps the states in which the symbol may be emitted, T is the symbol's transition. With
``weigh`` the likelihood of the symbol takes the place of Z's ones, which matters where which symbol is emitted
depends on the state; where it is chosen independently of the state the two agree.

``belief_step`` is the formula, one sequence and dense; ``ExactFilter`` is the same for many sequences, with the zeros
of T left out. Not covered: a state whose weight falls below 5e-324 counts as impossible.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.automaton import Automaton, Floats

Ints = NDArray[np.int64]


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


class ExactFilter:
    """The beliefs of ``num_sequences`` sequences over one automaton, each after its own symbols.

    A transition with few entries in a row (identity, permutation, maybe-permutation) is gathered, not multiplied.
    """

    def __init__(self, automaton: Automaton, num_sequences: int = 1, *, weigh: bool = False) -> None:
        if num_sequences < 1:
            raise ValueError(f"expected num_sequences >= 1, got {num_sequences}; leave the filter out for none")
        self.automaton = automaton
        self.num_updates = 0
        self._likelihood = automaton.symbol_law() if weigh else automaton.reveals.astype(np.float64)
        self._law = automaton.symbol_law()
        self._terms = [_terms(matrix) for matrix in automaton.transitions]
        self._belief: Floats = np.tile(automaton.start, (num_sequences, 1))
        self._belief.setflags(write=False)

    @property
    def belief(self) -> Floats:
        """[sequences, states], each row conditions on the symbols so far; read-only, and not changed by updates."""
        return self._belief

    def update(self, symbols: Ints | Sequence[int]) -> Floats:
        """Takes in one symbol for each sequence; returns their survival masses |Z b| [sequences] (with ``weigh``:
        their probabilities).

        Raises:
            ImpossibleSymbol: a mass is zero; no belief has changed.
            ValueError: not one known symbol for each sequence.
        """
        taken = np.asarray(symbols)
        if taken.shape != (len(self._belief),):
            raise ValueError(f"expected {len(self._belief)} symbols, got shape {taken.shape}; one for each sequence")
        _known(taken, self.automaton)
        kept = self._likelihood[taken] * self._belief
        mass: Floats = kept.sum(axis=1)
        if not (mass > 0.0).all():
            row = int(np.flatnonzero(~(mass > 0.0))[0])
            raise ImpossibleSymbol(
                f"expected symbols that the beliefs allow, got {self.automaton.symbols[int(taken[row])]!r} of "
                f"{self.automaton.name}, none left in row {row} at step {self.num_updates}; check the sequence"
            )
        kept /= mass[:, None]
        for symbol in np.unique(taken).tolist():
            terms = self._terms[symbol]
            if terms is None:
                continue
            rows = np.flatnonzero(taken == symbol)
            before = kept[rows]
            if isinstance(terms, np.ndarray):
                kept[rows] = before @ terms
            else:
                diagonal, others = terms
                after = before * diagonal
                for source, weight in others:
                    after += before.take(source, axis=1) * weight
                kept[rows] = after
        kept /= kept.sum(axis=1, keepdims=True)
        kept.setflags(write=False)
        self._belief = kept
        self.num_updates += 1
        return mass

    def predict_reveal(self, texts: Sequence[str]) -> tuple[tuple[str, ...], Floats]:
        """The law of a text that the state decides, ``texts[state]``: (distinct texts in order of first state,
        probabilities [sequences, distinct texts]).

        Raises:
            ValueError: not one text for each state.
        """
        if len(texts) != len(self.automaton.states):
            raise ValueError(f"expected {len(self.automaton.states)} texts, got {len(texts)}; one for each state")
        distinct = tuple(dict.fromkeys(texts))
        shows = np.array([[text == told for told in distinct] for text in texts], dtype=np.float64)
        law: Floats = self._belief @ shows
        return distinct, law

    def predict_symbol(self) -> Floats:
        """The law of the next symbol [sequences, symbols], under ``Automaton.symbol_law``."""
        law: Floats = self._belief @ self._law.T
        return law


def beliefs_of_batch(automaton: Automaton, symbols: Ints, *, weigh: bool = False) -> Floats:
    """As ``beliefs_along`` for ``symbols`` [batch, length]: [batch, length + 1, states].

    Raises:
        ImpossibleSymbol: a sequence can't happen; says which, and where.
    """
    batch, length = symbols.shape
    beliefs = np.empty((batch, length + 1, len(automaton.states)))
    if not batch:
        return beliefs
    tracked = ExactFilter(automaton, batch, weigh=weigh)
    beliefs[:, 0] = tracked.belief
    for n in range(length):
        tracked.update(symbols[:, n])
        beliefs[:, n + 1] = tracked.belief
    return beliefs


Sparse = tuple[Floats, list[tuple[NDArray[np.intp], Floats]]]


def _terms(matrix: Floats) -> Sparse | Floats | None:
    """A transition as it is cheapest to apply from the right: None (identity); its diagonal and, for each k, the k-th
    other entries of all rows as (source state, weight); or the transposed matrix.
    """
    num_states = len(matrix)
    if np.array_equal(matrix, np.eye(num_states)):
        return None
    others = matrix * (1.0 - np.eye(num_states))
    num_gathers = int((others != 0).sum(axis=1).max())
    # microseconds for 8 beliefs on one thread, product against one gather:
    # 24 states 0.8, 1.1; 60 states 1.6, 1.3; 120 states 3.2, 1.7; 240 states 14, 2.6
    if num_gathers > num_states // 60:
        return np.ascontiguousarray(matrix.T)
    order = np.argsort(others == 0, axis=1, kind="stable")[:, :num_gathers]
    weights = np.take_along_axis(others, order, axis=1)
    return matrix.diagonal().copy(), [(order[:, k].copy(), weights[:, k].copy()) for k in range(num_gathers)]


def _known(symbols: NDArray[np.int64], automaton: Automaton) -> None:
    if not np.issubdtype(symbols.dtype, np.integer):
        raise ValueError(f"expected symbols as integers, got {symbols.dtype}; take Automaton.index of their names")
    wrong = symbols[(symbols < 0) | (symbols >= len(automaton.symbols))]
    if len(wrong):
        raise ValueError(f"expected symbols from 0 to {len(automaton.symbols) - 1}, got {int(wrong[0])}; see Sigma")
