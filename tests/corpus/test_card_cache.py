"""``load_dataset(FOLDER)`` gives what is in the folder, also where another dataset of its name was loaded before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset

ROOT = Path(__file__).parents[2]


def made(folder, seed):
    told = [sys.executable, "-m", "trace_mine.corpus.synthetic", "permutations", "--rows", "6", "--seed", str(seed)]
    subprocess.run([*told, "--out", str(folder)], cwd=ROOT, check=True, capture_output=True)


def loaded(folder, cache):
    return list(load_dataset(str(folder), split="train", cache_dir=str(cache))["text"])


def on_disk(folder):
    import pyarrow.parquet as pq

    return [
        row["text"]
        for path in sorted((folder / "data").glob("train-*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


@pytest.mark.slow
def test_folders_of_one_name_and_folders_made_again_are_not_mixed_up(tmp_path):
    cache, one, other = tmp_path / "cache", tmp_path / "a" / "rows", tmp_path / "b" / "rows"
    made(one, 1)
    made(other, 2)
    first = loaded(one, cache)
    assert first == on_disk(one)
    assert loaded(other, cache) == on_disk(other) != first
    shutil.rmtree(one)
    made(one, 3)
    assert loaded(one, cache) == on_disk(one) != first
    shutil.rmtree(one)
    made(one, 1)
    assert loaded(one, cache) == on_disk(one) == first
