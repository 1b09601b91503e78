"""Ranges that can be computed without running code of the snippet: their values are spelt out in the session.

``for i in range(len(xs) - 1)`` shows ``i = 0``, ``i = 1`` and so on, instead of ``next`` of an iterator.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.syntax.text import is_inert

_SIZED = (list, tuple, str, bytes, dict, set, frozenset)
"""Types whose ``len`` runs no code of the snippet: exactly these, no subclasses."""

_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
"""Operators on ints that raise nothing but ZeroDivisionError and need little time: no powers, no shifts."""


def computed_range(context: DriveContext, node: ast.expr) -> range | None:
    """Return the range that the expression makes, computed here.

    Returns:
        None for any other expression, for one that would run code of the snippet, and where spelt values would tell
        something that the view hides: ``range(n)`` with a hidden ``n``.
    """
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords):
        return None
    # by identity: a program may have a ``range`` of its own (tests/samples/names_hidden.py)
    if context.variables.peek(node.func) is not range or not 1 <= len(node.args) <= 3:
        return None
    if not context.opening.is_certain and not all(isinstance(argument, ast.Constant) for argument in node.args):
        return None
    numbers: list[int] = []
    for argument in node.args:
        number = _computed_int(context, argument)
        if number is None:
            return None
        numbers.append(number)
    if len(numbers) == 3 and numbers[2] == 0:
        return None  # the program's own call raises ValueError
    return range(*numbers)


def _computed_int(context: DriveContext, node: ast.expr) -> int | None:
    """Return the int that an expression over ints and lengths of built-in containers gives; None for any other one."""
    value: object = None
    if is_inert(node):
        value = context.variables.peek(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        negated = _computed_int(context, node.operand)
        value = None if negated is None else -negated
    elif isinstance(node, ast.BinOp):
        value = _computed_operation(context, node)
    elif isinstance(node, ast.Call):
        value = _computed_length(context, node)
    return value if type(value) is int else None  # not a bool, and no subclass with operators of its own


def _computed_operation(context: DriveContext, node: ast.BinOp) -> int | None:
    """Return the int that an operation on two computed ints gives; None where there is none."""
    left, right = _computed_int(context, node.left), _computed_int(context, node.right)
    operation = _OPERATIONS.get(type(node.op))
    if left is None or right is None or operation is None:
        return None
    if right == 0 and isinstance(node.op, (ast.FloorDiv, ast.Mod)):
        return None  # the program's own expression raises ZeroDivisionError
    return operation(left, right)


def _computed_length(context: DriveContext, node: ast.Call) -> int | None:
    """Return the int that ``len`` of a variable with a built-in container gives; None for any other call."""
    if len(node.args) != 1 or node.keywords or not is_inert(node.args[0]):
        return None
    container = context.variables.peek(node.args[0])
    is_len = context.variables.peek(node.func) is len
    return len(container) if is_len and type(container) in _SIZED else None  # type: ignore[arg-type]  # one of _SIZED
