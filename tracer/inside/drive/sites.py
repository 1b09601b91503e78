"""The nodes of an expression that can be opened now: its *sites*."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import cast

from trace_mine.tracer.inside.drive.callbacks import called_back
from trace_mine.tracer.inside.drive.comprehensions import COLLECTORS, SEARCHES, Search, may_open
from trace_mine.tracer.inside.drive.constructions import metaclass_call, opens_new
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.generators import catches_end
from trace_mine.tracer.inside.drive.implicit import (
    concerns,
    implicit_call,
    makes_instance,
    opens_look_up,
    special_call,
    truth,
)
from trace_mine.tracer.inside.drive.implied import known_value
from trace_mine.tracer.inside.drive.operators import Asked, is_print, operands
from trace_mine.tracer.inside.drive.stored_generators import is_stored, resumption_of
from trace_mine.tracer.inside.drive.targets import construction_of, partial_call, target_of
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
    if isinstance(node, ast.Starred):
        return context.opening.opens_generators() and iterates_own(context, node.value)
    if isinstance(node, ast.BoolOp):
        return any(truth(context, value) is not None for value in node.values[:-1])
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
    if called_back(context, node) is not None:
        return True
    if context.opening.opens_generators() and (
        collected_generator(context, node) is not None or used_up(context, node) is not None
    ):
        return True
    if makes_object(context, node) or looks_up(context, node) or opens_new(context, node):
        return True
    if metaclass_call(context, node) is not None or construction_of(context, node) is not None:
        return True
    call = partial_call(context, node) or node
    return target_of(context, call, generator=False) is not None and context.opening.opens_callee(node.func)


def makes_object(context: DriveContext, node: ast.Call) -> bool:
    """Return True for ``C().method()`` with a method of the program's own, which is found once ``C()`` was run.

    Where the session opens the way to one function, any object that is not known yet may have a method on that way.
    """
    function = node.func
    if not isinstance(function, ast.Attribute):
        return False
    if function.attr in context.rules.focus_names and known_value(context, function.value) is missing:
        return not isinstance(function.value, ast.Name) and not is_super(function.value)
    return makes_instance(context, function.value, function.attr)


def is_super(node: ast.expr) -> bool:
    """Return True for a call of ``super``, whose value has no use of its own."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"


def looks_up(context: DriveContext, node: ast.Call) -> bool:
    """Return True for ``x.name(...)`` where looking up ``x.name`` runs a function of the program's own."""
    return isinstance(node.func, ast.Attribute) and opens_look_up(context, node.func)


def collected_generator(context: DriveContext, node: ast.Call) -> ast.expr | None:
    """Return the generator in ``list(g(...))`` or ``text.join(g(...))``, a call or a variable; None for other calls."""
    # no keywords: ``max(g(), key=f)`` runs ``f`` between two values
    if len(node.args) != 1 or node.keywords:
        return None
    inner, function = node.args[0], node.func
    if isinstance(function, ast.Attribute):
        text = function.value
        is_text = isinstance(text, (ast.Constant, ast.Name)) and type(known_value(context, text)) is str
        if function.attr != "join" or not is_text:
            return None
    else:
        is_named = isinstance(function, ast.Name) and function.id in COLLECTORS
        # a program may have a ``list`` of its own
        if not is_named or getattr(context.variables.peek(function), "__module__", "") != "builtins":
            return None
    if isinstance(inner, ast.Call):
        return inner if target_of(context, inner, generator=True) is not None else None
    return inner if isinstance(inner, (ast.Name, ast.Attribute)) and is_stored(context, inner) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedUp:
    """What a call of a built-in uses up at once.

    Attributes:
        generator: the generator expression; one that gives each item as it is, of any other iterable.
        search: says where the call stops; None: at the end.
        is_written: the expression stands in the program.
    """

    generator: ast.GeneratorExp
    search: Search | None
    is_written: bool

    def __post_init__(self) -> None:
        if self.search is not None and len(self.generator.generators) != 1:
            raise ValueError("expected a generator expression of one loop, which a search leaves by break; got several")


def used_up(context: DriveContext, node: ast.Call) -> UsedUp | None:
    """Return what a call of a built-in uses up at once, where it can be opened now as a loop."""
    if not node.args or node.keywords:
        return None
    inner = node.args[0]
    function, search = node.func, None
    is_written = isinstance(inner, ast.GeneratorExp)
    made = inner if isinstance(inner, ast.GeneratorExp) else each_of(inner)
    if isinstance(function, ast.Attribute):
        is_join = function.attr == "join" and type(known_value(context, function.value)) is str
        if not is_join or len(node.args) != 1:
            return None
    elif not isinstance(function, ast.Name) or function.id not in COLLECTORS | SEARCHES:
        return None
    elif getattr(context.variables.peek(function), "__module__", "") != "builtins":
        return None  # a program may have a ``list`` of its own
    elif function.id in SEARCHES:
        is_next = function.id == "next"
        if len(node.args) != 1 + is_next or len(made.generators) > 1 or (is_next and not is_written):
            return None
        if is_next and not is_inert(node.args[-1]):
            return None  # the default is evaluated after the first iterable
        search = Search(name=function.id, default=node.args[1] if is_next else None)
    elif len(node.args) != 1:
        return None
    opens_it = (
        opens_comprehension(context, made) if is_written else is_piped(context, inner) or _iterates(context, inner)
    )
    return UsedUp(generator=made, search=search, is_written=is_written) if opens_it else None


def each_of(iterable: ast.expr) -> ast.GeneratorExp:
    """Return the generator expression that gives each item of an iterable as it is."""
    loop = ast.comprehension(ast.Name("item", ast.Store()), iterable, [], 0)
    return ast.copy_location(ast.GeneratorExp(ast.Name("item", ast.Load()), [loop]), iterable)


def is_piped(context: DriveContext, node: ast.expr) -> bool:
    """Return True for ``zip``, ``map``, ``filter`` and ``enumerate`` where functions of the program's own run for them.

    The other iterables must not run anything when they are evaluated: the first one may have been asked by then.
    """
    if not isinstance(node, ast.Call) or node.keywords or any(isinstance(each, ast.Starred) for each in node.args):
        return False
    pipe = context.variables.peek(node.func)
    has_function = pipe is map or pipe is filter
    if not (has_function or pipe is zip or pipe is enumerate) or not context.opening.opens_generators():
        return False
    iterables = node.args[has_function:]
    if not iterables or (len(iterables) > 1 and (pipe is filter or pipe is enumerate)):
        return False
    if any(iterates_own(context, each) for each in iterables):
        return all(is_inert(each) or iterates_own(context, each) for each in iterables[1:])
    if not has_function or not all(map(is_inert, iterables[1:])):
        return False
    function = node.args[0]
    if isinstance(function, ast.Lambda):
        return True
    call = ast.Call(function, [ast.Constant(None)] * len(iterables), [])
    return target_of(context, call, generator=False) is not None


def _iterates(context: DriveContext, node: ast.expr) -> bool:
    """Return True for an instance whose ``__iter__`` is opened, or a call that makes one."""
    if isinstance(node, ast.Call):
        return context.opening.opens_generators() and makes_instance(context, node, "__iter__")
    return context.opening.opens_generators() and any(
        special_call(context, "__iter__", [node], generator=each) is not None for each in (False, True)
    )


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
    if is_piped(context, node):
        return True
    if isinstance(node, ast.Call):
        target = target_of(context, node, generator=True)
        if target is None and isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call):
            return makes_instance(context, node.func.value, node.func.attr)
        return target is not None and not catches_end(target.definition)
    if isinstance(node, (ast.Name, ast.Attribute)) and is_stored(context, node):
        return True
    return _iterates(context, node)
