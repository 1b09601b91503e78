"""Calls of special methods are written as programs write them, where that calls the same function."""

from __future__ import annotations

import importlib.util
import types
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trace_mine.corpus.mined.harvest
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.mined.snippets import Candidate


def loaded() -> types.ModuleType:
    """The module as jails have it: of a package of another name."""
    path = Path(trace_mine.corpus.mined.harvest.__file__).parent / "inside/operators.py"
    spec = importlib.util.spec_from_file_location("harvest_operators", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPERATORS = loaded()


class Noted:
    """Notes which of its methods is called first, with which arguments."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[object, ...]]] = []

    def __call__(self, *arguments: object, **named: object) -> None:
        self.calls.append(("__call__", (*arguments, *named.items())))


def _noting(name: str, result: object) -> Any:
    def method(self: Noted, *arguments: object) -> object:
        self.calls.append((name, arguments))
        return result

    return method


RESULTS = {"len": 3, "str": "a", "repr": "a", "bool": True, "int": 1, "float": 1.0, "iter": iter(()), "contains": True}
UNARY = ["len", "str", "repr", "bool", "abs", "next", "int", "float", "iter", "neg", "pos", "invert"]
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"]
COMPARED = ["eq", "ne", "lt", "le", "gt", "ge"]
REFLECTED = [f"r{name}" for name in BINARY]
for each in (*UNARY, *BINARY, *COMPARED, *REFLECTED, "getitem", "contains", "setitem", "delitem"):
    setattr(Noted, f"__{each}__", _noting(f"__{each}__", RESULTS.get(each)))
OPERANDS = st.sampled_from(
    ["1", "-1", "'a'", "None", "(1, 2)", "x or y", "lambda: 0", "not x", "[1]", "x", "x if y else 1"]
)


@given(
    st.sampled_from([*UNARY, *BINARY, *COMPARED, *REFLECTED, "getitem", "contains", "setitem", "delitem"]),
    OPERANDS,
    OPERANDS,
)
def test_the_text_calls_the_method_itself(name: str, first: str, second: str) -> None:
    number = 0 if name in UNARY else 2 if name == "setitem" else 1
    names = {"x": 5, "y": 0}
    texts = [first, second][:number]
    values = [eval(text, dict(names)) for text in texts]
    noted = Noted()
    text = OPERATORS.operator_text(f"__{name}__", "box", texts, [noted, *values])
    if text is None:
        assert name == "rmod" and isinstance(values[0], str), "which formats"
        return
    space: dict[str, object] = {**names, "box": noted}
    assert OPERATORS.is_statement(text) is (name in ("setitem", "delitem"))
    exec(text, space)
    ((called, arguments),) = noted.calls
    assert called == f"__{name}__"
    if "lambda" not in text:
        assert [*arguments] == values
    # it stands before an attribute as a whole
    if not OPERATORS.is_statement(text):
        grouped = OPERATORS.as_operand(text)
        space["again"] = None
        exec(f"again = {OPERATORS.ungrouped(grouped)}\ntype({grouped}).__name__\n{grouped}.__class__", space)


class Above:
    def __add__(self, other: object) -> str:
        return "above"

    __eq__ = __lt__ = __radd__ = __add__  # type: ignore[assignment]


class Below(Above):
    def __radd__(self, other: object) -> str:
        return "below"


@pytest.mark.parametrize(
    ("method", "arguments", "values"),
    [
        ("__add__", ["b"], [Above(), Below()]),  # the reflected method of a class below is called first
        ("__eq__", ["b"], [Above(), Below()]),
        ("__radd__", ["b"], [Below(), Above()]),  # the other's own is called first
        ("__getitem__", ["slice(1, 2, None)"], [Above(), slice(1, 2)]),
        ("__getitem__", ["key=1"], [Above(), 1]),
        ("__len__", ["1"], [Above(), 1]),
        ("__setitem__", ["1"], [Above(), 1]),
        ("__enter__", [], [Above()]),
        ("plain", [], [Above()]),
        ("__call__", [], [Above]),  # of a metaclass: the text would be that of a construction
    ],
)
def test_other_calls_are_named(method: str, arguments: list[str], values: list[object]) -> None:
    assert OPERATORS.operator_text(method, "a", arguments, values) is None


LIBRARY = '''\
class Box:
    def __init__(self, items=()):
        self.items = list(items)

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]

    def __setitem__(self, index, value):
        self.items[index] = value

    def __delitem__(self, index):
        del self.items[index]

    def __contains__(self, item):
        return item in self.items

    def __iter__(self):
        return iter(self.items)

    def __add__(self, other):
        return Box([*self.items, *other.items])

    def __radd__(self, other):
        return Box([other, *self.items])

    def __eq__(self, other):
        return self.items == other.items

    def __call__(self, n, *, times=1):
        return [*self.items, n] * times

    def total(self):
        return sum(self.items)


class Loud(Box):
    """
    >>> box = Box([1])
    >>> box[0] = 2
    >>> len(box), box[0], 2 in box, [*box], box(3, times=2)
    (1, 2, True, [2], [2, 3, 2, 3])
    >>> both = box + Box([3])
    >>> del both[0]
    >>> both.total(), (1 + box).total(), box == Box([2])
    (3, 3, True)
    >>> len(Loud([4]))
    2
    """

    def __len__(self):
        return super().__len__() + 1
'''


def test_calls_and_the_making_of_objects_are_written_as_operators(tmp_path: Path) -> None:
    root = tmp_path / "lib"
    root.mkdir()
    (root / "lib.py").write_text(LIBRARY)
    origin = Mined([str(root)], MineOptions(environment="none", entries=("call", "doctest")), tmp_path / "staging")
    candidates = [
        Candidate.from_json(entry["candidate"])  # type: ignore[arg-type]
        for unit in origin.units()
        for entry in unit.payload["snippets"]  # type: ignore[attr-defined]
    ]
    texts: dict[str, list[list[str]]] = {}
    for snippet in (each.snippet for each in candidates if each.snippet.kind == "call"):
        name = snippet.name.removeprefix("lib.").partition("[")[0]
        texts.setdefault(name, []).append([piece.source.rstrip("\n") for piece in snippet.pieces])
    assert ["box = Box([1])", "box[0] = 2", "vars(box)"] in texts["Box.__setitem__"]
    made = ["box = Box([1])", "box[0] = 2"]
    assert [*made, "len(box)"] in texts["Box.__len__"]
    # the class below has its own: the text that calls this one names it
    assert ["loud = Loud([4])", "Box.__len__(loud)"] in texts["Box.__len__"]
    assert ["loud = Loud([4])", "len(loud)"] in texts["Loud.__len__"]
    assert [*made, "box[0]"] in texts["Box.__getitem__"] and [*made, "2 in box"] in texts["Box.__contains__"]
    assert [*made, "list(box)"] in texts["Box.__iter__"] and [*made, "box(3, times=2)"] in texts["Box.__call__"]
    assert [*made, "box == Box([2])"] in texts["Box.__eq__"]
    assert [*made, "result = box + Box([3])", "vars(result)"] in texts["Box.__add__"]
    assert [*made, "result = 1 + box", "vars(result)"] in texts["Box.__radd__"]
    # what an operator gave was made by a constructor within
    assert ["box = Box([2, 3])", "del box[0]", "vars(box)"] in texts["Box.__delitem__"]
    assert ["box = Box([2, 3])", "del box[0]", "box.total()"] in texts["Box.total"]
