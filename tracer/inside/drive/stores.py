"""Assignments that call a function of the program's own: ``x.area = 3`` of a property, ``bag[0] = 3``, ``a += b``.

Python evaluates the value first, then the object, then the index, and calls the function last.
"""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.descriptors import setter_call
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.implicit import (
    concerns,
    has_in_place,
    implicit_call,
    in_place,
    open_implicit,
    special_call,
)
from trace_mine.tracer.inside.drive.implied import ImplicitCall
from trace_mine.tracer.inside.drive.operators import asked_of, is_spelt_index
from trace_mine.tracer.inside.drive.sites import sites_in
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import is_inert, unparse


def open_store(context: DriveContext, target: ast.expr, value: ast.expr, frame: Frame) -> bool:
    """Open the call that an assignment to the target makes; return False where it makes none that can be opened.

    ``value`` is the value's expression, with the calls in it opened.
    """
    if context.budget.is_full or _stored(context, target, value) is None:
        return False
    if not is_inert(value):
        value = context.assign_temporary(value, "value", frame)
    implied = _stored(context, target, value)  # again: the value's own code may have changed what the target is
    if implied is None or open_implicit(context, implied, frame, is_used=False) is None:
        context.emit(unparse(ast.fix_missing_locations(ast.Assign([target], value, lineno=1))), frame)
    return True


def _stored(context: DriveContext, target: ast.expr, value: ast.expr) -> ImplicitCall | None:
    """Return the call that an assignment makes, where it is certain which one."""
    if isinstance(target, ast.Attribute):
        return setter_call(context, target, value)
    if isinstance(target, ast.Subscript) and is_spelt_index(target.slice):
        return special_call(context, "__setitem__", [target.value, target.slice, value])
    return None


def deletes_own(context: DriveContext, target: ast.expr) -> bool:
    """Return True if ``del`` of the target makes a call that can be opened."""
    return not context.budget.is_full and _deleted(context, target) is not None


def open_deletion(context: DriveContext, target: ast.expr, frame: Frame) -> bool:
    """Open the call of ``__delitem__`` that ``del x[i]`` makes; return False where it makes none that can be opened."""
    implied = None if context.budget.is_full else _deleted(context, target)
    return implied is not None and open_implicit(context, implied, frame, is_used=False) is not None


def _deleted(context: DriveContext, target: ast.expr) -> ImplicitCall | None:
    if not isinstance(target, ast.Subscript) or not is_spelt_index(target.slice):
        return None
    return special_call(context, "__delitem__", [target.value, target.slice])


def stores_own(context: DriveContext, target: ast.expr) -> bool:
    """Return True if an assignment to the target makes a call that can be opened."""
    return not context.budget.is_full and _stored(context, target, ast.Constant(None)) is not None


def reads_own(context: DriveContext, target: ast.expr) -> bool:
    """Return True if reading an item or attribute that is assigned to makes a call that can be opened."""
    if context.budget.is_full or not isinstance(target, (ast.Subscript, ast.Attribute)):
        return False
    read = copy.copy(target)
    read.ctx = ast.Load()
    return implicit_call(context, read) is not None


def open_augmented(context: DriveContext, node: ast.AugAssign, frame: Frame) -> bool:
    """Open the call of a special method that ``x += value`` makes; return False where it makes none, or x is no name.

    Where the class has no method of its own for it, ``x += value`` is ``x = x + value``.
    """
    if not isinstance(node.target, ast.Name) or context.budget.is_full:
        return False
    variable = ast.Name(node.target.id, ast.Load())
    if has_in_place(context, variable, node.op):
        implied = None if sites_in(context, node.value) else in_place(context, variable, node.op, node.value)
        result = None if implied is None else open_implicit(context, implied, frame)
    else:
        spelt = ast.copy_location(ast.BinOp(variable, node.op, node.value), node)
        result = context.lower(spelt, frame) if concerns(context, asked_of(spelt)) else spelt
        result = None if result is spelt else result
    if result is None:
        return False
    assignment = ast.fix_missing_locations(ast.copy_location(ast.Assign([node.target], result), node))
    context.emit(context.source(assignment, frame, rewritten=True), frame, writes=sorted(bound_names([assignment])))
    return True
