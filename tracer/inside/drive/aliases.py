"""Calls of a class with its parameters: ``Stack[int](3)``.

Such an *alias* (``types.GenericAlias``, or ``typing``'s own) calls its class, then has the instance remember it as
``__orig_class__``, where the instance can. Nothing of the program's own runs for that in the cases that are taken here:
the class has the library's ``__class_getitem__``, its parameters are names of classes or constants, and its instances
take attributes as ``object`` does.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import class_dict, class_mro, has_plain_metaclass

_NAME = "__orig_class__"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAlias:
    """A class with its parameters.

    Attributes:
        origin: the class.
        of_origin: an expression for it.
        is_kept: an instance gets the alias as an attribute; one without a ``__dict__`` can't.
    """

    origin: type
    of_origin: ast.expr
    is_kept: bool


def alias_of(node: ast.expr, static_value: Callable[[ast.expr], object]) -> ClassAlias | None:
    """Return what a call's function is an alias of: an expression of one, or a name that holds one.

    Args:
        node: the call's function.
        static_value: gives the value of a name or a dotted name by look-ups that run no code of the program's.

    Returns:
        None where the function is no alias, or where to evaluate or call it could run code of the program's.
    """
    if isinstance(node, ast.Subscript):
        origin, of_origin = static_value(node.value), node.value
        if not (
            _is_class(origin) and _gets_library_alias(cast("type", origin)) and _is_plain(node.slice, static_value)
        ):
            return None
        origin = cast("type", origin)
        try:
            type.__getattribute__(origin, "__class_getitem__")(_evaluated(node.slice, static_value))
        except TypeError:
            return None  # more parameters than the class has, say: so will the call
    elif isinstance(node, (ast.Name, ast.Attribute)):
        alias = static_value(node)
        if type(alias) is types.GenericAlias:
            origin = alias.__origin__
        elif _is_typing_alias(type(alias)):
            origin = vars(alias).get("__origin__", missing)
        else:
            return None
        if not _is_class(origin):
            return None
        of_origin = ast.Attribute(node, "__origin__", ast.Load())
    else:
        return None
    origin = cast("type", origin)
    if _found(origin, "__setattr__") is not object or _found(origin, _NAME) is not None:
        return None
    return ClassAlias(origin=origin, of_origin=of_origin, is_kept=_found(origin, "__dict__") is not None)


def _is_class(value: object) -> bool:
    """Return True for a class that is called, and gives its attributes, as ``type`` has it."""
    return value is not missing and issubclass(type(value), type) and has_plain_metaclass(cast("type", value))


def _found(kind: type, name: str) -> type | None:
    """The class in which an attribute of a class's instances stands; None where it has none."""
    return next((base for base in class_mro(kind) if name in class_dict(base)), None)


def _gets_library_alias(kind: type) -> bool:
    """Return True if the class's ``__class_getitem__`` is the library's own."""
    base = _found(kind, "__class_getitem__")
    if base is None:
        return False
    member = class_dict(base)["__class_getitem__"]
    if type(member) is classmethod and member.__func__ is types.GenericAlias:
        return True
    typing = sys.modules.get("typing")
    is_generic = typing is not None and base is vars(typing).get("Generic")
    return is_generic or (base.__module__ == "builtins" and type(member) is types.ClassMethodDescriptorType)


def _is_typing_alias(kind: type) -> bool:
    typing = sys.modules.get("typing")
    return typing is not None and kind is vars(typing).get("_GenericAlias")


def _is_plain(node: ast.expr, static_value: Callable[[ast.expr], object]) -> bool:
    """Return True for parameters that are constants, or names of classes that hash and compare as ``type`` has it."""
    if isinstance(node, ast.Tuple):
        return all(_is_plain(item, static_value) for item in node.elts)
    if isinstance(node, ast.Constant):
        return type(node.value) in (str, type(None), type(Ellipsis))
    value = static_value(node) if isinstance(node, (ast.Name, ast.Attribute)) else missing
    return type(value) is type


def _evaluated(node: ast.expr, static_value: Callable[[ast.expr], object]) -> object:
    """The value of plain parameters."""
    if isinstance(node, ast.Tuple):
        return tuple(_evaluated(item, static_value) for item in node.elts)
    return node.value if isinstance(node, ast.Constant) else static_value(node)
