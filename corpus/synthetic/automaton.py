"""Probabilistic finite-state automata with state reveal (PFSA-SR), after definition 1 of "Learning State-Tracking from
Code Using Linear RNNs" (arXiv 2602.14814).

At each step the environment, which knows the state q, emits a symbol s with q in rho(s); then the next state is drawn
from delta(q, s): reveal first, then transition. With T = I a symbol only reveals, with rho(s) = Q it only acts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SUM_ERROR = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Automaton:
    """``transitions`` [symbols, states, states]: T[s, i, j] = P(next i | now j, symbol s), columns sum to 1.

    ``reveals`` [symbols, states]: whether s may be emitted in state j (rho). ``start`` [states]. ``emissions``
    [symbols, states]: P(s | state j), columns sum to 1 and are zero where rho forbids; None means uniform over what rho
    allows.
    """

    name: str
    states: tuple[str, ...]
    symbols: tuple[str, ...]
    transitions: Floats
    reveals: NDArray[np.bool_]
    start: Floats
    emissions: Floats | None = None

    def __post_init__(self) -> None:
        num_symbols, num_states = len(self.symbols), len(self.states)
        for what, names in (("states", self.states), ("symbols", self.symbols)):
            if not names or len(set(names)) != len(names):
                raise ValueError(f"expected {what} of {self.name} to be distinct and at least one, got {names}; rename")
        shapes = {
            "transitions": (self.transitions.shape, (num_symbols, num_states, num_states)),
            "reveals": (self.reveals.shape, (num_symbols, num_states)),
            "start": (self.start.shape, (num_states,)),
        }
        if self.emissions is not None:
            shapes["emissions"] = (self.emissions.shape, (num_symbols, num_states))
        for what, (got, wanted) in shapes.items():
            if got != wanted:
                raise ValueError(f"expected {what} of shape {wanted}, got {got}; one entry for each symbol and state")
        for index, symbol in enumerate(self.symbols):
            if not self.reveals[index].any():
                raise ValueError(f"expected rho({symbol}) to hold a state, got none; leave the symbol out")
            for column, state in enumerate(self.states):
                _check(self.transitions[index, :, column], f"delta({state}, {symbol})")
        _check(self.start, "q0")
        for column, state in enumerate(self.states):
            if not self.reveals[:, column].any():
                raise ValueError(f"expected a symbol that may be emitted in state {state}, got none; extend a rho")
            if self.emissions is not None:
                _check(self.emissions[:, column], f"emissions in state {state}")
                if self.emissions[~self.reveals[:, column], column].any():
                    raise ValueError(f"expected emissions in state {state} to respect rho, got a symbol it forbids")

    def symbol_law(self) -> Floats:
        """P(symbol | state) [symbols, states]."""
        if self.emissions is not None:
            return self.emissions
        allowed = self.reveals.astype(np.float64)
        law: Floats = allowed / allowed.sum(axis=0, keepdims=True)
        return law

    def index(self, symbol: str) -> int:
        """A symbol's number.

        Raises:
            ValueError: the automaton doesn't know it.
        """
        if symbol not in self.symbols:
            raise ValueError(f"expected a symbol of {self.name} ({', '.join(self.symbols)}), got {symbol!r}")
        return self.symbols.index(symbol)

    def sample(self, length: int, generator: np.random.Generator) -> tuple[list[int], list[int]]:
        """(symbols, states) of one run; states has one entry more: row n is the state before symbol n."""
        law = self.symbol_law()
        state = int(generator.choice(len(self.states), p=self.start))
        symbols, states = [], [state]
        for _ in range(length):
            symbol = int(generator.choice(len(self.symbols), p=law[:, state]))
            state = int(generator.choice(len(self.states), p=self.transitions[symbol, :, state]))
            symbols.append(symbol)
            states.append(state)
        return symbols, states


def _check(law: Floats, what: str) -> None:
    if not np.isfinite(law).all() or (law < 0).any():
        raise ValueError(f"expected {what} to be probabilities, got {law.tolist()}; correct the numbers")
    if abs(law.sum() - 1.0) > SUM_ERROR:
        raise ValueError(f"expected {what} to sum to 1, got {law.sum():.12g}; correct the numbers")
