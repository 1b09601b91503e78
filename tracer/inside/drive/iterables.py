"""Chooses the commands that give the values of an iterable: by its expression, and by what it turns out to be."""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator
from typing import cast

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.generators import catches_end, open_called
from trace_mine.tracer.inside.drive.implicit import makes_instance, open_special, special_call
from trace_mine.tracer.inside.drive.items import (
    IndexedItems,
    Items,
    IteratorItems,
    ResumedItems,
    SpeltItems,
    SteppedItems,
)
from trace_mine.tracer.inside.drive.lowering import lower_arguments
from trace_mine.tracer.inside.drive.pipelines import piped
from trace_mine.tracer.inside.drive.ranges import computed_range
from trace_mine.tracer.inside.drive.sites import sites_in
from trace_mine.tracer.inside.drive.stored_generators import is_stored, stored_generator
from trace_mine.tracer.inside.drive.targets import target_of
from trace_mine.tracer.inside.observe.describe import class_dict, class_mro
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression

_SEQUENCES = (list, tuple, str, bytes)
"""Types, exactly these, whose items can be taken by index: a subclass may have an ``__iter__`` of its own."""

_OWN_ITERATORS = (types.GeneratorType, enumerate, zip, map, filter, reversed, type(iter(int, 1)))
"""Iterators that ``iter`` gives back as they are, without running anything of the snippet."""


def _opened_iterator(context: DriveContext, iterable: ast.expr, frame: Frame) -> Items | None:
    """Return the values of an instance of the program's own class, after opening its ``__iter__``; None of any other.

    Raises:
        Raised: ``__iter__`` raised an exception.
        Restart: it gave what is no iterator.
    """
    made = open_special(context, frame, "__iter__", iterable)
    if made is None:
        return None
    iterator = context.variables.peek(made)
    if not isinstance(made, ast.Name) or not any("__next__" in class_dict(base) for base in class_mro(type(iterator))):
        context.give_up_statement(frame, Reason.UNFAITHFUL)
    # not a variable of the program's, which the loop's body may rebind, and which lives on when the loop is left
    if not context.variables.is_temporary(made.id):
        made = context.assign_temporary(made, "iterator", frame, "iterate", reveal=False)
    is_opened = special_call(context, "__next__", [made]) is not None
    kind = SteppedItems if is_opened else IteratorItems
    return kind(made.id, cast("Iterator[object]", iterator))


def items_of(context: DriveContext, node: ast.For, frame: Frame) -> Items:
    """Return the values of the loop, after emitting the commands that they are made by.

    The iterable is evaluated once. Where it is a variable that holds a sequence, items are taken from it by index;
    where it is a range over known numbers, its values are spelt out; where it is another expression, a temporary
    variable holds its value; and only where none of these gives the values, a command calls ``iter``.

    Raises:
        Raised: the iterable's expression, or ``iter``, raised an exception.
    """
    called = called_generator(context, node.iter, frame)
    if called is not None:
        return called
    pipe = piped(context, node.iter, frame, items_of)
    if pipe is not None:
        return pipe
    lowered = context.lower(node.iter, frame)
    # of ``f(x).items()`` which function that is comes out now, once ``f(x)`` was opened
    called = None if lowered is node.iter else called_generator(context, lowered, frame)
    if called is not None:
        return called
    iterable = _held_instance(context, lowered, frame)
    opened = _iterated(context, iterable, frame) or _opened_iterator(context, iterable, frame)
    if opened is not None:
        return opened
    stored = _stored(context, iterable, bound_names([node]), frame)
    if stored is not None:
        return stored
    variable = ""
    if isinstance(iterable, ast.Name):
        # a loop over ``xs`` that rebinds ``xs`` goes on over the old sequence, which no name has then
        is_rebound = iterable.id in bound_names([node]) or context.variables.may_be_rebound(iterable.id)
        if type(context.variables.peek(iterable)) in _SEQUENCES and not is_rebound:
            return IndexedItems(iterable.id)
    elif (values := computed_range(context, iterable)) is not None:
        return SpeltItems(values)
    elif not _is_dictionary_view(iterable):
        makes_iterator = isinstance(iterable, ast.Call) and context.variables.peek(iterable.func) in (
            *_OWN_ITERATORS,
            iter,
        )
        iterable = context.assign_temporary(iterable, "iterator" if makes_iterator else "items", frame, "iterate")
        variable = iterable.id
        value = context.variables.namespace[variable]
        if type(value) in _SEQUENCES:
            return IndexedItems(variable)
        stored = _stored(context, iterable, set(), frame)
        if stored is not None:
            return stored
        if type(value) in _OWN_ITERATORS:
            return IteratorItems(variable, cast("Iterator[object]", value))
    name = context.variables.temporary("iterator")
    command = f"{name} = {context.writer.builtin('iter')}({expression(iterable)})"
    context.emit(command, frame, "iterate", [name], reveal=False)
    # ``iter`` has checked that this is an iterator
    return IteratorItems(name, cast("Iterator[object]", context.variables.namespace[name]), variable)


def called_generator(context: DriveContext, node: ast.expr, frame: Frame) -> ResumedItems | None:
    """Return the values of a call of the program's own generator function, which may stand in ``enumerate``.

    The parameters are bound here. None for any other expression, and where the call has to stay a call.

    Raises:
        Raised: an argument raised an exception.
    """
    if context.budget.is_full or not context.opening.opens_generators():
        return None
    numbered = _numbered(context, node)
    call = node if numbered is None else numbered
    target = target_of(context, call, generator=True) if isinstance(call, ast.Call) else None
    if target is None or catches_end(target.definition):
        return None
    assert isinstance(call, ast.Call)
    # the arguments are evaluated when the generator is made, so calls in them are opened before its body
    call = lower_arguments(context, call, frame, sites_in(context, call) - {id(call)})
    opened = open_called(context, call, target, frame)
    return None if opened is None else ResumedItems(opened, is_numbered=numbered is not None)


def _iterated(context: DriveContext, node: ast.expr, frame: Frame) -> ResumedItems | None:
    """Return the values of an instance whose ``__iter__`` is a generator function."""
    if context.budget.is_full or not context.opening.opens_generators():
        return None
    implied = special_call(context, "__iter__", [node], generator=True)
    if implied is None or catches_end(implied.target.definition):
        return None
    opened = open_called(context, implied.call, implied.target, frame)
    return None if opened is None else ResumedItems(opened)


def _held_instance(context: DriveContext, node: ast.expr, frame: Frame) -> ast.expr:
    """Return a variable for an instance that a call makes, whose ``__iter__`` may be opened; else the node itself."""
    if context.budget.is_full or not makes_instance(context, node, "__iter__"):
        return node
    return context.assign_temporary(node, "items", frame, "iterate")


def _stored(context: DriveContext, node: ast.expr, rebound: set[str], frame: Frame) -> ResumedItems | None:
    """Return the values of a generator that a variable holds, where it is opened; ``rebound`` are names of the loop."""
    if not isinstance(node, ast.Name) or not is_stored(context, node):
        return None
    if node.id in rebound or context.variables.may_be_rebound(node.id):
        node = context.assign_temporary(node, "iterator", frame, "iterate", reveal=False)
    stored = stored_generator(context, node, frame)
    return None if stored is None else ResumedItems(None, (stored, node, frame))


def _numbered(context: DriveContext, node: ast.expr) -> ast.expr | None:
    """Return what a call of the built-in ``enumerate`` numbers from 0; None for any other expression."""
    if not isinstance(node, ast.Call) or len(node.args) != 1 or node.keywords:
        return None
    return node.args[0] if context.variables.peek(node.func) is enumerate else None


def _is_dictionary_view(node: ast.expr) -> bool:
    """Return True for ``d.items()`` and its like: ``iter(d.items())`` reads better than two variables."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("items", "values", "keys")
    )
