"""Which function stands behind a call, and if its body can be shown.

``target_of`` finds it by static look-ups alone: names, attributes read by C getters, methods found on classes. Where
finding it would run the snippet's code, it is not looked for.
"""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.drive.context import Context
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import attributes, plain_access
from trace_mine.tracer.inside.program import CO_COROUTINES, CO_GENERATOR
from trace_mine.tracer.inside.syntax.text import unparse

_SEES_FRAME = frozenset(
    {"locals", "eval", "exec", "vars", "dir", "globals", "_getframe", "currentframe", "stack", "breakpoint"}
)
"""Names by which a body may look at its own frame or its caller's, which it does not have in a session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Callee:
    """A function that a call's form leads to; attributes as in ``Target``."""

    function: types.FunctionType
    bound: ast.expr | None = None
    owner: type | None = None
    instance: type | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The function behind a call.

    Attributes:
        bound: the expression of its first argument where the call's form supplies it (``x`` in ``x.method()``).
        owner: the class that it was found in.
        instance: the class, where the call makes an instance.
        counts_depth: the call counts against the depth of calls that are followed.
    """

    function: types.FunctionType
    definition: ast.FunctionDef
    bound: ast.expr | None = None
    owner: type | None = None
    instance: type | None = None
    counts_depth: bool = True


def static_value(context: Context, node: ast.expr) -> Any:
    """The value of a name or dotted name by look-ups that run no code of the snippet; ``missing`` where there are
    none.
    """
    if isinstance(node, ast.Name):
        return context.variables.peek(node)
    if not isinstance(node, ast.Attribute):
        return missing
    base = static_value(context, node.value)
    if base is missing:
        return missing
    if type(base) is types.ModuleType:
        return vars(base).get(node.attr, missing)
    if isinstance(base, type):
        member = _member(base, node.attr)[0]
        return member if isinstance(member, (type, types.FunctionType)) else missing
    if not plain_access(type(base)):
        return missing
    member = _member(type(base), node.attr)[0]
    is_descriptor = member is not missing and hasattr(type(member), "__set__")
    if is_descriptor and type(member) is not types.MemberDescriptorType:  # a slot's getter is C code
        return missing
    return attributes(base).get(node.attr, missing)


def _member(kind: type, name: str) -> tuple[Any, type | None]:
    """The attribute of a class and the class that it stands in, found as ``type`` finds it."""
    for base in type.__dict__["__mro__"].__get__(kind):
        if name in vars(base):
            return vars(base)[name], base
    return missing, None


def target_of(context: Context, call: ast.Call, *, generator: bool) -> Target | None:
    """The call's target where it can be followed now; None where it cannot (counted, unless only the depth forbids
    it). ``generator`` says if the function is to be a generator or a plain one.
    """
    callee = _callee_of(context, call)
    if callee is None:
        return None
    function, code = callee.function, callee.function.__code__
    if not context.writer.sources.is_own(code.co_filename):
        return None
    rules = context.rules
    is_named = context.calls.depth == 0 and bool(rules.opens) and unparse(call.func) in rules.opens
    if not is_named and context.calls.depth >= rules.follow:
        return None
    is_wrapper = "__wrapped__" in function.__dict__  # a decorator's: what it wraps is the call that counts
    if bool(code.co_flags & CO_GENERATOR) is not generator:
        return None
    reason = _refusal(context, function)
    definition = None if reason else context.writer.sources.definition(code)
    if definition is None:
        context.kept.count_once(call, reason or "no_source")
        return None
    return Target(
        function=function,
        definition=definition,
        bound=callee.bound,
        owner=callee.owner,
        instance=callee.instance,
        counts_depth=not (is_named or is_wrapper),
    )


def _callee_of(context: Context, call: ast.Call) -> _Callee | None:
    """The function that the call's form leads to; None where it is none of the program's, or cannot be found."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return _called(static_value(context, function), call)
    base = static_value(context, function.value)
    if base is missing or type(base) is types.ModuleType:
        return _called(static_value(context, function), call)
    if isinstance(base, type):
        return _class_attribute(base, function, call)
    if function.attr in attributes(base):
        return _called(static_value(context, function), call)
    return _method(type(base), function) if plain_access(type(base)) else None


def _method(kind: type, function: ast.Attribute) -> _Callee | None:
    """A method or static method, called on an instance; a class method's first argument has no expression here."""
    member, owner = _member(kind, function.attr)
    if isinstance(member, types.FunctionType):
        return _Callee(function=member, bound=function.value, owner=owner)
    if isinstance(member, staticmethod) and isinstance(member.__func__, types.FunctionType):
        return _Callee(function=member.__func__, owner=owner)
    return None


def _class_attribute(base: type, function: ast.Attribute, call: ast.Call) -> _Callee | None:
    """A method, static method or class method, or another value, called on a class."""
    member, owner = _member(base, function.attr)
    if isinstance(member, types.FunctionType):
        return _Callee(function=member, owner=owner)
    if isinstance(member, staticmethod) and isinstance(member.__func__, types.FunctionType):
        return _Callee(function=member.__func__, owner=owner)
    if isinstance(member, classmethod) and isinstance(member.__func__, types.FunctionType):
        return _Callee(function=member.__func__, bound=function.value, owner=owner)
    return _called(member, call)


def _called(value: Any, call: ast.Call) -> _Callee | None:
    """What calling the value runs: a function itself, the ``__init__`` of a class, an object's ``__call__``."""
    if isinstance(value, types.FunctionType):
        return _Callee(function=value)
    if type(value) is type and _member(value, "__new__")[1] is object and value is not object:
        member, owner = _member(value, "__init__")
        if isinstance(member, types.FunctionType) and not getattr(value, "__abstractmethods__", None):
            return _Callee(function=member, bound=call.func, owner=owner, instance=value)
    elif value is not missing and not isinstance(value, type):
        member, owner = _member(type(value), "__call__")
        if isinstance(member, types.FunctionType):
            return _Callee(function=member, bound=call.func, owner=owner)
    return None


def _refusal(context: Context, function: types.FunctionType) -> str | None:
    """Why the function's body cannot be opened, None where nothing forbids it; a counted reason."""
    code = function.__code__
    sources = context.writer.sources
    if code.co_flags & CO_COROUTINES:
        return "async"
    if sources.home(code) in context.rules.kept_functions:
        return "unfaithful"
    if not all(_is_filled(cell) for cell in function.__closure__ or ()):
        return "closure"
    if _SEES_FRAME & set(code.co_names):
        return "sees_frame"
    definition = sources.definition(code)
    if definition is None:
        return "no_source"
    facts = context.functions.facts(definition)
    if facts.nonlocals.intersection(code.co_freevars):
        return "closure"  # what it binds there, others see: a session's variable is no cell
    if function.__globals__ is not context.variables.namespace and facts.has_globals:
        return "global"
    return facts.refusal


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not missing
    except ValueError:
        return False
