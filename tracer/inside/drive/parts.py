"""The sub-expressions of an expression in the order in which Python evaluates them.

A *part* is the way to a sub-expression: fields and indices, since some stand two nodes below (a keyword argument's
value, a comprehension's first iterable).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable
from typing import Any, TypeVar, cast

from trace_mine.tracer.inside.drive.operators import Asked, asked_of

Node = TypeVar("Node", bound=ast.expr)

Openable = tuple[ast.expr, list[Asked]]
"""A node that could be opened, with the operands whose classes may have a function that it calls."""
Part = tuple[tuple[str, int | None], ...]
"""The fields that lead to a sub-expression, each with the index in it where it is a list."""

_FIELDS: dict[type[ast.expr], tuple[str, ...]] = {
    ast.BinOp: ("left", "right"),
    ast.Tuple: ("elts",),
    ast.List: ("elts",),
    ast.Set: ("elts",),
    ast.JoinedStr: ("values",),
    ast.Subscript: ("value", "slice"),
    ast.Slice: ("lower", "upper", "step"),
    ast.UnaryOp: ("operand",),
    ast.IfExp: ("test",),
    ast.Attribute: ("value",),
    ast.Starred: ("value",),
    ast.NamedExpr: ("value",),
}
"""Fields of sub-expressions that are evaluated unconditionally, in the order of evaluation; a field may be a list.

Other types of expression are in ``_UNLIKE_FIELDS``, or have no such sub-expression.
"""


def parts_of(node: ast.expr) -> list[Part]:
    """Return the sub-expressions that are evaluated whatever the others give, in the order of evaluation."""
    special = _UNLIKE_FIELDS.get(type(node))
    if special is not None:
        return special(node)
    parts: list[Part] = []
    for field in _FIELDS.get(type(node), ()):
        value = getattr(node, field)
        if isinstance(value, list):
            parts += [((field, index),) for index in range(len(value))]
        elif value is not None:  # a slice need not have all three
            parts.append(((field, None),))
    return parts


def conditional_parts(node: ast.expr) -> list[Part]:
    """Return the sub-expressions of which Python evaluates some, by the truth of those before them."""
    if isinstance(node, ast.BoolOp):
        return [(("values", index),) for index in range(1, len(node.values))]
    return [(("body", None),), (("orelse", None),)] if isinstance(node, ast.IfExp) else []


def _of_call(node: ast.Call) -> list[Part]:
    function: list[Part] = []
    if isinstance(node.func, ast.Attribute):
        function = [(("func", None), ("value", None))]  # the object of a method comes first, then the look-up
    elif not isinstance(node.func, ast.Name):
        function = [(("func", None),)]
    arguments: list[Part] = [(("args", index),) for index in range(len(node.args))]
    return [*function, *arguments, *((("keywords", index), ("value", None)) for index in range(len(node.keywords)))]


def _of_dict(node: ast.Dict) -> list[Part]:
    parts: list[Part] = []
    for index, key in enumerate(node.keys):
        if key is not None:  # no key: ``**table``
            parts.append((("keys", index),))
        parts.append((("values", index),))
    return parts


def _of_formatted(node: ast.FormattedValue) -> list[Part]:
    spec = node.format_spec
    nested = len(spec.values) if isinstance(spec, ast.JoinedStr) else 0
    return [(("value", None),), *((("format_spec", None), ("values", index)) for index in range(nested))]


def _of_lambda(node: ast.Lambda) -> list[Part]:
    keyword = [index for index, default in enumerate(node.args.kw_defaults) if default is not None]
    return [
        *((("args", None), ("defaults", index)) for index in range(len(node.args.defaults))),
        *((("args", None), ("kw_defaults", index)) for index in keyword),
    ]


# a chain ends at the first comparison that is false, ``and`` and ``or`` may end with their first operand, and of a
# comprehension only the first iterable is evaluated in the scope around it
# ``Any``: each takes the one type of expression that is its key
_UNLIKE_FIELDS: dict[type[ast.expr], Callable[[Any], list[Part]]] = {
    ast.Call: _of_call,
    ast.Dict: _of_dict,
    ast.FormattedValue: _of_formatted,
    ast.Lambda: _of_lambda,
    ast.Compare: lambda node: [(("left", None),), (("comparators", 0),)],
    ast.BoolOp: lambda node: [(("values", 0),)],
    **dict.fromkeys(
        (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
        lambda node: [(("generators", 0), ("iter", None))],
    ),
}


_QUIET = (ast.Name, ast.Constant, ast.Tuple, ast.List, ast.Starred, ast.Slice)
"""Expressions that run nothing but their parts."""


def reads_first(source: str, name: str) -> bool:
    """Return True if a statement reads the variable before it runs anything: where that raises, nothing was done."""
    try:
        statement = ast.parse(source).body[0]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if isinstance(statement, (ast.AugAssign, ast.Delete)):
        target = statement.target if isinstance(statement, ast.AugAssign) else statement.targets[0]
        return isinstance(target, ast.Name) and target.id == name
    if not isinstance(statement, (ast.Expr, ast.Assign, ast.AnnAssign, ast.Raise, ast.Assert)):
        return False
    node = statement.exc if isinstance(statement, ast.Raise) else getattr(statement, "value", None)
    node = statement.test if isinstance(statement, ast.Assert) else node
    return node is not None and _reads_first(node, name) is True


def _reads_first(node: ast.expr, name: str) -> bool | None:
    """As ``reads_first``, of an expression; None where it runs nothing and does not read the variable."""
    if isinstance(node, ast.Name):
        return True if node.id == name else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
        return True
    for way in parts_of(node):
        reads = _reads_first(part(node, way), name)
        if reads is not None:
            return reads
    return None if isinstance(node, _QUIET) else False


def part(node: ast.AST, way: Part) -> ast.expr:
    """Return the sub-expression at a part of the node."""
    inner: object = node
    for field, index in way:
        inner = getattr(inner, field)
        if index is not None:
            inner = inner[index]  # type: ignore[index]
    return cast("ast.expr", inner)


def with_part(node: Node, way: Part, child: ast.expr) -> Node:
    """Return a copy of the node with another sub-expression; the program's own tree stays as it is."""
    return cast("Node", _changed(node, way, child))


def _changed(node: object, way: Part, child: ast.expr) -> object:
    if not way:
        return child
    (field, index), rest = way[0], way[1:]
    changed, inner = copy.copy(node), getattr(node, field)
    if index is None:
        setattr(changed, field, _changed(inner, rest, child))
    else:
        setattr(changed, field, [*inner[:index], _changed(inner[index], rest, child), *inner[index + 1 :]])
    return changed


def _inside(node: ast.expr) -> list[ast.expr]:
    """Return the sub-expressions at all parts of a node, conditional ones too."""
    # without the ways to them, for the commonest types: this is asked of every expression that runs
    if isinstance(node, (ast.Name, ast.Constant)):
        return []
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, (ast.Attribute, ast.Starred)):
        return [node.value]
    if isinstance(node, ast.Call):
        function = node.func.value if isinstance(node.func, ast.Attribute) else node.func
        return [function, *node.args, *(keyword.value for keyword in node.keywords)]
    return [part(node, way) for way in (*parts_of(node), *conditional_parts(node))]


def calls_in(node: ast.expr, deepest: int) -> list[Openable] | None:
    """Return the nodes that could be opened among those that may be evaluated with an expression, conditional ones too.

    Returns:
        None where the expression nests more deeply than ``deepest`` levels.
    """
    calls: list[Openable] = []
    level, depth = [node], 0
    while level:
        depth += 1
        if depth > deepest:
            return None
        pairs = [(each, asked_of(each)) for each in level]
        calls += [pair for pair in pairs if pair[1] or isinstance(pair[0], (ast.Call, ast.ListComp))]
        level = [inner for each in level for inner in _inside(each)]
    return calls
