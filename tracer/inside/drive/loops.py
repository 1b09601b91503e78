"""Loops, unrolled: ``while`` and ``for``. Past the session's budget the remaining iterations are one command."""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.context import Context, Handler
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Signal
from trace_mine.tracer.inside.drive.generators import open_generator
from trace_mine.tracer.inside.drive.items import items_of
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import bare, muted, unparse
from trace_mine.tracer.inside.views.opening import Loop

HARD_FACTOR = 3
"""A loop that cannot be cut, since a ``return`` stands in it, may overrun the budget this many times before its
function is kept.
"""


def run_while(context: Context, node: ast.While, frame: Frame) -> None:
    """``while``: the test is a command before every iteration, unless it is a constant."""
    is_constant = isinstance(node.test, ast.Constant)
    if isinstance(node.test, ast.Constant) and not node.test.value:
        context.block(node.orelse, frame)
        return
    if not context.opening.opens_loop(node):
        context.keep_as_one_command(node, frame, "hidden")
        return
    test, num_done = context.text(node.test, frame), 0
    while True:
        reason = _reason_to_stop(context, node, frame, test, num_done)
        if reason is not None:
            _emit_rest(context, node, frame, reason)
            return
        num_done += 1
        if not is_constant:
            context.begin_statement(frame, node.lineno)
            if not context.condition(context.lower(node.test, frame), frame):
                break
        if not _run_iteration(context, node, frame):
            return
    context.block(node.orelse, frame)


def run_for(context: Context, node: ast.For, frame: Frame) -> None:
    """``for``: each value is assigned by a command, then the body's statements run."""
    context.move_to(frame, node.lineno)
    if open_generator(context, node, frame):
        return
    if not context.opening.opens_loop(node):
        context.keep_as_one_command(node, frame, "hidden")
        return
    items = items_of(context, node, frame)
    target = bare(node.target)
    writes = sorted(bound_names([ast.Assign([node.target], ast.Constant(None), lineno=node.lineno)]))
    num_done = 0
    while True:
        reason = _reason_to_stop(context, node, frame, items.assignment(target, num_done), num_done)
        if reason is not None:
            rest = copy.copy(node)
            rest.iter = ast.parse(items.rest(num_done), mode="eval").body
            _emit_rest(context, rest, frame, reason)
            return
        context.move_to(frame, node.lineno)
        if not items.assign(context, target, num_done, writes, frame):
            break
        num_done += 1
        try:
            goes_on = _run_iteration(context, node, frame)
        except Signal:
            items.close(context, frame)
            raise
        if not goes_on:
            items.close(context, frame)
            return
    context.block(node.orelse, frame)


def _run_iteration(context: Context, node: Loop, frame: Frame) -> bool:
    """Runs the loop's body; False where ``break`` ended the loop."""
    try:
        context.block(node.body, frame)
    except Break as signal:
        if signal.frame is not frame:
            raise
        return False
    except Continue as signal:
        if signal.frame is not frame:
            raise
    return True


def _reason_to_stop(context: Context, node: Loop, frame: Frame, step: str, num_done: int) -> str | None:
    """Why no further iteration is opened, None where one is; ``step`` would begin it.

    The first iteration was asked for with the loop.

    Raises:
        Restart: the loop has too many iterations, and cannot be a command.
    """
    if num_done and not context.opening.opens_iteration(node, step):
        return "hidden"
    is_endless = False
    if not context.budget.is_full:
        is_endless = context.budget.count_iteration()
    elif not escapes(node):
        return "budget"
    if is_endless or context.budget.is_overrun(HARD_FACTOR):
        context.give_up(node, frame, "budget")
    return None


def _emit_rest(context: Context, node: Loop, frame: Frame, reason: str) -> None:
    """Emits the remaining iterations as one command."""
    if escapes(node):
        context.give_up(node, frame, reason)
    context.kept.count(reason)
    frame.log_gap(node)
    rest: ast.stmt = node
    if frame.is_call or not context.rules.at_prompt:
        rest = muted(node, context.writer.spare)
    context.emit(unparse(rest), frame, writes=sorted(bound_names([rest])))


HANDLERS: dict[type[ast.stmt], Handler] = {ast.While: run_while, ast.For: run_for}
