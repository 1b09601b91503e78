"""Statements without control flow of their own, and ``if``."""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.context import Context, Handler
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Return
from trace_mine.tracer.inside.drive.variables import missing
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression, is_inert


def run_expression(context: Context, node: ast.Expr, frame: Frame) -> None:
    """A call or value for its own sake; at a program's own prompt its echo belongs to the program."""
    at_prompt = context.rules.at_prompt and not frame.is_call
    value = node.value
    if isinstance(value, ast.Constant) and not at_prompt:
        return
    if isinstance(value, (ast.Yield, ast.YieldFrom)):
        run_yield(context, node, value, frame)
        return
    if isinstance(value, ast.Await):
        context.give_up(node, frame, "await")
    context.begin_statement(frame, node.lineno)
    lowered = context.lower(value, frame)
    if lowered is value:
        source = context.author_text(node, frame) or context.text(value, frame)
        context.evaluate(source, frame, echo="native" if at_prompt else "safe")
    elif is_inert(lowered):
        _echo_result(context, lowered, frame, at_prompt)
    else:
        context.evaluate(context.text(lowered, frame), frame, echo="native" if at_prompt else "safe")


def _echo_result(context: Context, result: ast.expr, frame: Frame, at_prompt: bool) -> None:
    """Shows what an opened call returned, where a prompt would echo it."""
    value = context.variables.peek(result)
    if not at_prompt or value is None or value is missing:
        return
    context.writer.take_back_reveal(expression(result))
    context.evaluate(context.text(result, frame), frame, echo="native")


def run_yield(context: Context, node: ast.stmt, value: ast.Yield | ast.YieldFrom, frame: Frame) -> None:
    """A ``yield`` of a generator whose body is opened: its consumer runs here. ``yield from`` is a loop of yields."""
    if frame.collect is None:
        context.give_up(node, frame, "yield")
    context.begin_statement(frame, node.lineno)
    if isinstance(value, ast.Yield):
        frame.collect(None if value.value is None else context.lower(value.value, frame))
        return
    name = context.variables.temporary("item")
    loop = ast.For(
        target=ast.Name(name, ast.Store()),
        iter=value.value,
        body=[ast.Expr(ast.Yield(ast.Name(name, ast.Load())))],
        orelse=[],
    )
    for inner in ast.walk(ast.copy_location(loop, node)):
        if isinstance(inner, (ast.expr, ast.stmt)):
            ast.copy_location(inner, node)
    frame.log_gap(node)
    context.block([loop], frame)


def run_assign(context: Context, node: ast.Assign, frame: Frame) -> None:
    """``a = b = value``; the value is evaluated before the targets, so calls in it may be opened."""
    context.begin_statement(frame, node.lineno)
    lowered = context.lower(node.value, frame)
    _emit_changed(context, node, "value", lowered, frame)


def run_augmented(context: Context, node: ast.AugAssign, frame: Frame) -> None:
    """``x += value``; an attribute or item is read before the value is evaluated, so only a plain name is opened."""
    context.begin_statement(frame, node.lineno)
    lowered = context.lower(node.value, frame) if isinstance(node.target, ast.Name) else node.value
    _emit_changed(context, node, "value", lowered, frame)


def run_annotated(context: Context, node: ast.AnnAssign, frame: Frame) -> None:
    """``x: int = value``; a function evaluates no annotation of its variables, so there it is a plain assignment."""
    if not frame.is_call:
        context.begin_statement(frame, node.lineno)
        _emit_changed(context, node, "value", node.value, frame)
    elif node.value is not None:
        run_assign(context, ast.copy_location(ast.Assign([node.target], node.value), node), frame)


def _emit_changed(context: Context, node: ast.stmt, field: str, lowered: ast.expr | None, frame: Frame) -> None:
    if lowered is getattr(node, field):
        context.emit(context.source(node, frame), frame, writes=context.writes(node), origin=node)
        return
    changed = copy.copy(node)
    setattr(changed, field, lowered)
    context.emit(context.source(changed, frame, rewritten=True), frame, writes=sorted(bound_names([node])))


def run_plain(context: Context, node: ast.stmt, frame: Frame) -> None:
    """Statements that are their own command: ``assert``, ``del``, definitions."""
    context.begin_statement(frame, node.lineno)
    context.emit(context.source(node, frame), frame, writes=context.writes(node), origin=node)


def run_assert(context: Context, node: ast.Assert, frame: Frame) -> None:
    """``assert``; calls in its test may be opened, its message is evaluated only when it fails."""
    context.begin_statement(frame, node.lineno)
    _emit_changed(context, node, "test", context.lower(node.test, frame), frame)


def run_import_from(context: Context, node: ast.ImportFrom, frame: Frame) -> None:
    """``from ... import``; a relative one of a followed call is spelt in full, since the session has another home."""
    if node.level and frame.is_call:
        package = frame.package.split(".")
        if not frame.package or node.level > len(package):
            context.give_up(node, frame, "relative_import")
        base = package[: len(package) - node.level + 1]
        node = ast.copy_location(
            ast.ImportFrom(".".join([*base, *([node.module] if node.module else [])]), node.names, 0), node
        )
    run_plain(context, node, frame)


def run_return(context: Context, node: ast.Return, frame: Frame) -> None:
    """``return``: a name or constant is passed on as it is, anything else through a variable of its own."""
    context.begin_statement(frame, node.lineno)
    if node.value is None:
        raise Return(frame, ast.Constant(None))
    lowered = context.lower(node.value, frame)
    # not a local that a closure may rebind before the caller reads it
    can_be_passed_on = isinstance(lowered, ast.Constant) or (
        isinstance(lowered, ast.Name)
        and (context.variables.is_temporary(lowered.id) or (lowered.id in frame.names.values() and not frame.captures))
    )
    raise Return(frame, lowered if can_be_passed_on else context.hold(lowered, "returned", frame, "returned"))


def run_raise(context: Context, node: ast.Raise, frame: Frame) -> None:
    """``raise``; a bare one raises the exception being handled, bound to a name for it."""
    context.begin_statement(frame, node.lineno)
    if node.exc is None:
        if not frame.handled:
            context.give_up(node, frame, "bare_raise")
        handled = frame.handled[-1]
        if handled.name is None:
            handled.name = context.writer.guard(handled.index, context.variables.temporary("error"))
        context.emit(f"raise {handled.name}", frame)
        return
    context.emit(context.source(node, frame), frame)


def run_nothing(context: Context, node: ast.stmt, frame: Frame) -> None:
    """``pass``; ``global`` and ``nonlocal`` of a followed call, since all variables are the session's own."""
    if not frame.is_call and isinstance(node, ast.Global):
        run_plain(context, node, frame)


def run_break(context: Context, node: ast.Break, frame: Frame) -> None:
    """Ends the innermost loop of this frame."""
    raise Break(frame)


def run_continue(context: Context, node: ast.Continue, frame: Frame) -> None:
    """Ends the iteration of the innermost loop of this frame."""
    raise Continue(frame)


def run_if(context: Context, node: ast.If, frame: Frame) -> None:
    """``if``: the test is a command, then the statements of the taken branch."""
    if isinstance(node.test, ast.Constant):
        taken = bool(node.test.value)
    elif not context.opening.opens_test(context.text(node.test, frame)):
        context.keep_as_one_command(node, frame, "hidden")
        return
    else:
        context.begin_statement(frame, node.lineno)
        taken = context.condition(context.lower(node.test, frame), frame)
    context.block(node.body if taken else node.orelse, frame)


HANDLERS: dict[type[ast.stmt], Handler] = {
    ast.Expr: run_expression,
    ast.Assign: run_assign,
    ast.AugAssign: run_augmented,
    ast.AnnAssign: run_annotated,
    ast.Assert: run_assert,
    ast.Delete: run_plain,
    ast.Import: run_plain,
    ast.ImportFrom: run_import_from,
    ast.FunctionDef: run_plain,
    ast.AsyncFunctionDef: run_plain,
    ast.ClassDef: run_plain,
    ast.Return: run_return,
    ast.Raise: run_raise,
    ast.Pass: run_nothing,
    ast.Global: run_nothing,
    ast.Nonlocal: run_nothing,
    ast.Break: run_break,
    ast.Continue: run_continue,
    ast.If: run_if,
}
