"""Assertions of a test as what they compare: operands bound to names, which a session shows, before the comparison.

    self.assertEqual(total([1, 2]), 3)              left = total([1, 2])
                                                    assert left == 3

What is rewritten still fails where the test fails. What has another form than those below stays as its author wrote it.
"""

from __future__ import annotations

import ast
import unittest
from collections.abc import Callable, Sequence

import pytest
from trace_mine_items.asserted import COMPARISONS, filled, is_literal, is_plain, with_tolerance
from trace_mine_items.closeness import Close, closeness
from trace_mine_items.expected_errors import ExpectedErrors
from trace_mine_items.session_names import SessionNames

DECIDING = frozenset(("isinstance", "issubclass", "all", "any", "callable", "hasattr"))
"""Built-in functions whose result is True or False, which a passed assertion says itself."""


class Shown:
    """Rewrites the assertions of one test.

    Args:
        resolve: the live object of a dotted name in the test's module; None where it is not known.
        case: the ``TestCase`` of the test; None for any other.
        taken: names that the test uses.
        imports: returns True if the session can name a module of the standard library, which it then imports.
        opens: returns True for a function whose calls the tracer opens.
        numbers: variables of the test that are numbers.
    """

    def __init__(
        self,
        resolve: Callable[[ast.expr], object],
        case: type | None,
        taken: set[str],
        *,
        imports: Callable[[str], bool],
        opens: Callable[[object], bool],
        numbers: set[str],
    ) -> None:
        self._opens = opens
        self._resolve = resolve
        self._case = case
        self._numbers = numbers
        self._names = SessionNames(taken, imports)
        self._errors = ExpectedErrors(resolve, self._method, self._names)

    def body(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements with their assertions rewritten; of compound ones, the statements in them too."""
        self._errors.look_at(statements)
        return self._block(statements)

    def _block(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        return [each for statement in statements for each in self._statement(statement)]

    def _statement(self, statement: ast.stmt) -> list[ast.stmt]:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return [statement]  # it runs within other calls
        if isinstance(statement, ast.Assert):
            return self._assert(statement.test, statement.msg)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            return self._call(statement.value) or [statement]
        if isinstance(statement, ast.Assign):
            return self._assigned(statement) or [statement]
        if isinstance(statement, ast.With):
            return self._with(statement)
        for field in ("body", "orelse", "finalbody"):
            if isinstance(inner := getattr(statement, field, None), list):
                setattr(statement, field, self._block(inner))
        for inner in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            inner.body = self._block(inner.body)
        return [statement]

    # comparisons

    def _assert(self, test: ast.expr, message: ast.expr | None) -> list[ast.stmt]:
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            return [each for value in test.values for each in self._assert(value, message)]
        if any(isinstance(node, (ast.NamedExpr, ast.Await, ast.Yield)) for node in ast.walk(test)):
            return [ast.Assert(test, message)]
        before, rest = self._operands(test)
        return [*before, ast.Assert(rest, message)]

    def _operands(self, test: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        """What an assertion compares, bound to names that are then shown; and the assertion's rest."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            before, rest = self._operands(test.operand)
            return before, ast.UnaryOp(ast.Not(), rest)
        if isinstance(test, ast.Compare):
            return ([], test) if len(test.ops) != 1 else self._compared(test)
        if isinstance(test, ast.Call) and isinstance(test.func, ast.Name) and test.func.id in DECIDING:
            tells_kind = test.func.id in ("isinstance", "issubclass") and len(test.args) == 2
            if tells_kind and not self._is_shown(test.args[0]):
                before, value = self._names.bind("value", test.args[0])
                return before, ast.Call(test.func, [value, test.args[1]], [])
            return [], test
        if isinstance(test, ast.Call) and ast.unparse(test.func) == "re.search":
            return [], test
        if isinstance(test, (ast.Call, ast.Attribute, ast.Subscript)) and not self._is_shown(test):
            bound: tuple[list[ast.stmt], ast.expr] = self._names.bind("value", test)
            return bound
        return [], test

    def _compared(self, test: ast.Compare) -> tuple[list[ast.stmt], ast.expr]:
        left, right = test.left, test.comparators[0]
        before: list[ast.stmt] = []
        is_equality = isinstance(test.ops[0], (ast.Eq, ast.NotEq))
        close = self._close(right) if is_equality else None
        if is_equality and close is None and (close := self._close(left)) is not None:
            left = right
        binds_right = close is None and not self._is_shown(right) and not self._is_of_pytest(right)
        # before the right side is evaluated, as Python does
        is_needed_twice = close is not None and ast.unparse(close(ast.Name("left", ast.Load()))).count("left") > 1
        is_named = isinstance(left, ast.Name) if is_needed_twice else self._is_shown(left)
        if not is_named or (binds_right and not is_literal(left)):
            before, left = self._names.bind("left", left)
        if close is not None:
            is_close = close(left)
            return before, is_close if isinstance(test.ops[0], ast.Eq) else ast.UnaryOp(ast.Not(), is_close)
        if binds_right:
            bound, right = self._names.bind("right", right)
            before += bound
        return before, ast.Compare(left, test.ops, [right])

    def _close(self, call: ast.expr) -> Close | None:
        """The test of closeness that ``approx(...)`` stands for; None for another expression, or form of it."""
        if not (isinstance(call, ast.Call) and self._is_of_pytest(call)) or not self._names.imports("math"):
            return None
        return closeness(call, self._resolve, self._numbers)

    def _is_shown(self, node: ast.expr) -> bool:
        """Return True for what the session shows anyway: a call that is opened shows its result where it returns."""
        return is_plain(node) or (isinstance(node, ast.Call) and self._opens(self._resolve(node.func)))

    def _is_of_pytest(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self._resolve(node.func) is pytest.approx

    # methods of unittest, functions of pytest

    def _call(self, call: ast.Call) -> list[ast.stmt]:
        """What a call asserts; empty where it asserts nothing that is known here."""
        method = self._method(call.func)
        if any(isinstance(each, ast.Starred) for each in call.args):
            return []
        if method is not None and method in COMPARISONS:
            return self._comparison(method, call)
        if method == "assertCountEqual" and len(call.args) == 2 and not call.keywords:
            return self._counted(*call.args)
        function = self._resolve(call.func)
        # the test ends there in both cases: ``xfail`` never returns
        if method == "fail" or function is pytest.fail or function is pytest.xfail:
            return _failure(call)
        if function is pytest.importorskip:
            return self._imported(call, None)
        if (block := self._errors.called(call, None)) is not None:
            rewritten = self._with(block)
            return [] if rewritten == [block] else rewritten
        matched: list[ast.stmt] = self._errors.matching(call)
        return matched

    def _assigned(self, statement: ast.Assign) -> list[ast.stmt]:
        """The commands of an assignment of a call of pytest's; empty where it stays."""
        target, call = statement.targets[0], statement.value
        if len(statement.targets) != 1 or not isinstance(target, ast.Name) or not isinstance(call, ast.Call):
            return []
        if self._resolve(call.func) is pytest.importorskip:
            return self._imported(call, target.id)
        block = self._errors.called(call, target)
        if block is None:
            return []
        rewritten = self._with(block)
        return [] if rewritten == [block] else rewritten

    def _imported(self, call: ast.Call, name: str | None) -> list[ast.stmt]:
        """``importorskip`` as the import that it is where pytest does not skip the test."""
        module = call.args[0].value if len(call.args) == 1 and isinstance(call.args[0], ast.Constant) else None
        if not isinstance(module, str) or any(keyword.arg == "minversion" for keyword in call.keywords):
            return []
        return [ast.Import([ast.alias(module, None if name == module else name)])]

    def _method(self, function: ast.expr) -> str | None:
        """The name of the method of ``unittest.TestCase`` itself that a call names by ``self``."""
        if self._case is None or not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
            return None
        own = getattr(unittest.TestCase, function.attr, None)
        is_plain = function.value.id == "self" and own is not None and getattr(self._case, function.attr, None) is own
        return function.attr if is_plain else None

    def _comparison(self, method: str, call: ast.Call) -> list[ast.stmt]:
        template = ast.parse(COMPARISONS[method], mode="eval").body
        number = sum(isinstance(node, ast.Name) and node.id in ("A", "B") for node in ast.walk(template))
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        message = given.pop("msg", None)
        operands = [*call.args]
        if "Almost" in method and len(operands) > number and not given:
            given = {"places": operands.pop(number)}
        if len(operands) == number + 1 and message is None:
            message = operands.pop()
        if "Almost" in method and len(operands) == 2 and len(given) == 1:
            template = with_tolerance(template, given)
            given = {}
        if len(operands) != number or given:
            return []
        if "re.search" in COMPARISONS[method] and not self._names.imports("re"):
            return []
        before: list[ast.stmt] = []
        if "Almost" in method and not is_plain(operands[0]):
            before, operands[0] = self._names.bind("left", operands[0])
        if "Regex" in method and not is_plain(operands[0]):
            before, operands[0] = self._names.bind("value", operands[0])
        comparison = filled(template, operands)
        if "Almost" in method:
            return [*before, ast.Assert(comparison, message)]
        return [*before, *self._assert(comparison, message)]

    def _counted(self, first: ast.expr, second: ast.expr) -> list[ast.stmt]:
        """``assertCountEqual``: both have the same elements, in any order."""
        listed = ast.Name("list", ast.Load())
        before, left = self._names.bind("left", ast.Call(listed, [first], []))
        bound, right = self._names.bind("right", ast.Call(listed, [second], []))
        names = ast.unparse(left), ast.unparse(right)
        check = "assert len({0}) == len({1}) and all({0}.count(each) == {1}.count(each) for each in {0})"
        return [*before, *bound, *ast.parse(check.format(*names)).body]

    # managers

    def _with(self, statement: ast.With) -> list[ast.stmt]:
        if len(statement.items) > 1:  # the last one is around the block alone
            inner = ast.With([statement.items[-1]], statement.body, lineno=0)
            rewritten = self._with(inner)
            if rewritten == [inner]:
                return [ast.With(statement.items, inner.body, lineno=0)]
            return self._with(ast.With(statement.items[:-1], rewritten, lineno=0))
        statement.body = self._block(statement.body)
        item = statement.items[0]
        if isinstance(item.context_expr, ast.Call) and item.optional_vars is None:
            function = item.context_expr.func
            # each of them counts by itself, which a session can't show: it ends at the first that fails
            if self._method(function) == "subTest" or ast.unparse(function) == "subtests.test":
                return statement.body
        rewritten_block = self._errors.block(statement)
        return [statement] if rewritten_block is None else rewritten_block


def _failure(call: ast.Call) -> list[ast.stmt]:
    """The statement that fails: ``pytest.fail`` and ``self.fail`` with their reason; empty for another form."""
    given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg != "pytrace")]
    error = ast.Call(ast.Name("AssertionError", ast.Load()), given, [])
    return [ast.Raise(error, None)] if len(given) <= 1 else []
