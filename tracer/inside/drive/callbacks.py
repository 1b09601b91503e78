"""Functions that ``sorted``, ``max``, ``min``, ``list.sort``, ``re.sub`` and ``functools.reduce`` call back, opened for
each item.

The keys of all items are made first, in the items' order, as Python makes them. The call that uses them then takes each
from there::

    keys_1 = iter(collected_1)
    sorted(xs, key=lambda item: next(keys_1))

So are the texts for all matches of a pattern, which ``finditer`` finds as ``sub`` does::

    re.sub(pattern, lambda item: next(texts_1), text)
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

from trace_mine.tracer.inside.drive.comprehensions import is_order_free, open_comprehension
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.targets import static_value, target_of
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.text import expression
from trace_mine.tracer.inside.syntax.walking import walk

_KEYED = frozenset({"sorted", "max", "min"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledBack:
    """A call whose function is called for each item.

    Attributes:
        function: the expression of that function.
        items: the expression of the items.
        start: what ``reduce`` begins with; None: the first item, or no ``reduce``.
        reduces: the call is one of ``reduce``.
        place: the number of the argument that the function is; None: the keyword ``key``.
    """

    function: ast.expr
    items: ast.expr
    start: ast.expr | None = None
    reduces: bool = False
    place: int | None = None

    def __post_init__(self) -> None:
        if self.start is not None and not self.reduces:
            raise ValueError("expected a start of reduce alone; give reduces=True")


def called_back(context: DriveContext, node: ast.Call) -> CalledBack | None:
    """Return what a call calls back, where it is a function of the program's own that can be opened."""
    if any(isinstance(each, ast.Starred) for each in node.args) or not context.opening.opens_generators():
        return None
    if isinstance(node.func, ast.Name) and node.func.id in _KEYED:
        names = {each.arg for each in node.keywords}
        is_keyed = "key" in names and names <= {"key", "reverse"} and len(node.args) >= 1
        is_keyed = is_keyed and (len(node.args) == 1 or node.func.id != "sorted")
        if not is_keyed or getattr(context.variables.peek(node.func), "__module__", "") != "builtins":
            return None
        keywords = {each.arg: each.value for each in node.keywords}
        if not isinstance(keywords.get("reverse"), (ast.Constant, type(None))):
            return None
        items = node.args[0] if len(node.args) == 1 else ast.Tuple(node.args, ast.Load())
        made = CalledBack(function=keywords["key"], items=items)
    elif (sort := _sort(context, node)) is not None:
        made = sort
    elif (substitution := _substitution(context, node)) is not None:
        made = substitution
    elif static_value(context, node.func) is functools.reduce and len(node.args) in (2, 3) and not node.keywords:
        start = node.args[2] if len(node.args) == 3 else None
        made = CalledBack(function=node.args[0], items=node.args[1], start=start, reduces=True, place=0)
    else:
        return None
    arguments: list[ast.expr] = [ast.Constant(None)] * (1 + made.reduces)
    is_own = isinstance(made.function, ast.Lambda) or (
        target_of(context, ast.Call(made.function, arguments, []), generator=False) is not None
    )
    return made if is_own and context.calls.depth < context.rules.follow else None


def _sort(context: DriveContext, node: ast.Call) -> CalledBack | None:
    """Return what ``xs.sort(key=f)`` calls back: Python makes all keys before it sorts."""
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "sort" or node.args:
        return None
    keywords = {each.arg: each.value for each in node.keywords}
    if "key" not in keywords or not keywords.keys() <= {"key", "reverse"}:
        return None
    is_list = type(static_value(context, node.func.value)) is list
    if not is_list or not isinstance(keywords.get("reverse"), (ast.Constant, type(None))):
        return None
    return CalledBack(function=keywords["key"], items=node.func.value)


def _substitution(context: DriveContext, node: ast.Call) -> CalledBack | None:
    """Return what ``re.sub(pattern, f, text)`` and ``pattern.sub(f, text)`` call back."""
    function = node.func
    if not isinstance(function, ast.Attribute) or function.attr != "sub" or node.keywords:
        return None
    is_pattern = type(static_value(context, function.value)) is re.Pattern
    if not is_pattern and static_value(context, function) is not re.sub:
        return None
    place = 0 if is_pattern else 1
    if len(node.args) != place + 2:
        return None  # a number of matches, or flags
    finder = ast.Attribute(function.value, "finditer", ast.Load())
    matches = ast.Call(finder, [*node.args[:place], node.args[-1]], [])
    return CalledBack(function=node.args[place], items=ast.copy_location(matches, node), place=place)


def open_called_back(context: DriveContext, node: ast.Call, made: CalledBack, frame: Frame) -> ast.expr:
    """Open the calls for each item; return the call that uses what they gave, or the variable of what they gave.

    The operands were evaluated in their order, but for the function where that is a lambda.

    Raises:
        Raised: a call raised an exception.
        Restart: ``max`` or ``min`` would have compared two keys before the next was made, by code of the program's.
    """
    function = made.function
    if isinstance(function, ast.Lambda):
        function = context.assign_temporary(function, "function", frame, reveal=False)
    items = made.items
    if isinstance(items, ast.Tuple):
        items = context.assign_temporary(items, "items", frame)
    elif type(context.variables.peek(items)) not in (list, tuple):
        items = context.assign_temporary(ast.List([ast.Starred(items, ast.Load())], ast.Load()), "items", frame)
    if made.reduces:
        return _reduced(context, node, function, items, made.start, frame)
    item = ast.Name("item", ast.Load())
    loop = ast.comprehension(ast.Name("item", ast.Store()), items, [], 0)
    keys = ast.copy_location(ast.ListComp(ast.Call(function, [item], []), [loop]), node)
    given = open_comprehension(context, ast.fix_missing_locations(keys), frame, is_written=False)
    # ``max`` and ``min`` compare two keys before they ask for the next
    is_compared = isinstance(node.func, ast.Name) and node.func.id != "sorted"
    if is_compared and not is_order_free(ast.Name("max", ast.Load()), context.variables.peek(given)):
        context.give_up_statement(frame, Reason.UNFAITHFUL)
    name = context.variables.temporary("keys" if made.place is None else "texts")
    context.emit(f"{name} = {context.writer.builtin('iter')}({expression(given)})", frame, "bind", [name], reveal=False)
    key = ast.parse(f"lambda item: {context.writer.builtin('next')}({name})", mode="eval").body
    if made.place is not None:
        arguments = [key if number == made.place else each for number, each in enumerate(node.args)]
        return ast.copy_location(ast.Call(node.func, arguments, []), node)
    others = [each for each in node.keywords if each.arg != "key"]
    return ast.copy_location(
        ast.Call(node.func, [items] if node.args else [], [ast.keyword("key", key), *others]), node
    )


def _reduced(
    context: DriveContext, node: ast.Call, function: ast.expr, items: ast.expr, start: ast.expr | None, frame: Frame
) -> ast.expr:
    """Run ``reduce`` as a loop; return the variable of its result."""
    value = context.variables.peek(items)
    if start is None:
        if not value:
            return node  # a TypeError
        start = ast.Subscript(items, ast.Constant(0), ast.Load())
        items = ast.Subscript(items, ast.Slice(ast.Constant(1)), ast.Load())
    result = context.assign_temporary(start, "result", frame, reveal=False)
    item = context.variables.temporary("item")
    call = ast.Call(function, [result, ast.Name(item, ast.Load())], [])
    step = ast.Assign([ast.Name(result.id, ast.Store())], call)
    loop = ast.copy_location(ast.For(ast.Name(item, ast.Store()), items, [step], []), node)
    for inner in walk(loop):
        if isinstance(inner, (ast.expr, ast.stmt)):
            ast.copy_location(inner, node)
    with frame.without_log():
        context.block([loop], frame)
    return result
