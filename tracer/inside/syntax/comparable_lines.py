"""The lines at which the driver's path can be compared with the path that ``sys.settrace`` reports."""

from __future__ import annotations

import ast

_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Raise, ast.Assert, ast.If)


def comparable_lines(body: list[ast.stmt]) -> list[tuple[int, int]]:
    """(first, last) line of each simple statement or ``if`` test that starts on a line of its own, sorted.

    Headers of loops, ``with``, ``try`` and ``match`` are left out: compilers differ on the events of these lines.
    """
    num_starts: dict[int, int] = {}
    last_lines: dict[int, int] = {}
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        num_starts[node.lineno] = num_starts.get(node.lineno, 0) + 1
        if isinstance(node, _SIMPLE) and not _has_no_event(node):
            last = node.test if isinstance(node, ast.If) else node
            last_lines[node.lineno] = last.end_lineno or node.lineno
        waiting += _nested_statements(node)
    return sorted((line, last) for line, last in last_lines.items() if num_starts[line] == 1)


def _nested_statements(node: ast.stmt) -> list[ast.stmt]:
    """The statements directly inside a statement; a definition's body runs elsewhere and at another time."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    nested: list[ast.stmt] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            nested.append(child)
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            nested += child.body
    return nested


def _has_no_event(node: ast.stmt) -> bool:
    """True for statements that compile to nothing: a constant, a bare annotation, ``if`` of a constant."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    return isinstance(node, ast.If) and isinstance(node.test, ast.Constant)
