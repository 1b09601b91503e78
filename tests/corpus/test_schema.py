"""One table of columns: what is made of it agrees with it, and with what stands on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Features
from test_rows import row_of

from trace_mine.corpus import schema
from trace_mine.corpus.row_check import check
from trace_mine.corpus.rows import Row
from trace_mine.corpus.schema import COLUMNS, Column, features, markdown, means, parquet_schema
from trace_mine.corpus.shards import ShardWriter
from trace_mine.tracer.schema import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_made_of_the_table() -> None:
    written = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    assert f"\n{markdown()}\n" in written, "python -m trace_mine.corpus.schema docs/schema.md"
    assert schema.with_table(written) == written
    cut = "\n".join(line for line in written.split("\n") if not line.startswith("| `seed`"))
    assert schema.with_table(cut) == written
    with pytest.raises(ValueError, match="got 0"):
        schema.with_table("no table")
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.type_name} |" in markdown()
    assert "| `steps.output` | str |" in markdown()


def arrow_of(column: Column) -> pa.DataType:
    """The slow twin of ``features``: the Arrow type that a column must have."""
    scalars = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    inner = scalars[column.scalar] if column.scalar else pa.struct([(f.name, arrow_of(f)) for f in column.fields])
    return pa.list_(inner) if column.is_list else inner


def test_the_parquet_schema_is_the_table(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, "train", features().arrow_schema)
    writer.write(row_of("x"))
    (shard,) = writer.close()
    on_disk = pq.read_schema(shard)
    assert on_disk.names == [column.name for column in COLUMNS]
    for column in COLUMNS:
        assert on_disk.field(column.name).type.equals(arrow_of(column)), column.name


def changed(**columns: Any) -> dict[str, Any]:
    return {**row_of("x").columns, **columns}


STEP = dict(row_of("x").columns["steps"][0])


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (changed(text=None), "expected text to be str, got None"),
        (changed(line="3"), "expected line to be int, got '3'"),
        (changed(line=True), "expected line to be int, got True"),
        (changed(seed=1 << 63), "expected seed to be int"),
        (changed(requires="a"), "expected requires to be a list, got 'a'"),
        (changed(requires=["a", 1]), "expected requires to be list of str, got 1"),
        (changed(steps=[STEP, {**STEP, "depth": 0.5}]), "expected depth to be int, got 0.5"),
        (changed(steps=[{k: v for k, v in STEP.items() if k != "wrote"}]), "got other ones: wrote"),
        (changed(steps=["x"]), "expected steps to be list of record, got 'x'"),
        (changed(films=1), "got other ones: films"),
        ({k: v for k, v in changed().items() if k != "seed"}, "got other ones: seed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_does_not_fit_is_told(row: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError) as error:
        check(row)
    assert says in str(error.value)


def test_what_fits_passes() -> None:
    check(row_of("x").columns)
    check(changed(version=None, exception=None, doctest_passed=None))
    check({**row_of("x").columns, "new_characters": 0.5, "split": "train"}, COLUMNS)


def test_a_row_is_the_line_that_it_is() -> None:
    row = row_of("'é漢'")
    assert Row.of(row.columns).line == row.line and row.line.isascii()


@pytest.mark.parametrize(("text", "since"), [("", 1), ("t", 0), ("t", SCHEMA_VERSION + 1)])
def test_a_column_says_what_it_holds_and_since_when(text: str, since: int) -> None:
    with pytest.raises(ValueError, match="raise SCHEMA_VERSION"):
        means(text, since=since)


def test_lists_are_told_as_every_version_of_datasets_reads_them():
    """The form of before 4.0, which later versions read too; read with 3.0.0, 4.0.0 and 5.2.0."""
    made = parquet_schema()
    told = json.loads(made.metadata[b"huggingface"])["info"]["features"]["segments"]
    kinds = {"start": "int64", "end": "int64", "role": "string", "step": "int64"}
    fields = {name: {"dtype": kind, "_type": "Value"} for name, kind in kinds.items()}
    assert told == [fields]


def test_the_schema_of_files_is_what_datasets_makes_of_the_columns():
    assert parquet_schema().equals(features().arrow_schema)
    assert Features.from_arrow_schema(parquet_schema()) == features()
