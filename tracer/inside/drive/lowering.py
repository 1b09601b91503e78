"""Calls inside a larger expression: opened where the order of evaluation stays as it was.

An opened call becomes statements before the statement that it stands in. To keep the order, sub-expressions that Python
evaluates before the call are assigned to variables first (an A-normal form of the part up to the last opened call)::

    total = x + f(3) + g(4)          value_1 = x + returned_1     (after the commands of f)
                                     total = value_1 + returned_2 (after the commands of g)

Only sub-expressions that are evaluated whatever the others give are opened: not the right side of ``and``, not the
branches of an ``if`` expression.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import cast

from trace_mine.tracer.inside.drive.calls import collect_yielded, open_call
from trace_mine.tracer.inside.drive.comprehensions import open_comprehension
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.targets import target_of
from trace_mine.tracer.inside.syntax.text import is_inert

_COLLECTORS = frozenset({"list", "tuple", "sorted", "set", "frozenset", "sum", "max", "min", "dict"})
"""Built-ins that run a generator to its end. ``any`` and ``all`` are none: they may stop before the end."""

_FIELDS: dict[type[ast.expr], tuple[str, ...]] = {
    ast.BinOp: ("left", "right"),
    ast.Tuple: ("elts",),
    ast.List: ("elts",),
    ast.Set: ("elts",),
    ast.JoinedStr: ("values",),
    ast.Subscript: ("value", "slice"),
    ast.UnaryOp: ("operand",),
    ast.IfExp: ("test",),
    ast.Attribute: ("value",),
    ast.Starred: ("value",),
    ast.FormattedValue: ("value",),
    ast.NamedExpr: ("value",),
}
"""Fields of sub-expressions that are evaluated unconditionally, in the order of evaluation; a field may be a list.

Other types of expression are in ``_parts``, or have no such sub-expression.
"""

Part = tuple[str, int | None]
"""A field of a node, and the index in it where it is a list."""


def lower(context: DriveContext, node: ast.expr, frame: Frame) -> ast.expr:
    """Open the calls in an expression that can be opened: their commands are emitted here.

    First the *sites* are found, the nodes that can be opened now. Then the expression is walked in the order of
    evaluation; a site becomes commands, and a sub-expression before a later site becomes a variable, so that the site's
    commands cannot change its value.

    Returns:
        The expression with the calls' results in their place; ``node`` itself where no call was opened, so that the
        caller can see by identity that the author's text still holds.

    Raises:
        Raised: a call, or a sub-expression before it, raised an exception.
    """
    if context.budget.is_full or (context.rules.follow == 0 and not context.rules.opens):
        return node
    if not context.may_be_lowered(node):
        return node
    sites = {id(inner) for inner in unconditional(node) if opens(context, inner)}
    if not sites:
        return node
    position = context.position
    lowered = _lower(context, node, frame, sites, False)
    context.return_to(position)  # the opened calls' commands came from other lines
    return lowered


def opens(context: DriveContext, node: ast.expr) -> bool:
    """Return True if the node can be opened now: a call, or a list comprehension where the view opens those."""
    if isinstance(node, ast.ListComp):
        is_simple = len(node.generators) == 1 and not node.generators[0].is_async
        return is_simple and context.opening.opens_comprehension(node)
    if not isinstance(node, ast.Call):
        return False
    if context.opening.opens_generators() and (generator := _collected(context, node)) is not None:
        return target_of(context, generator, generator=True) is not None
    return target_of(context, node, generator=False) is not None and context.opening.opens_callee(node.func)


def _collected(context: DriveContext, node: ast.Call) -> ast.Call | None:
    """Return the generator call in ``list(g(...))`` and its like; None for any other call."""
    # no keywords: ``max(g(), key=f)`` runs ``f`` between two values
    if not (
        isinstance(node.func, ast.Name) and node.func.id in _COLLECTORS and len(node.args) == 1 and not node.keywords
    ):
        return None
    inner = node.args[0]
    if not isinstance(inner, ast.Call):
        return None
    # a program may have a ``list`` of its own
    if getattr(context.variables.peek(node.func), "__module__", "") != "builtins":
        return None
    return inner if target_of(context, inner, generator=True) is not None else None


def _parts(node: ast.expr) -> list[Part]:
    """Return the sub-expressions that are evaluated unconditionally, in the order of evaluation; none for a call."""
    if isinstance(node, ast.Compare):
        return [("left", None), ("comparators", 0)]  # a chain ends at the first comparison that is false
    if isinstance(node, ast.BoolOp):
        return [("values", 0)]  # ``and`` and ``or`` may end with their first operand
    if isinstance(node, ast.Dict):
        parts: list[Part] = []
        for index, key in enumerate(node.keys):
            # no key: ``**table``
            parts += [("values", index)] if key is None else [("keys", index), ("values", index)]
        return parts
    parts = []
    for field in _FIELDS.get(type(node), ()):
        value = getattr(node, field)
        parts += [(field, index) for index in range(len(value))] if isinstance(value, list) else [(field, None)]
    return parts


def _children(node: ast.expr) -> list[ast.expr]:
    """Return the sub-expressions that are evaluated unconditionally, in the order of evaluation, of a call as well."""
    if isinstance(node, ast.Call):
        # the object of a method comes first; a plain function's name is no part of its own: it stays where it is
        function = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        return [*function, *node.args, *(keyword.value for keyword in node.keywords)]
    return [_get(node, part) for part in _parts(node)]


def _get(node: ast.expr, part: Part) -> ast.expr:
    """Return the sub-expression at a part of the node."""
    field, index = part
    value = getattr(node, field)
    return cast("ast.expr", value if index is None else value[index])


def _set(node: ast.expr, part: Part, child: ast.expr) -> None:
    """Replace a sub-expression; the list that it stands in is copied, since the node is a shallow copy."""
    field, index = part
    if index is None:
        setattr(node, field, child)
    else:
        items = list(getattr(node, field))
        items[index] = child
        setattr(node, field, items)


def unconditional(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the sub-expressions that are evaluated unconditionally, at any depth, and last the node itself."""
    for child in _children(node):
        yield from unconditional(child)
    yield node


def _has_site(node: ast.expr, sites: set[int]) -> bool:
    """Return True if a node that is to be opened stands in this one, or is this one."""
    return any(id(inner) in sites for inner in unconditional(node))


def _lower(context: DriveContext, node: ast.expr, frame: Frame, sites: set[int], is_before_site: bool) -> ast.expr:
    """Open the nodes whose ids are in ``sites``, and return the expression that is left.

    ``is_before_site``: something is opened after this expression, so its value must not depend on when it is read.
    """
    if not _has_site(node, sites):
        return _settle(context, node, frame, is_before_site)
    if id(node) in sites and isinstance(node, ast.ListComp):
        return open_comprehension(context, node, frame)
    if isinstance(node, ast.Call):
        return _lower_call(context, node, frame, sites, is_before_site)
    parts = _parts(node)
    changed = copy.copy(node)  # the program's own tree must stay as it is: a loop comes by again
    for number, part in enumerate(parts):
        site_follows = any(_has_site(_get(node, later), sites) for later in parts[number + 1 :])
        _set(changed, part, _lower(context, _get(node, part), frame, sites, site_follows))
    return _settle(context, changed, frame, is_before_site)


def _settle(context: DriveContext, node: ast.expr, frame: Frame, is_before_site: bool) -> ast.expr:
    """Return the expression, or a variable that it was assigned to where it is evaluated before an opened call."""
    # a name stays, although Python reads it before the call: only a function with ``global`` could rebind it
    # (``total + add(2)``), and then the result check fails and the session is written again with statements kept
    if not is_before_site or is_inert(node):
        return node
    if isinstance(node, (ast.Lambda, ast.Starred, ast.FormattedValue, ast.Slice)):
        return node  # runs nothing when evaluated, or cannot stand on the right of an assignment
    return context.assign_temporary(node, "value", frame)


def _lower_call(context: DriveContext, node: ast.Call, frame: Frame, sites: set[int], is_before_site: bool) -> ast.expr:
    """Open the sites among a call's arguments, then the call itself if it is one.

    Its target is looked for again, since the arguments' commands may have rebound the function, and a call that was a
    site can have to stay a call after all: ``open_call`` returns None then.
    """
    generator = _collected(context, node) if id(node) in sites else None
    if generator is not None:
        call = lower_arguments(context, generator, frame, sites)
        target = target_of(context, call, generator=True)
        collected = None if target is None else collect_yielded(context, call, target, frame)
        changed = copy.copy(node)
        changed.args = [collected or call]
        return _settle(context, changed, frame, is_before_site)
    call = lower_arguments(context, node, frame, sites)
    # in ``f(x).g(y)`` which method ``g`` is comes out only now, once ``f(x)`` was opened
    is_chained = isinstance(node.func, ast.Attribute) and id(node.func.value) in sites
    if (id(node) in sites or is_chained) and not context.budget.is_full:
        target = target_of(context, call, generator=False)
        if target is not None:
            result = open_call(context, call, target, frame)
            if result is not None:
                return result
    return _settle(context, call, frame, is_before_site)


def lower_arguments(context: DriveContext, node: ast.Call, frame: Frame, sites: set[int]) -> ast.Call:
    """Open the sites in a call's arguments, and in the object of a method; return the call with their results."""
    children = _children(node)
    has_site = [_has_site(child, sites) for child in children]
    lowered = [_lower(context, child, frame, sites, any(has_site[index + 1 :])) for index, child in enumerate(children)]
    changed = copy.copy(node)
    if isinstance(node.func, ast.Attribute):
        changed.func = copy.copy(node.func)
        changed.func.value = lowered.pop(0)
    changed.args = lowered[: len(node.args)]
    values = lowered[len(node.args) :]
    changed.keywords = [ast.keyword(k.arg, value) for k, value in zip(node.keywords, values, strict=True)]
    return changed
