"""A value that is spelt is the value of its text, in the namespace of its module; other values have no text."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import importlib
import re
import sys
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.items.inside.values import MAX_TEXT, Speller


class Colour(enum.Enum):
    RED = 1


TABLE = [1, 2, 3]
NAMESPACE: Mapping[str, object] = {"TABLE": TABLE, "Colour": Colour, "decimal": "another thing", "__hidden": TABLE}

_atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False, allow_infinity=False)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.fractions()
    | st.sampled_from(
        [int, len, Colour.RED, TABLE, range(3), slice(1, 2), bytearray(b"a"), ..., re, collections.OrderedDict]
    )
)
_hashable = st.none() | st.integers() | st.text(max_size=3)
_values = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(_hashable, inner, max_size=3)
        | st.sets(_hashable, max_size=3)
        | st.frozensets(_hashable, max_size=3)
    ),
    max_leaves=6,
)


@given(_values)
def test_a_text_has_its_value(value: object) -> None:
    speller = Speller(NAMESPACE)
    text = speller.spell(value)
    if text is None:
        return
    modules = {name.partition(".")[0]: importlib.import_module(name.partition(".")[0]) for name in speller.modules}
    again = eval(text, {**NAMESPACE, **modules})
    assert type(again) is type(value)
    assert again == value
    assert "\n" not in text


def test_values_by_their_names() -> None:
    speller = Speller(NAMESPACE)
    assert speller.spell(TABLE) == "TABLE"
    assert speller.spell([1, 2, 3]) == "[1, 2, 3]"  # an equal list is another object, which the test may change
    assert speller.spell(Colour.RED) == "Colour.RED"
    assert speller.spell((Colour, int)) == "(Colour, int)"
    assert speller.spell(collections.OrderedDict) == "collections.OrderedDict"
    assert speller.modules == {"collections"}


WITHOUT_A_TEXT: dict[str, object] = {
    "object": object(),
    "lambda over what has none": (lambda value: lambda: value)(object()),
    "lambda that names what is another thing": lambda: decimal,
    "a module of another name": decimal.Decimal("1.5"),
    "iterator": iter([1]),
    "inside a list": [object()],
    "inside a dictionary": {1: object()},
    "too long": "x" * MAX_TEXT,
    "generator": (n for n in "a"),
}


@pytest.mark.parametrize("case", WITHOUT_A_TEXT)
def test_values_without_a_text(case: str) -> None:
    """Among them one whose module has another meaning in the namespace."""
    assert Speller(NAMESPACE).spell(WITHOUT_A_TEXT[case]) is None


SCALE = 2
LAMBDAS = [lambda: 1, lambda n: n + 1, *map(lambda factor: lambda n: n * factor * SCALE, (3, 4))]
CONSTANT = [
    lambda: 1,
    lambda _, f=(lambda: 2): 3,
    lambda: True,
    lambda: (1, 2),
    lambda _: None,
    lambda: 1.0,
]  # 3.12 gives them no positions


@pytest.mark.parametrize("index", range(len(LAMBDAS)))
def test_a_lambda_by_its_expression_and_what_it_closes_over(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    speller = Speller(NAMESPACE)
    text = speller.spell(LAMBDAS[index])
    assert text is not None
    namespace = {**NAMESPACE}
    monkeypatch.setitem(sys.modules, __name__, sys.modules[LAMBDAS[0].__module__])
    exec("\n".join(speller.imports), namespace)
    arguments = () if index == 0 else (5,)
    assert eval(text, namespace)(*arguments) == LAMBDAS[index](*arguments)


@pytest.mark.parametrize("index", range(len(CONSTANT)))
def test_a_lambda_whose_body_is_a_constant(index: int) -> None:
    text = Speller(NAMESPACE).spell(CONSTANT[index])
    assert text is not None
    arguments = (0,) * CONSTANT[index].__code__.co_argcount
    assert repr(eval(text)(*arguments)) == repr(CONSTANT[index](*arguments))


def test_a_value_that_holds_itself() -> None:
    value: list[object] = []
    value.append(value)
    assert Speller({}).spell(value) is None


def test_sets_have_one_order() -> None:
    texts = {Speller({}).spell({"b", "a", "c"}), Speller({}).spell({"c", "b", "a"})}
    assert texts == {"{'a', 'b', 'c'}"}


def test_a_repr_that_lies_is_no_text() -> None:
    class Liar(datetime.date):
        def __repr__(self) -> str:
            raise AssertionError("asked")

    assert Speller({}).spell(Liar(2020, 1, 1)) is None
