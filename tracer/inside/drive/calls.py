"""Followed calls: a call of the repository's own function becomes its body's statements.

Parameters become assignments, locals get session names of their own, the result stands where the call stood.
"""

from __future__ import annotations

import ast

from trace_mine.tracer.inside.drive.arguments import arguments_of
from trace_mine.tracer.inside.drive.bodies import prepare
from trace_mine.tracer.inside.drive.context import Context
from trace_mine.tracer.inside.drive.frames import Body, Frame, Raised, Return
from trace_mine.tracer.inside.drive.targets import Target
from trace_mine.tracer.inside.syntax.names import CannotFlatten
from trace_mine.tracer.inside.syntax.text import expression, operand


def enter_call(context: Context, call: ast.Call, target: Target, frame: Frame) -> tuple[Body, Frame] | None:
    """Emits what a body needs before its first statement; None where the call has to stay a call."""
    try:
        arguments = arguments_of(context, call, target)
        body = prepare(context, call, target, arguments, frame)
    except CannotFlatten as error:
        context.kept.count(str(error))
        return None
    if not context.opening.opens_call(body.bindings, body.statements):
        context.kept.count("hidden")
        context.release(body, None)
        return None
    inner = Frame.of_call(body)
    context.calls.enter(counts_depth=target.counts_depth)
    context.move_to(inner, body.definition.lineno)
    try:
        for source, name in body.bindings:
            context.emit(source, inner, "bind", [name] if name else [], reveal=name is not None)
    except Raised:
        context.calls.never_began(counts_depth=target.counts_depth)
        context.release(body, None)
        raise
    return body, inner


def leave_call(context: Context, body: Body, inner: Frame, target: Target, result: ast.expr | None = None) -> None:
    """The call is over, however it ended; ``result`` is the expression that gives what it returned."""
    name = target.function.__code__.co_name
    context.calls.leave(body, inner, name, counts_depth=target.counts_depth)
    context.release(body, result.id if isinstance(result, ast.Name) else None)


def open_call(context: Context, call: ast.Call, target: Target, frame: Frame) -> ast.expr | None:
    """Runs the called function's body here; gives the expression that holds its result, None where the call has to
    stay a call.
    """
    entered = enter_call(context, call, target, frame)
    if entered is None:
        return None
    body, inner = entered
    result: ast.expr | None = None
    try:
        context.block(body.statements, inner)
        result = ast.Constant(None)
    except Return as signal:
        if signal.frame is not inner:
            raise
        result = signal.result
    finally:
        if body.instance is not None:
            result = ast.Name(body.instance, ast.Load())
        leave_call(context, body, inner, target, result)
    return result


def collect_yielded(context: Context, call: ast.Call, target: Target, frame: Frame) -> ast.expr | None:
    """Runs a generator's body to its end and appends what it yields to a list, whose variable is given; None where the
    call has to stay a call.
    """
    name = context.variables.temporary("yielded")
    entered = enter_call(context, call, target, frame)
    if entered is None:
        return None
    body, inner = entered
    context.emit(f"{name} = []", inner, "bind", [name], reveal=False)

    def append(value: ast.expr | None) -> None:
        context.emit(f"{name}.append({yielded_text(value)})", inner, "returned")

    inner.collect = append
    try:
        context.block(body.statements, inner)
    except Return as signal:
        if signal.frame is not inner:
            raise
    finally:
        leave_call(context, body, inner, target)
    return ast.Name(name, ast.Load())


def yielded_text(value: ast.expr | None) -> str:
    """The text of a yielded expression, as an argument or on the right of ``=``."""
    if value is None:
        return "None"
    return operand(value) if isinstance(value, ast.Tuple) else expression(value)
