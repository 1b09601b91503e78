"""The assertions of ``unittest`` that a test makes through functions of its own, as questions.

Where a test's statement is ``self.assertEqual(a, b)`` the finder of tests has written ``assert a == b``, which is asked
as any other. What a helper of the test's class asserts, an inner function, or ``eq = self.assertEqual`` stays a call of
a method of ``unittest``, and an edited function under the test would make it raise. So the test's object gets another
method of that name, which shows the comparison: ``self.assertEqual = lambda first, second, msg=None: print(first ==
second)``. Methods that a class of the repository has written anew stay as they are, and so do those that say which
exception a block raises, or what it logs.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import unittest
from collections.abc import Iterator, Sequence

_SAME = "first, second, msg=None: print(first == second)"
_OTHER = "first, second, msg=None: print(first != second)"
_CLOSE = "round(abs(first - second), 7 if places is None else places) == 0"
_IS_NEAR = f"({_CLOSE} if delta is None else abs(first - second) <= delta)"
_IS_CLOSE = f"first == second or {_IS_NEAR}"
_NUMBERS = "first, second, places=None, msg=None, delta=None"
_FOUND = "__import__('re').search(expected_regex, text)"
QUESTIONS = {
    "assertEqual": _SAME,
    "assertNotEqual": _OTHER,
    "assertTrue": "expr, msg=None: print(bool(expr))",
    "assertFalse": "expr, msg=None: print(not expr)",
    "assertIs": "expr1, expr2, msg=None: print(expr1 is expr2)",
    "assertIsNot": "expr1, expr2, msg=None: print(expr1 is not expr2)",
    "assertIsNone": "obj, msg=None: print(obj is None)",
    "assertIsNotNone": "obj, msg=None: print(obj is not None)",
    "assertIn": "member, container, msg=None: print(member in container)",
    "assertNotIn": "member, container, msg=None: print(member not in container)",
    "assertIsInstance": "obj, cls, msg=None: print(isinstance(obj, cls))",
    "assertNotIsInstance": "obj, cls, msg=None: print(not isinstance(obj, cls))",
    "assertIsSubclass": "cls, superclass, msg=None: print(issubclass(cls, superclass))",
    "assertNotIsSubclass": "cls, superclass, msg=None: print(not issubclass(cls, superclass))",
    "assertHasAttr": "obj, name, msg=None: print(hasattr(obj, name))",
    "assertNotHasAttr": "obj, name, msg=None: print(not hasattr(obj, name))",
    "assertStartsWith": "s, prefix, msg=None: print(s.startswith(prefix))",
    "assertNotStartsWith": "s, prefix, msg=None: print(not s.startswith(prefix))",
    "assertEndsWith": "s, suffix, msg=None: print(s.endswith(suffix))",
    "assertNotEndsWith": "s, suffix, msg=None: print(not s.endswith(suffix))",
    "assertLess": "a, b, msg=None: print(a < b)",
    "assertLessEqual": "a, b, msg=None: print(a <= b)",
    "assertGreater": "a, b, msg=None: print(a > b)",
    "assertGreaterEqual": "a, b, msg=None: print(a >= b)",
    "assertAlmostEqual": f"{_NUMBERS}: print({_IS_CLOSE})",
    "assertNotAlmostEqual": f"{_NUMBERS}: print(not ({_IS_NEAR} or first == second))",
    "assertSequenceEqual": "seq1, seq2, msg=None, seq_type=None: print([*seq1] == [*seq2])",
    "assertListEqual": "list1, list2, msg=None: print(list1 == list2)",
    "assertTupleEqual": "tuple1, tuple2, msg=None: print(tuple1 == tuple2)",
    "assertSetEqual": "set1, set2, msg=None: print(set1 == set2)",
    "assertDictEqual": "d1, d2, msg=None: print(d1 == d2)",
    "assertMultiLineEqual": _SAME,
    "assertCountEqual": (
        "first, second, msg=None: print(len(first := [*first]) == len(second := [*second])"
        " and all(first.count(each) == second.count(each) for each in first))"
    ),
    "assertRegex": f"text, expected_regex, msg=None: print({_FOUND} is not None)",
    "assertNotRegex": f"text, unexpected_regex, msg=None: print({_FOUND.replace('exp', 'unexp')} is None)",
}
"""Methods of ``unittest.TestCase`` with the parameters that they have, and the question for what they compare."""
OLD_NAMES = {
    "assertEquals": "assertEqual",
    "assertNotEquals": "assertNotEqual",
    "failUnlessEqual": "assertEqual",
    "failIfEqual": "assertNotEqual",
    "assertAlmostEquals": "assertAlmostEqual",
    "failUnlessAlmostEqual": "assertAlmostEqual",
    "assertNotAlmostEquals": "assertNotAlmostEqual",
    "failIfAlmostEqual": "assertNotAlmostEqual",
    "assert_": "assertTrue",
    "failUnless": "assertTrue",
    "failIf": "assertFalse",
    "assertRegexpMatches": "assertRegex",
    "assertNotRegexpMatches": "assertNotRegex",
}
"""Names of older interpreters, which had the parameters of those that they stand for."""
LEFT_ALONE = frozenset(
    [
        "assertRaises",
        "assertRaisesRegex",
        "assertRaisesRegexp",
        "failUnlessRaises",
        "assertWarns",
        "assertWarnsRegex",
        "assertLogs",
        "assertNoLogs",
        "assertDictContainsSubset",
    ]
)
"""Methods that are of blocks, or of a comparison that no longer exists: as they were."""
_MOST_METHODS = 200


def question_of(method: str) -> str:
    """Return the expression that is put in the place of a method.

    >>> question_of("assertIsNone")
    'lambda obj, msg=None: print(obj is None)'
    """
    return f"lambda {QUESTIONS[OLD_NAMES.get(method, method)]}"


def asked_methods(code: str, pieces: Sequence[str], table: dict[str, object]) -> list[str]:
    """Statements that give a test's object the methods which ask; none where it has no object of ``unittest``.

    Args:
        code: what binds ``self``.
        pieces: the test, with its own assertions as questions.
        table: the names of its module.
    """
    asked, _ = _reached(_case_of(code, table), [*map(ast.parse, pieces)])
    return [f"self.{name} = {question_of(name)}\n" for name in sorted(asked)]


def helpers_of(code: str, pieces: Sequence[str], table: dict[str, object]) -> list[ast.AST]:
    """The methods of the test's class, of its own module, that the test comes to by ``self``; as trees."""
    case = _case_of(code, table)
    _, methods = _reached(case, [*map(ast.parse, pieces)])
    return [tree for function, tree in methods if case is not None and function.__module__ == case.__module__]


def _case_of(code: str, table: dict[str, object]) -> type | None:
    """The class of the object that ``self`` is bound to."""
    for node in ast.parse(code).body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        called = node.value.func
        if ast.unparse(node.targets[0]) == "self" and isinstance(called, ast.Name):
            kind = table.get(called.id)
            if isinstance(kind, type) and issubclass(kind, unittest.TestCase):
                return kind
    return None


_Method = tuple[types.FunctionType, ast.AST]


def _reached(case: type | None, trees: Sequence[ast.AST]) -> tuple[set[str], list[_Method]]:
    """The methods of ``unittest`` with a question that statements name, or that methods of the repository name which
    they name; and these.
    """
    if case is None:
        return set(), []
    waiting = [name for tree in trees for name in _attributes(tree, "self")]
    seen: set[str] = set()
    asked: set[str] = set()
    methods: list[_Method] = []
    while waiting and len(seen) < _MOST_METHODS:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        member = inspect.getattr_static(case, name, None)
        if member is inspect.getattr_static(unittest.TestCase, name, None):
            if name in QUESTIONS or name in OLD_NAMES:
                asked.add(name)
            continue
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if isinstance(function, types.FunctionType):
            tree = _tree_of(function)
            methods.append((function, tree))
            waiting += _attributes(tree, *function.__code__.co_varnames[:1])
    return asked, methods


def _tree_of(function: types.FunctionType) -> ast.AST:
    """The definition of a function; of nothing where its text can't be had."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, ValueError, SyntaxError, RecursionError, MemoryError):
        return ast.Module([], [])


def _attributes(tree: ast.AST, name: str = "") -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            yield node.attr
