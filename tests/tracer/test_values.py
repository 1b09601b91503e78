# ruff: noqa: RUF005  (cases read best on a line of their own)
"""Snapshots tell plain data apart exactly, and telling a value never runs its class's code."""

from __future__ import annotations

import collections
import enum
import functools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.observe import values

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.sampled_from([0.0, -0.0, 1.0, math.inf, -math.inf]),
    st.floats(allow_nan=False),
    st.text(max_size=4),
    st.binary(max_size=4),
)
plain = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.integers(-2, 2), st.text(max_size=2)), inner, max_size=3),
        st.frozensets(st.integers(-3, 3), max_size=4),
        st.sets(st.text(max_size=2), max_size=4),
    ),
    max_leaves=8,
)


def exact(value):
    """Slow twin of ``snapshot``: the value's structure with every type spelt out."""
    kind = type(value)
    if kind in (list, tuple):
        return kind.__name__, [exact(item) for item in value]
    if kind is dict:
        return "dict", [(exact(key), exact(item)) for key, item in value.items()]
    if kind in (set, frozenset):
        return kind.__name__, sorted(repr(exact(item)) for item in value)
    return kind.__name__, repr(value)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(plain, plain)
def test_equal_text_means_equal_value(one, other):
    same = exact(one) == exact(other)
    assert (values.text(values.snapshot(one)) == values.text(values.snapshot(other))) is same
    if not same:
        assert values.snapshot(one) != values.snapshot(other)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(plain)
def test_text_is_bounded_and_stable_repr_is_true(value):
    told = values.text(values.snapshot(value))
    assert len(told) <= values.MAX_TEXT + 100
    if values.stable(value) and len(told) < values.MAX_TEXT and "<" not in told and "set" not in told:
        assert told == repr(value)


@pytest.mark.parametrize(
    "one, other",
    [(1, 1.0), (1, True), (0, False), ([1], [1.0]), ((1,), [1]), ("1", b"1"), (0.0, -0.0), ({1: 2}, {1: 2.0})],
)
def test_types_are_told_apart(one, other):
    assert values.text(values.snapshot(one)) != values.text(values.snapshot(other))
    assert values.snapshot(one) != values.snapshot(other)


def test_long_values_that_differ_at_the_end_differ():
    for make in (
        lambda last: list(range(5_000)) + [last],
        lambda last: "x" * 50_000 + str(last),
        lambda last: {last: "y" * 400},
    ):
        one, other = values.text(values.snapshot(make(1))), values.text(values.snapshot(make(2)))
        assert one != other and len(one) < 500


ran: list[str] = []


def note(name):
    def method(self, *args, **kwargs):
        ran.append(name)
        raise AssertionError(name)

    return method


SPECIAL = [
    "__repr__",
    "__str__",
    "__eq__",
    "__hash__",
    "__len__",
    "__iter__",
    "__bool__",
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__contains__",
    "__getitem__",
    "__dir__",
    "__format__",
    "__sizeof__",
    "__reduce__",
    "__reduce_ex__",
    "__instancecheck__",
    "__lt__",
    "__call__",
    "items",
    "keys",
    "values",
]


class HostileMeta(type):
    pass


for special in ("__repr__", "__getattribute__", "__instancecheck__", "__subclasscheck__", "__eq__", "__hash__", "mro"):
    if special not in ("__hash__", "mro"):
        setattr(HostileMeta, special, note("meta " + special))


def hostile(*bases):
    body = {name: note(name) for name in SPECIAL}
    body["__class__"] = property(note("__class__"))
    body["__dict__"] = property(note("__dict__"))
    return type("Hostile", bases, body)


@pytest.mark.parametrize(
    "base", [object, list, dict, int, str, float, tuple, set, frozenset, Exception, collections.deque, bytes]
)
def test_telling_runs_nothing_of_the_value(base):
    kind = hostile(base)
    value = base.__new__(kind) if base is not object else object.__new__(kind)
    ran.clear()
    held = {1: value}
    for subject in (value, [value], (value, value), held, kind):
        told = values.text(values.snapshot(subject))
        assert "Hostile" in told
        assert values.stable(subject) is False
        assert values.attributes(value) == {}
    assert ran == []


def test_hostile_metaclass_is_not_asked():
    kind = HostileMeta("Quiet", (), {"n": 3})
    value = kind()
    ran.clear()
    assert "Quiet" in values.text(values.snapshot([value, kind]))
    assert ran == []


def test_attributes_and_cycles_and_slots():
    class Slotted:
        __slots__ = ("x", "y")

    class Child(Slotted):
        pass

    child = Child()
    child.x = 1
    child.z = [2]
    assert values.attributes(child) == {"x": 1, "z": [2]}
    before = values.snapshot(child)
    child.z.append(3)
    assert values.snapshot(child) != before
    loop: list[object] = [1]
    loop.append(loop)
    assert values.text(values.snapshot(loop)) == "[1, <itself>]"
    Color = enum.Enum("Color", "RED")
    assert values.text(values.snapshot(Color.RED)) == "<Color.RED: 1>"


@pytest.mark.parametrize(
    "value, expected",
    [
        ({"a", "b"}, False),
        ({"a"}, True),
        ({1, 2}, True),
        ([object()], False),
        ({"k": {1.5, 2.5}}, False),
        (range(3), True),
    ],
)
def test_stable_is_about_every_process(value, expected):
    assert values.stable(value) is expected


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("x"), "ValueError('x')"),
        (KeyError("x", 2), "KeyError('x', 2)"),
        (OSError(), "OSError()"),
        ([ValueError(["a"])], "[ValueError(['a'])]"),
    ],
)
def test_an_exception_is_told_as_it_is_made(error, told):
    assert values.text(values.snapshot(error)) == told


def test_the_fields_of_an_exception_follow_its_arguments():
    one, other = ValueError("x"), ValueError()
    one.code = other.code = 3
    assert values.describe(one) == "ValueError('x'; code=3)" and values.describe(other) == "ValueError(code=3)"


def test_a_modules_namespace_is_told_by_its_name():
    """In a session ``__main__`` has names that the script lacked: of an object that holds it, no difference."""
    space = {"__name__": "__main__", "__builtins__": __builtins__, "x": 1}
    assert values.describe([space]) == values.describe([{**space, "y": 2}]) == "[<namespace of __main__>]"
    assert values.describe({"__name__": "__main__", "x": 1}) == "{'__name__': '__main__', 'x': 1}"


def test_no_key_of_a_namespace_is_asked():
    class Key(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            raise AssertionError("asked")

    assert "<namespace" not in values.describe({"__name__": "m", Key("__builtins__"): 1})


def test_of_a_wrapper_the_wrapped_function_is_told():
    """The attributes that it copies are not: in a session the function has another module and qualified name."""

    def made():
        return functools.cache(lambda: 1)

    one, other = made(), functools.cache(eval("lambda: 1", {"__name__": "other"}))
    assert values.describe([one]) == values.describe([other])
    assert "__wrapped__=<function <lambda>>" in values.describe(one)


@pytest.mark.parametrize("times", [1, 40])
def test_the_address_in_a_text_is_not_told(times):
    """It is another one in each process: a text that holds one is the same, and a change of it is still seen."""
    one, other = (times * f"<A object at 0x7fff{digits}>" for digits in ("6a92ad0a", "65c17901"))
    assert values.text(values.snapshot(one)) == values.text(values.snapshot(other))
    assert values.describe([one, len]) == values.describe([other, len])
    assert values.snapshot(one) != values.snapshot(other)
    numbers = "0x7fff6a92ad0a", "0x7fff65c17901"
    assert values.describe(numbers[0]) != values.describe(numbers[1])


def test_identities_in_a_long_value_change_no_digest():
    """Tables keyed by ``id`` are compared in a session where other objects were made before."""
    one, other, third = ([{start + n: str(n) for n in range(60)}] for start in (140737339500992, 139876543210000, 7))
    for told in (values.describe, lambda value: values.text(values.snapshot(value))):
        assert told(one).partition("...<")[2] == told(other).partition("...<")[2] != told(third).partition("...<")[2]
