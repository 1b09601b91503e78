"""A dataset without a run: rows, records and drops of made-up repositories, merged as ``produce`` merges them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from corpus_fakes import FakeTracer

from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.merge import merge
from trace_mine.corpus.plan import DatasetPlan, PlannedUnit
from trace_mine.corpus.rows import Row, RowOrigin, make_row
from trace_mine.corpus.work import Dropped, Item
from trace_mine.tracer.schema import Belief, Drop, Piece, Snippet, Trace

IN_SPLITS = {"train": "toolz", "validation": "requests", "test": "pluggy"}
"""A name of a repository for each split."""
CONFIG: Mapping[str, object] = {
    "sources": ["doctest"],
    "view": "branch",
    "seed": 0,
    "follow": 3,
    "inputs": ["toolz-1.2.0.tar.gz", "module:heapq"],
}


def row_of(repository: str, number: int, *, is_uncertain: bool = False, no_session: str = "") -> Row:
    """A row of this repository whose text no other number has."""
    words = " + ".join(f"{repository}_{number}_{place}" for place in range(30))
    piece = Piece(source=f"{words}", line=number + 1, want=f"{number}")
    snippet = Snippet(kind="doctest", name=f"m.f{number}", path="m.py", line=1, end_line=2, pieces=(piece,))
    trace = FakeTracer({"sys_path": ()}).trace(snippet)
    assert isinstance(trace, Trace)
    outcomes = (str(number), "other") if is_uncertain else (str(number),)
    belief = Belief(
        segment=len(trace.segments) - 1,
        outcomes=outcomes,
        probabilities=(0.25, 0.75) if is_uncertain else (1.0,),
        method="exact",
        stderr=(0.0,) * len(outcomes),
    )
    origin = RowOrigin(
        origin="mined",
        repository=repository,
        version="1.0",
        commit=None,
        licence="MIT",
        requires=(),
        path="m.py",
        name=f"m.f{number}",
        line=number + 1,
        end_line=number + 2,
        entry="doctest",
        source_hash="0" * 64,
        num_skipped=0,
        seed=0,
    )
    trace = replace(trace, beliefs=(belief,))
    if no_session:  # a record has no text
        trace = replace(trace, text="", segments=(), steps=(), beliefs=())
    row = make_row(trace, origin, no_session=no_session)
    assert not isinstance(row, Drop), row
    return row


def make_dataset(
    out: Path,
    *,
    splits: Sequence[str] = ("train", "validation", "test"),
    certain: int = 4,
    uncertain: int = 3,
    records: int = 2,
    config: Mapping[str, object] = CONFIG,
) -> Path:
    """Write a dataset with so many rows of each kind in each split, certain and uncertain ones in turn; one drop."""
    ledger = Ledger(out)
    with ledger.locked():
        ledger.check_config(config)
        items: list[Item] = [Dropped(reason="empty", path="m.py", name="m.g", repository="toolz", entry="doctest")]
        for split in splits:
            name = IN_SPLITS[split]
            for number in range(max(certain, uncertain)):
                items += [row_of(name, 2 * number)] * (number < certain)
                items += [row_of(name, 2 * number + 1, is_uncertain=True)] * (number < uncertain)
            items += [row_of(name, 1000 + number, no_session="replay_mismatch") for number in range(records)]
        key = "ab" * 16
        ledger.finish(key, items, len(items))
        ledger.write_plan(DatasetPlan(units=[PlannedUnit(place=0, key=key)]))
        merge(ledger, [key], notes={}, config=config)
        ledger.tidy([key])
    return out
