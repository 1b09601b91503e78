"""Followed calls: a call of the repository's own function becomes its body's statements.

Parameters become assignments, locals get session names of their own, and an expression for the result takes the place
of the call. ``def f(n): return n + 1`` and ``y = f(4)`` give::

    >>> n = 4
    >>> returned_1 = n + 1
    >>> del n
    >>> y = returned_1
"""

from __future__ import annotations

import ast
import sys

from trace_mine.tracer.inside.drive.arguments import Argument, arguments_of
from trace_mine.tracer.inside.drive.bodies import prepare
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Body, Frame, Raised, Restart, Return, Signal
from trace_mine.tracer.inside.drive.shown_functions import show_function
from trace_mine.tracer.inside.drive.targets import Target
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.program import OutputFull
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.nameless import origin_of
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.text import expression, operand, unparse


def enter_call(
    context: DriveContext,
    call: ast.Call,
    target: Target,
    frame: Frame,
    arguments: list[Argument] | None = None,
) -> tuple[Body, Frame] | None:
    """Emit the commands that a body needs before its first statement: imports of its globals, and its parameters.

    ``arguments``: each parameter with its expression, where it is not the call that has them.

    The caller runs ``body.statements`` in the frame and ends with ``leave_call``, whatever happens.

    Returns:
        The body and the frame of the call; None where the call has to stay a call, which is counted.

    Raises:
        Raised: an argument raised an exception. The call did not begin.
    """
    # the class without its parameters makes the instance
    spelt = call
    if target.instance is not None and target.bound is not None and target.bound is not call.func:
        spelt = ast.Call(target.bound, call.args, call.keywords)
    try:
        if arguments is None:
            arguments = arguments_of(context, spelt, target)
        body = prepare(context, spelt, target, arguments, frame)
    except CannotOpen as error:
        _refuse(context, target, error.reason)
        return None
    if not context.opening.opens_call(body.bindings, body.statements):
        _refuse(context, target, Reason.HIDDEN)
        context.writer.free([name for local, name in body.names.items() if local not in body.shared])
        context.writer.free(body.cells)
        return None
    show_function(context, target, body)
    inner, position = Frame.of_call(body), context.position
    inner.call = context.begin_call(body, call, frame)
    inner.num_temporaries, inner.entered_in = len(context.variables.temporaries), sys.exception()
    place = Place(path=body.filename, line=body.first_line)
    context.owners.update((name, (local, place)) for local, name in body.names.items() if local not in body.shared)
    context.calls.enter(counts_depth=target.counts_depth)
    context.move_to(inner, body.definition.lineno)
    outer = context.writer.places.enter(body.filename, body.first_line, None)
    try:
        for source, name in body.bindings:
            value = body.values.get(name or "") if inner.filename == frame.filename else None
            origin = None if name is None or value is None else origin_of(name, value)
            context.emit(source, inner, "bind", [name] if name else [], reveal=name is not None, origin=origin)
    except Raised:
        context.calls.never_began(counts_depth=target.counts_depth)
        context.end_call_that_never_began(inner)
        context.writer.places.leave(outer)
        context.variables.temporaries += context.owned_by(body, inner)
        context.return_to(position)
        raise
    return body, inner


def _refuse(context: DriveContext, target: Target, reason: Reason) -> None:
    """Count a call that stays a call."""
    code = target.function.__code__
    context.kept.count(reason)
    context.calls.refuse(context.writer.sources.home(code), code.co_name, reason, for_all=False)


def leave_call(context: DriveContext, body: Body, inner: Frame, target: Target, result: ast.expr | None = None) -> None:
    """End a call, however it was left; to be called in a ``finally``.

    A call that returned ends its variables. An exception that leaves it holds its frame, so they live until the
    statement is done that handles the exception.

    Args:
        context: the session.
        body, inner, target: as ``enter_call`` gave and took them.
        result: the expression that gives the returned value.
    """
    left_by = sys.exception()
    if left_by is inner.entered_in or not isinstance(left_by, (Signal, Restart, OutputFull)):
        left_by = None  # an exception of the program's that is being handled, or none
    name = target.function.__code__.co_name
    if left_by is None or isinstance(left_by, Signal):
        for variable, current in body.same.items():
            if context.variables.namespace.get(variable, missing) is not current():
                # code that this call ran rebound what the session's variable stands for
                raise Restart(Place(path=body.filename, line=body.first_line), Reason.REBOUND)
    if left_by is None:
        context.release(body, inner, result.id if isinstance(result, ast.Name) else None)
    elif isinstance(left_by, Raised):
        context.variables.temporaries += context.owned_by(body, inner)
    elif isinstance(left_by, Signal):
        # of a generator's consumer: its temporary variables are still needed
        context.unbind(context.owned_by(body, inner), inner)
    context.writer.places.leave_innermost()
    context.calls.leave(body, inner, name, counts_depth=target.counts_depth)


def open_call(context: DriveContext, call: ast.Call, target: Target, frame: Frame) -> ast.expr | None:
    """Run the called function's body in place of the call.

    Returns:
        The expression that holds its result; None where the call has to stay a call.

    Raises:
        Raised: the body raised an exception.
    """
    position = context.position
    entered = enter_call(context, call, target, frame)
    if entered is None:
        return None
    body, inner = entered
    result: ast.expr | None = None
    try:
        context.block(body.statements, inner)
        result = ast.Constant(None)  # the end of the body is ``return None``
    except Return as signal:
        result = signal.result
    finally:
        # a call of a class gives the instance, whatever ``__init__`` returns
        if body.instance is not None:
            result = ast.Name(body.instance, ast.Load())
        leave_call(context, body, inner, target, result)
        # where an exception left it, too: what handles that is no part of the call
        context.return_to(position)
    if target.alias is not None and body.instance is not None:
        context.emit(f"{body.instance}.__orig_class__ = {unparse(target.alias)}", frame, reveal=False)
    return result


def yielded_text(value: ast.expr) -> str:
    """Return the text of a yielded expression as an argument or a right side."""
    return operand(value) if isinstance(value, ast.Tuple) else expression(value)
