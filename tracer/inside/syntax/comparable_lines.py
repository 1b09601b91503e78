"""The lines at which the driver's path can be compared with the path that ``sys.settrace`` reports.

The path check (``tracer.path_check``) holds the statements that the driver ran against settrace's line events. The two
agree line by line only where a line means one statement and every supported CPython reports it once.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.syntax.walking import children

_SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Raise, ast.Assert, ast.If)


def comparable_lines(body: list[ast.stmt]) -> list[tuple[int, int]]:
    """Return the (first, last) line of each simple statement or ``if`` test that starts on a line of its own.

    Headers of loops, ``with``, ``try`` and ``match`` are left out: CPython's versions differ in how often, and on which
    line, they report an event for these.

    Returns:
        Pairs sorted by line, numbered from 1 as in the file; the last line is that of the statement's end, or of the
        test of an ``if``.
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
        # ``case 1: return 2`` and ``except E: pass`` on a line have an event for the pattern or the class
        for line in _header_lines(node):
            num_starts[line] = num_starts.get(line, 0) + 1
    # a statement that begins on a line of one before it, as after ``xs = [`` on the line of ``]; y = 1``
    for line, last_line in last_lines.items():
        inner = [each for each in range(line + 1, last_line + 1) if each in num_starts]
        for each in (line, *inner) if inner else ():
            num_starts[each] += 1
    # ``if x: y = 1`` on one line, and ``a = 1; b = 2``, are one event for two statements
    return sorted((line, last) for line, last in last_lines.items() if num_starts[line] == 1)


def _header_lines(node: ast.stmt) -> list[int]:
    """Return the lines of the cases and ``except`` clauses of a statement."""
    if isinstance(node, ast.Match):
        return [case.pattern.lineno for case in node.cases]
    return [handler.lineno for handler in node.handlers] if isinstance(node, (ast.Try, ast.TryStar)) else []


def _nested_statements(node: ast.stmt) -> list[ast.stmt]:
    """Return the statements directly inside a statement; a definition's body runs elsewhere and at another time."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return []
    nested: list[ast.stmt] = []
    for child in children(node):
        if isinstance(child, ast.stmt):
            nested.append(child)
        elif isinstance(child, (ast.ExceptHandler, ast.match_case)):
            nested += child.body  # these two are no statements themselves, but hold some
    return nested


def _has_no_event(node: ast.stmt) -> bool:
    """Return True for statements that compile to nothing: a constant, a bare annotation, ``if`` of a constant."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.AnnAssign):
        return node.value is None
    # the compiler drops the test of ``if True:`` and ``if 0:``, and the branch that is never taken with it
    return isinstance(node, ast.If) and isinstance(node.test, ast.Constant)
