"""The neighbours of an expression: literals and operators in whose place another one of the same type can stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

_NEIGHBOURS = {
    ast.Add: "-", ast.Sub: "+", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.BitAnd: "|", ast.BitOr: "&"
}  # fmt: skip
"""Operators whose other one takes the same operands and gives the same type."""
_NEGATED = {ast.Eq: "!=", ast.NotEq: "==", ast.In: "not in", ast.NotIn: "in"}
"""Comparisons whose other one is true where they are false."""
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
"""Built-in functions whose other one takes the same arguments and gives the same type."""
_WAITS = frozenset(("sleep", "wait", "wait_for", "timeout", "timeout_at", "call_later", "setrecursionlimit"))
"""Functions whose arguments are left alone: each path would wait for as long."""
_LARGEST = 1_000


def exchangeable(root: ast.AST) -> Iterator[ast.expr]:
    """The literals and operations of an expression in whose place another one can stand."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        # an index that is drawn is out of range as often as not; a slice may be anything
        if isinstance(node, ast.Lambda | ast.JoinedStr | ast.Starred):
            continue
        if isinstance(node, ast.comprehension):
            waiting += node.ifs  # what is walked is left alone
            continue
        if isinstance(node, ast.Subscript):
            waiting.append(node.value)
            continue
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow | ast.LShift | ast.Mod | ast.Div | ast.FloorDiv):
            waiting.append(node.left)  # a zero, or a number without end
            continue
        if isinstance(node, ast.Call) and last_name(node.func) in _WAITS:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func
        elif isinstance(node, ast.expr) and not isinstance(node, ast.Name):
            yield node
        waiting += ast.iter_child_nodes(node)


def neighbours_of(node: ast.expr, *, is_test: bool, may_flip: bool) -> tuple[str, ...]:
    """The texts of neighbours of an expression, of its type.

    Both sides of an operation are evaluated, whichever is chosen: their operands are plain.

    Args:
        node: the expression.
        is_test: it is asked for its truth alone, so that ``and`` and ``or`` of anything are of one type.
        may_flip: it may be replaced by what is true where it is false: no loop without end comes of it.
    """
    if isinstance(node, ast.Constant):
        return _other_literals(node.value)
    if isinstance(node, ast.Name):  # of a call
        return (_FUNCTIONS[node.id],) if node.id in _FUNCTIONS else ()
    if isinstance(node, ast.BinOp) and type(node.op) in _NEIGHBOURS and _is_plain(node.left) and _is_plain(node.right):
        return (f"{_operand(node.left)} {_NEIGHBOURS[type(node.op)]} {_operand(node.right)}",)
    if isinstance(node, ast.BoolOp):
        are_truths = is_test or all(map(_is_truth, node.values))
        other = " or " if isinstance(node.op, ast.And) else " and "
        return (other.join(map(_operand, node.values)),) if are_truths and all(map(_is_plain, node.values)) else ()
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return (f"bool({ast.unparse(node.operand)})",) if may_flip and _is_plain(node.operand) else ()
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and _is_plain(node.left) and _is_plain(node.comparators[0]):
        kind = type(node.ops[0])
        sign = _NEIGHBOURS.get(kind) or (_NEGATED.get(kind) if may_flip else None)
        return (f"{_operand(node.left)} {sign} {_operand(node.comparators[0])}",) if sign else ()
    return ()


def _operand(node: ast.expr) -> str:
    text = ast.unparse(node)
    return f"({text})" if isinstance(node, ast.BinOp | ast.BoolOp | ast.Compare | ast.UnaryOp) else text


def _other_literals(value: object) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (repr(not value),)
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return (repr(value + 1),) if value <= 0 else (repr(value + 1), repr(value - 1))
    if isinstance(value, float) and abs(value) <= _LARGEST:
        return (repr(value * 2 if value else 1.0),)
    return ()


def _is_truth(node: ast.expr) -> bool:
    """Tell if an expression's value is True or False."""
    if isinstance(node, ast.BoolOp):
        return all(map(_is_truth, node.values))
    is_not = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    return is_not or isinstance(node, ast.Compare) or (isinstance(node, ast.Constant) and isinstance(node.value, bool))


_PLAIN = (
    ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.expr_context, ast.UnaryOp, ast.unaryop,
    ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.BinOp, ast.Add, ast.Sub, ast.Mult,
)  # fmt: skip


def _is_plain(node: ast.expr) -> bool:
    """Tell if an expression can be evaluated in vain: names, attributes, literals, items, and operations of these; or
    the length of one.
    """
    waiting: list[ast.AST] = [node]
    while waiting:
        each = waiting.pop()
        if (
            isinstance(each, ast.Call)
            and isinstance(each.func, ast.Name)
            and each.func.id == "len"
            and len(each.args) == 1
        ):
            waiting += each.args
        elif isinstance(each, _PLAIN):
            waiting += ast.iter_child_nodes(each)
        else:
            return False
    return True


def last_name(node: ast.expr) -> str:
    """The name of a function without what stands before it, "" where it has none."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
