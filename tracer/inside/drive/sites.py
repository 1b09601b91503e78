"""The nodes of an expression that can be opened now: its *sites*."""

from __future__ import annotations

import ast
from typing import cast

from trace_mine.tracer.inside.drive.comprehensions import COLLECTORS, SEARCHES, Search, may_open
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.generators import catches_end
from trace_mine.tracer.inside.drive.implicit import (
    concerns,
    implicit_call,
    known_value,
    special_call,
)
from trace_mine.tracer.inside.drive.operators import Asked, is_print, operands
from trace_mine.tracer.inside.drive.stored_generators import is_stored, resumption_of
from trace_mine.tracer.inside.drive.targets import target_of
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.syntax.text import is_inert
from trace_mine.tracer.inside.views.opening import Comprehension


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
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp)):
        return opens_comprehension(context, node)
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
    if context.opening.opens_generators() and (
        collected_generator(context, node) is not None or used_up(context, node) is not None
    ):
        return True
    return target_of(context, node, generator=False) is not None and context.opening.opens_callee(node.func)


def collected_generator(context: DriveContext, node: ast.Call) -> ast.expr | None:
    """Return the generator in ``list(g(...))`` and its like, a call or a variable; None for any other call."""
    # no keywords: ``max(g(), key=f)`` runs ``f`` between two values
    if not (
        isinstance(node.func, ast.Name) and node.func.id in COLLECTORS and len(node.args) == 1 and not node.keywords
    ):
        return None
    inner = node.args[0]
    # a program may have a ``list`` of its own
    if getattr(context.variables.peek(node.func), "__module__", "") != "builtins":
        return None
    if isinstance(inner, ast.Call):
        return inner if target_of(context, inner, generator=True) is not None else None
    return inner if isinstance(inner, (ast.Name, ast.Attribute)) and is_stored(context, inner) else None


def used_up(context: DriveContext, node: ast.Call) -> tuple[ast.GeneratorExp, Search | None] | None:
    """Return the generator expression that a call of a built-in uses up at once, where it can be opened now."""
    inner = node.args[0] if node.args else None
    if not isinstance(inner, ast.GeneratorExp) or node.keywords:
        return None
    function, search = node.func, None
    if isinstance(function, ast.Attribute):
        is_join = function.attr == "join" and type(known_value(context, function.value)) is str
        if not is_join or len(node.args) != 1:
            return None
    elif not isinstance(function, ast.Name) or function.id not in COLLECTORS | SEARCHES:
        return None
    elif getattr(context.variables.peek(function), "__module__", "") != "builtins":
        return None  # a program may have a ``list`` of its own
    elif function.id in SEARCHES:
        if len(node.args) != 1 + (function.id == "next") or len(inner.generators) > 1:
            return None
        # the default is evaluated after the first iterable
        if not is_inert(node.args[-1]) and function.id == "next":
            return None
        search = Search(name=function.id, default=node.args[1] if function.id == "next" else None)
    elif len(node.args) != 1:
        return None
    return (inner, search) if opens_comprehension(context, inner) else None


def opens_comprehension(context: DriveContext, node: Comprehension) -> bool:
    """Return True if a comprehension is opened now: where the view has them opened, or it calls the program's own."""
    if not may_open(node):
        return False
    return context.opening.opens_comprehension(node) or (
        context.opening.opens_generators() and _runs_own(context, node)
    )


def _runs_own(context: DriveContext, node: Comprehension) -> bool:
    """Return True if a comprehension is seen to run functions of the program's own: as an iterable, or for an item.

    What an item's class has is asked of the first one, where the iterable is a list or the like.
    """
    first = node.generators[0]
    if iterates_own(context, first.iter):
        return True
    parts: list[ast.expr] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    parts += [test for generator in node.generators for test in generator.ifs]
    later = [generator.iter for generator in node.generators[1:]]
    items, namespace = known_value(context, first.iter), context.variables.namespace
    supposed: dict[str, object] = {}
    if isinstance(first.target, ast.Name) and type(items) in (list, tuple, dict, set) and items:
        supposed = {first.target.id: next(iter(cast("list[object]", items)))}
    hidden = {name: namespace[name] for name in supposed if name in namespace}
    namespace.update(supposed)
    try:
        # look-ups alone: nothing of the program runs that could see the supposed value
        return any(iterates_own(context, each) for each in later) or bool(sites_in(context, *parts, *later))
    finally:
        for name in supposed:
            del namespace[name]
        namespace.update(hidden)


def iterates_own(context: DriveContext, node: ast.expr) -> bool:
    """Return True if a loop over this iterable runs functions of the program's own that can be opened."""
    if isinstance(node, ast.Call) and context.variables.peek(node.func) in (enumerate, zip, map, filter):
        return any(iterates_own(context, each) for each in node.args)
    if isinstance(node, ast.Call):
        target = target_of(context, node, generator=True)
        return target is not None and not catches_end(target.definition)
    if isinstance(node, (ast.Name, ast.Attribute)) and is_stored(context, node):
        return True
    return any(special_call(context, "__iter__", [node], generator=each) is not None for each in (False, True))
