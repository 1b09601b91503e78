"""Assertions of a test as what they compare: operands bound to names, which a session shows, before the comparison.

    self.assertEqual(total([1, 2]), 3)              left = total([1, 2])
                                                    assert left == 3

    with pytest.raises(ValueError, match="neg"):    try:
        root(-1)                                        root(-1)
                                                    except ValueError as raised:
                                                        message = str(raised)
                                                    else:
                                                        raise AssertionError('DID NOT RAISE')
                                                    assert re.search('neg', message)

What is rewritten still fails where the test fails. What has another form than those below stays as its author wrote it.
"""

from __future__ import annotations

import ast
import unittest
from collections.abc import Callable, Sequence

import pytest
from trace_mine_items.asserted import (
    COMPARISONS,
    attempt,
    filled,
    is_literal,
    is_load,
    is_name,
    is_plain,
    is_value_of,
    nodes,
    replace,
    with_tolerance,
)

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
    """

    def __init__(
        self,
        resolve: Callable[[ast.expr], object],
        case: type | None,
        taken: set[str],
        *,
        imports: Callable[[str], bool],
        opens: Callable[[object], bool],
    ) -> None:
        self._opens = opens
        self._resolve = resolve
        self._case = case
        self._taken = taken
        self._imports = imports
        self._bound: dict[str, str] = {}  # a word and the name that stands for it in this test
        self._informed: set[str] = set()  # variables that held pytest's ``ExceptionInfo`` and hold the exception

    def body(self, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        """The statements with their assertions rewritten; of compound ones, the statements in them too."""
        self._informed = self._exceptions(statements)
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
                before, value = self._bind("value", test.args[0])
                return before, ast.Call(test.func, [value, test.args[1]], [])
            return [], test
        if isinstance(test, ast.Call) and ast.unparse(test.func) == "re.search":
            return [], test
        if isinstance(test, (ast.Call, ast.Attribute, ast.Subscript)) and not self._is_shown(test):
            return self._bind("value", test)
        return [], test

    def _compared(self, test: ast.Compare) -> tuple[list[ast.stmt], ast.expr]:
        left, right = test.left, test.comparators[0]
        before: list[ast.stmt] = []
        close = self._close(left, right) if isinstance(test.ops[0], ast.Eq) else None
        binds_right = close is None and not self._is_shown(right) and not self._is_of_pytest(right)
        # before the right side is evaluated, as Python does
        if not self._is_shown(left) or (binds_right and not is_literal(left)):
            before, left = self._bind("left", left)
        if close is not None:
            return before, close(left)
        if binds_right:
            bound, right = self._bind("right", right)
            before += bound
        return before, ast.Compare(left, test.ops, [right])

    def _close(self, left: ast.expr, right: ast.expr) -> Callable[[ast.expr], ast.expr] | None:
        """``left == approx(0.1)`` as a call of ``math.isclose``, by pytest's tolerances; None for another form."""
        if not (isinstance(right, ast.Call) and self._resolve(right.func) is pytest.approx and len(right.args) == 1):
            return None
        given = {keyword.arg: keyword.value for keyword in right.keywords}
        expected = right.args[0]
        number = expected.operand if isinstance(expected, ast.UnaryOp) else expected
        if not (isinstance(number, ast.Constant) and isinstance(number.value, (int, float))):
            return None  # a list, or something that turns out to be one
        if not {*given} <= {"rel", "abs"} or not self._imports("math"):
            return None
        # as in ``approx``: an absolute tolerance alone leaves no relative one
        relative = given.get("rel", ast.Constant(0.0 if "abs" in given else 1e-06))
        absolute = given.get("abs", ast.Constant(1e-12))
        return lambda bound: ast.Call(
            ast.parse("math.isclose", mode="eval").body,
            [bound, expected],
            [ast.keyword("rel_tol", relative), ast.keyword("abs_tol", absolute)],
        )

    def _is_shown(self, node: ast.expr) -> bool:
        """Return True for what the session shows anyway: a call that is opened shows its result where it returns."""
        return is_plain(node) or (isinstance(node, ast.Call) and self._opens(self._resolve(node.func)))

    def _is_of_pytest(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and self._resolve(node.func) is pytest.approx

    def _bind(self, word: str, value: ast.expr) -> tuple[list[ast.stmt], ast.expr]:
        name = self._name(word)
        return [ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)], ast.Name(name, ast.Load())

    def _name(self, word: str) -> str:
        """A name for the word that the test doesn't use, the same each time."""
        if word not in self._bound:
            name, number = word, 1
            while name in self._taken:
                name, number = f"{word}_{number}", number + 1
            self._taken.add(name)
            self._bound[word] = name
        return self._bound[word]

    # methods of unittest, functions of pytest

    def _call(self, call: ast.Call) -> list[ast.stmt]:
        """What a call asserts; empty where it asserts nothing that is known here."""
        method = self._method(call.func)
        if any(isinstance(each, ast.Starred) for each in call.args):
            return []
        if method is not None and method in COMPARISONS:
            return self._comparison(method, call)
        is_raises = method == "assertRaises" or self._resolve(call.func) is pytest.raises
        if is_raises and len(call.args) >= 2 and is_name(call.args[0]):
            # what it raises is told at the call: ``assertRaises(ValueError, int, "x")``
            inner = ast.Expr(ast.Call(call.args[1], call.args[2:], call.keywords))
            return [attempt([inner], call.args[0], "", "")]
        if (
            isinstance(call.func, ast.Attribute)
            and call.func.attr == "match"
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id in self._informed
            and len(call.args) == 1
        ):
            text = ast.Call(ast.Name("str", ast.Load()), [call.func.value], [])
            before, message = self._bind("message", text)
            return [*before, *self._matches(call.args[0], message)] if self._imports("re") else []
        return []

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
        if len(operands) == number + 1 and message is None and "Almost" not in method:
            message = operands.pop()
        if "Almost" in method and len(operands) == 2 and len(given) == 1:
            template = with_tolerance(template, given)
            given = {}
        if len(operands) != number or given:
            return []
        if "re.search" in COMPARISONS[method] and not self._imports("re"):
            return []
        before: list[ast.stmt] = []
        if "Almost" in method and not is_plain(operands[0]):
            before, operands[0] = self._bind("left", operands[0])
        if "Regex" in method and not is_plain(operands[0]):
            before, operands[0] = self._bind("value", operands[0])
        comparison = filled(template, operands)
        if "Almost" in method:
            return [*before, ast.Assert(comparison, message)]
        return [*before, *self._assert(comparison, message)]

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
        call = item.context_expr
        if not isinstance(call, ast.Call):
            return [statement]
        variable = item.optional_vars
        if variable is not None and not isinstance(variable, ast.Name):
            return [statement]
        method = self._method(call.func)
        # each of them counts by itself, which a session can't show: it ends at the first that fails
        if variable is None and (method == "subTest" or ast.unparse(call.func) == "subtests.test"):
            return statement.body
        function = self._resolve(call.func)
        if method in ("assertRaises", "assertRaisesRegex") or function is pytest.raises:
            return self._raises(statement, call, variable, has_pattern=method == "assertRaisesRegex")
        if function is pytest.warns or function is pytest.deprecated_call or method == "assertWarns":
            return self._warns(statement, call, variable, is_deprecated=function is pytest.deprecated_call)
        return [statement]

    def _raises(
        self, statement: ast.With, call: ast.Call, variable: ast.Name | None, *, has_pattern: bool
    ) -> list[ast.stmt]:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        pattern = given.pop("match", None)
        operands = [*call.args]
        if has_pattern and len(operands) == 2:
            pattern = operands.pop()
        if variable is not None and variable.id not in self._informed:
            return [statement]
        if len(operands) != 1 or given or not is_name(operands[0]) or (pattern is not None and not self._imports("re")):
            return [statement]
        name, kept = ("", "") if variable is None else (variable.id, self._name("raised"))
        if pattern is None:
            return [attempt(statement.body, operands[0], kept, f"{name} = {kept}")]
        if variable is None:
            kept, message = self._name("raised"), self._name("message")
            block = attempt(statement.body, operands[0], kept, f"{message} = str({kept})")
            return [block, *self._matches(pattern, ast.Name(message, ast.Load()))]
        block = attempt(statement.body, operands[0], kept, f"{name} = {kept}")
        before, shown = self._bind("message", ast.parse(f"str({name})", mode="eval").body)
        return [block, *before, *self._matches(pattern, shown)]

    def _matches(self, pattern: ast.expr, message: ast.expr) -> list[ast.stmt]:
        search = ast.parse("re.search", mode="eval").body
        return [ast.Assert(ast.Call(search, [pattern, message], []), None)]

    def _warns(
        self, statement: ast.With, call: ast.Call, variable: ast.Name | None, *, is_deprecated: bool
    ) -> list[ast.stmt]:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        pattern = given.pop("match", None)
        kinds = [*call.args]
        if is_deprecated and not kinds:
            kinds = [ast.parse("(DeprecationWarning, PendingDeprecationWarning, FutureWarning)", mode="eval").body]
        if variable is not None or len(kinds) != 1 or given or not is_name(kinds[0]) or not self._imports("warnings"):
            return [statement]
        if pattern is not None and not self._imports("re"):
            return [statement]
        caught = self._name("caught_warnings")
        with_text = f"with warnings.catch_warnings(record=True) as {caught}:\n    warnings.simplefilter('always')"
        recording = ast.parse(with_text).body[0]
        assert isinstance(recording, ast.With)
        recording.body += statement.body
        kind, regex = ast.unparse(kinds[0]), "" if pattern is None else ast.unparse(pattern)
        matches = f" and re.search({regex}, str(each.message))" if regex else ""
        check = f"assert any(issubclass(each.category, {kind}){matches} for each in {caught})"
        return [recording, *ast.parse(check).body]

    def _exceptions(self, statements: Sequence[ast.stmt]) -> set[str]:
        """Variables of ``raises`` of which the test reads nothing but the exception (``info.value``)."""
        names: set[str] = set()
        for node in nodes(statements):
            if isinstance(node, ast.With):
                for item in node.items:
                    if isinstance(item.optional_vars, ast.Name) and isinstance(item.context_expr, ast.Call):
                        method = self._method(item.context_expr.func)
                        if method in ("assertRaises", "assertRaisesRegex") or (
                            self._resolve(item.context_expr.func) is pytest.raises
                        ):
                            names.add(item.optional_vars.id)
        reads = [node for node in nodes(statements) if isinstance(node, ast.Attribute) and is_value_of(node, names)]
        through = {id(node.value) for node in reads}
        for node in nodes(statements):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and id(node) not in through:
                names.discard(node.id)
        stored = [node.id for node in nodes(statements) if isinstance(node, ast.Name) and not is_load(node)]
        withs = [
            item.optional_vars.id
            for node in nodes(statements)
            if isinstance(node, ast.With)
            for item in node.items
            if isinstance(item.optional_vars, ast.Name)
        ]
        names = {name for name in names if stored.count(name) == withs.count(name)}
        for node in reads:
            if isinstance(node.value, ast.Name) and node.value.id in names and node.attr in ("value", "exception"):
                # the attribute becomes the variable itself, in place
                replace(statements, node, node.value)
        return names
