"""docs/schema.md names every column with its type; an old dataset is loaded, and one from the future refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import trace_mine
from trace_mine.corpus.schema import features
from trace_mine.tracer.schema import SCHEMA_VERSION

ROOT = Path(__file__).resolve().parent.parent
OLD = ROOT / "tests" / "data" / "version-1"
"""Mined by trace-mine 0.1.0 (commit d0dc1b4) with --view branch+every:2 from a file of two snippets."""

TYPES = {pa.string(): "str", pa.int64(): "int", pa.float64(): "float", pa.bool_(): "bool"}


def flattened(fields, prefix=""):
    """(name, type as the page spells it) of every column and of every field of a record."""
    for field in fields:
        kind, is_list = field.type, pa.types.is_list(field.type)
        inner = kind.value_type if is_list else kind
        name = "record" if pa.types.is_struct(inner) else TYPES[inner]
        yield prefix + field.name, f"{'list of ' * is_list}{name}"
        if pa.types.is_struct(inner):
            yield from flattened(list(inner), f"{prefix}{field.name}.")


def test_the_page_has_every_column_with_its_type():
    page = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `([\w.]+)` \| ([\w ]+?) \| (.+) \| (\d+) \|$", page, re.MULTILINE)
    assert [(name, kind.removesuffix(" or none")) for name, kind, _, _ in told] == list(
        flattened(features().arrow_schema)
    )
    assert all(int(since) <= SCHEMA_VERSION for *_, since in told)
    assert f"This is version {SCHEMA_VERSION} of the schema" in page


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy under a name of its own: ``datasets`` keeps what it loaded by the folder's name."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def rewritten(folder: Path, change) -> Path:
    """The dataset with its table changed, in place."""
    (shard,) = (folder / "data").glob("*.parquet")
    pq.write_table(change(pq.read_table(shard)), shard)
    return folder


def test_an_old_dataset_is_loaded(old, tmp_path):
    rows = trace_mine.load(old, cache_dir=tmp_path / "cache")["train"]
    assert set(rows.column_names) == set(features())
    assert len(rows) == 2
    drawn = next(row for row in rows if row["choices"])
    assert drawn["choices"][0]["probabilities"] == [0.5, 0.5]
    assert [0.5, 0.5] in [belief["probabilities"] for belief in drawn["beliefs"]]
    assert json.loads(rows[0]["states"][0]) == {"xs": "[1, 2, 3]"}


def test_columns_younger_than_a_dataset_are_there_and_empty(old, tmp_path):
    younger = ["beliefs", "requires", "doctest_passed", "num_skipped"]
    rewritten(old, lambda table: table.replace_schema_metadata(None).drop_columns(younger))
    rows = trace_mine.load(old, cache_dir=tmp_path / "cache")["train"]
    assert set(rows.column_names) == set(features())
    assert {name: rows.features[name] for name in younger} == {name: features()[name] for name in younger}
    assert [rows[0][name] for name in younger] == [[], [], None, None]


def test_a_dataset_from_the_future_is_refused(old, tmp_path):
    def raised(table):
        place = table.column_names.index("schema_version")
        return table.set_column(place, "schema_version", pa.array([1, SCHEMA_VERSION + 1]))

    with pytest.raises(ValueError, match=rf"got {SCHEMA_VERSION + 1} in .*install a later trace-mine"):
        trace_mine.load(rewritten(old, raised))


def test_what_is_no_dataset_of_ours_is_told(old):
    with pytest.raises(ValueError, match="without the column schema_version"):
        trace_mine.load(rewritten(old, lambda table: table.drop_columns(["schema_version"])))
