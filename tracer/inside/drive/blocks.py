"""Handlers of ``try``, ``with`` and ``match``.

An exception shows as a traceback after the command that raised it; the handler's statements follow, as commands that
run with the exception current (``handling``). Where the program needs the exception object (``except E as error``, a
bare ``raise``, an ``__exit__``), the command that raised is rewritten to bind it (``Writer.guard``). A handler that
shows the frames of the exception is kept as one command with its ``try``: in a session they are others.
"""

from __future__ import annotations

import ast
import copy
import sys
from typing import cast

from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Frame, Handled, Raised, Restart, Return, Signal
from trace_mine.tracer.inside.drive.handling import run_handling
from trace_mine.tracer.inside.drive.implicit import open_special
from trace_mine.tracer.inside.drive.managers import open_managed
from trace_mine.tracer.inside.observe.describe import class_mro
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.names import bound_names, walk_scope
from trace_mine.tracer.inside.syntax.text import expression, is_inert, unparse, without_brackets
from trace_mine.tracer.inside.syntax.walking import walk

_SHOWS_FRAMES = frozenset({"format_exc", "print_exc", "exception", "last_traceback", "_getframe", "__traceback__"})
"""Names that read the frames of the exception being handled."""


def run_try(context: DriveContext, node: ast.Try, frame: Frame) -> None:
    """Run ``try``: the body's statements, then those of the handler that matches, ``else`` and ``finally``."""
    if not context.opening.opens_block(node):
        context.keep_as_one_command(node, frame, Reason.HIDDEN)
        return
    if any(_shows_frames(handler) for handler in node.handlers):
        context.keep_as_one_command(node, frame, Reason.EXCEPTION_CONTEXT)
        return
    with context.writer.catching():
        _run_parts(context, node, frame)


def _run_parts(context: DriveContext, node: ast.Try, frame: Frame) -> None:
    if not node.finalbody:
        _run_guarded(context, node, frame)
        return
    left_by: Signal | None = None
    try:
        _run_guarded(context, node, frame)
    except Signal as signal:
        left_by = signal
    # a ``return`` in ``finally`` raises another signal, and this one is lost
    if isinstance(left_by, Raised):
        handled = Handled(error=left_by.error, index=left_by.index, statement=node, frame=frame)
        raised_by = run_handling(context, handled, frame, lambda: context.block(node.finalbody, frame))
        raise raised_by or left_by
    keep_result(context, node, left_by, frame)
    context.block(node.finalbody, frame)
    if left_by is not None:
        raise left_by


def keep_result(context: DriveContext, node: ast.Try, signal: Signal | None, frame: Frame) -> None:
    """Keep what a ``return`` gives in a variable of its own where ``finally`` rebinds the one that holds it."""
    if isinstance(signal, Return) and isinstance(signal.result, ast.Name):
        bound = bound_names(node.finalbody)
        # the value is decided before ``finally`` rebinds the name (tests/samples/try_kinds.py, ``decided``)
        if signal.result.id in {frame.names.get(name, name) for name in bound} | bound:
            signal.result = context.assign_temporary(signal.result, "returned", frame, "returned", reveal=False)


def _shows_frames(node: ast.AST) -> bool:
    """Return True if a name in the node may read the frames of the exception being handled."""
    return any(
        (isinstance(inner, ast.Attribute) and inner.attr in _SHOWS_FRAMES)
        or (isinstance(inner, ast.Name) and inner.id in _SHOWS_FRAMES)
        for inner in walk(node)
    )


def _run_guarded(context: DriveContext, node: ast.Try, frame: Frame) -> None:
    """Run the body, and the handler that matches or the ``else``."""
    caught: tuple[ast.ExceptHandler, Raised] | None = None
    try:
        context.block(node.body, frame)
    except Raised as raised:
        handler = handler_of(context, node, raised, frame)
        if handler is None:
            raise
        caught = handler, raised
    if caught is None:
        context.block(node.orelse, frame)  # outside the ``try`` above: its exceptions are not the handlers'
    else:
        handle(context, node, *caught, frame)


def handler_of(context: DriveContext, node: ast.Try, raised: Raised, frame: Frame) -> ast.ExceptHandler | None:
    """Return the handler that catches an exception of the body; None where none does."""
    for handler in node.handlers:
        if _matches(context, node, handler, raised.error, frame):
            return handler
    return None


def _matches(
    context: DriveContext, node: ast.Try, handler: ast.ExceptHandler, error: BaseException, frame: Frame
) -> bool:
    """Return True if the handler catches the exception; evaluates the handler's type without a command.

    Raises:
        Restart: the type is given by a call, which no command of the session would run, or its expression raises.
    """
    if handler.type is None:
        return True
    if any(isinstance(inner, ast.Call) for inner in walk(handler.type)):
        context.give_up(node, frame, Reason.HANDLER_TYPE)
    try:
        types = eval(compile(ast.Expression(handler.type), "<handler>", "eval"), context.variables.namespace)
    except Exception:
        context.give_up(node, frame, Reason.HANDLER_TYPE)
    # by ``type``, as ``isinstance`` would ask what the program says for ``__class__``
    caught = [*types] if issubclass(type(types), tuple) else [types]
    # ``except`` asks the bases alone, where ``isinstance`` would ask a metaclass's ``__instancecheck__``
    if not all(issubclass(type(each), type) and _is_below(each, BaseException) for each in caught):
        context.give_up(node, frame, Reason.HANDLER_TYPE)  # a TypeError, raised by the ``except``
    return any(_is_below(type(error), each) for each in caught)


def _is_below(kind: type, base: type) -> bool:
    """Return True if a class has another one among its bases, whatever their metaclasses say."""
    return any(each is base for each in class_mro(kind))


def handle(context: DriveContext, node: ast.Try, handler: ast.ExceptHandler, raised: Raised, frame: Frame) -> None:
    """Run the handler's body, with the exception bound to the handler's name, if it has one."""
    if handler.name:
        name = context.writer.guard(raised.index, handler.name)
        if name != handler.name:
            context.emit(f"{handler.name} = {name}", frame, "bind", [handler.name], reveal=False)
    handled = Handled(error=raised.error, index=raised.index, statement=node, frame=frame, name=handler.name)
    left_by = run_handling(context, handled, frame, lambda: context.block(handler.body, frame))
    del handled
    # the end of the handler unbinds its name, so ``return error`` goes on through another variable
    if isinstance(left_by, Return) and isinstance(left_by.result, ast.Name) and left_by.result.id == handler.name:
        left_by.result = context.assign_temporary(left_by.result, "returned", frame, "returned", reveal=False)
    if handler.name:
        raised.let_go()
        context.writer.let_go(raised.index)
        # by a command, as Python does however a handler is left; the handler itself may have deleted it
        if handler.name in context.variables.namespace:
            context.emit(f"del {handler.name}", frame, "bind", reveal=False)
    if left_by is not None:
        raise left_by


def run_with(context: DriveContext, node: ast.With, frame: Frame) -> None:
    """Run ``with``: ``__enter__``, the body's statements and ``__exit__`` are commands.

    Raises:
        Restart: see ``_run_items``.
    """
    if not context.opening.opens_block(node):
        context.keep_as_one_command(node, frame, Reason.HIDDEN)
        return
    # a generator that is left at such a ``yield`` runs ``__exit__`` when it is closed, at a time that no command shows
    if any(isinstance(inner, (ast.Yield, ast.YieldFrom, ast.Await)) for inner in walk_scope(node.body)):
        context.keep_as_one_command(node, frame, Reason.WITH_YIELD)
        return
    context.begin_statement(frame, node.lineno)
    with context.writer.catching():
        _run_items(context, node, list(node.items), frame)


def _run_items(context: DriveContext, node: ast.With, items: list[ast.withitem], frame: Frame) -> None:
    """Enter the first of the managers, run the others and the body inside it, and leave it.

    Raises:
        Restart: the manager sends the program's output elsewhere, and with it the output of each command.
    """
    if not items:
        context.block(node.body, frame)
        return
    item, rest = items[0], items[1:]
    if open_managed(context, node, item, frame, lambda: _run_items(context, node, rest, frame)):
        return
    lowered = context.lower(item.context_expr, frame)
    # ``__exit__`` is looked up before the body runs, which may bind the name to something else
    stays = is_inert(lowered) and not (
        isinstance(lowered, ast.Name)
        and (lowered.id in bound_names([node]) or context.variables.may_be_rebound(lowered.id))
    )
    manager = lowered if stays else context.assign_temporary(lowered, "manager", frame, reveal=False)
    name = expression(manager)
    stdout = sys.stdout
    entered = open_special(context, frame, "__enter__", manager)
    if item.optional_vars is None:
        if entered is None:
            context.evaluate(f"{name}.__enter__()", frame)
    else:
        value = f"{name}.__enter__()" if entered is None else expression(entered)
        target = without_brackets(item.optional_vars)
        writes = bound_names([ast.Assign([item.optional_vars], ast.Constant(None), lineno=node.lineno)])
        if value != target:  # ``x = x`` would say nothing
            context.emit(f"{target} = {value}", frame, writes=sorted(writes))
    if sys.stdout is not stdout:
        # what is shown after this command would go where the program sends its output
        sys.stdout = stdout
        if frame.function is not None and escapes(node):
            context.give_up(node, frame, Reason.REDIRECTS_OUTPUT)
        # in a followed call, too, the statement alone: the rest of the function can be shown
        place = Place(path=frame.filename, line=node.lineno, column=node.col_offset)
        raise Restart(place, Reason.REDIRECTS_OUTPUT)
    left_by: Signal | None = None
    try:
        _run_items(context, node, rest, frame)
    except Signal as signal:
        left_by = signal
    if isinstance(left_by, Raised):
        _leave_raising(context, node, manager, left_by, frame)
        return
    _leave(context, manager, frame)  # a jump leaves the manager as the body's end does
    if left_by is not None:
        raise left_by


def _leave(context: DriveContext, manager: ast.expr, frame: Frame) -> None:
    """Leave a manager whose body raised nothing."""
    if open_special(context, frame, "__exit__", manager, *[ast.Constant(None)] * 3) is None:
        context.evaluate(f"{expression(manager)}.__exit__(None, None, None)", frame)


def _leave_raising(context: DriveContext, node: ast.With, manager: ast.expr, raised: Raised, frame: Frame) -> None:
    """Hand the exception to ``__exit__``; raise it again by a command, unless that swallowed it."""
    error = context.writer.guard(raised.index, context.variables.temporary("error"))
    arguments = f"{context.writer.builtin('type')}({error}), {error}, {error}.__traceback__"
    spelt = ast.parse(f"f({arguments})", mode="eval").body
    assert isinstance(spelt, ast.Call)
    parts = spelt.args
    is_swallowed = False

    def leave() -> None:
        nonlocal is_swallowed
        swallows = open_special(context, frame, "__exit__", manager, *parts)
        if swallows is None:
            is_swallowed = bool(context.evaluate(f"{expression(manager)}.__exit__({arguments})", frame))
            return
        context.writer.take_back_reveal(expression(swallows))  # the test shows it again
        is_swallowed = context.condition(swallows, frame)

    handled = Handled(error=raised.error, index=raised.index, statement=node, frame=frame, name=error)
    left_by = run_handling(context, handled, frame, leave)
    if left_by is not None:
        raise left_by
    if not is_swallowed:
        try:
            context.emit(f"raise {error}", frame)
        except Raised as again:
            # what was being handled when it was raised first is what it has as its context
            again.first, again.inside = raised.first, raised.inside
            raise
    raised.let_go()
    context.writer.let_go(raised.index)


def run_match(context: DriveContext, node: ast.Match, frame: Frame) -> None:
    """Run ``match``: one command finds the case and binds its names, then the statements of that case run."""
    body = taken_case(context, node, frame)
    if body is not None:
        context.block(body, frame)


def taken_case(context: DriveContext, node: ast.Match, frame: Frame) -> list[ast.stmt] | None:
    """Emit the commands that find the case of a ``match``; return its body.

    None where no case matches, or where the statement was kept as one command.

    The command that finds it is the program's ``match`` with ``case_1 = 0``, ``case_1 = 1`` and so on for bodies:
    patterns bind names, call ``__len__`` and compare, so nothing but a ``match`` does the same.
    """
    if not context.opening.opens_block(node):
        context.keep_as_one_command(node, frame, Reason.HIDDEN)
        return None
    context.begin_statement(frame, node.lineno)
    lowered = context.lower(node.subject, frame)
    subject = lowered if is_inert(lowered) else context.assign_temporary(lowered, "subject", frame)
    variable = context.variables.temporary("case")
    cases: list[ast.match_case] = []
    for number, case in enumerate(node.cases):
        body = ast.Assign([ast.Name(variable, ast.Store())], ast.Constant(number), lineno=case.pattern.lineno)
        # copies, since the statement's own patterns are used again in the loop's next iteration
        cases.append(ast.match_case(copy.deepcopy(case.pattern), copy.deepcopy(case.guard), [body]))
    matcher = ast.copy_location(ast.Match(subject, cases), node)
    writes = sorted(bound_names([matcher]) - {variable})
    context.emit(f"{variable} = None", frame, "bind", reveal=False)  # where no case matches
    context.emit(unparse(matcher), frame, "condition", writes)
    taken = cast("int | None", context.variables.namespace[variable])
    context.writer.take_back_reveal(variable)
    context.evaluate(variable, frame, "condition")
    return None if taken is None else node.cases[taken].body


HANDLERS: dict[type[ast.stmt], Handler] = {ast.Try: run_try, ast.With: run_with, ast.Match: run_match}
