"""A call that an expression makes without saying so, and what is asked of operands to find it."""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.targets import Target, static_value, target_of_function
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import HEAP_TYPE, class_dict, class_flags, class_mro


@dataclass(frozen=True, slots=True, kw_only=True)
class ImplicitCall:
    """A call that an expression makes without saying so.

    Attributes:
        call: the call as an expression, ``a.__class__.__add__(a, b)``.
        target: its function.
        kind: the type that its value must have for it to be the expression's; None: any.
        is_negated: the expression's value is the negated truth of the call's.
        may_decline: the function may return NotImplemented, for Python to ask the other operand.
        reflected: the call that Python makes then; None where it can't be opened.
        kept_as: the item of the instance that gets the call's value, which later look-ups find; None for most.
    """

    call: ast.Call
    target: Target
    kind: type | None = None
    is_negated: bool = False
    may_decline: bool = False
    reflected: ImplicitCall | None = None
    kept_as: ast.expr | None = None

    def __post_init__(self) -> None:
        if self.reflected is not None and not self.may_decline:
            raise ValueError("expected may_decline where there is a reflected call; a call without one is the last")


def known_value(context: DriveContext, node: ast.expr) -> object:
    """Return the value of a name, dotted name or constant by look-ups that run no code of the snippet; else missing."""
    return node.value if isinstance(node, ast.Constant) else static_value(context, node)


def is_instance(value: object) -> bool:
    """Return True for an instance of a class that a program made, which reads attributes as ``object`` does."""
    kind = type(value)
    return value is not missing and bool(class_flags(kind) & HEAP_TYPE) and not issubclass(kind, type)


def found_in(kind: type, name: str) -> tuple[object, type | None]:
    """Return a special method of a class and the class that it stands in."""
    for base in class_mro(kind):
        if name in class_dict(base):
            return class_dict(base)[name], base
    return missing, None


def special_of(
    context: DriveContext,
    name: str,
    arguments: list[ast.expr],
    value: object,
    *,
    kind: type | None = None,
    is_negated: bool = False,
    may_decline: bool = False,
    reflected: ImplicitCall | None = None,
    generator: bool = False,
) -> ImplicitCall | None:
    """Return the call of a special method of the first argument, whose value is ``value``."""
    member, owner = found_in(type(value), name)
    if not isinstance(member, types.FunctionType) or found_in(type(value), "__class__")[1] is not object:
        return None
    # the class by the instance: the session need not know it by name
    function = ast.Attribute(ast.Attribute(arguments[0], "__class__", ast.Load()), name, ast.Load())
    call = ast.Call(function, arguments, [])
    target = target_of_function(context, call, member, owner, generator=generator)
    if target is None:
        return None
    return ImplicitCall(
        call=call, target=target, kind=kind, is_negated=is_negated, may_decline=may_decline, reflected=reflected
    )
