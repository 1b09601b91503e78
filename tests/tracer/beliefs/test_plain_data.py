"""The contract of all kinds of plain data: equal values have one key, others have another one, and copies are equal."""

from __future__ import annotations

import collections

import pytest

from trace_mine.tracer.inside.states.plain_data import KINDS, coded, groups_of, parts_of


def moved(iterator: object, steps: int) -> object:
    for _ in range(steps):
        next(iterator)  # type: ignore[call-overload]
    return iterator


ITERATED = ((1, 2), [1, 2], "ab", "\u00e9b", range(2), b"ab")
EXAMPLES: dict[type, tuple[str, str]] = {
    int: ("10 ** 20", "1"),
    str: ("'a' * 3", "'a'"),
    bool: ("1 == 1", "1"),
    type(None): ("None", "0"),
    bytes: ("bytes(2)", "bytes(1)"),
    type(...): ("...", "None"),
    float: ("float(0)", "-0.0"),
    complex: ("complex(0, 0)", "complex(0, -0.0)"),
    range: ("range(0, 3, 2)", "range(0, 4, 2)"),
    tuple: ("(1, 'a', [2])", "(1.0, 'a', [2])"),
    frozenset: ("frozenset([1])", "frozenset([True])"),
    list: ("['a' * 2, 'aa', None]", "['aa', 'aa', 0]"),
    set: ("{1, 2}", "{1}"),
    collections.deque: ("deque([1], maxlen=2)", "deque([1], maxlen=3)"),
    dict: ("{'a': [1], 'b': 2}", "{'b': 2, 'a': [1]}"),
    collections.Counter: ("Counter('ab')", "dict(Counter('ab'))"),
    collections.OrderedDict: ("OrderedDict(a=1)", "OrderedDict(a=2)"),
    collections.defaultdict: ("defaultdict(list, a=[1])", "defaultdict(int, a=[1])"),
    **{type(iter(each)): (f"iter({each!r})", f"moved(iter({each!r}), 1)") for each in ITERATED},
    type(reversed([])): ("reversed([1, 2])", "moved(reversed([1, 2]), 1)"),
    enumerate: ("enumerate('ab')", "moved(enumerate('ab'), 1)"),
    zip: ("zip('ab', [1, 2])", "moved(zip('ab', [1, 2]), 1)"),
}
"""Of each type, expressions of a value and of another one."""
NAMES = {**vars(collections), "moved": moved}


def code_of(value: object) -> tuple[object, object]:
    """The key of a value, and a copy."""
    parts = parts_of(value, {})
    assert parts is not None
    key, copies = coded((value,), [parts])
    (copied,) = copies()
    return key, copied


def test_each_type_has_an_example() -> None:
    assert {each for kind in KINDS for each in kind.types} == EXAMPLES.keys()
    assert len(EXAMPLES) == sum(len(kind.types) for kind in KINDS), "a type is of one kind"


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_equal_values_have_one_key_and_others_another_one(kind: type) -> None:
    source, other = EXAMPLES[kind]
    value = eval(source, NAMES)
    assert type(value) is kind
    key, copied = code_of(value)
    assert key == code_of(eval(source, NAMES))[0] == code_of(copied)[0]
    assert key != code_of(eval(other, NAMES))[0]
    assert type(copied) is kind
    assert kind not in (*(type(iter(each)) for each in ITERATED), type(reversed([])), enumerate, zip) or (
        [*copied] == [*eval(source, NAMES)]  # type: ignore[misc]  # an iterator
    )


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_who_can_change_a_value_shares_it(kind: type) -> None:
    """Variables are one group where an item that is put into the one is in the other."""
    value = eval(EXAMPLES[kind][0], NAMES)
    if kind in (tuple, frozenset):
        value = kind([1])  # without the list in it
    variables = {"a": (value,), "b": [value]}
    parts = {name: parts_of(each, {}) for name, each in variables.items()}
    assert None not in parts.values()
    can_change = any(hasattr(kind, name) for name in ("clear", "__next__"))
    groups = [*groups_of(parts)]  # type: ignore[arg-type]  # without None, as asserted
    assert groups == ([("a", "b")] if can_change else [("a",), ("b",)])


def test_what_is_no_plain_data_has_no_parts() -> None:
    class Items(list[int]):
        pass

    text = "a constant"
    for value in (Items(), [Items()], print, {"a": {print}}, collections.defaultdict(Items), [0] * 3_000, [text]):
        assert parts_of(value, {id(text): text}) is None
