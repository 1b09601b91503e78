"""Of many items of one test the most unlike are taken, and as many of them as is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_spelling import Fixture, item

from trace_mine.corpus.mined.items.item_protocol import ItemRecipe
from trace_mine.corpus.mined.items.siblings import features_of, sampled


def one(text: str, **fields: object) -> ItemRecipe:
    return item(fixtures=(Fixture("n").of("parameter", text=text),), arguments=(("n", "n/1"),), case=text, **fields)


def texts(items: list[ItemRecipe]) -> list[str]:
    return [each.fixtures[0].text for each in items]


def test_values_of_other_kinds_come_before_more_of_the_same() -> None:
    items = [one(text) for text in ("1", "2", "3", "4", "None", "-5", "'a'", "6", "7")]
    kept, num_left_out = sampled(items, 4)
    assert texts(kept) == ["1", "None", "-5", "'a'"]
    assert num_left_out == 5


def test_of_like_ones_the_farthest_are_taken() -> None:
    kept, _ = sampled([one(text) for text in "123456789"], 3)
    assert texts(kept) == ["1", "5", "9"]


def test_those_that_can_be_spelt_come_first() -> None:
    items = [one("1", problem="fixture a"), one("2", skip="why"), one("3"), one("4"), one("5")]
    assert texts(sampled(items, 2)[0]) == ["3", "5"]
    assert texts(sampled(items, 4)[0]) == ["1", "3", "4", "5"]


def test_other_tests_are_no_siblings() -> None:
    items = [one("1"), one("2"), one("3", cls="A"), one("4", path="tests/test_b.py")]
    assert texts(sampled(items, 1)[0]) == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("one_text", "other"),
    [("1", "2"), ("'ab'", "'cd'"), ("[1, 2]", "[3, 4]"), ("12.5", "34.5"), ("f(1)", "f(3)"), (r"'a\nb'", r"'c\td'")],
)
def test_values_that_differ_in_themselves_alone_have_the_same_features(one_text: str, other: str) -> None:
    assert {*features_of(one(one_text))} == {*features_of(one(other))}


@pytest.mark.parametrize(
    ("one_text", "other"),
    [("1", "-1"), ("1", "1.0"), ("1", "1000"), ("'a'", "'é'"), ("[1]", "(1,)"), ("True", "False"), ("0", "1")],
)
def test_kinds_signs_and_sizes_are_features(one_text: str, other: str) -> None:
    assert {*features_of(one(one_text))} != {*features_of(one(other))}


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(1, 5))
def test_any_texts_are_sampled_in_their_order(values: list[str], number: int) -> None:
    items = [one(text) for text in values]
    kept, num_left_out = sampled(items, number)
    assert len(kept) == min(number, len(items))
    assert num_left_out == len(items) - len(kept)
    places = [next(place for place, each in enumerate(items) if each is one_kept) for one_kept in kept]
    assert places == sorted(places)
