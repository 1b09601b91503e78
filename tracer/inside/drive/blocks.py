"""``try``, ``with`` and ``match``.

An exception shows as a traceback after the command that raised it; the handler's statements follow. Where the program
needs the exception object (a name for it, a bare ``raise``, an ``__exit__``), that command is rewritten to bind it.
"""

from __future__ import annotations

import ast
import copy
import sys
from typing import Any

from trace_mine.tracer.inside.drive.context import Context, Handler
from trace_mine.tracer.inside.drive.frames import Frame, Handled, Raised, Restart, Return, Signal
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.names import bound_names, walk_scope
from trace_mine.tracer.inside.syntax.text import bare, expression, is_inert, unparse

_ASKS_CONTEXT = frozenset({"exc_info", "format_exc", "print_exc", "exception", "last_traceback", "_getframe"})
"""Names that read the exception being handled: when a handler is opened, no exception is."""


def run_try(context: Context, node: ast.Try, frame: Frame) -> None:
    """``try``: the body's statements, then those of the handler that matches, ``else`` and ``finally``."""
    if not context.opening.opens_block(node):
        context.keep_as_one_command(node, frame, "hidden")
        return
    if any(_reads_context(handler) for handler in node.handlers):
        context.keep_as_one_command(node, frame, "exception_context")
        return
    if not node.finalbody:
        _run_guarded(context, node, frame)
        return
    try:
        _run_guarded(context, node, frame)
    except Signal as signal:
        if isinstance(signal, Return) and isinstance(signal.result, ast.Name):
            held = {frame.names.get(name, name) for name in bound_names(node.finalbody)} | bound_names(node.finalbody)
            if signal.result.id in held:  # the value is decided before ``finally`` rebinds the name
                signal.result = context.hold(signal.result, "returned", frame, "returned", reveal=False)
        context.block(node.finalbody, frame)
        raise
    context.block(node.finalbody, frame)


def _reads_context(node: ast.AST) -> bool:
    return any(
        (isinstance(inner, ast.Attribute) and inner.attr in _ASKS_CONTEXT)
        or (isinstance(inner, ast.Name) and inner.id in _ASKS_CONTEXT)
        for inner in ast.walk(node)
    )


def _run_guarded(context: Context, node: ast.Try, frame: Frame) -> None:
    try:
        context.block(node.body, frame)
    except Raised as raised:
        for handler in node.handlers:
            if _matches(context, handler, raised.error, frame):
                _handle(context, handler, raised, frame)
                return
        raise
    context.block(node.orelse, frame)


def _matches(context: Context, handler: ast.ExceptHandler, error: BaseException, frame: Frame) -> bool:
    if handler.type is None:
        return True
    if any(isinstance(inner, ast.Call) for inner in ast.walk(handler.type)):
        context.give_up(_statement(handler), frame, "handler_type")
    try:
        kinds = eval(compile(ast.Expression(handler.type), "<handler>", "eval"), context.variables.namespace)
        return isinstance(error, kinds)
    except Exception:
        context.give_up(_statement(handler), frame, "handler_type")


def _statement(handler: ast.ExceptHandler) -> ast.stmt:
    return handler.body[0]


def _handle(context: Context, handler: ast.ExceptHandler, raised: Raised, frame: Frame) -> None:
    if handler.name:
        name = context.writer.guard(raised.index, handler.name)
        if name != handler.name:
            context.emit(f"{handler.name} = {name}", frame, "bind", [handler.name], reveal=False)
    frame.handled.append(Handled(error=raised.error, index=raised.index, name=handler.name))
    try:
        context.block(handler.body, frame)
    except Return as signal:
        if handler.name and isinstance(signal.result, ast.Name) and signal.result.id == handler.name:
            signal.result = context.hold(signal.result, "returned", frame, "returned", reveal=False)
        _leave_handler(context, handler, frame)
        raise
    except Signal:
        _leave_handler(context, handler, frame)
        raise
    _leave_handler(context, handler, frame)


def _leave_handler(context: Context, handler: ast.ExceptHandler, frame: Frame) -> None:
    """The end of a handler, however it is left, unbinds the exception's name."""
    frame.handled.pop()
    if handler.name and handler.name in context.variables.namespace:
        context.emit(f"del {handler.name}", frame, "bind", reveal=False)
    if handler.name:
        context.writer.forget([handler.name])


def run_with(context: Context, node: ast.With, frame: Frame) -> None:
    """``with``: ``__enter__``, the body's statements, ``__exit__``, each a command."""
    if not context.opening.opens_block(node):
        context.keep_as_one_command(node, frame, "hidden")
        return
    if any(isinstance(inner, (ast.Yield, ast.YieldFrom, ast.Await)) for inner in walk_scope(node.body)):
        context.keep_as_one_command(node, frame, "with_yield")
        return
    context.begin_statement(frame, node.lineno)
    _run_items(context, node, list(node.items), frame)


def _run_items(context: Context, node: ast.With, items: list[ast.withitem], frame: Frame) -> None:
    if not items:
        context.block(node.body, frame)
        return
    item, rest = items[0], items[1:]
    lowered = context.lower(item.context_expr, frame)
    manager = lowered if is_inert(lowered) else context.hold(lowered, "manager", frame, reveal=False)
    name = expression(manager)
    before = sys.stdout
    if item.optional_vars is None:
        context.evaluate(f"{name}.__enter__()", frame)
    else:
        target = bare(item.optional_vars)
        writes = bound_names([ast.Assign([item.optional_vars], ast.Constant(None), lineno=node.lineno)])
        context.emit(f"{target} = {name}.__enter__()", frame, writes=sorted(writes))
    if sys.stdout is not before:
        # what is shown after this command would go where the program sends its output
        sys.stdout = before
        if frame.function is not None and escapes(node):
            context.give_up(node, frame, "redirects_output")
        raise Restart([frame.filename, node.lineno, node.col_offset], "redirects_output")
    try:
        _run_items(context, node, rest, frame)
    except Raised as raised:
        if _leave_raising(context, name, raised, frame):
            return
    except Signal:
        _leave(context, name, frame)
        raise
    else:
        _leave(context, name, frame)


def _leave(context: Context, name: str, frame: Frame) -> None:
    context.evaluate(f"{name}.__exit__(None, None, None)", frame)


def _leave_raising(context: Context, name: str, raised: Raised, frame: Frame) -> bool:
    """Hands the exception to ``__exit__``; True where that swallowed it, otherwise it is raised again by a command."""
    error = context.writer.guard(raised.index, context.variables.temporary("error"))
    if context.evaluate(f"{name}.__exit__(type({error}), {error}, {error}.__traceback__)", frame):
        return True
    context.emit(f"raise {error}", frame)
    return False


def run_match(context: Context, node: ast.Match, frame: Frame) -> None:
    """``match``: one command finds the case and binds its names, then the case's statements run."""
    if not context.opening.opens_block(node):
        context.keep_as_one_command(node, frame, "hidden")
        return
    context.begin_statement(frame, node.lineno)
    lowered = context.lower(node.subject, frame)
    subject = lowered if is_inert(lowered) else context.hold(lowered, "subject", frame)
    chosen = context.variables.temporary("case")
    cases: list[Any] = []
    for number, case in enumerate(node.cases):
        taken = ast.Assign([ast.Name(chosen, ast.Store())], ast.Constant(number), lineno=case.pattern.lineno)
        cases.append(ast.match_case(copy.deepcopy(case.pattern), copy.deepcopy(case.guard), [taken]))
    context.variables.namespace[chosen] = None
    matcher = ast.copy_location(ast.Match(subject, cases), node)
    writes = sorted(bound_names([matcher]) - {chosen})
    context.emit(f"{chosen} = None", frame, "bind", reveal=False)
    context.emit(unparse(matcher), frame, "condition", writes)
    number = context.variables.namespace[chosen]
    context.evaluate(chosen, frame, "condition")
    if number is not None:
        context.block(node.cases[number].body, frame)


HANDLERS: dict[type[ast.stmt], Handler] = {ast.Try: run_try, ast.With: run_with, ast.Match: run_match}
