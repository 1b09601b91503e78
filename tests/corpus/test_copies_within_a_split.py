"""A merge takes copies out across splits and within one; the sums and measures that it reports of the rows.

Rows go straight into a ledger, so that each test names the repositories that they come from.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from corpus_fakes import FakeTracer

from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.merge import merge
from trace_mine.corpus.rows import Row, RowOrigin, make_row
from trace_mine.corpus.thinning import text_of_its_own
from trace_mine.corpus.work import SnippetEntry, WorkUnit
from trace_mine.tracer.schema import Belief, Choice, OpenedFunction, Piece, Snippet, Trace

TRAIN, OTHER_TRAIN, VALIDATION, TEST = "toolz", "boltons", "requests", "pip"
WORDS = [f"word{number}" for number in range(60)]


def changed(*numbers: int) -> str:
    """A long session with some of its words replaced: nearly the same."""
    return " + ".join(f"other{n}" if n in numbers else word for n, word in enumerate(WORDS))


def row_of(
    repository: str,
    source: str,
    *,
    num_skipped: int = 0,
    beliefs: Sequence[Belief] = (),
    choices: Sequence[Choice] = (),
    opens: str = "",
) -> Row:
    snippet = Snippet(
        kind="doctest", name="m.f", path="m.py", line=1, end_line=1, pieces=(Piece(source=source, line=1, want="1\n"),)
    )
    trace = FakeTracer({"sys_path": ()}).trace(snippet)
    assert isinstance(trace, Trace)
    functions = (OpenedFunction(name=opens, path="m.py", line=1, text=f"def {opens}(): ..."),) if opens else ()
    row = make_row(
        replace(trace, beliefs=tuple(beliefs), choices=tuple(choices), source=functions),
        RowOrigin(
            origin="mined",
            repository=repository,
            version=None,
            commit=None,
            licence="MIT",
            requires=(),
            path="m.py",
            name="m.f",
            line=1,
            end_line=1,
            entry="doctest",
            source_hash="0",
            num_skipped=num_skipped,
            seed=0,
        ),
    )
    assert isinstance(row, Row)
    return row


def entry_of(row: Row) -> SnippetEntry:
    """The snippet that became this row, as a unit's payload names it."""
    columns = row.columns
    return SnippetEntry(
        path=columns["path"],
        name=columns["name"],
        repository=columns["repository"],
        entry=columns["entry"],
        line=columns["line"],
    )


def merged(
    folder: Path, *units: Sequence[Row], keeps_copies: bool = False
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """The statistics, and the texts of each split, of units of rows."""
    folder.mkdir()
    ledger = Ledger(folder)
    keys = [f"unit{number}" for number in range(len(units))]
    with ledger.locked():
        ledger.clear()
        for key, rows in zip(keys, units, strict=True):
            ledger.add(WorkUnit(key=key, payload={"snippets": [entry_of(row) for row in rows]}))
            ledger.finish(key, iter(rows), len(rows))
        stats = dict(merge(ledger, keys, notes={}, config={}, keeps_copies=keeps_copies).stats)
    texts: dict[str, list[str]] = {}
    for shard in sorted((folder / "data").glob("*.parquet")):
        texts.setdefault(shard.name.partition("-")[0], []).extend(
            pyarrow.parquet.read_table(shard, columns=["text"]).column("text").to_pylist()
        )
    return stats, texts


@pytest.mark.parametrize("repositories", [(TRAIN, TRAIN), (TRAIN, OTHER_TRAIN), (VALIDATION, VALIDATION), (TEST, TEST)])
def test_of_near_duplicates_within_a_split_one_stays(tmp_path: Path, repositories: tuple[str, str]) -> None:
    # three splits, and the pair in the largest or the middle one: the smallest has no smaller one to look into
    least = VALIDATION if repositories[0] == TEST else TEST
    filler = [*(row_of(TRAIN, f"filler_{number}") for number in range(8)), row_of(least, "least")]
    one, other = (row_of(name, changed(place)) for name, place in zip(repositories, (10, 40), strict=True))
    stats, texts = merged(tmp_path / "out", filler, [one], [other])
    assert (stats["rows"], stats["duplicates"], stats["duplicates_by_kind"]) == (10, 1, {"near": 1})
    assert one.columns["text"] in texts["train" if repositories[0] == TRAIN else repositories_split(repositories[0])]
    stats, texts = merged(tmp_path / "kept", filler, [one], [other], keeps_copies=True)
    assert (stats["rows"], stats["duplicates"], stats["duplicates_by_kind"]) == (11, 0, {})
    assert {one.columns["text"], other.columns["text"]} <= {text for found in texts.values() for text in found}


def repositories_split(repository: str) -> str:
    return {VALIDATION: "validation", TEST: "test"}[repository]


def test_sessions_of_one_program_that_differ_in_their_draws_stay(tmp_path: Path) -> None:
    choice = Choice(step=0, kind="random", place="m.py:1", outcomes=("0", "1"), probabilities=(0.5, 0.5), taken=0)
    rows = [row_of(TRAIN, changed(place), choices=[choice]) for place in (10, 40)]
    stats, _ = merged(tmp_path / "out", rows)
    assert (stats["rows"], stats["duplicates"]) == (2, 0)


def test_a_row_that_opens_another_function_stays(tmp_path: Path) -> None:
    places = (10, 20, 30, 40)
    rows = [row_of(TRAIN, changed(place), opens=name) for place, name in zip(places, "ffgg", strict=True)]
    stats, texts = merged(tmp_path / "out", rows)
    assert stats["duplicates_by_kind"] == {"near": 2}
    assert texts["train"] == [rows[0].columns["text"], rows[2].columns["text"]]


def test_a_definition_is_no_part_of_what_is_compared() -> None:
    columns = copy.deepcopy(row_of(TRAIN, "f(1)").columns)
    definition = ">>> def f(x): return x\n"
    plain = columns["text"]
    columns["text"] = definition + plain
    for segment in columns["segments"]:
        segment["start"] += len(definition)
        segment["end"] += len(definition)
        segment["step"] += 1
    columns["segments"].insert(0, {"start": 0, "end": len(definition), "role": "command", "step": 0})
    columns["steps"].insert(0, {**columns["steps"][0], "kind": "source"})
    assert text_of_its_own(columns) == plain


def test_a_session_of_known_lines_goes(tmp_path: Path) -> None:
    lines = [f"line{number} = {number} + {number} * {number}" for number in range(80)]
    whole, half = "\n".join(lines), "\n".join([*lines[40:80], "x"])
    other = "\n".join([*lines[::2], *(f"other{number} = {number}" for number in range(20))])
    stats, _ = merged(tmp_path / "out", [row_of(TRAIN, source) for source in (whole, half, other)])
    assert (stats["rows"], stats["duplicates_by_kind"]) == (2, {"repeats": 1})
    # of another repository the lines are new
    stats, _ = merged(tmp_path / "apart", [row_of(TRAIN, whole)], [row_of(OTHER_TRAIN, half)])
    assert (stats["rows"], stats["duplicates"]) == (2, 0)
    stats, _ = merged(tmp_path / "kept", [row_of(TRAIN, source) for source in (whole, half)], keeps_copies=True)
    assert (stats["rows"], stats["duplicates"]) == (2, 0)


def test_each_row_says_how_much_of_it_is_new(tmp_path: Path) -> None:
    first, second = "a = 1\nb = 22", "a = 1\nc = 333"
    rows = [row_of(TRAIN, first), row_of(TRAIN, second), row_of(OTHER_TRAIN, second + "4")]
    merged(tmp_path / "out", rows, keeps_copies=True)
    (shard,) = (tmp_path / "out" / "data").glob("*.parquet")
    table = pyarrow.parquet.read_table(shard, columns=["text", "new_characters"]).to_pylist()
    shares = []
    seen: set[str] = set()
    for row in table[:2]:
        lines = row["text"].splitlines()
        shares.append(sum(len(line) for line in lines if line not in seen) / sum(map(len, lines)))
        seen.update(lines)
    assert [row["new_characters"] for row in table] == [pytest.approx(share, abs=1e-4) for share in (*shares, 1.0)]
    assert shares[0] == 1.0 > shares[1] > 0
    worth = json.loads((tmp_path / "out" / "stats.json").read_text())["worth"]
    assert worth["new_characters"] == {"tenth": round(shares[1], 2), "half": 1.0, "nine_tenths": 1.0}


def test_copies_of_a_pair_within_a_split_go_from_the_smaller_split(tmp_path: Path) -> None:
    filler = [row_of(TRAIN, f"filler_{number}") for number in range(8)]
    kept = [row_of(TRAIN, changed(10)), row_of(OTHER_TRAIN, changed(40))]
    straddling = [row_of(VALIDATION, changed(20)), row_of(VALIDATION, changed(30)), row_of(VALIDATION, "apart")]
    stats, texts = merged(tmp_path / "out", straddling, filler, kept, keeps_copies=True)
    assert stats["duplicates_by_kind"] == {"other_split": 2}
    assert [len(texts[split]) for split in ("train", "validation")] == [10, 1]


def test_exact_duplicates_go_everywhere(tmp_path: Path) -> None:
    twice = [row_of(TRAIN, "same"), row_of(TRAIN, "same"), row_of(OTHER_TRAIN, "same"), row_of(TEST, "same")]
    stats, texts = merged(tmp_path / "out", twice)
    assert (stats["rows"], stats["duplicates"]) == (1, 3)
    assert {split: len(found) for split, found in texts.items() if found} == {"train": 1}


def test_the_largest_split_keeps_its_copy_whatever_its_name(tmp_path: Path) -> None:
    rows = [row_of(VALIDATION, changed(1)), *(row_of(VALIDATION, f"filler_{n}") for n in range(4))]
    stats, texts = merged(tmp_path / "out", [row_of(TRAIN, changed(2)), row_of(TRAIN, "apart")], rows)
    assert stats["duplicates"] == 1 and [len(texts[split]) for split in ("train", "validation")] == [1, 5]


def test_a_result_that_was_cut_short_is_not_done(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with ledger.locked():
        ledger.clear()
        row = row_of(TRAIN, "whole")
        ledger.add(WorkUnit(key="unit", payload={"snippets": [entry_of(row)]}))
        ledger.finish("unit", iter([row]), 1)
        assert ledger.is_done("unit")
        (result,) = (path for path in tmp_path.rglob("*") if path.is_file() and path.suffix == ".gz")
        data = result.read_bytes()
        for cut in (len(data) - 1, 0):
            result.write_bytes(data[:cut])
            assert not ledger.is_done("unit")
        result.write_bytes(data)
        assert ledger.is_done("unit")
        result.unlink()
        assert not ledger.is_done("unit")


def test_the_sums_that_are_told_of_rows(tmp_path: Path) -> None:
    def belief(*probabilities: float) -> Belief:
        outcomes = tuple(f"o{n}" for n in range(len(probabilities)))
        return Belief(
            segment=0, outcomes=outcomes, probabilities=probabilities, method="exact", stderr=(0.0,) * len(outcomes)
        )

    rows = [
        row_of(TRAIN, "one", num_skipped=2, beliefs=[belief(0.5, 0.5), belief(1.0)]),
        row_of(TRAIN, "two", num_skipped=3, beliefs=[belief(0.25, 0.25, 0.5)]),
    ]
    stats, _ = merged(tmp_path / "out", rows)
    assert stats["skipped_examples"] == 5 and stats["rows_with_opened_calls"] == 2 == stats["opened_calls"]
    assert stats["characters"] == sum(len(row.columns["text"]) for row in rows)
    assert stats["beliefs"] == {
        "reveals": 3,
        "exact": 3,
        "bounded": 0,
        "sampled": 0,
        "certain": 1,
        "mean_entropy_bits": pytest.approx((1.0 + 0.0 + 1.5) / 3, abs=1e-6),
    }
    assert json.loads((tmp_path / "out" / "stats.json").read_text()) == stats
    assert not math.isnan(stats["beliefs"]["mean_entropy_bits"])
