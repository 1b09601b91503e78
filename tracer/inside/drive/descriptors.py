"""Calls that reading or assigning to an attribute makes: of properties, cached ones, and the program's descriptors."""

from __future__ import annotations

import ast
import types
from dataclasses import replace
from functools import cached_property

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.implied import (
    ImplicitCall,
    found_in,
    is_instance,
    known_value,
    special_of,
)
from trace_mine.tracer.inside.drive.targets import target_of_function
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import HEAP_TYPE, attributes, class_flags, class_mro, plain_access


def property_call(context: DriveContext, node: ast.Attribute, value: object) -> ImplicitCall | None:
    """Return the call of a property's getter, or of ``__getattr__`` where there is no such attribute."""
    kind = type(value)
    member, owner = found_in(kind, node.attr)
    if not plain_access(kind):
        return None
    if member is missing and node.attr not in attributes(value):
        return special_of(context, "__getattr__", [node.value, ast.Constant(node.attr)], value)
    # an AttributeError of the getter would have Python call ``__getattr__``
    if member is missing or owner is None or found_in(kind, "__getattr__")[0] is not missing:
        return None
    if type(member) is property:
        return _accessor(context, (node, "fget"), [node.value], member.fget, owner)
    if type(member) is cached_property:
        return _cached(context, node, value, member, owner)
    return _read_descriptor(context, node, value, (member, owner))


def setter_call(context: DriveContext, target: ast.Attribute, value: ast.expr) -> ImplicitCall | None:
    """Return the call that an assignment to an attribute makes: of a property's setter, or of ``__setattr__``."""
    holder = known_value(context, target.value)
    if not context.opening.is_certain or not is_instance(holder):
        return None
    if found_in(type(holder), "__setattr__")[1] is not object:
        return special_of(context, "__setattr__", [target.value, ast.Constant(target.attr), value], holder)
    member, owner = found_in(type(holder), target.attr)
    if type(member) is property:
        return _accessor(context, (target, "fset"), [target.value, value], member.fset, owner)
    if member is missing or owner is None:
        return None
    return _descriptor(context, target, (member, owner), ("__set__", [target.value, value]))


def _cached(
    context: DriveContext, node: ast.Attribute, value: object, member: object, owner: type
) -> ImplicitCall | None:
    """Return the call that ``functools.cached_property`` makes where the instance has no value yet, which it keeps."""
    held = attributes(member)
    has_dict = found_in(type(value), "__dict__")[0] is not missing
    if node.attr in attributes(value) or held.get("attrname") != node.attr or not has_dict:
        return None
    made = _accessor(context, (node, "func"), [node.value], held.get("func"), owner)
    if made is None:
        return None
    item = ast.Subscript(ast.Attribute(node.value, "__dict__", ast.Load()), ast.Constant(node.attr), ast.Load())
    return replace(made, kept_as=item)


def _read_descriptor(
    context: DriveContext, node: ast.Attribute, value: object, placed: tuple[object, type]
) -> ImplicitCall | None:
    """Return the call of ``__get__`` of a descriptor whose class is the program's own."""
    of = type(placed[0])
    is_data = any(found_in(of, name)[0] is not missing for name in ("__set__", "__delete__"))
    if not is_data and node.attr in attributes(value):
        return None
    return _descriptor(
        context, node, placed, ("__get__", [node.value, ast.Attribute(node.value, "__class__", ast.Load())])
    )


def _descriptor(
    context: DriveContext,
    node: ast.Attribute,
    placed: tuple[object, type],
    asked: tuple[str, list[ast.expr]],
) -> ImplicitCall | None:
    """Return the call of a method of a descriptor whose class is the program's own.

    Args:
        context: the session.
        node: the attribute that is read or assigned to.
        placed: the descriptor and the class that it stands in.
        asked: the method's name, and its arguments but the descriptor.
    """
    (member, owner), (name, arguments) = placed, asked
    kind, of = type(known_value(context, node.value)), type(member)
    function, function_owner = found_in(of, name) if class_flags(of) & HEAP_TYPE else (missing, None)
    if not isinstance(function, types.FunctionType):
        return None
    says_class = all(found_in(each, "__class__")[1] is object for each in (kind, of))
    # what the command looks up on the class is what ``type`` says of it
    if not says_class or any(found_in(type(kind), each)[1] is not type for each in ("__mro__", "__dict__")):
        return None
    place: ast.expr = ast.Attribute(node.value, "__class__", ast.Load())
    if owner is not kind:
        index = next(number for number, base in enumerate(class_mro(kind)) if base is owner)
        place = ast.Subscript(ast.Attribute(place, "__mro__", ast.Load()), ast.Constant(index), ast.Load())
    held = ast.Subscript(ast.Attribute(place, "__dict__", ast.Load()), ast.Constant(node.attr), ast.Load())
    method = ast.Attribute(ast.Attribute(held, "__class__", ast.Load()), name, ast.Load())
    call = ast.Call(method, [held, *arguments], [])
    target = target_of_function(context, call, function, function_owner)
    return None if target is None else ImplicitCall(call=call, target=target)


def _accessor(
    context: DriveContext,
    spelt: tuple[ast.Attribute, str],
    arguments: list[ast.expr],
    function: object,
    owner: type | None,
) -> ImplicitCall | None:
    """Return the call of a property's function, which ``spelt`` names: the attribute, and ``fget`` or ``fset``."""
    attribute, field = spelt
    kind = type(known_value(context, attribute.value))
    if not isinstance(function, types.FunctionType) or found_in(kind, "__class__")[1] is not object:
        return None
    holder = ast.Attribute(ast.Attribute(attribute.value, "__class__", ast.Load()), attribute.attr, ast.Load())
    call = ast.Call(ast.Attribute(holder, field, ast.Load()), arguments, [])
    target = target_of_function(context, call, function, owner)
    return None if target is None else ImplicitCall(call=call, target=target)
