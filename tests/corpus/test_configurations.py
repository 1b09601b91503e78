"""``default``, ``uncertain`` and ``records``, each split, as ``datasets`` reads them: whole, streaming, and resumed."""

from __future__ import annotations

import doctest
import json
from collections.abc import Sequence
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from datasets import get_dataset_config_names, load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dataset import IN_SPLITS, make_dataset, row_of

import trace_mine
from trace_mine import split_dict
from trace_mine.corpus import merge
from trace_mine.corpus.hub.configurations import configurations_of
from trace_mine.corpus.schema import parquet_schema
from trace_mine.corpus.uncertain_rows import SplitWriter, is_uncertain

SPLITS = ("train", "validation", "test")
NUMBERS = {"default": 7, "uncertain": 3, "records": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("made") / "traces")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    datasets.disable_progress_bars()
    return str(tmp_path_factory.mktemp("cache"))


def on_disk(folder: Path, split: str) -> list[str]:
    files = sorted(folder.glob(f"{split}-*.parquet"))
    return [identity for file in files for identity in pq.read_table(file)["trace_id"].to_pylist()]


def test_the_configurations_are_those_of_the_card(made: Path) -> None:
    assert get_dataset_config_names(str(made)) == ["default", "uncertain", "records"]
    stats = json.loads((made / "stats.json").read_text())
    assert stats["uncertain"] == dict.fromkeys(sorted(SPLITS), 3) and stats["splits"] == dict.fromkeys(
        sorted(SPLITS), 7
    )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NUMBERS)
def test_each_split_of_each_configuration(name: str, split: str, made: Path, cache: str) -> None:
    rows = load_dataset(str(made), name, split=split, cache_dir=cache)
    streamed = list(load_dataset(str(made), name, split=split, streaming=True))
    assert len(rows) == NUMBERS[name] and list(rows) == streamed
    assert {row["repository"] for row in streamed} == {IN_SPLITS[split]}
    if name == "uncertain":
        everything = load_dataset(str(made), split=split, cache_dir=cache)
        assert streamed == [row for row in everything if is_uncertain(row)], "the rows of default, as they are there"
    assert all(bool(row["no_session"]) == (name == "records") for row in streamed)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_stream_goes_on_where_it_was_left(name: str, made: Path) -> None:
    stream = load_dataset(str(made), name, split="train", streaming=True)
    whole = [row["trace_id"] for row in stream]
    for number in range(len(whole)):
        first = load_dataset(str(made), name, split="train", streaming=True)
        begun = [row["trace_id"] for _, row in zip(range(number), first, strict=False)]
        assert begun == whole[:number]
        state = json.loads(json.dumps(first.state_dict()))
        again = load_dataset(str(made), name, split="train", streaming=True)
        again.load_state_dict(state)
        assert [row["trace_id"] for row in again] == whole[number:]


def test_no_row_is_on_disk_twice(made: Path) -> None:
    for split in SPLITS:
        found = on_disk(made / "data", split)
        assert len(found) == len({*found}) == 7
        assert len([*(made / "data").glob(f"{split}-*.parquet")]) == 2


def test_a_dataset_without_uncertain_rows_has_no_such_configuration(tmp_path: Path, cache: str) -> None:
    made = make_dataset(tmp_path / "certain", uncertain=0, records=0)
    assert get_dataset_config_names(str(made)) == ["default"]
    assert [shard.name for shard in sorted((made / "data").iterdir())] == [
        f"{split}-00000-of-00001.parquet" for split in sorted(SPLITS)
    ]
    assert "There is no `uncertain`" in (made / "README.md").read_text()
    for name, cure in (("uncertain", "--view branch"), ("records", "--keep records"), ("other", "name one of these")):
        with pytest.raises(ValueError, match=f"expected a configuration among default in .*{name}.*{cure}"):
            trace_mine.load(made, name, cache_dir=cache)


def test_where_all_rows_are_uncertain_both_configurations_are_the_same(tmp_path: Path, cache: str) -> None:
    made = make_dataset(tmp_path / "uncertain", certain=0, records=0)
    both = [load_dataset(str(made), name, cache_dir=cache) for name in ("default", "uncertain")]
    assert [*both[0]["test"]] == [*both[1]["test"]] and len(both[1]["train"]) == 3


def test_a_split_without_rows_is_an_error_that_says_why(tmp_path: Path, cache: str) -> None:
    made = make_dataset(tmp_path / "one", splits=["validation"])
    for name in NUMBERS:
        rows = trace_mine.load(made, name, cache_dir=cache)
        assert [*rows] == ["validation"] and len(rows["validation"]) == NUMBERS[name]
        with pytest.raises(KeyError, match=r"got 'test'; rows stand in validation, as a repository's .*--split-by"):
            rows["test"]
        with pytest.raises(KeyError, match=r"expected a split among validation in .*, got 'dev'"):
            rows["dev"]
    # as ``datasets`` itself has it: an error too, in its own words
    with pytest.raises(ValueError, match="test"):
        load_dataset(str(made), split="test", cache_dir=cache)
    # what the methods of a DatasetDict give is one still
    assert [*trace_mine.load(made, cache_dir=cache).select_columns(["text"])] == ["validation"]


@settings(deadline=None, max_examples=50)
@given(kinds=st.lists(st.booleans(), max_size=12), rows_of_a_group=st.integers(1, 5))
def test_any_mixture_is_parted_in_order(
    kinds: Sequence[bool], rows_of_a_group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trace_mine.corpus.shards.GROUP_ROWS", rows_of_a_group)
        patch.setattr("trace_mine.corpus.shards.SHARD_BYTES", 1)
        writer = SplitWriter(folder, "train", parquet_schema())
        rows = [row_of("toolz", number, is_uncertain=kind) for number, kind in enumerate(kinds)]
        for row in rows:
            writer.write(row)
        certain, uncertain = writer.close()
    shards = [*certain, *uncertain]
    assert [shard.name for shard in shards] == [
        f"train-{number:05d}-of-{len(shards):05d}.parquet" for number in range(len(shards))
    ]
    assert all(merge.SHARD_NAME.match(shard.name) for shard in shards)
    for kind, files in ((False, certain), (True, uncertain)):
        found = [identity for file in files for identity in pq.read_table(file)["trace_id"].to_pylist()]
        assert found == [row.columns["trace_id"] for row, is_so in zip(rows, kinds, strict=True) if is_so is kind]
    found = configurations_of([shard.name for shard in shards], uncertain={shard.name for shard in uncertain})
    assert [each.name for each in found] == ["default"] + ["uncertain"] * bool(uncertain)


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(split_dict).failed == 0
