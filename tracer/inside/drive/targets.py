"""Finds the function behind a call, and decides if its body can be opened.

``target_of`` finds it by static look-ups alone: names, attributes read by C getters, methods found on classes. A
look-up that would run the snippet's code (a property, ``__getattr__``, a metaclass) is not made, and the call stays a
call: the program's own look-up, in the command, must remain the only one.

Over 400 lines because each form of a call is one case of one question, and they share the look-ups.
"""

from __future__ import annotations

import ast
import functools
import types
from dataclasses import dataclass, replace
from itertools import dropwhile
from typing import cast

from trace_mine.tracer.inside.drive.aliases import alias_of
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.functions import OF_ARGUMENTS, FunctionFacts
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.observe.describe import attributes, has_plain_metaclass, plain_access, reads_as_type
from trace_mine.tracer.inside.observe.wrappers import takes_any_arguments
from trace_mine.tracer.inside.program import CO_COROUTINES, CO_GENERATOR
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import class_of_code, mangled
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
    alias: ast.expr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The function behind a call.

    Attributes:
        function: the function itself.
        definition: its tree, with the program's line numbers.
        bound: the expression of its first argument where the call's form supplies it (``x`` in ``x.method()``).
        owner: the class that it was found in.
        instance: the class, where the call makes an instance.
        alias: the expression of a class with its parameters (``Stack[int]``), where the call is one of such, which the
            instance gets as ``__orig_class__``.
        counts_depth: the call counts against the depth of calls that are followed.
    """

    function: types.FunctionType
    definition: ast.FunctionDef
    bound: ast.expr | None = None
    owner: type | None = None
    instance: type | None = None
    alias: ast.expr | None = None
    counts_depth: bool = True

    def __post_init__(self) -> None:
        if self.instance is not None and self.bound is None:
            raise ValueError("expected an expression for the class of the instance, got bound=None; give call.func")


def static_value(context: DriveContext, node: ast.expr) -> object:
    """Return the value of a name, a dotted name or an item by look-ups that run no code of the snippet.

    Returns:
        ``missing`` where there is no such look-up, or no such name.
    """
    if isinstance(node, ast.Name):
        return context.variables.peek(node)
    if isinstance(node, ast.Subscript):
        # a table of functions by what an attribute says: ``self.rules[token.type]``
        is_attribute = isinstance(node.slice, ast.Attribute)
        key = static_value(context, node.slice) if is_attribute else context.variables.peek(node.slice)
        return _item(static_value(context, node.value), key)
    if not isinstance(node, ast.Attribute):
        return missing
    base = static_value(context, node.value)
    if base is missing:
        return missing
    if type(base) is types.ModuleType:
        return vars(base).get(node.attr, missing)
    if isinstance(base, type):
        # other members may be descriptors, whose ``__get__`` is the snippet's
        member = _member(base, node.attr)[0]
        return member if isinstance(member, (type, types.FunctionType)) else missing
    if not plain_access(type(base)):
        return missing  # its class has a ``__getattribute__`` of its own, or the like
    member = _member(type(base), node.attr)[0]
    # a descriptor with ``__set__`` goes before the object's own attributes
    is_descriptor = member is not missing and hasattr(type(member), "__set__")
    if is_descriptor and type(member) is not types.MemberDescriptorType:  # a slot's getter is C code
        return missing
    own = attributes(base)
    if node.attr in own or type(member) is not types.MemberDescriptorType:
        return own.get(node.attr, missing)
    try:
        # a field of a class of C code, such as the function of a property: its getter is C code
        return types.MemberDescriptorType.__get__(member, base)
    except AttributeError:
        return missing  # the field holds nothing


def _item(holder: object, key: object) -> object:
    """Return the item of a list, tuple or dictionary, exactly these, at an index or key whose hash is C code."""
    if type(key) not in (int, str):
        return missing
    if (type(holder) is list or type(holder) is tuple) and type(key) is int:
        return holder[key] if -len(holder) <= key < len(holder) else missing
    if type(holder) is not dict or not all(type(each) in (int, str) for each in holder):
        return missing  # a key of the snippet's own would be asked by its ``__eq__``
    return holder.get(key, missing)


def class_member(cls: type, name: str) -> object:
    """Return the attribute of a class, found as ``type`` finds it; ``missing`` where it has none."""
    return _member(cls, name)[0]


def _member(cls: type, name: str) -> tuple[object, type | None]:
    """Return the attribute of a class and the class that it stands in, found as ``type`` finds it."""
    # ``cls.__mro__`` would ask a metaclass that has an ``__mro__`` of its own
    for base in type.__dict__["__mro__"].__get__(cls):
        if name in vars(base):
            return vars(base)[name], base
    return missing, None


def target_of(context: DriveContext, call: ast.Call, *, generator: bool) -> Target | None:
    """Return the call's target where it can be opened now.

    Args:
        call: a call; its arguments don't matter here.
        generator: True to look for a generator function, False for a plain one.

    Returns:
        None where the call has to stay a call. That is counted under its reason where the function is the repository's
        own and of the kind looked for, and the depth of calls would allow it.
    """
    callee = _callee_of(context, call)
    return None if callee is None else _opened(context, call, callee, generator=generator, is_spelt=True)


def partial_call(context: DriveContext, call: ast.Call) -> ast.Call | None:
    """Return the call that a call of a ``functools.partial`` makes, of its function with all arguments; None of others.

    A keyword that both have is the call's own in Python, which no call can spell: such a call stays. So does one of a
    partial of a partial, which Python makes one of the function, but for those that have attributes.
    """
    made = static_value(context, call.func) if isinstance(call.func, (ast.Name, ast.Attribute)) else missing
    if type(made) is not functools.partial or not context.opening.is_certain:
        return None
    given: list[ast.expr] = [ast.Starred(ast.Attribute(call.func, "args", ast.Load()), ast.Load())] if made.args else []
    keywords = [ast.keyword(None, ast.Attribute(call.func, "keywords", ast.Load()))] if made.keywords else []
    function = ast.Attribute(call.func, "func", ast.Load())
    spelt = ast.copy_location(ast.Call(function, [*given, *call.args], [*keywords, *call.keywords]), call)
    return ast.fix_missing_locations(spelt)


def target_of_function(
    context: DriveContext,
    call: ast.Call,
    function: types.FunctionType,
    owner: type | None,
    *,
    generator: bool = False,
) -> Target | None:
    """Return a function as the target of a call that passes it all its arguments; None where it can't be opened now.

    For calls that the program does not spell, whose function is known. ``owner`` is the class that it was found in.
    """
    return _opened(context, call, _Callee(function=function, owner=owner), generator=generator, is_spelt=False)


def _opened(
    context: DriveContext, call: ast.Call, callee: _Callee, *, generator: bool, is_spelt: bool
) -> Target | None:
    """Return the target that a callee is, where it can be opened now; see ``target_of``.

    ``is_spelt``: the call stands in the program, as a construct that is kept as one command where it is not opened.
    """
    function, code = callee.function, callee.function.__code__
    if not context.writer.sources.is_own(code.co_filename):
        return None
    rules = context.rules
    is_named = context.calls.depth == 0 and bool(rules.opens) and unparse(call.func) in rules.opens
    if not is_named and context.calls.depth >= rules.follow:
        return None  # not counted: the user asked for this depth
    # a decorator's wrapper (``functools.wraps``): the function that it wraps is the one that a reader means
    is_wrapper = "__wrapped__" in function.__dict__ and takes_any_arguments(code)
    if bool(code.co_flags & CO_GENERATOR) is not generator:
        return None  # not counted: the caller asks for the other kind as well, or the call makes a generator object
    reason = _refusal(context, function)
    definition = None if reason else context.writer.sources.definition(code)
    if definition is None:
        reason = reason or Reason.NO_SOURCE
        if is_spelt and reason is not Reason.ASIDE:
            context.kept.count_once(call, reason)
        context.calls.refuse(context.writer.sources.home(code), code.co_name, reason, for_all=True)
        return None
    return Target(
        function=function,
        definition=definition,
        bound=callee.bound,
        owner=callee.owner,
        instance=callee.instance,
        alias=callee.alias,
        counts_depth=not (is_named or is_wrapper),
    )


def _callee_of(context: DriveContext, call: ast.Call) -> _Callee | None:
    """Return the function that the call's form leads to; None where it is not a Python function, or cannot be found."""
    function = call.func
    alias = alias_of(function, lambda node: static_value(context, node))
    if alias is not None:
        made = _called(alias.origin, call)
        return None if made is None else replace(made, bound=alias.of_origin, alias=function if alias.is_kept else None)
    if not isinstance(function, ast.Attribute):
        return _called(static_value(context, function), call)
    above = _above(context, function)
    if above is not None:
        return above
    base = static_value(context, function.value)
    if base is missing or type(base) is types.ModuleType:
        return _called(static_value(context, function), call)
    if isinstance(base, type):
        return _class_attribute(base, function, call)
    # an object's own attribute, as in ``self.callback(1)``, gets no ``self``; nor does a field of a class of C code, as
    # ``self.fget(1)`` of a property
    is_field = type(_member(type(base), function.attr)[0]) is types.MemberDescriptorType
    if is_field or function.attr in attributes(base):
        return _called(static_value(context, function), call)
    return _method(type(base), function) if plain_access(type(base)) else None


def _above(context: DriveContext, function: ast.Attribute) -> _Callee | None:
    """Return the method of a call on ``super(C, self)``, or on a variable that holds such an object."""
    value = function.value
    instance: object
    if isinstance(value, ast.Call):
        if value.keywords or len(value.args) != 2 or context.variables.peek(value.func) is not super:
            return None
        after, instance = (context.variables.peek(argument) for argument in value.args)
        bound = value.args[1]
    else:
        held = context.variables.peek(value)
        if type(held) is not super:
            return None
        # by the C getters: ``held.x`` would look ``x`` up on the classes above
        after, instance = (vars(super)[name].__get__(held) for name in ("__thisclass__", "__self__"))
        bound = ast.Attribute(value, "__self__", ast.Load())
    if instance is missing or instance is None:
        return None
    cls = cast("type", instance) if issubclass(type(instance), type) else type(instance)
    order = type.__dict__["__mro__"].__get__(cls)
    is_plain = plain_access(cls) if cls is not instance else has_plain_metaclass(cls)
    if not is_plain or not any(base is after for base in order):
        return None
    start = next(index for index, base in enumerate(order) if base is after) + 1
    for base in order[start:]:
        if function.attr in vars(base):
            member = vars(base)[function.attr]
            if isinstance(member, classmethod) and isinstance(member.__func__, types.FunctionType):
                if cls is not instance:
                    bound = ast.Attribute(bound, "__class__", ast.Load())
                return _Callee(function=member.__func__, bound=bound, owner=base)
            is_method = isinstance(member, types.FunctionType) and cls is not instance
            return _Callee(function=member, bound=bound, owner=base) if is_method else None
    return None


def _method(cls: type, function: ast.Attribute) -> _Callee | None:
    """Return the method, static method or class method of a call on an instance of ``cls``."""
    member, owner = _member(cls, function.attr)
    if isinstance(member, types.FunctionType):
        return _Callee(function=member, bound=function.value, owner=owner)
    if isinstance(member, staticmethod) and isinstance(member.__func__, types.FunctionType):
        return _Callee(function=member.__func__, owner=owner)
    # the class by the instance, unless the program says something else for ``__class__``
    says_class = _member(cls, "__class__")[1] is object
    if isinstance(member, classmethod) and isinstance(member.__func__, types.FunctionType) and says_class:
        bound = ast.Attribute(function.value, "__class__", ast.Load())
        return _Callee(function=member.__func__, bound=bound, owner=owner)
    return None


def _class_attribute(base: type, function: ast.Attribute, call: ast.Call) -> _Callee | None:
    """Return the function of a call on a class: a method, static method or class method, or another value's."""
    member, owner = _member(base, function.attr)
    if isinstance(member, types.FunctionType):
        return _Callee(function=member, owner=owner)
    if isinstance(member, staticmethod) and isinstance(member.__func__, types.FunctionType):
        return _Callee(function=member.__func__, owner=owner)
    if isinstance(member, classmethod) and isinstance(member.__func__, types.FunctionType):
        return _Callee(function=member.__func__, bound=function.value, owner=owner)
    if member is missing and reads_as_type(type(base)):
        # a method of the metaclass, whose instance the class is
        member, owner = _member(type(base), function.attr)
        if isinstance(member, types.FunctionType):
            return _Callee(function=member, bound=function.value, owner=owner)
        return None
    return _called(member, call)


def _called(value: object, call: ast.Call) -> _Callee | None:
    """Return the function that a call of the value runs: itself, or a class's ``__init__``, or a ``__call__``."""
    if isinstance(value, types.FunctionType):
        return _Callee(function=value)
    if type(value) is types.MethodType and isinstance(value.__func__, types.FunctionType):
        owner = _owner(value.__self__, value.__func__)
        return _Callee(function=value.__func__, bound=ast.Attribute(call.func, "__self__", ast.Load()), owner=owner)
    # neither a metaclass nor a ``__new__`` that runs code: nothing but ``__init__`` does. An abstract class would raise
    if isinstance(value, type) and value is not object and has_plain_metaclass(value):
        return _constructed(value, call)
    if value is not missing and not isinstance(value, type):
        member, owner = _member(type(value), "__call__")
        if isinstance(member, types.FunctionType):
            return _Callee(function=member, bound=call.func, owner=owner)
    return None


def _constructed(cls: type, call: ast.Call) -> _Callee | None:
    """Return the ``__init__`` that a class runs for a call of ``type.__call__``, and nothing else."""
    member, owner = _member(cls, "__init__")
    if not _makes_plainly(cls) or not isinstance(member, types.FunctionType) or _is_abstract(cls):
        return None
    return _Callee(function=member, bound=call.func, owner=owner, instance=cls)


def _is_abstract(cls: type) -> bool:
    # as ``object.__new__`` asks: an attribute that only ``ABCMeta`` and the class itself set
    return bool(vars(cls).get("__abstractmethods__"))


def construction_of(context: DriveContext, call: ast.Call) -> tuple[ast.Call, Target] | None:
    """Return the call of a class that ``type.__call__(cls, ...)``, or ``super().__call__(...)`` of a metaclass, makes,
    with its target; None of any other call.
    """
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr != "__call__" or not context.opening.is_certain:
        return None
    if static_value(context, function.value) is type and call.args and not isinstance(call.args[0], ast.Starred):
        of_class, *arguments = call.args
        cls = context.variables.peek(of_class)
    else:
        value, arguments = function.value, call.args
        if not isinstance(value, ast.Call) or value.keywords or len(value.args) != 2:
            return None
        if context.variables.peek(value.func) is not super:
            return None
        of_class = value.args[1]
        after, cls = (context.variables.peek(argument) for argument in value.args)
        order = type.__dict__["__mro__"].__get__(type(cls))
        later = [*dropwhile(lambda base: base is not after, order)][1:]
        if next((base for base in later if "__call__" in vars(base)), None) is not type:
            return None
    if cls is missing or not issubclass(type(cls), type) or not reads_as_type(type(cls)):
        return None
    made = ast.copy_location(ast.Call(of_class, arguments, call.keywords), call)
    callee = _constructed(cast("type", cls), made)
    target = None if callee is None else _opened(context, made, callee, generator=False, is_spelt=True)
    return None if target is None else (made, target)


_EMPTY_AT_FIRST = (dict, list, set, bytearray)
"""Classes whose ``__new__`` looks at no argument."""


def _makes_plainly(cls: type) -> bool:
    """Return True if a class makes its instances as ``object`` does, or as exceptions, which keep their arguments, or
    as containers, which are empty until their ``__init__`` fills them.
    """
    owner = _member(cls, "__new__")[1]
    is_container = any(owner is each for each in _EMPTY_AT_FIRST)  # `in` would ask a metaclass of the program's
    return owner is object or is_container or (owner is not None and is_plain_exception(owner))


def is_plain_exception(cls: type) -> bool:
    """Return True for one of Python's own exceptions, of those whose ``__new__`` only keeps the arguments."""
    order = type.__dict__["__mro__"].__get__(cls)
    is_foreign = cls.__module__ == "builtins" and BaseException in order
    return is_foreign and not any(base in order for base in (OSError, BaseExceptionGroup, MemoryError))


def _owner(instance: object, function: types.FunctionType) -> type | None:
    """Return the class that a bound method was found in; None where it stands in none of the instance's classes."""
    cls = cast("type", instance) if issubclass(type(instance), type) else type(instance)
    for base in type.__dict__["__mro__"].__get__(cls):
        member = vars(base).get(function.__name__)
        if member is function or (isinstance(member, classmethod) and member.__func__ is function):
            return cast("type", base)
    return None


def _refusal(context: DriveContext, function: types.FunctionType) -> Reason | None:
    """Return the reason for which the function's body cannot be opened; None where nothing forbids it.

    The cheap tests come first, those of the tree last: it may have to be read from the file and parsed.
    """
    code = function.__code__
    sources = context.writer.sources
    if code.co_flags & CO_COROUTINES:
        return Reason.ASYNC
    home = sources.home(code)
    if context.rules.focus and home not in context.rules.focus:
        return Reason.ASIDE
    if home in context.rules.kept_functions:
        return Reason.UNFAITHFUL  # an earlier run gave the function up
    if not all(_is_filled(cell) for cell in function.__closure__ or ()):
        return Reason.CLOSURE
    names = _SEES_FRAME & set(code.co_names)
    if names - OF_ARGUMENTS:
        return Reason.SEES_FRAME
    definition = sources.definition(code)
    if definition is None:
        return Reason.NO_SOURCE
    facts = context.functions.facts(definition)
    if facts.is_generator is not bool(code.co_flags & CO_GENERATOR):
        # the program compiled a text of its own under this file's name: the tree is that of another function
        return Reason.NO_SOURCE
    if names and facts.looks_at_itself:
        return Reason.SEES_FRAME
    if facts.nonlocals.intersection(code.co_freevars) and (facts.outer_names is None or not context.set_up.is_open):
        return Reason.CLOSURE  # others see what it binds there: no attribute of the cell can stand for it
    is_session_s = function.__globals__ is context.variables.namespace
    if facts.has_globals and not is_session_s and not _are_attributes(context, function, facts):
        return Reason.GLOBAL
    return facts.refusal


def _are_attributes(context: DriveContext, function: types.FunctionType, facts: FunctionFacts) -> bool:
    """Return True if the names that a function declares ``global`` can be written as attributes of its module.

    One that is not there yet can't: where it is read, an attribute fails by another exception.
    """
    home, owner = function.__globals__, class_of_code(function.__code__.co_qualname)
    if facts.outer_names is None or context.set_up.module_of(home) is None:
        return False
    return all(mangled(name, owner) in home for name in facts.outer_names)


def _is_filled(cell: types.CellType) -> bool:
    """Return True if a closure's variable is bound; one that is assigned later in the function around is not yet."""
    try:
        return cell.cell_contents is not missing
    except ValueError:
        return False
