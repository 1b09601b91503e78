"""Splits are a function of names; near-duplicates are found by the estimate where the exact similarity says so."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.splits import SIMILARITY, SPLITS, NearIndex, assign_splits, grams, split_of


@given(st.dictionaries(st.text(max_size=8), st.integers(0, 5), max_size=8))
def test_train_is_never_empty(num_rows: dict[str, int]) -> None:
    splits = assign_splits(num_rows)
    assert set(splits) == set(num_rows)
    if any(num_rows.values()):
        assert any(splits[name] == "train" for name in num_rows if num_rows[name])
    moved = [name for name in splits if splits[name] != split_of(name)]
    assert len(moved) <= 1


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


def test_the_largest_repository_is_moved_to_train() -> None:
    assert assign_splits({"requests": 3, "pip": 5, "pillow": 5}) == {
        "requests": "validation",
        "pip": "test",
        "pillow": "train",
    }
    assert assign_splits({"requests": 0, "toolz": 0, "pip": 1}) == {
        "requests": "validation",
        "toolz": "train",
        "pip": "train",
    }


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
