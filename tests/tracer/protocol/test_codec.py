"""The codec by its table: what each annotation takes and refuses, and that nothing but its own error comes out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, field, replace
from typing import Annotated, Literal

import pytest

from trace_mine.tracer.inside.protocol import codec, forms
from trace_mine.tracer.inside.protocol.codec import (
    AtMost,
    Between,
    OneOf,
    ProtocolError,
    Record,
    from_json,
    record,
    to_json,
)
from trace_mine.tracer.inside.protocol.jobs import Recorded


@record
class Inner(Record):
    n: Annotated[int, Between(0, 9)]


@record
class Other(Record):
    text: str


@record
class Outer(Record):
    text: Annotated[str, AtMost(5)] = "a"
    number: int = 1
    real: float = 0.5
    flag: bool = False
    word: Literal["one", "two"] = "one"
    maybe: Inner | None = None
    either: Inner | Other = Inner(n=1)
    scalars: tuple[int | float | str | Mapping[str, str] | None, ...] = ()
    pairs: tuple[tuple[int, Mapping[str, str]], ...] = ()
    tables: Mapping[str, Mapping[str, tuple[Inner, ...]]] = field(default_factory=dict)
    many: tuple[Inner, ...] = ()
    choices: tuple[Inner | Other, ...] = ()
    columns: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)

    def agree(self) -> None:
        if self.number == 13:
            raise ProtocolError("expected another number than 13")


@record
class Pair(Record):
    low: int
    high: int

    def agree(self) -> None:
        if self.low > self.high:
            raise ProtocolError("expected low <= high")


@record
class Pairs(Record):
    pairs: tuple[Pair, ...]


GOOD = [
    Outer(),
    Outer(text="\ud800é", number=-(10**30), real=3, flag=True, word="two"),
    Outer(maybe=Inner(n=9), either=Other(text="x")),
    Outer(scalars=(1, 10**400, 1.5, "a", None, {"bytes": "00"})),
    Outer(pairs=((1, {}), (2, {"x": "1"}))),
    Outer(tables={"a": {"b": (Inner(n=1), Inner(n=2))}, "": {}}),
    Outer(many=(Inner(n=1), Inner(n=2)), choices=(Inner(n=1), Other(text="x"))),
    Outer(columns={"a": ("1", None), "b": (), "c": (None,), "d": ("",)}),
]


def in_json(record):
    """The record that arrives at the other end."""
    return json.loads(json.dumps(to_json(record)))


@pytest.mark.parametrize("record", GOOD)
def test_round_trip(record):
    again = from_json(Outer, in_json(record))
    assert again == record
    assert type(again.pairs) is tuple and all(type(pair) is tuple for pair in again.pairs)


BAD = {
    "text": [1, None, "123456", b"a", ["a"]],
    "number": [True, 1.0, "1", None, 13],
    "real": [True, float("nan"), float("inf"), "1", 10**400],
    "flag": [0, 1, None, "true"],
    "word": ["three", 1, None, ["one"], {}],
    "maybe": [{}, {"n": 10}, {"n": 1, "m": 2}, [1], {"inner": {"n": 1}}],
    "either": [None, {"n": 1}, {"inner": {"n": -1}}, {"inner": {"n": 1}, "other": {"text": ""}}, {"outer": {}}, [], {}],
    "scalars": [1, None, {}, "abc", [True], [[1]], [{"bytes": 1}], [float("nan")]],
    "pairs": [[1], [[1]], [[1, {}, 2]], [[True, {}]], [[1, []]], [[1, {"x": None}]], [{}]],
    "tables": [[], None, {"a": []}, {"a": {"b": {}}}, {"a": {"b": [{}]}}, {"a": {"b": {"n": [10]}}}],
    "many": [[], None, {}, {"n": 1}, {"n": [1, 10]}, {"n": [True]}, {"n": [[1]]}, {"n": [1], "m": [1]}, [{"n": 1}]],
    "choices": [{}, None, [{"n": 1}], [{"inner": {"n": 1}}, None], [{"inner": {"n": 10}}]],
    "columns": [[], {"a": "b"}, {"a": [1]}, {"a": [None, True]}, {"a": [["b"]]}, {"a": {}}, {"a": ["b", 1, None]}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in BAD.items() for value in values])
def test_bad_values_are_refused(field, value):
    good = in_json(Outer())
    assert from_json(Outer, good) == Outer()
    with pytest.raises(ProtocolError):
        from_json(Outer, {**good, field: value})


def test_keys_are_exactly_the_fields():
    good = in_json(Outer())
    for bad in ({**good, "more": 1}, {key: good[key] for key in good if key != "text"}, {}, [], None, "x", 1):
        with pytest.raises(ProtocolError):
            from_json(Outer, bad)


def test_a_record_checks_itself_whoever_makes_it():
    with pytest.raises(ProtocolError, match=r"Inner\.n to be an int from 0 to 9, got 10"):
        Inner(n=10)
    with pytest.raises(ProtocolError, match="a tuple"):
        Outer(pairs=[(1, {})])
    with pytest.raises(ProtocolError, match="13"):
        replace(Outer(), number=13)


def test_a_record_takes_its_fields_by_name_and_keeps_them():
    made = Outer(number=2)
    with pytest.raises(TypeError, match=r"expected a value for Inner\.n"):
        Inner()
    with pytest.raises(TypeError, match="got more too"):
        Inner(n=1, more=2)
    with pytest.raises(FrozenInstanceError):
        made.number = 3
    with pytest.raises(FrozenInstanceError):
        del made.number
    assert made.number == 2 and made != Outer() and made != 2 and hash(Inner(n=1)) == hash(Inner(n=1))
    assert repr(Inner(n=1)) == "Inner(n=1)" and pickle.loads(pickle.dumps(made)) == made
    assert Outer().tables is not Outer().tables


def test_columns_agree_too():
    """Records that are read from columns are made without their constructor; it isn't only there that they agree."""

    value = in_json(Pairs(pairs=(Pair(low=1, high=2), Pair(low=3, high=4))))
    assert value == {"pairs": {"low": [1, 3], "high": [2, 4]}}
    for bad in ({"low": [1, 5], "high": [2, 4]}, {"low": [1], "high": [2, 4]}, {"low": [1], "high": 2}):
        with pytest.raises(ProtocolError):
            from_json(Pairs, {"pairs": bad})


def test_texts_have_a_longest(monkeypatch):
    monkeypatch.setattr(forms, "MAX_CHARACTERS", 10)
    assert from_json(Other, {"text": "a" * 10}).text == "a" * 10
    for good, name, value in (
        (Other(text=""), "text", "a" * 11),
        (Outer(), "scalars", ["a" * 11]),
        (Outer(), "pairs", [[1, {"x": "a" * 11}]]),
    ):
        with pytest.raises(ProtocolError):
            from_json(type(good), {**in_json(good), name: value})


def test_tuples_and_mappings_have_a_longest_and_keys_too(monkeypatch):
    for module in (forms, codec):
        monkeypatch.setattr(module, "MAX_ITEMS", 3)
    monkeypatch.setattr(forms, "MAX_CHARACTERS", 10)
    fields = in_json(Outer())
    assert len(from_json(Outer, {**fields, "scalars": [1, 2, 3]}).scalars) == 3
    for name, value in (
        ("scalars", [1, 2, 3, 4]),
        ("many", {"n": [1, 2, 3, 4]}),
        ("columns", {"a": ["b"] * 4}),
        ("columns", {key: ["b"] for key in "abcd"}),
        ("columns", {"a" * 11: ["b"]}),
        ("tables", {"a": {"b" * 11: {"n": [1]}}}),
    ):
        with pytest.raises(ProtocolError):
            from_json(Outer, {**fields, name: value})


def test_errors_are_short_whatever_was_sent():
    for value in ("x" * 10**6, 10**4000, [0] * 10**6, {"k" * 10**6: 1}):
        for read in (
            lambda v: from_json(Outer, {**in_json(Outer()), "flag": v}),
            lambda v: from_json(Other, v),
            lambda v: from_json(Recorded, {"outcomes": [v, 10**4999]}),
        ):
            with pytest.raises(ProtocolError) as caught:
                read(value)
            assert len(str(caught.value)) < 300


def test_annotations_that_the_table_lacks_are_refused():
    for annotation in (
        list[int],
        dict[int, str],
        Mapping[int, str],
        object,
        set[str],
        tuple[Inner, int],
        Inner | Mapping[str, str],
    ):
        with pytest.raises(TypeError):
            record(type("Wrong", (Record,), {"__annotations__": {"field": annotation}}))


def test_one_of_several_knows_its_own():
    choice = OneOf(Inner, Other)
    assert choice.from_json(choice.to_json(Inner(n=3))) == Inner(n=3)
    for bad in (None, [], {}, {"inner": {"n": 1}, "other": {"text": ""}}, {"outer": {}}, {"inner": None}, {"n": 1}):
        with pytest.raises(ProtocolError):
            choice.from_json(bad)
