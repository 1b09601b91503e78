"""From mined sessions to automata: the PFSA-SR (``synthetic.automaton``) that a session's commands define.

The tracer runs each command from every reachable state (``SessionAutomaton``) and gives, for each, the law of the next
state and of the text shown. A PFSA-SR reveals first and acts then, so a command becomes symbols in one of three ways:

* the state before decides its text: one symbol for each text, allowed in the states that show it, with the command's
  own transition. Commands that only show a value, and commands that show nothing, are of this kind;
* the state after decides its text: it acts and then shows, so it is split into a symbol that acts and, for each text, a
  symbol that only reveals;
* neither decides it: the command is no PFSA-SR, and ``NoAutomaton`` names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.schema import RowColumns, SplitRowColumns
from trace_mine.corpus.synthetic.automaton import Automaton, Flags, Floats
from trace_mine.tracer.inside.protocol.choice_answers import Move, SessionAutomaton


class NoAutomaton(ValueError):
    """The commands of a session define no PFSA-SR; the message names the command that does not fit."""


def automaton_of(fitted: SessionAutomaton, name: str) -> tuple[Automaton, list[str]]:
    """Return the automaton of a session, and notes for people on commands that were split or added.

    Args:
        fitted: the reachable states, the first one, and for each command and state the law of (state after, text).
        name: the automaton's name.

    Raises:
        NoAutomaton: a command's text depends on more than the state before it or the state after it, or the laws are
            none: they come from a run of the row's program, which may be hostile.
    """
    states = fitted.states
    builder = _Builder(states)
    for command, table in fitted.commands.items():
        builder.add_command(command, table)
    if not builder.symbols:
        raise NoAutomaton("no command does anything")
    # The tracer knows the first state with certainty: it is the state after the set-up.
    start = np.zeros(len(states))
    start[states.index(fitted.start)] = 1.0
    builder.cover()
    try:
        automaton = Automaton(
            name=name,
            states=states,
            symbols=tuple(builder.symbols),
            transitions=np.stack(builder.transitions),
            reveals=np.stack(builder.reveals),
            start=start,
        )
    except ValueError as error:
        raise NoAutomaton(str(error)) from error
    return automaton, builder.notes


def commands_of(row: RowColumns) -> list[str]:
    """Return the commands of a row that an automaton is made of.

    Definitions of what is opened are left out: nothing uses them, and each makes a function that equals no other one,
    so that there would be no end of states. So are the comments with which bodies begin: commands that differ in them
    alone are one symbol.
    """
    return [_without_comments(step["source"]) for step in row["steps"] if step["kind"] != "source"]


def _without_comments(source: str) -> str:
    """A command without the lines of comments that it begins with."""
    lines = source.split("\n")
    first = next((number for number, line in enumerate(lines) if not line.startswith("#")), 0)
    return "\n".join(lines[first:])


class _Builder:
    """Gathers the symbols of an automaton, one entry a symbol in each of three lists: ``symbols`` (names),
    ``transitions`` [state after, state before], ``reveals`` [state before] (where the symbol may be emitted).
    """

    def __init__(self, states: Sequence[str]) -> None:
        self._states = states
        self._index = {state: n for n, state in enumerate(states)}
        self.symbols: list[str] = []
        self.transitions: list[Floats] = []
        self.reveals: list[Flags] = []
        self.notes: list[str] = []

    def add_command(self, command: str, table: Mapping[str, Sequence[Move]]) -> None:
        """Add the symbols of one command.

        Args:
            command: its source.
            table: for each state before it, the (probability, state after, text) that it may lead to.

        Raises:
            NoAutomaton: its text depends on more than the state before it or the state after it.
        """
        matrix = np.zeros((len(self._states), len(self._states)))
        by_before: dict[str, set[str]] = defaultdict(set)
        by_after: dict[str, set[str]] = defaultdict(set)
        for before, law in table.items():
            for probability, after, text in law:
                matrix[self._index[after], self._index[before]] += probability
                by_before[before].add(text)
                by_after[after].add(text)
        # The state before is asked first: where both decide, a PFSA-SR's own order needs no second symbol.
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
        """Add the symbol ``pass`` where a state allows no symbol, as ``Automaton`` asks for one in each state."""
        if not np.stack(self.reveals).any(axis=0).all():
            self.notes.append("a symbol `pass` was added for states in which no command may be given")
            self._add("pass", np.eye(len(self._states)), np.ones(len(self._states), dtype=bool))

    def _showing(self, texts: Mapping[str, set[str]], text: str) -> Flags:
        return np.array([texts.get(state) == {text} for state in self._states])

    def _add(self, symbol: str, matrix: Floats, allowed: Flags) -> None:
        # A command of several lines is one line in a file of automata, where the symbol is a key.
        self.symbols.append(" ".join(symbol.split()))
        self.transitions.append(matrix)
        self.reveals.append(allowed)


def rows_with_choices(dataset: Path, wanted: str = "") -> Iterator[SplitRowColumns]:
    """Yield the rows of a dataset that have choices.

    Args:
        dataset: the dataset's folder.
        wanted: a ``trace_id`` or ``name``, for the rows that have it; "" for all.

    Raises:
        CorpusError: the folder has no ``data/*.parquet``.
    """
    import pyarrow.parquet

    files = sorted(dataset.glob("data/*.parquet"))
    if not files:
        raise CorpusError(f"expected a dataset, got {dataset}, which has no data/*.parquet; mine one", exit_code=2)
    # Read with pyarrow alone: `datasets` would first copy the whole dataset into its cache.
    for file in files:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(200):
            for row in batch.to_pylist():
                if row["choices"] and wanted in ("", row["trace_id"], row["name"]):
                    yield row
