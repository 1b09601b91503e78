"""``pytest.approx`` as ``math.isclose``, by pytest's tolerances: of numbers, and of lists and dicts of numbers."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection

Close = Callable[[ast.expr], ast.expr]
"""Makes the comparison of what is compared."""
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)


def closeness(call: ast.Call, value_of: Callable[[ast.expr], object], numbers: set[str]) -> Close | None:
    """Return what makes of ``left`` the comparison with ``approx(...)``; None where its argument is no known number.

    Args:
        call: of ``approx``.
        value_of: the live object of a dotted name; None where it is not known.
        numbers: variables that are numbers.
    """
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if len(call.args) != 1 or not {*given} <= {"rel", "abs"}:
        return None
    # as in ``approx``: an absolute tolerance alone leaves no relative one
    tolerances = [
        ast.keyword("rel_tol", given.get("rel", ast.Constant(0.0 if "abs" in given else 1e-06))),
        ast.keyword("abs_tol", given.get("abs", ast.Constant(1e-12))),
    ]

    def close(left: ast.expr, right: ast.expr) -> ast.expr:
        return ast.Call(ast.parse("math.isclose", mode="eval").body, [left, right], tolerances)

    def is_number(node: ast.expr) -> bool:
        return _is_number(node, value_of, numbers)

    expected = call.args[0]
    if is_number(expected):
        return lambda left: close(left, expected)
    each, other = ast.Name("each", ast.Load()), ast.Name("other", ast.Load())
    if isinstance(expected, (ast.List, ast.Tuple)) and all(map(is_number, expected.elts)):
        return lambda left: _all(
            f"len({ast.unparse(left)}) == {len(expected.elts)}",
            f"for each, other in zip({ast.unparse(left)}, {ast.unparse(expected)})",
            close(each, other),
        )
    if isinstance(expected, ast.Dict) and all(isinstance(key, ast.Constant) for key in expected.keys):
        if not all(map(is_number, expected.values)):
            return None
        return lambda left: _all(
            f"{ast.unparse(left)}.keys() == {ast.unparse(expected)}.keys()",
            f"for each, other in {ast.unparse(expected)}.items()",
            close(ast.Subscript(left, each, ast.Load()), other),
        )
    return None


def numeric_variables(function: ast.AST, given: Collection[str], value_of: Callable[[ast.expr], object]) -> set[str]:
    """Return the variables of a function that are numbers whenever they are bound.

    Args:
        function: its tree.
        given: arguments that are numbers.
        value_of: the live object of a dotted name.
    """
    bound = [node for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    numbers = {*given} - {node.id for node in bound}
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
    for name, values in assigned.items():
        is_bound_otherwise = len([node for node in bound if node.id == name]) != len(values)
        if not is_bound_otherwise and all(_is_number(value, value_of, numbers) for value in values):
            numbers.add(name)
    return numbers


def _is_number(node: ast.expr, value_of: Callable[[ast.expr], object], numbers: Collection[str]) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return _is_number(node.operand, value_of, numbers)
    if isinstance(node, ast.BinOp) and isinstance(node.op, _ARITHMETIC):
        return _is_number(node.left, value_of, numbers) and _is_number(node.right, value_of, numbers)
    if isinstance(node, ast.Name) and node.id in numbers:
        return True
    value = node.value if isinstance(node, ast.Constant) else value_of(node)
    return type(value) in (int, float)


def _all(first: str, loop: str, check: ast.expr) -> ast.expr:
    text = f"{first} and all({ast.unparse(ast.fix_missing_locations(check))} {loop})"
    return ast.parse(text, mode="eval").body
