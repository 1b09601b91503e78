"""Probabilistic finite-state automata with state reveal (PFSA-SR), after definition 1 of "Learning State-Tracking from
Code Using Linear RNNs" (arXiv 2602.14814).

At each step the environment, which knows the state q, emits a symbol s with q in rho(s); then the next state is drawn
from delta(q, s): reveal first, then transition. A symbol whose transition is the identity only reveals; one with
rho(s) = Q only acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trace_mine.tracer.formats.repl import Rendered, parse, render
from trace_mine.tracer.schema import Step

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
SUM_ERROR = 1e-9
"""The largest distance of a sum of probabilities from 1: room for rounded decimals (1/3 as .3333333333), not for a
mistake in a hand-written file.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomatonCommand:
    """A symbol at the prompt: the ``source`` that is typed, and the ``output`` below it ("" for none).

    Raises:
        ValueError: a reader of the session could not tell command and output apart.
    """

    source: str
    output: str = ""

    def __post_init__(self) -> None:
        # Rendering and parsing back is the definition of "can be told apart": it covers prompts in the source, output
        # that looks like a prompt, and blank lines, which end a doctest's output.
        text = render([Step(source=self.source, output=self.output, kind="statement")]).text
        is_blank = self.source != self.source.strip("\n") or not self.source.strip()
        has_blank = bool(self.output) and not all(self.output.split("\n"))
        if is_blank or has_blank or parse(text) != [(self.source, self.output)]:
            raise ValueError(
                f"expected a command and an output that can be told apart at a prompt, got {self.source!r} and "
                f"{self.output!r}; leave out prompts and blank lines (<BLANKLINE> in an output)"
            )


# eq=False: `==` of arrays is an array, so a generated __eq__ would raise; two automata are equal if they are one.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Automaton:
    """A PFSA-SR with numbered states and symbols.

    Attributes:
        transitions: [symbols, states, states], float64. T[s, i, j] = P(next i | now j, symbol s); columns sum to 1.
        reveals: [symbols, states], bool. True where the symbol may be emitted in the state (rho).
        start: [states], float64, the law of the first state.
        emissions: [symbols, states], float64. P(symbol | state); columns sum to 1, and are zero where ``reveals``
            forbids the symbol. None: all symbols that a state allows are equally likely.
        commands: each symbol at the prompt; None: symbols have no form there.

    Arrays are copied, without negative zeros, and can't be written to. Not covered: an infinite Q, and an emission that
    depends on more than the state.

    Raises:
        ValueError: a shape, a name or a law is wrong; the message says where.
    """

    name: str
    states: tuple[str, ...]
    symbols: tuple[str, ...]
    transitions: Floats
    reveals: NDArray[np.bool_]
    start: Floats
    emissions: Floats | None = None
    commands: tuple[AutomatonCommand, ...] | None = None

    def __post_init__(self) -> None:
        num_symbols, num_states = len(self.symbols), len(self.states)
        for what, names in (("states", self.states), ("symbols", self.symbols)):
            if not names or len(set(names)) != len(names):
                raise ValueError(f"expected {what} of {self.name} to be distinct and at least one, got {names}; rename")
        shapes = {
            "transitions": (num_symbols, num_states, num_states),
            "reveals": (num_symbols, num_states),
            "start": (num_states,),
            "emissions": (num_symbols, num_states),
        }
        for what, shape in shapes.items():
            if (array := getattr(self, what)) is not None:
                object.__setattr__(self, what, _frozen(array, what, shape))  # how a frozen dataclass sets a field
        if self.commands is not None and len(self.commands) != num_symbols:
            raise ValueError(
                f"expected a command for each of {num_symbols} symbols, got {len(self.commands)}; give all or none"
            )
        self._check_laws()

    def _check_laws(self) -> None:
        for index, symbol in enumerate(self.symbols):
            # A symbol that no state allows has a likelihood of 0 everywhere: no sequence could hold it.
            if not self.reveals[index].any():
                raise ValueError(f"expected rho({symbol}) to hold a state, got none; leave the symbol out")
            for column, state in enumerate(self.states):
                _check(self.transitions[index, :, column], f"delta({state}, {symbol})")
        _check(self.start, "q0")
        for column, state in enumerate(self.states):
            # A state without symbols would have no next symbol, and no law of it.
            if not self.reveals[:, column].any():
                raise ValueError(f"expected a symbol that may be emitted in state {state}, got none; extend a rho")
            if self.emissions is not None:
                _check(self.emissions[:, column], f"emissions in state {state}")
                if self.emissions[~self.reveals[:, column], column].any():
                    raise ValueError(
                        f"expected emissions in state {state} to respect rho, got a symbol it forbids; extend its rho"
                    )

    def symbol_law(self) -> Floats:
        """Return P(symbol | state) [symbols, states]: ``emissions``, or the uniform law over what ``reveals``
        allows.
        """
        if self.emissions is not None:
            return self.emissions
        allowed = self.reveals.astype(np.float64)
        law: Floats = allowed / allowed.sum(axis=0, keepdims=True)
        return law

    def index(self, symbol: str) -> int:
        """Return a symbol's number.

        Raises:
            ValueError: the automaton has no such symbol.
        """
        if symbol not in self.symbols:
            raise ValueError(
                f"expected one of {self.name}'s symbols, {', '.join(self.symbols)}, got {symbol!r}; see Sigma"
            )
        return self.symbols.index(symbol)

    def session(self, symbols: Sequence[int]) -> Rendered:
        """Render symbols as a REPL session, by ``commands``.

        A symbol that some state forbids tells something of the state, so its command has the role of a reveal. Not
        covered: that an interpreter prints the same; the outputs are those of the automaton's file.

        Raises:
            ValueError: the automaton has no commands.
        """
        if self.commands is None:
            raise ValueError(f"expected commands for the symbols of {self.name}, got none; give `commands` in its file")
        kinds = ["statement" if allowed.all() else "reveal" for allowed in self.reveals]
        commands = self.commands
        return render(Step(source=commands[s].source, output=commands[s].output, kind=kinds[s]) for s in symbols)


def _frozen(values: ArrayLike, what: str, shape: tuple[int, ...]) -> Floats | Flags:
    """Return a read-only copy of the values as float64, or as bool for ``reveals``.

    Raises:
        ValueError: the shape is another, or the dtype can't be converted without loss.
    """
    array = np.array(values)
    wanted = np.dtype(np.bool_ if what == "reveals" else np.float64)
    if array.shape != shape:
        raise ValueError(f"expected {what} of shape {shape}, got {array.shape}; one entry for each symbol and state")
    # can_cast refuses numbers for `reveals`, where 0.5 would turn to True, and texts and complex numbers for all.
    if not np.can_cast(array.dtype, wanted):
        raise ValueError(f"expected {what} of dtype {wanted}, got {array.dtype}; convert it")
    array = array.astype(wanted)
    if wanted.kind == "f":
        array += 0.0  # turns -0.0 into 0.0, whose sign a file would not keep
    array.setflags(write=False)
    return array


def _check(law: Floats, what: str) -> None:
    """Raise ValueError if the law has a negative or infinite entry, or doesn't sum to 1."""
    if not np.isfinite(law).all() or (law < 0).any():
        raise ValueError(f"expected {what} to be probabilities, got {law.tolist()}; correct the numbers")
    if abs(law.sum() - 1.0) > SUM_ERROR:
        raise ValueError(f"expected {what} to sum to 1, got {law.sum():.12g}; correct the numbers")
