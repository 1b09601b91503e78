"""``try``, ``with`` and ``match``.

An exception shows as a traceback after the command that raised it; the handler's statements follow. Where the program
needs the exception object (a name for it, a bare ``raise``, an ``__exit__``), that command is rewritten to bind it.
"""

from __future__ import annotations

import ast
import copy
import sys
from typing import Any

from trace_mine.tracer.inside.drive.driver import Driver, Frame, Handler, Raised, Restart, Return, Signal
from trace_mine.tracer.inside.drive.statements import is_inert
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.names import bound_names, walk_scope
from trace_mine.tracer.inside.syntax.text import bare, expression, unparse

_asks_context = frozenset({"exc_info", "format_exc", "print_exc", "exception", "last_traceback", "_getframe"})


def run_try(driver: Driver, node: ast.Try, frame: Frame) -> None:
    """``try``: the body's statements, then those of the handler that matches, ``else`` and ``finally``."""
    if _is_hidden(driver, node):
        driver.whole(node, frame, "hidden")
        return
    if any(_reads_context(handler) for handler in node.handlers):
        driver.whole(node, frame, "exception_context")
        return
    if not node.finalbody:
        _run_guarded(driver, node, frame)
        return
    try:
        _run_guarded(driver, node, frame)
    except Signal as signal:
        if isinstance(signal, Return) and isinstance(signal.result, ast.Name):
            held = {frame.names.get(name, name) for name in bound_names(node.finalbody)} | bound_names(node.finalbody)
            if signal.result.id in held:  # the value is decided before ``finally`` rebinds the name
                signal.result = driver.hold(signal.result, "returned", frame, "returned", reveal=False)
        driver.block(node.finalbody, frame)
        raise
    driver.block(node.finalbody, frame)


def _is_hidden(driver: Driver, node: ast.stmt) -> bool:
    """Whether a view that hides outcomes keeps the statement whole."""
    return driver.gate is not None and (escapes(node) or not driver.gate.opens_other(ast.unparse(node)))


def _reads_context(node: ast.AST) -> bool:
    return any(
        (isinstance(inner, ast.Attribute) and inner.attr in _asks_context)
        or (isinstance(inner, ast.Name) and inner.id in _asks_context)
        for inner in ast.walk(node)
    )


def _run_guarded(driver: Driver, node: ast.Try, frame: Frame) -> None:
    try:
        driver.block(node.body, frame)
    except Raised as raised:
        for handler in node.handlers:
            if _matches(driver, handler, raised.error, frame):
                _handle(driver, handler, raised, frame)
                return
        raise
    driver.block(node.orelse, frame)


def _matches(driver: Driver, handler: ast.ExceptHandler, error: BaseException, frame: Frame) -> bool:
    if handler.type is None:
        return True
    if any(isinstance(inner, ast.Call) for inner in ast.walk(handler.type)):
        driver.give_up(_statement(handler), frame, "handler_type")
    try:
        kinds = eval(compile(ast.Expression(handler.type), "<handler>", "eval"), driver.session.namespace)
        return isinstance(error, kinds)
    except Exception:
        driver.give_up(_statement(handler), frame, "handler_type")
        raise


def _statement(handler: ast.ExceptHandler) -> ast.stmt:
    return handler.body[0]


def _handle(driver: Driver, handler: ast.ExceptHandler, raised: Raised, frame: Frame) -> None:
    session = driver.session
    name: str | None = None
    if handler.name:
        name = session.guard(raised.index, handler.name)
        if name != handler.name:
            driver.emit(f"{handler.name} = {name}", frame, "bind", [handler.name], reveal=False)
        name = handler.name
    frame.errors.append((raised.error, raised.index, name))
    try:
        driver.block(handler.body, frame)
    except Return as signal:
        if handler.name and isinstance(signal.result, ast.Name) and signal.result.id == handler.name:
            signal.result = driver.hold(signal.result, "returned", frame, "returned", reveal=False)
        _leave_handler(driver, handler, frame)
        raise
    except Signal:
        _leave_handler(driver, handler, frame)
        raise
    _leave_handler(driver, handler, frame)


def _leave_handler(driver: Driver, handler: ast.ExceptHandler, frame: Frame) -> None:
    """The end of a handler, however it is left, unbinds the exception's name."""
    frame.errors.pop()
    if handler.name and handler.name in driver.session.namespace:
        driver.emit(f"del {handler.name}", frame, "bind", reveal=False)
    if handler.name:
        driver.session.forget([handler.name])


def run_with(driver: Driver, node: ast.With, frame: Frame) -> None:
    """``with``: ``__enter__``, the body's statements, ``__exit__``, each a command."""
    if _is_hidden(driver, node):
        driver.whole(node, frame, "hidden")
        return
    if any(isinstance(inner, (ast.Yield, ast.YieldFrom, ast.Await)) for inner in walk_scope(node.body)):
        driver.whole(node, frame, "with_yield")
        return
    driver.stand(frame, node.lineno)
    _run_items(driver, node, list(node.items), frame)


def _run_items(driver: Driver, node: ast.With, items: list[ast.withitem], frame: Frame) -> None:
    if not items:
        driver.block(node.body, frame)
        return
    session = driver.session
    item, rest = items[0], items[1:]
    context = driver.lower(driver, item.context_expr, frame)
    manager = context if is_inert(context) else driver.hold(context, "manager", frame, reveal=False)
    name = expression(manager)
    before = sys.stdout
    if item.optional_vars is None:
        driver.check(session.evaluate(f"{name}.__enter__()", "statement", "safe"), frame)
    else:
        target = bare(item.optional_vars)
        writes = bound_names([ast.Assign([item.optional_vars], ast.Constant(None), lineno=node.lineno)])
        driver.emit(f"{target} = {name}.__enter__()", frame, writes=sorted(writes))
    if sys.stdout is not before:
        # what is shown after this command would go where the program sends its output
        sys.stdout = before
        if frame.function is not None and escapes(node):
            driver.give_up(node, frame, "redirects_output")
        raise Restart([frame.filename, node.lineno, node.col_offset], "redirects_output")
    try:
        _run_items(driver, node, rest, frame)
    except Raised as raised:
        if _leave_raising(driver, name, raised, frame):
            return
    except Signal:
        _leave(driver, name, frame)
        raise
    else:
        _leave(driver, name, frame)


def _leave(driver: Driver, name: str, frame: Frame) -> None:
    driver.check(driver.session.evaluate(f"{name}.__exit__(None, None, None)", "statement", "safe"), frame)


def _leave_raising(driver: Driver, name: str, raised: Raised, frame: Frame) -> bool:
    """Hands the exception to ``__exit__``; True where that swallowed it, otherwise it is raised again by a command."""
    session = driver.session
    error = session.guard(raised.index, driver.temporary("error"))
    command = session.evaluate(f"{name}.__exit__(type({error}), {error}, {error}.__traceback__)", "statement", "safe")
    driver.check(command, frame)
    if session.last_value:
        return True
    driver.emit(f"raise {error}", frame)
    return False


def run_match(driver: Driver, node: ast.Match, frame: Frame) -> None:
    """``match``: one command finds the case and binds its names, then the case's statements run."""
    if _is_hidden(driver, node):
        driver.whole(node, frame, "hidden")
        return
    driver.stand(frame, node.lineno)
    session = driver.session
    lowered = driver.lower(driver, node.subject, frame)
    subject = lowered if is_inert(lowered) else driver.hold(lowered, "subject", frame)
    chosen = driver.temporary("case")
    cases: list[Any] = []
    for number, case in enumerate(node.cases):
        taken = ast.Assign([ast.Name(chosen, ast.Store())], ast.Constant(number), lineno=case.pattern.lineno)
        cases.append(ast.match_case(copy.deepcopy(case.pattern), copy.deepcopy(case.guard), [taken]))
    session.namespace[chosen] = None
    matcher = ast.copy_location(ast.Match(subject, cases), node)
    writes = sorted(bound_names([matcher]) - {chosen})
    driver.emit(f"{chosen} = None", frame, "bind", reveal=False)
    driver.emit(unparse(matcher), frame, "condition", writes)
    number = session.namespace[chosen]
    driver.check(session.evaluate(chosen, "condition", "safe"), frame)
    if number is not None:
        driver.block(node.cases[number].body, frame)


HANDLERS: dict[type[ast.stmt], Handler] = {ast.Try: run_try, ast.With: run_with, ast.Match: run_match}
