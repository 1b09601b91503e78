"""Of many items of one test the most unlike are taken, and as many of them as is asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_spelling import Fixture, item

from trace_mine.corpus.mined.items.item_protocol import ItemRecipe
from trace_mine.corpus.mined.items.siblings import features_of, sampled, shape_of


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


def written(*body: str, **fields: object) -> ItemRecipe:
    return item(body=body, body_lines=(1,) * len(body), **fields)


@pytest.mark.parametrize(
    ("body", "is_alike"),
    [
        (("r = f('b', -20)", "assert r == 7"), True),
        (("r = f('b', 2)", "assert r == 7", "assert r == 8"), True),
        (("x = f('b', 2)", "assert x == 7"), True),
        (("r = g('b', 2)", "assert r == 7"), False),
        (("r = f(b, 2)", "assert r == 7"), False),
        (("r = f('b', 2)", "assert r.x == 7"), False),
        (("r = f('b', 2)",), False),
    ],
)
def test_tests_whose_statements_differ_in_literals_alone_are_alike(body: tuple[str, ...], is_alike: bool) -> None:
    one_test = written("r = f('a', 1)", "assert r == 3", name="test_a", binds=("r",))
    other = written(*body, name="test_c", binds=("x" if "x =" in body[0] else "r",))
    assert (shape_of(one_test) == shape_of(other)) is is_alike
    assert len(sampled([one_test, other], 1)[0]) == (1 if is_alike else 2)
    # the same names may mean another function in another file
    elsewhere = item(**{name: getattr(other, name) for name in ItemRecipe._fields} | {"path": "tests/test_d.py"})
    assert len(sampled([one_test, elsewhere], 1)[0]) == 2


def test_fixtures_tell_tests_apart() -> None:
    one_test = written("f(1)", fixtures=(Fixture("a").own(),), order=("a/1",))
    other = written("f(1)", fixtures=(Fixture("a").own(qualname="b"),), order=("a/1",))
    assert shape_of(one_test) != shape_of(other)


def inherited(cls: str, *reaches: str, body: str = "f(self)", **fields: object) -> ItemRecipe:
    return written(body, cls=cls, path=f"tests/test_{cls}.py", home="tests/base.py", reaches=reaches, **fields)


def classes(items: list[ItemRecipe]) -> str:
    return "".join(each.cls for each in items)


def test_an_inherited_test_is_taken_in_the_classes_that_reach_most() -> None:
    items = [inherited("A", "a:1"), inherited("B", "a:1"), inherited("C", "a:1", "a:2"), inherited("D", "a:1")]
    assert classes(sampled(items, 2)[0]) == "AC"
    assert classes(sampled(items, 1)[0]) == "AC", "no function that a test reaches is lost"
    assert classes(sampled([inherited(each, "a:1") for each in "ABCDEFG"], 3)[0]) == "ADG"


def test_a_function_that_another_test_reaches_needs_no_more_tests() -> None:
    of_its_own = inherited("C", "a:2", name="test_other", body="g(self)")
    items = [of_its_own, *(inherited(each, "a:1") for each in "AB"), inherited("C", "a:2")]
    assert classes(sampled(items, 1)[0]) == "CA"
    failing = inherited("C", "a:2", name="test_other", body="g(self)", problem="fixture a")
    assert classes(sampled([failing, *items[1:]], 1)[0]) == "CAC"


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
