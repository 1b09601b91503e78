"""Which function stands behind a call, and whether its body can be shown.

``target_of`` finds it by static look-ups alone: names, attributes read by C getters, methods found on classes. What
would run the snippet's code to be found is left alone.
"""

from __future__ import annotations

import ast
import types
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.drive.driver import Driver, missing
from trace_mine.tracer.inside.observe.describe import attributes, plain_access
from trace_mine.tracer.inside.program import CO_COROUTINES, CO_GENERATOR
from trace_mine.tracer.inside.syntax.names import declared, walk_scope
from trace_mine.tracer.inside.syntax.text import unparse

_sees_frame = frozenset(
    {"locals", "eval", "exec", "vars", "dir", "globals", "_getframe", "currentframe", "stack", "breakpoint"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The function behind a call. ``bound`` is the expression of its first argument where the call's form supplies it,
    ``owner`` the class it was found in, ``instance`` the class where the call makes an instance, ``free`` whether
    it counts against the depth."""

    function: types.FunctionType
    definition: ast.FunctionDef
    bound: ast.expr | None = None
    owner: type | None = None
    instance: type | None = None
    free: bool = False


def static_value(driver: Driver, node: ast.expr) -> Any:
    """The value of a name or dotted name by look-ups that run no code of the snippet; ``missing`` where that can't
    be.
    """
    if isinstance(node, ast.Name):
        return driver.peek(node)
    if isinstance(node, ast.Attribute):
        base = static_value(driver, node.value)
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
        if (
            member is not missing
            and hasattr(type(member), "__set__")
            and type(member) is not types.MemberDescriptorType
        ):
            return missing
        return attributes(base).get(node.attr, missing)
    return missing


def _member(kind: type, name: str) -> tuple[Any, type | None]:
    for base in type.__dict__["__mro__"].__get__(kind):
        if name in vars(base):
            return vars(base)[name], base
    return missing, None


def target_of(driver: Driver, call: ast.Call, *, generator: bool) -> Target | None:
    """The call's target where it can be followed now; None where it can't (counted, unless only the depth forbids
    it).
    """
    found = _find(driver, call)
    if found is None:
        return None
    function, bound, owner, instance = found
    code = function.__code__
    if not driver.session.sources.is_own(code.co_filename):
        return None
    free = driver.depth == 0 and bool(driver.opens) and unparse(call.func) in driver.opens
    if not free and driver.depth >= driver.follow:
        return None
    free = free or "__wrapped__" in function.__dict__  # a decorator's wrapper: what it wraps is the call that counts
    if bool(code.co_flags & CO_GENERATOR) is not generator:
        return None
    reason = _refusal(driver, function)
    definition = None if reason else driver.session.sources.definition(code)
    if definition is None:
        if id(call) not in driver.refused:
            driver.refused[id(call)] = call
            driver.keep(reason or "no_source")
        return None
    return Target(function=function, definition=definition, bound=bound, owner=owner, instance=instance, free=free)


def _find(
    driver: Driver, call: ast.Call
) -> tuple[types.FunctionType, ast.expr | None, type | None, type | None] | None:
    if isinstance(call.func, ast.Attribute):
        base = static_value(driver, call.func.value)
        if base is missing or type(base) is types.ModuleType:
            return _plain(driver, static_value(driver, call.func), call)
        if not isinstance(base, type) and call.func.attr in attributes(base):
            return _plain(driver, static_value(driver, call.func), call)
        kind = base if isinstance(base, type) else type(base)
        if not isinstance(base, type) and not plain_access(kind):
            return None
        member, owner = _member(kind, call.func.attr)
        if isinstance(member, types.FunctionType):
            return member, None if isinstance(base, type) else call.func.value, owner, None
        if isinstance(member, staticmethod) and isinstance(member.__func__, types.FunctionType):
            return member.__func__, None, owner, None
        if (
            isinstance(member, classmethod)
            and isinstance(base, type)
            and isinstance(member.__func__, types.FunctionType)
        ):
            return member.__func__, call.func.value, owner, None
        return _plain(driver, member, call) if isinstance(base, type) else None
    return _plain(driver, static_value(driver, call.func), call)


def _plain(
    driver: Driver, value: Any, call: ast.Call
) -> tuple[types.FunctionType, ast.expr | None, type | None, type | None] | None:
    if isinstance(value, types.FunctionType):
        return value, None, None, None
    if type(value) is type and _member(value, "__new__")[1] is object and value is not object:
        member, owner = _member(value, "__init__")
        if isinstance(member, types.FunctionType) and not getattr(value, "__abstractmethods__", None):
            return member, call.func, owner, value
    elif value is not missing and not isinstance(value, type):
        member, owner = _member(type(value), "__call__")
        if isinstance(member, types.FunctionType):
            return member, call.func, owner, None
    return None


def _refusal(driver: Driver, function: types.FunctionType) -> str | None:
    code = function.__code__
    if code.co_flags & CO_COROUTINES:
        return "async"
    if driver.session.sources.home(code) in driver.closed:
        return "unfaithful"
    if not all(_is_filled(cell) for cell in function.__closure__ or ()):
        return "closure"
    if _sees_frame & set(code.co_names):
        return "sees_frame"
    definition = driver.session.sources.definition(code)
    if definition is None:
        return "no_source"
    known = driver.shapes.get(id(definition))
    if known is None:
        known = driver.shapes[id(definition)] = _Shape(definition)
    if known.nonlocals.intersection(code.co_freevars):
        return "closure"
    if function.__globals__ is not driver.session.namespace and known.has_globals:
        return "global"
    return known.refusal


class _Shape:
    """What a function's tree alone tells; holds the tree, so that its id stays its own."""

    __slots__ = ("definition", "has_globals", "nonlocals", "refusal")

    def __init__(self, definition: ast.FunctionDef) -> None:
        self.definition = definition
        self.nonlocals = declared(definition.body, ast.Nonlocal)
        self.has_globals = bool(declared(definition.body, ast.Global))
        self.refusal = _refused_node(definition)


def _refused_node(definition: ast.FunctionDef) -> str | None:
    for node in walk_scope(definition.body):
        if isinstance(node, ast.Name) and node.id == "__class__":
            return "class_cell"
        if isinstance(node, (ast.Yield, ast.YieldFrom)) and not _is_statement_yield(definition, node):
            return "yield_expression"
        if isinstance(node, (ast.TryStar, ast.AsyncFor, ast.AsyncWith, ast.Await)):
            return type(node).__name__
    return None


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not missing
    except ValueError:
        return False


def _is_statement_yield(definition: ast.FunctionDef, node: ast.expr) -> bool:
    return any(isinstance(outer, ast.Expr) and outer.value is node for outer in walk_scope(definition.body))
