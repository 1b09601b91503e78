"""Generators that the program holds, opened: ``next(g)`` runs the body's statements up to the next ``yield``.

The object is made by the program's own command. In the session it stays a generator that has not begun, from which the
body's parameters are read when it is resumed first, and is closed by a command when the body has ended::

    g = count(2)
    n = g.gi_frame.f_locals['n']      (for next(g))
    k = 0
    k < n
    yielded_1 = k
"""

from __future__ import annotations

import ast
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast, final

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Raised, Signal
from trace_mine.tracer.inside.drive.generators import NONE, OpenedGenerator, begin, has_guarded_yield
from trace_mine.tracer.inside.drive.suspended import Activation, Generator, has_not_begun
from trace_mine.tracer.inside.drive.targets import Target, class_member, static_value, target_of_function
from trace_mine.tracer.inside.observe.describe import class_mro
from trace_mine.tracer.inside.syntax.names import parameters
from trace_mine.tracer.inside.syntax.text import expression

_METHODS = (("__next__", 0), ("send", 1), ("close", 0), ("throw", 1))
"""Methods of generators, with the number of their arguments."""


@final
class StoredGenerator(Activation):
    """An opened generator whose object the program holds.

    Args:
        opened: its activation.
        generator: the object.
    """

    def __init__(self, context: DriveContext, opened: OpenedGenerator, generator: object) -> None:
        self.began = opened.began
        self._context = context
        self._opened = opened
        self._key = id(generator)

    @property
    def result(self) -> ast.expr:
        """What it returned, once it has ended."""
        return self._opened.result

    def resume(self, node: ast.expr, frame: Frame, sent: ast.expr = NONE) -> ast.expr | None:
        """See ``OpenedGenerator.resume``; ``node`` is the expression of the object."""
        return self._closing(node, frame, lambda: self._opened.resume(sent))

    def throw(self, node: ast.expr, frame: Frame, signal: Signal) -> ast.expr | None:
        """See ``OpenedGenerator.throw``."""
        return self._closing(node, frame, lambda: self._opened.throw(signal))

    def end(self) -> None:
        self._opened.end()

    def finish(self) -> None:
        self._opened.finish()

    def _closing(self, node: ast.expr, frame: Frame, step: Callable[[], ast.expr | None]) -> ast.expr | None:
        """Take a step, and close the object by a command where that ended it."""
        value: ast.expr | None = None
        left_by: Raised | None = None
        try:
            value = step()
        except Raised as raised:
            left_by = raised
        if value is None:
            self._close(node, frame)
        if left_by is not None:
            raise left_by
        return value

    def _close(self, node: ast.expr, frame: Frame) -> None:
        self._context.suspended.remove_key(self._key)
        self._context.emit(f"{expression(node)}.close()", frame, "bind", reveal=False)


def stored_generator(context: DriveContext, node: ast.expr, frame: Frame) -> StoredGenerator | None:
    """Return the opened generator that an expression, which can be looked up, holds; None where it stays closed."""
    generator = static_value(context, node)
    opened_before = context.suspended.find(generator)
    if opened_before is not None:
        return cast("StoredGenerator", opened_before)
    target = _stored_target(context, node)
    if target is None:
        return None
    held = cast("Generator[object, object, object]", generator)
    arguments = [(name, _parameter(node, target, name)) for name in parameters(target.definition.args)]
    opened = begin(context, ast.Call(node, [], []), target, frame, arguments)
    if opened is None:
        return None
    stored = StoredGenerator(context, opened, held)
    context.suspended.add(held, stored)
    return stored


def is_stored(context: DriveContext, node: ast.expr) -> bool:
    """Return True if an expression holds a generator that is opened or can be."""
    generator = static_value(context, node)
    return type(generator) is Generator and (
        context.suspended.find(generator) is not None or _stored_target(context, node) is not None
    )


def _parameter(node: ast.expr, target: Target, name: str) -> ast.expr:
    """Return the expression of a parameter's value in a generator that has not begun."""
    key = ".0" if target.function.__code__.co_name == "<genexpr>" else name
    values = ast.Attribute(ast.Attribute(node, "gi_frame", ast.Load()), "f_locals", ast.Load())
    return ast.Subscript(values, ast.Constant(key), ast.Load())


def _stored_target(context: DriveContext, node: ast.expr) -> Target | None:
    """Return the function of a generator that has not begun; None where its body can't be opened."""
    generator = static_value(context, node)
    if type(generator) is not Generator or context.budget.is_full or not context.opening.opens_generators():
        return None
    code, held = generator.gi_code, generator.gi_frame
    # what the function around rebinds shows in the object's cells, and in no variable of the session
    if held is None or not has_not_begun(generator) or code.co_freevars or not context.opening.is_certain:
        return None
    function = types.FunctionType(code, held.f_globals, code.co_name)
    first = held.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
    owner = next((base for base in class_mro(type(first)) if _holds(base, code)), None)
    target = target_of_function(context, ast.Call(node, [], []), function, owner, generator=True)
    return None if target is None or has_guarded_yield(target.definition) else target


def _holds(cls: type, code: types.CodeType) -> bool:
    """Return True if a class has a function with this code."""
    member = class_member(cls, code.co_name)
    return isinstance(member, types.FunctionType) and member.__code__ is code


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A call that resumes a generator.

    Attributes:
        generator: the expression of the generator.
        method: ``send`` (``next`` as well), ``throw`` or ``close``.
        argument: what is sent or thrown.
        has_default: the call gives a value of its own where the generator has ended.
    """

    generator: ast.expr
    method: str
    argument: ast.expr | None = None
    has_default: bool = False

    def __post_init__(self) -> None:
        if self.method not in ("send", "throw", "close"):
            raise ValueError(f"expected send, throw or close, got method={self.method!r}; next sends nothing")


def resumption_of(context: DriveContext, call: ast.Call) -> Resumption | None:
    """Return the resumption that a call is now; None where it is another call, or the generator stays closed."""
    function, resumption = call.func, None
    if call.keywords or any(isinstance(each, ast.Starred) for each in call.args):
        return None
    if isinstance(function, ast.Name):
        if context.variables.peek(function) is next and len(call.args) in (1, 2):
            resumption = Resumption(generator=call.args[0], method="send", has_default=len(call.args) == 2)
    elif isinstance(function, ast.Attribute) and (function.attr, len(call.args)) in _METHODS:
        method = "send" if function.attr == "__next__" else function.attr
        argument = call.args[0] if call.args else None
        resumption = Resumption(generator=function.value, method=method, argument=argument)
    if resumption is None or type(generator := static_value(context, resumption.generator)) is not Generator:
        return None
    is_opened = context.suspended.find(generator) is not None
    if not is_opened:
        is_next = resumption.argument is None or (
            isinstance(resumption.argument, ast.Constant) and resumption.argument.value is None
        )
        if resumption.method != "send" or not is_next or _stored_target(context, resumption.generator) is None:
            return None
    return resumption


def resume(context: DriveContext, resumption: Resumption, frame: Frame) -> ast.expr | None:
    """Resume an opened generator as a call does; return the expression of what it yields.

    Returns:
        None where it ended, or could not be opened. The call itself then does what Python does.

    Raises:
        Raised: the body raised an exception.
    """
    node = resumption.generator
    stored = stored_generator(context, node, frame)
    if stored is None:
        return None
    if resumption.method == "close":
        context.suspended.remove(cast("Generator[object, object, object]", static_value(context, node)))
        stored.end()
        return None
    if resumption.method == "send":
        value = stored.resume(node, frame, resumption.argument or NONE)
    else:
        value = stored.throw(node, frame, _raised(context, resumption.argument, frame))
    returns_none = isinstance(stored.result, ast.Constant) and stored.result.value is None
    if value is None and not returns_none and not resumption.has_default:
        context.emit(f"raise StopIteration({expression(stored.result)})", frame)
    return value


def _raised(context: DriveContext, error: ast.expr | None, frame: Frame) -> Raised:
    """Raise an exception by a command, and return the signal of it."""
    assert error is not None
    try:
        context.emit(f"raise {expression(error)}", frame)
    except Raised as raised:
        return raised
    raise AssertionError("a command that raises has raised nothing")
