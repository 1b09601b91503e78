"""Splits are a function of names; near-duplicates are found by the estimate where the exact similarity says so."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.schema import RowColumns
from trace_mine.corpus.splits import (
    SIMILARITY,
    SPLITS,
    ByFunction,
    ByRepository,
    DeclaredSplits,
    NearIndex,
    grams,
    split_of,
)


def test_shares() -> None:
    counts = dict.fromkeys(SPLITS, 0)
    for number in range(20_000):
        counts[split_of(f"repository-{number}")] += 1
    assert 17_800 < counts["train"] < 18_200
    assert 850 < counts["validation"] < 1150
    assert 850 < counts["test"] < 1150


def test_splits_never_move() -> None:
    """Goldens: datasets made last year must agree with those made today. Under another hash each of sha1, sha512, md5
    and blake2b moves four of the five that are not in train.
    """
    assert {name: split_of(name) for name in GOLDEN} == GOLDEN


GOLDEN = {
    **dict.fromkeys(("toolz", "boltons", "networkx", "cpython", "numpy", "more-itertools"), "train"),
    **dict.fromkeys(("requests", "seaborn"), "validation"),
    **dict.fromkeys(("pluggy", "pip", "pillow"), "test"),
}


@given(st.dictionaries(st.text(max_size=8), st.integers(0, 5), max_size=8))
def test_a_repository_has_its_split_whatever_else_there_is(num_rows: dict[str, int]) -> None:
    for name in num_rows:
        assert ByRepository().of_repository(name) == split_of(name)
        assert ByRepository().of_row(a_row(repository=name)) == split_of(name)


def a_row(repository: str = "r", path: str = "m.py", name: str = "test_a", opens: Sequence[str] = ()) -> RowColumns:
    """The columns of a row that rules of splits look at."""
    source = [{"path": "m.py", "name": each} for each in opens]
    return cast("RowColumns", {"repository": repository, "path": path, "name": name, "source": source})


def test_no_function_of_a_held_out_row_stands_in_a_row_of_train() -> None:
    """And none of a row of test stands in validation; of many rows with few functions most are in train."""
    chance = random.Random(0)
    shown: dict[str, set[str]] = {split: set() for split in SPLITS}
    counts = dict.fromkeys(SPLITS, 0)
    functions = [f"f{number}" for number in range(300)]
    of_one = {name: ByFunction().of_row(a_row(opens=[name])) for name in functions}
    for number in range(3_000):
        opened = chance.sample(functions, chance.randrange(1, 4))
        split = ByFunction().of_row(a_row(name=f"test_{number}", opens=opened))
        counts[split] += 1
        shown[split].update(opened)
    for split in SPLITS:
        held_out = {name for name in functions if SPLITS.index(of_one[name]) > SPLITS.index(split)}
        assert not shown[split] & held_out
    assert all(counts.values()) and counts["train"] > 2_000
    assert set(of_one.values()) == {*SPLITS}


def test_a_row_that_opens_nothing_is_split_by_its_own_name() -> None:
    splits = {ByFunction().of_row(a_row(name=f"test_{number}")) for number in range(200)}
    assert splits == {*SPLITS}
    assert {ByFunction().of_row(a_row(name="test_1")) for _ in range(5)} == {ByFunction().of_row(a_row(name="test_1"))}
    # of two repositories the same name is another function
    assert {ByFunction().of_row(a_row(repository=f"r{number}")) for number in range(200)} == {*SPLITS}


def test_declared_splits_know_their_repositories_and_no_others() -> None:
    rule = DeclaredSplits({"task-train": "train", "task-test": "test"})
    assert rule.of_row(a_row(repository="task-test")) == "test"
    with pytest.raises(KeyError):
        rule.of_repository("another")


@pytest.mark.parametrize("name", ["sha1", "sha512", "md5", "blake2b"])
def test_the_goldens_tell_another_hash(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hashlib, "sha256", getattr(hashlib, name))
        assert {each: split_of(each) for each in GOLDEN} != GOLDEN


def test_grams() -> None:
    assert grams("") == [""]
    assert grams(">>> a") == ["> > > a"]
    assert grams("a b c d e") == ["a b c d e"]
    assert grams("a b c d e f") == ["a b c d e", "b c d e f"]
    assert grams("a b c d e f a b c d e") == [
        "a b c d e",
        "b c d e f",
        "c d e f a",
        "d e f a b",
        "e f a b c",
        "f a b c d",
    ]


def changed(words: list[str], num_changes: int, chance: random.Random) -> str:
    words = list(words)
    for index in chance.sample(range(len(words)), num_changes):
        words[index] = f"changed{chance.randrange(10**9)}"
    return " ".join(words)


def similarity(left: list[str], right: list[str]) -> float:
    """Exact Jaccard similarity of two sets of grams: the slow twin of the index's estimate."""
    return len({*left} & {*right}) / len({*left} | {*right})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_the_index_finds_what_the_exact_similarity_says(seed: int) -> None:
    chance = random.Random(seed)
    words = [f"w{chance.randrange(10**6)}" for _ in range(300)]
    index = NearIndex()
    texts = [changed(words, count, chance) for count in (0, 2, 5, 20, 60)]
    for text in texts:
        index.add(index.sketch(text))
    found = set(index.near(index.sketch(" ".join(words))))
    for number, text in enumerate(texts):
        exact = similarity(grams(text), grams(" ".join(words)))
        if exact >= SIMILARITY + 0.08:
            assert number in found, exact
        if exact <= SIMILARITY - 0.2:
            assert number not in found, exact
