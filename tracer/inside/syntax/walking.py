"""Walks of syntax trees: what ``ast``'s own give, faster, but for contexts and operators.

``ast.walk`` asks each value of each node what it is. Here the grammar that stands in the docstring of each class of
nodes says once which of its fields hold nodes. Contexts and operators (``Load()``, ``Add()``) are left out:
they have no nodes in them and no position, and are a third of a tree.
"""

from __future__ import annotations

import ast
import re

_field = re.compile(r"\b(\w++)([*?]?+) (\w++)")
_NO_NODES = frozenset(
    ("identifier", "string", "int", "constant", "expr_context", "boolop", "operator", "unaryop", "cmpop")
)
"""Types of the grammar whose values are no nodes, or are left out."""


class _Fields(dict[type[ast.AST], tuple[tuple[str, bool], ...]]):
    """The fields of each class of nodes that hold nodes, in order, each with True where it is a list of them."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[tuple[str, bool], ...]:
        """Give a class that we derived the fields of the one it is derived from."""
        fields = self[kind] = self[kind.__bases__[0]]
        return fields


_fields = _Fields(
    # at import, before the snippet can change what ``ast`` says
    (kind, tuple((name, many == "*") for of, many, name in _field.findall(kind.__doc__ or "") if of not in _NO_NODES))
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
)


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right below a node, in the order of ``ast.iter_child_nodes``."""
    nodes: list[ast.AST] = []
    for name, is_list in _fields[type(node)]:
        value = getattr(node, name, None)
        if is_list:
            if value:
                # keys of ``{**a}`` and defaults of keyword-only parameters may be None
                nodes += [each for each in value if each is not None] if None in value else value
        elif value is not None:
            nodes.append(value)
    return nodes


def walk(node: ast.AST) -> list[ast.AST]:
    """Return a node and all below it, in the order of ``ast.walk``."""
    nodes = [node]
    for each in nodes:  # grows as it goes
        nodes += children(each)
    return nodes


def fix_locations(node: ast.AST) -> ast.AST:
    """Give nodes that have no position that of the node around them, as ``ast.fix_missing_locations`` does; return the
    node.
    """
    _fix(node, 1, 0, 1, 0)
    return node


def _fix(node: ast.AST, line: int, column: int, end_line: int, end_column: int) -> None:
    if node._attributes:
        known = vars(node)
        if "lineno" in known:
            line = known["lineno"]
        else:
            node.lineno = line  # type: ignore[attr-defined]  # one of its ``_attributes``
        if "col_offset" in known:
            column = known["col_offset"]
        else:
            node.col_offset = column  # type: ignore[attr-defined]
        if known.get("end_lineno") is None:
            node.end_lineno = end_line  # type: ignore[attr-defined]
        else:
            end_line = known["end_lineno"]
        if known.get("end_col_offset") is None:
            node.end_col_offset = end_column  # type: ignore[attr-defined]
        else:
            end_column = known["end_col_offset"]
    for child in children(node):
        _fix(child, line, column, end_line, end_column)
