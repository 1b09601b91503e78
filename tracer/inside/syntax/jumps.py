"""Statements that contain others, and those whose control flow leads out of them."""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.syntax.names import walk_scope

COMPOUND = (ast.If, ast.For, ast.While, ast.Try, ast.TryStar, ast.With, ast.Match, ast.AsyncFor, ast.AsyncWith)
"""Statements that contain statements, definitions apart: those that can be opened or kept as one command."""

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def escapes(node: ast.stmt) -> bool:
    """True if control can leave the statement other than by its end or an exception: if a ``return``, ``yield`` or
    ``await``, or a ``break`` or ``continue`` of a loop around the statement, stands in it.

    Such a statement cannot be a command by itself: at a prompt there is no function and no loop around it.
    """
    if isinstance(node, _DEFINITIONS):
        return False
    for inner in walk_scope([node]):
        if isinstance(inner, (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
    return _has_outward_jump(node, in_loop=False)


def _has_outward_jump(node: ast.AST, in_loop: bool) -> bool:
    """True if a ``break`` or ``continue`` in the node belongs to a loop around the node; ``in_loop`` says that a loop
    inside it was entered on the way.
    """
    if isinstance(node, (ast.Break, ast.Continue)):
        return not in_loop
    if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
        # a jump in the ``else`` of a loop belongs to the loop around that loop
        return any(_has_outward_jump(inner, True) for inner in node.body) or any(
            _has_outward_jump(inner, in_loop) for inner in node.orelse
        )
    if isinstance(node, (*_DEFINITIONS, ast.expr)):
        return False
    return any(_has_outward_jump(child, in_loop) for child in ast.iter_child_nodes(node))
