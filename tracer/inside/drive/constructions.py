"""Calls of a class that has a ``__new__`` of the program's own: that is opened, then ``__init__`` of what it gave; and
of one whose metaclass has a ``__call__`` of the program's own.

``type.__call__`` passes both the same arguments. It calls ``__init__``, of the class of what it got, only where that
is an instance of the class. A metaclass's ``__call__`` runs in its place: ``Cls(1)`` is ``type(Cls).__call__(Cls, 1)``.
"""

from __future__ import annotations

import ast
import types

from trace_mine.tracer.inside.drive.calls import open_call
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.holding import Held
from trace_mine.tracer.inside.drive.targets import Target, class_member, static_value, target_of, target_of_function
from trace_mine.tracer.inside.observe.describe import class_dict, class_mro, has_plain_metaclass, reads_as_type
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.text import unparse


def opens_new(context: DriveContext, call: ast.Call) -> bool:
    """Return True for a call of a class whose own ``__new__`` can be opened now."""
    return _class_with_new(context, call) is not None and _target_of_new(context, call)[1] is not None


def open_new(context: DriveContext, call: ast.Call, held: Held, frame: Frame) -> ast.expr | None:
    """Open the functions that make an instance; return the expression that holds it, None where the call has to stay.

    Raises:
        Raised: one of them raised an exception.
    """
    cls = _class_with_new(context, call)
    position = context.position
    new_call, target = _target_of_new(context, call)
    if cls is None or target is None or any(isinstance(each, ast.Starred) for each in call.args):
        return None
    result = open_call(context, new_call, target, frame)
    context.return_to(position)
    if result is None:
        return None
    if isinstance(result, ast.Constant):
        result = context.assign_temporary(result, "returned", frame, "returned")
    made = held.settle(result)
    value = context.variables.peek(made)
    kind = type(value)
    if not any(base is cls for base in class_mro(kind)) or class_member(kind, "__init__") is object.__init__:
        return made
    init_call = ast.copy_location(ast.Call(ast.Attribute(made, "__init__", ast.Load()), call.args, call.keywords), call)
    init = target_of(context, init_call, generator=False)
    given = None if init is None else open_call(context, init_call, init, frame)
    context.return_to(position)
    if given is None:
        context.emit(unparse(ast.fix_missing_locations(init_call)), frame)
    elif not (isinstance(given, ast.Constant) and given.value is None) and context.variables.peek(given) is not None:
        context.give_up_statement(frame, Reason.UNFAITHFUL)  # Python raises a TypeError
    return made


def _class_with_new(context: DriveContext, call: ast.Call) -> type | None:
    """The class that is called, where its ``__new__`` is a function."""
    cls = static_value(context, call.func)
    if not issubclass(type(cls), type) or not has_plain_metaclass(cls):  # type: ignore[arg-type]
        return None
    member = class_member(cls, "__new__")  # type: ignore[arg-type]
    is_function = isinstance(member, staticmethod) and isinstance(member.__func__, types.FunctionType)
    return cls if is_function else None  # type: ignore[return-value]


def _target_of_new(context: DriveContext, call: ast.Call) -> tuple[ast.Call, Target | None]:
    """The call of ``__new__``, and its function where it can be opened."""
    function = ast.Attribute(call.func, "__new__", ast.Load())
    new_call = ast.copy_location(ast.Call(function, [call.func, *call.args], call.keywords), call)
    return new_call, target_of(context, new_call, generator=False)


def metaclass_call(context: DriveContext, call: ast.Call) -> tuple[ast.Call, Target] | None:
    """Return the call of a metaclass's own ``__call__`` that a call of a class is, with its target; None of others."""
    cls = static_value(context, call.func)
    metaclass = type(cls)
    # an attribute of a class may be a property of the metaclass, so that ``__class__`` is asked for, too
    if not issubclass(metaclass, type) or has_plain_metaclass(cls) or not context.opening.is_certain:  # type: ignore[arg-type]
        return None
    owner = next(base for base in class_mro(metaclass) if "__call__" in class_dict(base))
    member = class_dict(owner)["__call__"]
    if not isinstance(member, types.FunctionType) or not reads_as_type(metaclass):
        return None
    if class_member(cls, "__class__") is not vars(object)["__class__"]:  # type: ignore[arg-type]
        return None
    function = ast.Attribute(ast.Attribute(call.func, "__class__", ast.Load()), "__call__", ast.Load())
    spelt = ast.copy_location(ast.Call(function, [call.func, *call.args], call.keywords), call)
    target = target_of_function(context, ast.fix_missing_locations(spelt), member, owner)
    return None if target is None else (spelt, target)
