"""Statements that contain others, and those that control can leave by a jump."""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.syntax.names import walk_scope
from trace_mine.tracer.inside.syntax.walking import children

COMPOUND = (ast.If, ast.For, ast.While, ast.Try, ast.TryStar, ast.With, ast.Match, ast.AsyncFor, ast.AsyncWith)
"""Statements that contain statements, definitions apart: those that can be opened or kept as one command."""

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def escapes(node: ast.stmt) -> bool:
    """Return True if control can leave the statement other than by its end or an exception.

    That is so if a ``return``, ``yield`` or ``await`` stands in it, or a ``break`` or ``continue`` that belongs to a
    loop around it. Such a statement cannot be a command by itself: at a prompt there is no function and no loop around
    it, so Python would not compile it.

    Example:
        ``if x: break`` escapes; ``while x: break`` does not, since the ``break`` belongs to the loop inside.
    """
    if isinstance(node, _DEFINITIONS):
        return False  # jumps in a definition's body belong to the function that is defined, not to the definition
    for inner in walk_scope([node]):
        if isinstance(inner, (ast.Return, ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)):
            return True
    return _has_outward_jump(node, is_in_loop=False)


def _has_outward_jump(node: ast.AST, is_in_loop: bool) -> bool:
    """Return True if a ``break`` or ``continue`` in the node belongs to a loop around the node.

    ``is_in_loop``: the walk has entered a loop inside the statement that was asked about.
    """
    if isinstance(node, (ast.Break, ast.Continue)):
        return not is_in_loop
    if isinstance(node, (ast.For, ast.While, ast.AsyncFor)):
        # a jump in the ``else`` of a loop belongs to the loop around that loop
        return any(_has_outward_jump(inner, True) for inner in node.body) or any(
            _has_outward_jump(inner, is_in_loop) for inner in node.orelse
        )
    # no expression contains a jump: leaving expressions out makes the walk as long as the statements are many
    if isinstance(node, (*_DEFINITIONS, ast.expr)):
        return False
    return any(_has_outward_jump(child, is_in_loop) for child in children(node))
