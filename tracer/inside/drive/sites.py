"""The nodes of an expression that can be opened now: its *sites*."""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.implicit import (
    concerns,
    implicit_call,
    known_value,
)
from trace_mine.tracer.inside.drive.operators import Asked, is_print, operands
from trace_mine.tracer.inside.drive.stored_generators import is_stored, resumption_of
from trace_mine.tracer.inside.drive.targets import target_of
from trace_mine.tracer.inside.drive.variables import missing

_COLLECTORS = frozenset({"list", "tuple", "sorted", "set", "frozenset", "sum", "max", "min", "dict"})
"""Built-ins that run a generator to its end. ``any`` and ``all`` are none: they may stop before the end."""


def sites_in(context: DriveContext, *nodes: ast.expr) -> set[int]:
    """Return the ids of the nodes in these expressions that can be opened now."""
    # what was begun goes on: an opened generator can't be resumed by a command
    if context.budget.is_full and not context.suspended:
        return set()
    if context.rules.follow == 0 and not context.rules.opens:
        return set()
    if context.budget.is_full:
        calls = [inner for node in nodes for inner, _ in context.calls_in(node) if isinstance(inner, ast.Call)]
        return {id(call) for call in calls if resumption_of(context, call) is not None}
    return {id(inner) for node in nodes for inner, asked in context.calls_in(node) if opens(context, inner, asked)}


def opens(context: DriveContext, node: ast.expr, asked: list[Asked]) -> bool:
    """Return True if the node can be opened now: a call, or a list comprehension where the view opens those.

    ``asked``: the operands by whose classes an expression may call a function without saying so.
    """
    if isinstance(node, ast.ListComp):
        is_simple = len(node.generators) == 1 and not node.generators[0].is_async
        return is_simple and context.opening.opens_comprehension(node)
    if asked and concerns(context, asked):
        # of an operand that is not known yet the type decides too: it is looked at once it was evaluated
        if is_print(node):
            return True
        is_known = all(known_value(context, operand) is not missing for operand in operands(node))
        return not is_known or implicit_call(context, node) is not None
    if not isinstance(node, ast.Call):
        return False
    if resumption_of(context, node) is not None:
        return True
    if context.opening.opens_generators() and collected_generator(context, node) is not None:
        return True
    return target_of(context, node, generator=False) is not None and context.opening.opens_callee(node.func)


def collected_generator(context: DriveContext, node: ast.Call) -> ast.expr | None:
    """Return the generator in ``list(g(...))`` and its like, a call or a variable; None for any other call."""
    # no keywords: ``max(g(), key=f)`` runs ``f`` between two values
    if not (
        isinstance(node.func, ast.Name) and node.func.id in _COLLECTORS and len(node.args) == 1 and not node.keywords
    ):
        return None
    inner = node.args[0]
    # a program may have a ``list`` of its own
    if getattr(context.variables.peek(node.func), "__module__", "") != "builtins":
        return None
    if isinstance(inner, ast.Call):
        return inner if target_of(context, inner, generator=True) is not None else None
    return inner if isinstance(inner, (ast.Name, ast.Attribute)) and is_stored(context, inner) else None
