"""From traces to automata: the PFSA-SR that a mined session's commands define, as YAML for ``trace-synth``.

A command that changes nothing and shows a text that the state decides is a reveal: one symbol for each text. One that
shows what the state before decides, and then acts, is PFSA-SR's own order. One that acts and then shows what the state
after decides is split in two symbols. Any other does not fit, and that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.synthetic.automaton import Automaton
from trace_mine.tracer.inside.protocol.answers import SessionAutomaton

Law = list[list[Any]]


class NoAutomaton(ValueError):
    """The commands are no PFSA-SR; the message says which command does not fit."""


def automaton_of(fitted: SessionAutomaton, name: str) -> tuple[Automaton, list[str]]:
    """The automaton of what was fitted, and notes on what was changed to make it one.

    Raises:
        NoAutomaton: a command's text depends on more than the state before or after it.
    """
    states = fitted.states
    index = {state: n for n, state in enumerate(states)}
    symbols: list[str] = []
    transitions: list[Any] = []
    reveals: list[Any] = []
    notes: list[str] = []

    def add(symbol: str, matrix: Any, allowed: Any) -> None:
        symbols.append(" ".join(symbol.split()))
        transitions.append(matrix)
        reveals.append(allowed)

    def told(source: str, text: str) -> str:
        return f"{source} -> {text}" if text else source

    for source, table in fitted.commands.items():
        matrix = np.zeros((len(states), len(states)))
        for before, law in table.items():
            for probability, after, _ in law:
                matrix[index[after], index[before]] += probability
        texts = {before: {text for _, _, text in law} for before, law in table.items()}
        if all(len(found) == 1 for found in texts.values()):
            for text in sorted({next(iter(found)) for found in texts.values()}):
                add(told(source, text), matrix, np.array([texts[state] == {text} for state in states]))
            continue
        shown: dict[str, set[str]] = {}
        for law in table.values():
            for _, after, text in law:
                shown.setdefault(after, set()).add(text)
        if any(len(found) > 1 for found in shown.values()):
            raise NoAutomaton(f"{source!r} shows what neither the state before nor the one after decides")
        notes.append(f"{source!r} acts and then shows: split in two symbols")
        add(source, matrix, np.ones(len(states), dtype=bool))
        for text in sorted(set().union(*shown.values())):
            allowed = np.array([shown.get(state) == {text} for state in states])
            if allowed.any():
                add(f"{source} shows {text or 'nothing'}", np.eye(len(states)), allowed)
    start = np.zeros(len(states))
    start[index[fitted.start]] = 1.0
    covered = np.stack(reveals).any(axis=0)
    if not covered.all():
        notes.append("a symbol `pass` was added for states in which no command may be given")
        add("pass", np.eye(len(states)), np.ones(len(states), dtype=bool))
    return (
        Automaton(
            name=name,
            states=states,
            symbols=tuple(symbols),
            transitions=np.stack(transitions),
            reveals=np.stack(reveals),
            start=start,
        ),
        notes,
    )


def rows_with_choices(dataset: Path, wanted: str = "") -> Iterator[Mapping[str, Any]]:
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
