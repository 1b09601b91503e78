"""From traces to automata: the PFSA-SR that a mined session's commands define, as YAML for ``trace-synth``.

A command that changes nothing and shows a text that the state decides is a reveal: one symbol for each text. One that
shows what the state before decides, and then acts, is PFSA-SR's own order. One that acts and then shows what the state
after decides is split in two symbols. Any other does not fit, and that is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.schema import SplitRowColumns
from trace_mine.corpus.synthetic.automaton import Automaton, Flags, Floats
from trace_mine.tracer.inside.protocol.answers import Move, SessionAutomaton


class NoAutomaton(ValueError):
    """The commands are no PFSA-SR; the message says which command does not fit."""


def automaton_of(fitted: SessionAutomaton, name: str) -> tuple[Automaton, list[str]]:
    """The automaton of what was fitted, and notes on what was changed to make it one.

    Raises:
        NoAutomaton: a command's text depends on more than the state before or after it.
    """
    states = fitted.states
    builder = _Builder(states)
    for command, table in fitted.commands.items():
        builder.add_command(command, table)
    start = np.zeros(len(states))
    start[states.index(fitted.start)] = 1.0
    builder.cover()
    automaton = Automaton(
        name=name,
        states=states,
        symbols=tuple(builder.symbols),
        transitions=np.stack(builder.transitions),
        reveals=np.stack(builder.reveals),
        start=start,
    )
    return automaton, builder.notes


class _Builder:
    """Gathers the symbols of an automaton: a name, a matrix (state after, state before), the states it shows up in."""

    def __init__(self, states: Sequence[str]) -> None:
        self._states = states
        self._index = {state: n for n, state in enumerate(states)}
        self.symbols: list[str] = []
        self.transitions: list[Floats] = []
        self.reveals: list[Flags] = []
        self.notes: list[str] = []

    def add_command(self, command: str, table: Mapping[str, Sequence[Move]]) -> None:
        """The symbols of one command.

        Raises:
            NoAutomaton: its text depends on more than the state before or after it.
        """
        matrix = np.zeros((len(self._states), len(self._states)))
        by_before: dict[str, set[str]] = defaultdict(set)
        by_after: dict[str, set[str]] = defaultdict(set)
        for before, law in table.items():
            for probability, after, text in law:
                matrix[self._index[after], self._index[before]] += probability
                by_before[before].add(text)
                by_after[after].add(text)
        if all(len(texts) == 1 for texts in by_before.values()):
            for text in sorted(set().union(*by_before.values())):
                self._add(f"{command} -> {text}" if text else command, matrix, self._showing(by_before, text))
        elif all(len(texts) == 1 for texts in by_after.values()):
            self.notes.append(f"{command!r} acts and then shows: split in two symbols")
            self._add(command, matrix, np.ones(len(self._states), dtype=bool))
            for text in sorted(set().union(*by_after.values())):
                self._add(
                    f"{command} shows {text or 'nothing'}", np.eye(len(self._states)), self._showing(by_after, text)
                )
        else:
            raise NoAutomaton(f"{command!r} shows what neither the state before nor the one after decides")

    def cover(self) -> None:
        """Adds a symbol that does nothing where some state allows no symbol: each state must allow one."""
        if not np.stack(self.reveals).any(axis=0).all():
            self.notes.append("a symbol `pass` was added for states in which no command may be given")
            self._add("pass", np.eye(len(self._states)), np.ones(len(self._states), dtype=bool))

    def _showing(self, texts: Mapping[str, set[str]], text: str) -> Flags:
        return np.array([texts.get(state) == {text} for state in self._states])

    def _add(self, symbol: str, matrix: Floats, allowed: Flags) -> None:
        self.symbols.append(" ".join(symbol.split()))
        self.transitions.append(matrix)
        self.reveals.append(allowed)


def rows_with_choices(dataset: Path, wanted: str = "") -> Iterator[SplitRowColumns]:
    """Rows of a dataset that have choices: all, or the one whose ``trace_id`` or ``name`` this is.

    Raises:
        CorpusError: there is no dataset.
    """
    import pyarrow.parquet

    files = sorted(dataset.glob("data/*.parquet"))
    if not files:
        raise CorpusError(f"expected a dataset, got {dataset}, which has no data/*.parquet; mine one", exit_code=2)
    for file in files:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(200):
            for row in batch.to_pylist():
                if row["choices"] and wanted in ("", row["trace_id"], row["name"]):
                    yield row
