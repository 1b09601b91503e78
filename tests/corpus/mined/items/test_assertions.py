"""An assertion that is rewritten shows its operands, and fails for the same values as the one that its author wrote."""

from __future__ import annotations

import ast
import builtins
import math
import re
import textwrap
import unittest
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.items.inside.assertions import COMPARISONS, Shown


class Case(unittest.TestCase):
    def assertLess(self, a: object, b: object, msg: object = None) -> None:
        """One of its own, which is not unittest's."""


def own(value: object) -> object:
    return value


def fail(*arguments: object) -> None:
    raise ValueError(f"negative: {arguments}")


def warn(text: str) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=1)


NAMES = {"pytest": pytest, "own": own, "len": len, "fail": fail, "warn": warn, "re": re, "math": math}
NAMES["warnings"] = warnings


def resolve(node: ast.expr) -> object:
    parts = ast.unparse(node).split(".")
    found: object = NAMES.get(parts[0], getattr(builtins, parts[0], None))
    for part in parts[1:]:
        found = getattr(found, part, None) if found in (pytest, re) else None
    return found


def rewritten(source: str, *, case: type | None = None, taken: tuple[str, ...] = ()) -> str:
    shown = Shown(resolve, case, {*taken}, imports=lambda name: True, opens=lambda found: found is own, numbers={"n"})
    statements = shown.body(ast.parse(textwrap.dedent(source)).body)
    return "\n".join(ast.unparse(ast.fix_missing_locations(each)) for each in statements)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("assert len(x) == 3", "left = len(x)\nassert left == 3"),
        ("assert x == 3", "assert x == 3"),
        ("assert own(x) == 3", "assert own(x) == 3"),
        ("assert own(x) == len(y)", "left = own(x)\nright = len(y)\nassert left == right"),
        ("assert len(x) == 3, text", "left = len(x)\nassert left == 3, text"),
        ("assert x.a == Kind.RED", "left = x.a\nassert left == Kind.RED"),
        ("assert a and not f(x)", "assert a\nvalue = f(x)\nassert not value"),
        ("assert a or f(x)", "assert a or f(x)"),
        ("assert isinstance(f(x), int)", "value = f(x)\nassert isinstance(value, int)"),
        ("assert 1 < f(x) < 3", "assert 1 < f(x) < 3"),
        ("assert (y := f(x)) == 3", "assert (y := f(x)) == 3"),
        (
            "assert f(x) == pytest.approx(0.1)",
            "left = f(x)\nassert math.isclose(left, 0.1, rel_tol=1e-06, abs_tol=1e-12)",
        ),
        ("assert f(x) == pytest.approx(y)", "left = f(x)\nassert left == pytest.approx(y)"),
        (
            "assert f(x) != pytest.approx(n, abs=2)",
            "left = f(x)\nassert not math.isclose(left, n, rel_tol=0.0, abs_tol=2)",
        ),
        (
            "assert pytest.approx(-0.1 * n, rel=1) == own(x)",
            "assert math.isclose(own(x), -0.1 * n, rel_tol=1, abs_tol=1e-12)",
        ),
        (
            "assert own(x) == pytest.approx([0.1])",
            "left = own(x)\nassert len(left) == 1 and all((math.isclose(each, other, rel_tol=1e-06, abs_tol=1e-12) "
            "for each, other in zip(left, [0.1])))",
        ),
        (
            "assert x == pytest.approx({'a': 1})",
            "assert x.keys() == {'a': 1}.keys() and all((math.isclose(x[each], other, rel_tol=1e-06, abs_tol=1e-12) "
            "for each, other in {'a': 1}.items()))",
        ),
        ("y = pytest.importorskip('a.b')", "import a.b as y"),
        ("pytest.importorskip('math')", "import math"),
        ("pytest.importorskip('a', minversion='2')", "pytest.importorskip('a', minversion='2')"),
        ("pytest.fail('why', pytrace=False)", "raise AssertionError('why')"),
        ("for x in y:\n    assert f(x)", "for x in y:\n    value = f(x)\n    assert value"),
        ("def g():\n    assert f(x)", "def g():\n    assert f(x)"),
    ],
)
def test_operands_that_are_not_shown_yet_are_bound(source: str, expected: str) -> None:
    assert rewritten(source) == expected


def test_names_of_the_test_are_left_alone() -> None:
    assert rewritten("assert f(left) == 3", taken=("left",)) == "left_1 = f(left)\nassert left_1 == 3"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("self.assertEqual(f(x), 3)", "left = f(x)\nassert left == 3"),
        ("self.assertTrue(f(x), 'why')", "value = f(x)\nassert value, 'why'"),
        ("self.assertIsNone(x)", "assert x is None"),
        ("self.assertAlmostEqual(f(x), 2, places=3)", "left = f(x)\nassert round(abs(left - 2), 3) == 0"),
        ("self.assertAlmostEqual(x, 2, delta=d)", "assert abs(x - 2) <= d"),
        ("self.assertAlmostEqual(x, y, 3, 'why')", "assert round(abs(x - y), 3) == 0, 'why'"),
        ("self.fail('why')", "raise AssertionError('why')"),
        ("self.assertSequenceEqual(x, y)", "left = list(x)\nright = list(y)\nassert left == right"),
        (
            "self.assertCountEqual(x, [1])",
            "left = list(x)\nright = list([1])\n"
            "assert len(left) == len(right) and all((left.count(each) == right.count(each) for each in left))",
        ),
        ("self.assertCountEqual(x, y, 'why')", "self.assertCountEqual(x, y, 'why')"),
        ("self.assertRegex(f(x), 'a')", "value = f(x)\nassert re.search('a', value)"),
        ("self.assertLess(f(x), 3)", "self.assertLess(f(x), 3)"),
        ("self.assertEqual(*pair)", "self.assertEqual(*pair)"),
        ("self.assertEqual(f(x), first=3)", "self.assertEqual(f(x), first=3)"),
        ("with self.subTest(n=1):\n    self.assertEqual(x, 1)", "assert x == 1"),
    ],
)
def test_methods_of_unittest_become_what_they_compare(source: str, expected: str) -> None:
    assert rewritten(source, case=Case) == expected


def test_methods_of_other_objects_stay() -> None:
    assert rewritten("self.assertEqual(f(x), 3)") == "self.assertEqual(f(x), 3)"
    assert rewritten("other.assertEqual(f(x), 3)", case=Case) == "other.assertEqual(f(x), 3)"


RAISES = {
    "plain": "with pytest.raises(ValueError):\n    f(x)",
    "several": "with pytest.raises((ValueError, TypeError)):\n    f(x)",
    "match": "with pytest.raises(ValueError, match='neg'):\n    f(x)",
    "bound": "with pytest.raises(ValueError) as info:\n    f(x)\nassert 'neg' in str(info.value)",
    "matched": "with pytest.raises(ValueError) as info:\n    f(x)\ninfo.match('neg')",
    "both": "with pytest.raises(ValueError, match='neg') as info:\n    f(x)\nassert info.value.args",
    "called": "pytest.raises(ValueError, f, x)",
    "called and bound": "info = pytest.raises(ValueError, f, x)\nassert info.value.args",
    "expression": "with pytest.raises(ValueError) as info:\n    f(x)\nassert info.match('neg')",
    "type": "with pytest.raises(Exception) as info:\n    f(x)\nassert info.type is ValueError and info.typename",
    "check": "with pytest.raises(ValueError, check=lambda error: error.args):\n    f(x)",
    "two checks": "with pytest.raises(ValueError, match='neg', check=lambda error: error.args):\n    f(x)",
}
METHODS = {
    "plain": "with self.assertRaises(ValueError, msg='why'):\n    f(x)",
    "match": "with self.assertRaisesRegex(ValueError, 'neg'):\n    f(x)",
    "bound": "with self.assertRaises(ValueError) as info:\n    f(x)\nassert 'neg' in str(info.exception)",
    "called": "self.assertRaises(ValueError, f, x)",
    "called with a pattern": "self.assertRaisesRegex(ValueError, 'neg', f, x)",
}


@pytest.mark.parametrize("source", RAISES.values(), ids=RAISES.keys())
def test_nothing_of_pytest_is_left_of_raises(source: str) -> None:
    text = rewritten(source)
    assert "pytest" not in text
    assert "info.value" not in text


@pytest.mark.parametrize("source", METHODS.values(), ids=METHODS.keys())
@pytest.mark.parametrize("error", [None, ValueError("negative"), ValueError("other"), TypeError("negative")])
def test_nothing_of_unittest_is_left_of_its_methods(source: str, error: Exception | None) -> None:
    again = rewritten(source, case=Case)
    assert "self" not in again and "info.exception" not in again
    names = {"f": raises(error), "x": 1, "self": Case()}
    assert kinds_of_end(again, **names) == kinds_of_end(source, **names)


GROUPS = [
    "with pytest.RaisesGroup(ValueError, TypeError):\n    f(x)",
    "with pytest.RaisesGroup(ValueError, TypeError, match='both') as info:\n    f(x)\nassert info.value.exceptions",
]


@pytest.mark.skipif(not hasattr(pytest, "RaisesGroup"), reason="pytest has it from version 8.4 on")
@pytest.mark.parametrize("source", GROUPS)
@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("both"),
        ExceptionGroup("both", [TypeError(), ValueError()]),
        ExceptionGroup("other", [ValueError(), TypeError()]),
        ExceptionGroup("both", [ValueError()]),
        ExceptionGroup("both", [ValueError(), ValueError()]),
        ExceptionGroup("both", [TypeError(), ExceptionGroup("within", [ValueError()])]),
    ],
)
def test_groups_of_exceptions(source: str, error: Exception | None) -> None:
    again = rewritten(source)
    assert "pytest" not in again and "info.value" not in again
    ends = {kinds_of_end(text, f=raises(error), x=1) for text in (source, again)}
    # what is no group passes through one of the two as it is
    assert len(ends) == 1 or ends == {"ValueError", "fails"}


def test_a_group_whose_members_are_not_told_apart_stays() -> None:
    source = "with pytest.RaisesGroup(ValueError, Exception):\n    f(x)"
    assert rewritten(source) == source


@pytest.mark.parametrize(
    "source",
    [
        "def g():\n    with pytest.raises(ValueError) as info:\n        f(x)\n    return info.value",
        "with pytest.raises(ValueError) as info:\n    f(x)\ninfo = own(info.value)",
        "with pytest.raises(ValueError) as info:\n    f(x)\nprint(info.traceback)",
        # it fails itself where it finds nothing
        "with pytest.raises(ValueError) as info:\n    f(x)\nprint(info.match('oth'))",
        "with pytest.warns(UserWarning) as info:\n    f(x)\ninfo.pop()",
    ],
)
def test_what_is_not_rewritten_keeps_the_uses_of_its_variable(source: str) -> None:
    assert rewritten(source) == source


def test_a_use_of_more_than_the_exception_keeps_pytest_s_object() -> None:
    source = "with pytest.raises(ValueError) as info:\n    f(x)\nprint(info)"
    assert rewritten(source) == source


def kinds_of_end(source: str, **names: object) -> str:
    """The way in which a source ends; all failures of assertions are alike."""
    try:
        exec(compile(source, "<test>", "exec"), {**NAMES, **names})
    except (AssertionError, pytest.fail.Exception):
        return "fails"
    except Exception as error:
        return type(error).__name__
    return "passes"


def raises(error: Exception | None) -> object:
    def function(argument: object) -> None:
        if error is not None:
            raise error

    return function


@pytest.mark.parametrize("source", RAISES.values(), ids=RAISES.keys())
@pytest.mark.parametrize(
    "error", [None, ValueError("negative"), ValueError("other"), ValueError(), TypeError("negative"), KeyError("a")]
)
def test_what_must_raise_still_must(source: str, error: Exception | None) -> None:
    names = {"f": raises(error), "x": 1}
    assert kinds_of_end(rewritten(source), **names) == kinds_of_end(source, **names)


WARNS = [
    "with pytest.warns(DeprecationWarning, match='old'):\n    f(x)",
    "with pytest.deprecated_call():\n    f(x)",
    "with pytest.warns():\n    f(x)",
    "with pytest.warns(DeprecationWarning) as record:\n    f(x)\n"
    "assert len(record) == 1 and 'old' in str(record[0].message)\nassert [each for each in record.list]",
    "assert pytest.warns(DeprecationWarning, f, x) is None",
    "y = pytest.warns(DeprecationWarning, f, x)\nassert y is None",
    "pytest.deprecated_call(f, x)",
    "with self.assertWarns(DeprecationWarning) as caught:\n    f(x)\nassert 'old' in str(caught.warning)",
    "with self.assertWarnsRegex(DeprecationWarning, 'old'):\n    f(x)",
    "self.assertWarns(DeprecationWarning, f, x)",
]


@pytest.mark.parametrize("source", WARNS)
@pytest.mark.parametrize("text", ["old", "new", None])
def test_what_must_warn_still_must(source: str, text: str | None) -> None:
    def function(argument: object) -> None:
        if text is not None:
            warnings.warn(text, DeprecationWarning, stacklevel=1)

    again = rewritten(source, case=Case)
    assert source.startswith("assert pytest.warns") or ("pytest" not in again and "self" not in again)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = kinds_of_end(source, f=function, x=1, self=Case())
        assert kinds_of_end(again, f=function, x=1, self=Case()) == expected


_values = st.one_of(
    st.integers(-2, 2), st.sampled_from([0.1, 0.1 + 1e-8, float("inf"), float("nan"), "a", "b", None, [], [1], True])
)
PLAIN = [
    "assert f(a) == f(b)",
    "assert f(a) != f(b)",
    "assert f(a) is f(b)",
    "assert f(a) in [f(b)]",
    "assert f(a)",
    "assert not f(a)",
    "assert f(a) and f(b)",
    "assert isinstance(f(a), int)",
    "assert not isinstance(f(a), (int, str)), f(b)",
]


@given(source=st.sampled_from(PLAIN), a=_values, b=_values)
def test_assertions_fail_as_before(source: str, a: object, b: object) -> None:
    names = {"a": a, "b": b, "f": lambda value: value}
    assert kinds_of_end(rewritten(source), **names) == kinds_of_end(source, **names)


@given(a=st.floats(allow_nan=True, allow_infinity=True), b=st.sampled_from([0.0, 0.1, -3, 1e-12, 1e9]))
def test_approximate_equality_is_pytest_s_but_at_its_edge(a: float, b: float) -> None:
    source = f"assert f(a) == pytest.approx({b!r})"
    tolerance = max(1e-06 * abs(b), 1e-12)
    # of two numbers ``isclose`` takes the larger one's tolerance, ``approx`` the expected one's
    if math.isfinite(a) and abs(abs(a - b) - tolerance) <= 1e-05 * tolerance:
        return
    names = {"a": a, "f": lambda value: value}
    assert kinds_of_end(rewritten(source), **names) == kinds_of_end(source, **names)


_numbers = st.floats(-2, 2, allow_nan=False)


@given(a=st.lists(_numbers, max_size=2), source=st.sampled_from(["[0.5, -1]", "(0.5,)", "[]", "{0: 0.5}"]))
def test_approximate_equality_of_collections_is_pytest_s(a: list[float], source: str) -> None:
    given: object = dict(enumerate(a)) if source.startswith("{") else a
    for operator in ("==", "!="):
        text = f"assert f(a) {operator} pytest.approx({source}, abs=0.25)"
        assert "pytest" not in rewritten(text)
        names = {"a": given, "f": lambda value: value}
        assert kinds_of_end(rewritten(text), **names) == kinds_of_end(text, **names)


# of one that is not equal to itself unittest says different things, by what stands beside it
_countable = st.lists(_values.filter(lambda value: value == value), max_size=3)


@given(a=_countable, b=_countable)
def test_counted_elements(a: list[object], b: list[object]) -> None:
    source = "self.assertCountEqual(f(a), f(b))"
    names = {"a": a, "b": b, "f": lambda value: value, "self": unittest.TestCase()}
    again = rewritten(source, case=unittest.TestCase)
    assert kinds_of_end(again, **names) == kinds_of_end(source, **names)


@given(method=st.sampled_from(sorted(COMPARISONS)), a=_values, b=_values)
def test_unittest_s_methods_fail_as_before(method: str, a: object, b: object) -> None:
    number = 1 if method in ("assertTrue", "assertFalse", "assertIsNone", "assertIsNotNone") else 2
    source = f"self.{method}({', '.join(['f(a)', 'f(b)'][:number])})"
    names = {"a": a, "b": b, "f": lambda value: value, "self": unittest.TestCase()}
    before, after = kinds_of_end(source, **names), kinds_of_end(rewritten(source, case=unittest.TestCase), **names)
    kinds = {
        "assertListEqual": list,
        "assertSequenceEqual": list,
        "assertTupleEqual": tuple,
        "assertSetEqual": set,
        "assertDictEqual": dict,
    }
    kind = kinds.get(method, str if method == "assertMultiLineEqual" else None)
    if kind is not None and not (isinstance(a, kind) and isinstance(b, kind)):
        return  # it fails for values of other kinds, which a comparison does not ask about
    # equal ones pass at once; of others the difference is taken, which infinite ones and texts don't have
    if "Almost" in method and not (a != b and all(isinstance(v, (int, float)) and math.isfinite(v) for v in (a, b))):
        return
    ends = {"passes": "passes", "fails": "fails"}  # of what can't be compared the exception's type may differ
    assert ends.get(after, "raises") == ends.get(before, "raises")
