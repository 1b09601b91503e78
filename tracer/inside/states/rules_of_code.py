"""Pickling rules for what a program is made of: functions, classes, cached functions, methods, objects of its classes.

Functions and classes of the session are pickled in two parts: the object by number, and all that can change in it by
value. A pickle finds the object, and sets the value in it: so the functions that a session has are the same ones in all
of its states, with their ``__globals__``.
"""

from __future__ import annotations

import random
import sys
import types

from trace_mine.tracer.inside.draws.ambient import is_seeded
from trace_mine.tracer.inside.states import call_caches
from trace_mine.tracer.inside.states.attributes import METHODS, has_own_hooks, set_attributes, set_class, state_of
from trace_mine.tracer.inside.states.pickling_rules import (
    Known,
    PicklingRule,
    Recipe,
    any_type,
    kept,
    subclasses_of,
)
from trace_mine.tracer.inside.states.records import CannotSnapshot

FunctionState = tuple[dict[str, object], tuple[object, ...] | None, dict[str, object] | None, list[tuple[bool, object]]]
"""All that can change in a function: attributes, defaults, keyword defaults, closure cells."""


# functions


def _number_of_function(known: Known, function: types.FunctionType) -> int | None:
    return None if known.code.may_change(function) else known.objects.keep(function)


def _recipe_of_function(known: Known, function: types.FunctionType) -> Recipe:
    state = (
        dict(function.__dict__),
        function.__defaults__,
        function.__kwdefaults__,
        [_cell(cell) for cell in function.__closure__ or ()],
    )
    return known.objects.resolve, (known.objects.keep(function),), state, None, None, _set_function


def _cell(cell: types.CellType) -> tuple[bool, object]:
    """If a closure cell is full, and its contents."""
    try:
        return True, cell.cell_contents
    except ValueError:  # a variable that is not bound yet, or was deleted
        return False, None


def _set_function(function: types.FunctionType, state: FunctionState) -> None:
    attributes, defaults, keyword_defaults, cells = state
    function.__dict__.clear()
    function.__dict__.update(attributes)
    function.__defaults__ = defaults
    function.__kwdefaults__ = keyword_defaults
    for cell, (is_full, contents) in zip(function.__closure__ or (), cells, strict=True):
        if is_full:
            cell.cell_contents = contents


# classes


def _number_of_class(known: Known, kind: type) -> int | None:
    return None if known.code.is_own_class(kind) else known.objects.keep(kind)


def _recipe_of_class(known: Known, kind: type) -> Recipe:
    is_shared = kind.__dict__.get("__module__") != "__main__"
    firsts, number = known.firsts, known.objects.keep(kind)
    if firsts.is_as_at_first(kind):
        if is_shared:
            firsts.note_class(kind)
        return known.objects.resolve, (number,), True, None, None, firsts.reset
    members = state_of(kind)
    if methods := firsts.methods_of(kind):
        members[METHODS] = methods
    if is_shared:
        firsts.note(kind, members)
    return known.objects.resolve, (number,), members, None, None, set_class


# cached functions


def _number_of_cache(known: Known, cache: object) -> int | None:
    return None if _is_followed(known, cache) else known.objects.keep(cache)


def _is_followed(known: Known, cache: object) -> bool:
    """Return True if what a cached function keeps is part of the state: one of the session or the repository."""
    if not call_caches.can_be_read or id(cache) in known.objects.left_out:
        return False
    home = call_caches.home_of(cache)
    return home in ("", "__main__") or known.code.is_repository(home)


def _recipe_of_cache(known: Known, cache: object) -> Recipe:
    contents = known.caches.contents_of(cache)
    function = call_caches.function_of(cache)
    # One of an object's method, say, is bound to a copy of the object: each state has a copy of it. Those of functions
    # and those that are methods stay the objects they are.
    if id(cache) not in known.firsts.members and type(function) is not types.FunctionType:
        return call_caches.CACHE, call_caches.settings_of(cache), contents, None, None, known.firsts.set_cache
    number = known.objects.keep(cache)
    known.firsts.note(cache, known.firsts.state_of_cache(cache))
    # the function is part of the state, too
    return known.objects.resolve, (number,), (*contents, function), None, None, known.firsts.set_cache


# methods and built-ins


def _number_of_method(known: Known, method: types.MethodType) -> int | None:
    return known.objects.keep(method) if _is_unseeded(method.__self__) else None


def _is_unseeded(owner: object) -> bool:
    return issubclass(type(owner), random.Random) and not is_seeded(owner)  # type: ignore[arg-type]


def _number_of_built_in(known: Known, built_in: types.BuiltinFunctionType) -> int | None:
    """By number, as functions of modules are, the object of ``[].append`` would be one and the same in all states: a
    list that ``append`` alone held was filled by each path in turn, and beliefs were called exact. What other
    libraries' C code has is no part of a state.
    """
    owner = built_in.__self__
    kind = type(owner)
    if owner is None or issubclass(kind, (types.ModuleType, type)) or _is_unseeded(owner):
        return known.objects.keep(built_in)
    may_change = known.code.is_own_class(kind) or kind.__module__.partition(".")[0] in sys.stdlib_module_names
    return None if may_change else known.objects.keep(built_in)


def _recipe_of_built_in(known: Known, built_in: types.BuiltinFunctionType) -> Recipe:
    if not _is_found_by_name(built_in):
        raise CannotSnapshot(f"{built_in.__name__} is bound past a method of its class")
    return getattr, (built_in.__self__, built_in.__name__)


def _is_found_by_name(method: types.BuiltinFunctionType) -> bool:
    """Return True if a bound built-in is what its object gives for its name.

    ``super().append`` of a class with an ``append`` of its own is not.
    """
    kind = type(method.__self__)
    member = next((vars(base)[method.__name__] for base in kind.__mro__ if method.__name__ in vars(base)), None)
    return isinstance(member, types.MethodDescriptorType)


# objects of the program's classes


def _recipe_of_sentinel(known: Known, value: object) -> Recipe:
    # the module first, whose constants are known from when it is asked about
    if not known.code.is_own_class(type(value)) or id(value) not in known.code.constants:
        return NotImplemented
    attributes = state_of(value)
    known.firsts.note(value, attributes)
    return known.objects.resolve, (known.objects.keep(value),), attributes, None, None, set_attributes


def _recipe_past_hooks(known: Known, value: object) -> Recipe:
    kind = type(value)
    if not (known.code.is_own_class(kind) and has_own_hooks(kind)):
        return NotImplemented
    if not known.code.has_plain_objects(kind):
        raise CannotSnapshot(f"{kind.__name__} has pickling hooks of its own")
    return object.__new__, (kind,), state_of(value), None, None, set_attributes


RULES = (
    PicklingRule(
        kind="functions",
        reason="Functions stay the objects they are. Attributes, defaults and closure cells of the session's own are"
        " state, and of those that the repository's decorators make; pickle has neither.",
        types=(types.FunctionType,),
        number=_number_of_function,
        recipe=_recipe_of_function,
    ),
    PicklingRule(
        kind="cached functions",
        reason="The entries that the session's and the repository's caches keep are state; pickle refuses them.",
        types=(call_caches.CACHE,),
        number=_number_of_cache,
        recipe=_recipe_of_cache,
    ),
    PicklingRule(
        kind="modules and code",
        reason="They stay the objects they are: globals of modules have tables of their own, and code never changes.",
        types=(types.ModuleType, types.CodeType),
        number=kept,
    ),
    PicklingRule(
        kind="classes",
        reason="Classes stay the objects they are, and data and methods of the session's and the repository's are"
        " state. Pickle would look for them by name, and leave out what changed in them.",
        is_for=subclasses_of(type),
        number=_number_of_class,
        recipe=_recipe_of_class,
    ),
    PicklingRule(
        kind="methods",
        reason="Those of an unseeded generator are the patched ones, for which pickle would look in vain.",
        types=(types.MethodType,),
        number=_number_of_method,
    ),
    PicklingRule(
        kind="built-ins",
        reason="Those of modules and classes never change. A bound one is that of a copy of its object; pickle would"
        " take another method where a class has one of this name.",
        is_for=subclasses_of(types.BuiltinFunctionType),
        number=_number_of_built_in,
        recipe=_recipe_of_built_in,
    ),
    PicklingRule(
        kind="sentinels",
        reason="A module of the repository may compare them by identity, so that a copy would be none; their attributes"
        " are state.",
        is_for=any_type,
        recipe=_recipe_of_sentinel,
    ),
    PicklingRule(
        kind="objects with pickling hooks",
        reason="Hooks may leave out what their author does not count as state (a cache, a lock). So the attributes of"
        " the object are saved, and objects that have more than attributes are refused.",
        is_for=any_type,
        recipe=_recipe_past_hooks,
    ),
)
"""In the order in which they are asked."""
