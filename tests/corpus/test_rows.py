"""Rows go to disk and come back as they were; what can't is a counted drop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from corpus_fakes import FakeTracer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trace_mine.corpus import rows
from trace_mine.corpus.rows import Row, RowOrigin, make_row, printable, text_key
from trace_mine.corpus.schema import features
from trace_mine.corpus.shards import ShardWriter
from trace_mine.tracer.schema import Drop, Piece, Snippet, Step, Trace


def origin(**changes: Any) -> RowOrigin:
    values: dict[str, Any] = {
        "origin": "mined",
        "repository": "r",
        "version": "1.0",
        "commit": None,
        "licence": "MIT",
        "requires": ("a==1",),
        "path": "m.py",
        "name": "m.f",
        "line": 3,
        "end_line": 4,
        "entry": "doctest",
        "source_hash": "0" * 64,
        "num_skipped": 0,
        "seed": 0,
    }
    return RowOrigin(**{**values, **changes})


def trace_of(*sources: str, **changes: Any) -> Trace:
    snippet = Snippet(
        kind="doctest",
        name="m.f",
        path="m.py",
        line=1,
        end_line=1,
        pieces=tuple(Piece(source=text, line=1, want="1\n") for text in sources),
    )
    found = FakeTracer({"sys_path": ()}).trace(snippet)
    assert isinstance(found, Trace)
    from dataclasses import replace

    return replace(found, **changes)


def row_of(*sources: str, **changes: Any) -> Row:
    made = make_row(trace_of(*sources, **changes), origin())
    assert isinstance(made, Row)
    return made


def test_the_row_has_the_columns_of_the_schema() -> None:
    assert [*row_of("x").columns, "new_characters", "split"] == list(features())


def test_the_id_is_the_content() -> None:
    assert row_of("x").columns["trace_id"] == row_of("x").columns["trace_id"]
    assert row_of("x").columns["trace_id"] != row_of("y").columns["trace_id"]


@pytest.mark.parametrize("integrity", ["suspect", "truncated", "forged"])
def test_only_clean_traces_become_rows(integrity: str) -> None:
    found = make_row(trace_of("x", integrity=integrity), origin())
    assert isinstance(found, Drop)
    assert found.reason == f"integrity_{integrity}"


def test_a_session_with_lone_surrogates_is_a_drop() -> None:
    found = make_row(trace_of("'\ud800'"), origin())
    assert isinstance(found, Drop)
    assert found.reason == "lone_surrogate"


def test_a_huge_row_is_a_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 1000)
    found = make_row(trace_of("x" * 2000), origin())
    assert isinstance(found, Drop)
    assert found.reason == "row_too_large"


def read_back(folder: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return [row for shard in sorted(folder.glob("*.parquet")) for row in pq.read_table(shard).to_pylist()]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.lists(st.text(), min_size=1, max_size=3), st.dictionaries(st.text(), st.text()))
def test_parquet_is_an_inverse_pair(
    tmp_path_factory: pytest.TempPathFactory, path: str, texts: list[str], state: Any
) -> None:
    step = Step(source=texts[0], output="", kind="statement", wrote=tuple(texts), state=state)
    found = make_row(trace_of("x", steps=(step,), exception=texts[-1]), origin(path=path, name=texts[0]))
    assert isinstance(found, Row)
    folder = tmp_path_factory.mktemp("shards")
    writer = ShardWriter(folder, "train", features().arrow_schema)
    writer.write(found)
    writer.close()
    assert read_back(folder) == [{**found.columns, "new_characters": None, "split": "train"}]
    assert json.loads(found.columns["states"][0]) == state


def test_shards_are_cut_named_and_the_same_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same however many rows wait together to become columns."""
    schema = features().arrow_schema
    monkeypatch.setattr("trace_mine.corpus.shards.GROUP_ROWS", 100)
    num_rows = 250
    contents = []
    for name, waiting in (("first", 1 << 20), ("second", 10_000), ("third", 1 << 30)):
        monkeypatch.setattr("trace_mine.corpus.shards.WAITING_BYTES", waiting)
        folder = tmp_path / name
        folder.mkdir()
        writer = ShardWriter(folder, "test", schema, shard_bytes=1)
        for number in range(num_rows):
            writer.write(row_of(f"x = {number}"))
        shards = writer.close()
        assert [shard.name for shard in shards] == [f"test-{number:05d}-of-00003.parquet" for number in range(3)]
        contents.append([shard.read_bytes() for shard in shards])
        assert [row["text"] for row in read_back(folder)] == [f">>> x = {number}\n1\n" for number in range(num_rows)]
    assert contents[0] == contents[1] == contents[2]


def test_a_split_without_rows_is_one_empty_shard(tmp_path: Path) -> None:
    (shard,) = ShardWriter(tmp_path, "train", features().arrow_schema).close()
    assert shard.name == "train-00000-of-00001.parquet"
    assert read_back(tmp_path) == []


@given(st.text())
def test_the_text_key_looks_past_trailing_space(text: str) -> None:
    assert text_key(text) == text_key("\n" + text + " \n")
    assert text_key(text + "x") != text_key(text)


@given(st.text(st.characters()))
def test_printable_can_be_written(text: str) -> None:
    printable(text).encode("utf-8")
    assert printable(printable(text)) == printable(text)
