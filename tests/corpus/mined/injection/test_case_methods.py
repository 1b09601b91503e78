"""Assertions of ``unittest`` as questions: each shows what the method itself would find."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re
import types
import unittest
from pathlib import Path
from typing import Any

import pytest
from trace_mine_inject.case_methods import LEFT_ALONE, OLD_NAMES, QUESTIONS, asked_methods, helpers_of, question_of

from trace_mine.corpus.mined.items.inside.asserted import COMPARISONS

VALUES: tuple[Any, ...] = (
    0,
    1,
    1.00000001,
    2,
    "",
    "ab",
    "b",
    [],
    [1, 2],
    [2, 1],
    (1, 2),
    (3,),
    {1},
    {1, 2},
    {},
    {1: 2},
    None,
    int,
    bool,
)
LATER = frozenset(("assertIsSubclass", "assertNotIsSubclass", "assertHasAttr", "assertNotHasAttr", "assertStartsWith",
                   "assertNotStartsWith", "assertEndsWith", "assertNotEndsWith"))  # fmt: skip
"""Methods of Python 3.14."""


def members() -> set[str]:
    """All methods of this interpreter's class that assert."""
    return {name for name in dir(unittest.TestCase) if name.startswith(("assert", "failUnless", "failIf"))}


def test_every_method_is_asked_or_left_alone() -> None:
    known = {*QUESTIONS, *OLD_NAMES, *LEFT_ALONE}
    assert members() <= known
    assert not set(QUESTIONS) & set(OLD_NAMES) and not LEFT_ALONE & {*QUESTIONS, *OLD_NAMES}
    assert set(QUESTIONS) - members() <= LATER, "no method is invented"
    assert set(COMPARISONS) <= set(QUESTIONS), "what is asked in a test's own statements is asked here too"


@pytest.mark.parametrize("name", sorted(set(QUESTIONS) & members()))
def test_a_question_takes_what_the_method_takes(name: str) -> None:
    method = inspect.signature(getattr(unittest.TestCase(), name)).parameters.values()
    question = inspect.signature(eval(question_of(name))).parameters.values()
    assert [(each.name, each.default) for each in question] == [
        (each.name, list if each.default is list and name == "x" else each.default) for each in method
    ]


@pytest.mark.parametrize("name", sorted((set(QUESTIONS) | set(OLD_NAMES)) & members()))
def test_a_question_shows_what_the_method_finds(name: str) -> None:
    case, question = unittest.TestCase(), eval(question_of(name))
    method = getattr(case, OLD_NAMES.get(name, name))
    needed = sum(each.default is each.empty for each in inspect.signature(method).parameters.values())
    answers = set()
    for first in VALUES:
        for second in VALUES if needed == 2 else (None,):
            operands = (first, second)[:needed]
            if any(type(each) is not str for each in operands) and "Line" in name:
                continue  # the method asks for texts first
            if "Reg" in name and not (type(first) is type(second) is str and second):
                continue  # no pattern may be empty
            if not _is_of_kind(name, operands):
                continue
            try:
                method(*operands)
                expected: object = True
            except AssertionError:
                expected = False
            except Exception as error:
                expected = type(error)
            assert _shown(question, operands) == expected, (name, operands)
            answers.add(expected)
    assert {True, False} <= answers


def _is_of_kind(name: str, operands: tuple[object, ...]) -> bool:
    """Tell if the method compares values of these types, and doesn't refuse them as another kind."""
    kind = {"List": list, "Tuple": tuple, "Dict": dict, "Set": set, "Count": list, "Sequence": list}
    for word, wanted in kind.items():
        if name.startswith(f"assert{word}"):
            return all(type(each) is wanted for each in operands)
    return True


def _shown(question: Any, operands: tuple[object, ...]) -> object:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            question(*operands)
        except Exception as error:
            return type(error)
    return {"True\n": True, "False\n": False}[output.getvalue()]


@pytest.mark.parametrize("given", [{"places": 2}, {"delta": 0.5}, {}, {"places": 9}])
@pytest.mark.parametrize("second", [1.0, 1.001, 1.4, 2.0])
def test_closeness_is_that_of_unittest(second: float, given: dict[str, float]) -> None:
    for name in ("assertAlmostEqual", "assertNotAlmostEqual"):
        try:
            getattr(unittest.TestCase(), name)(1.0, second, **given)
            expected = True
        except AssertionError:
            expected = False
        with contextlib.redirect_stdout(io.StringIO()) as output:
            eval(question_of(name))(1.0, second, **given)
        assert output.getvalue() == f"{expected}\n"


def test_patterns_may_be_compiled() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as output:
        eval(question_of("assertRegex"))("ab", re.compile("b"))
        eval(question_of("assertNotRegex"))("ab", "c", msg="x")
    assert output.getvalue() == "True\nTrue\n"


TESTS = """
import unittest
class Base(unittest.TestCase):
    def check(self, n):
        self.look(n)
    def look(it, n):
        it.assertEqual(n, 1)
    def assertIn(self, a, b):
        self.assertTrue(a)
    def unused(self):
        self.assertLess(1, 2)
    @staticmethod
    def still():
        return 1
class Test(Base):
    pass
class Plain:
    pass
"""


@pytest.mark.parametrize(
    ("pieces", "asked"),
    [
        (["self.check(1)\n"], ["assertEqual"]),
        (["eq = self.assertIs\n", "eq(1, 1)\n"], ["assertIs"]),
        (["def f(x):\n    self.assertIn(x, [])\n"], ["assertTrue"]),
        (["with self.assertRaises(ValueError):\n    self.still()\n"], []),
        (["print(2 == 2)\n"], []),
    ],
)
def test_methods_are_asked_that_a_test_comes_to(
    pieces: list[str], asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = _module(tmp_path, monkeypatch)
    found = asked_methods("self = Test('check')\n", pieces, table)
    assert [line.partition(" = ")[0] for line in found] == [f"self.{name}" for name in asked]
    assert asked_methods("self = Plain()\n", pieces, table) == asked_methods("x = 1\n", pieces, table) == []


def test_helpers_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = _module(tmp_path, monkeypatch)
    assert len(helpers_of("self = Test('check')\n", ["self.check(1)\n"], table)) == 2
    assert helpers_of("self = Plain()\n", ["self.check(1)\n"], table) == []


def _module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    (folder / "tests_of_shop.py").write_text(TESTS)
    monkeypatch.syspath_prepend(str(folder))
    module: types.ModuleType = importlib.import_module("tests_of_shop")
    return dict(vars(module))
