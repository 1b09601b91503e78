"""Handlers of ``while`` and ``for``: loops are unrolled, iteration by iteration.

Once the session has as many commands as it may have, the remaining iterations are one command: a loop that goes on
where the session stands. A loop with a ``return`` in it has no such command, so its function is kept instead.
"""

from __future__ import annotations

import ast
import copy

from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Signal
from trace_mine.tracer.inside.drive.generators import open_generator
from trace_mine.tracer.inside.drive.implicit import makes_instance
from trace_mine.tracer.inside.drive.items import items_of
from trace_mine.tracer.inside.drive.lowering import decide
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import muted, unparse, without_brackets
from trace_mine.tracer.inside.views.opening import Loop

HARD_FACTOR = 3
"""The multiple of the budget's commands at which a loop with a ``return`` in it ends, and its function is kept.

Such a loop cannot be cut. A little patience keeps searches that are about to return; without a limit an endless one
would run into the time limit, and the snippet would have no session.
"""


def run_while(context: DriveContext, node: ast.While, frame: Frame) -> None:
    """Run ``while``: its test is a command before every iteration, unless it is a constant.

    Raises:
        Restart: see ``_reason_to_stop``.
    """
    is_constant = isinstance(node.test, ast.Constant)
    if isinstance(node.test, ast.Constant) and not node.test.value:
        context.block(node.orelse, frame)  # ``while 0:`` compiles to its ``else`` alone
        return
    if not context.opening.opens_loop(node):
        context.keep_as_one_command(node, frame, Reason.HIDDEN)
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
            if not decide(context, node.test, frame):
                break
        if not _run_iteration(context, node, frame):
            return
    context.block(node.orelse, frame)


def run_for(context: DriveContext, node: ast.For, frame: Frame) -> None:
    """Run ``for``: each value is assigned by a command, then the body's statements run.

    ``items`` decides which command gives the next value; a loop over a generator of the repository's own, whose body
    can be opened, is another walk (``generators``).

    Raises:
        Restart: see ``_reason_to_stop``.
    """
    context.move_to(frame, node.lineno)
    if open_generator(context, node, frame):
        return
    if not context.opening.opens_loop(node):
        context.keep_as_one_command(node, frame, Reason.HIDDEN)
        return
    held = _with_instance(context, node, frame)
    if held is not node and open_generator(context, held, frame):
        return
    items = items_of(context, held, frame)
    target = without_brackets(node.target)
    # the names that the target binds: those of an assignment of anything to it
    writes = sorted(bound_names([ast.Assign([node.target], ast.Constant(None), lineno=node.lineno)]))
    num_done = 0
    while True:
        reason = _reason_to_stop(context, node, frame, items.assignment(target, num_done), num_done)
        if reason is not None:
            # the same loop over what is left of the values
            rest = copy.copy(node)
            rest.iter = ast.parse(items.rest(num_done), mode="eval").body
            _emit_rest(context, rest, frame, reason)
            return
        context.move_to(frame, node.lineno)
        if not items.assign(context, target, num_done, writes, frame):
            break
        num_done += 1
        # a loop that is left early lets go of its iterator at once: a generator's ``finally`` runs then, not later
        try:
            goes_on = _run_iteration(context, node, frame)
        except Signal:
            items.close(context, frame)
            raise
        if not goes_on:
            items.close(context, frame)
            return
    context.block(node.orelse, frame)


def _with_instance(context: DriveContext, node: ast.For, frame: Frame) -> ast.For:
    """Return the loop over a variable where it is over an instance that a call makes, whose ``__iter__`` may be opened.

    The loop itself where it is over anything else.
    """
    if context.budget.is_full or not makes_instance(context, node.iter, "__iter__"):
        return node
    made = context.lower(node.iter, frame)
    held = copy.copy(node)
    held.iter = made if isinstance(made, ast.Name) else context.assign_temporary(made, "items", frame, "iterate")
    return held


def _run_iteration(context: DriveContext, node: Loop, frame: Frame) -> bool:
    """Run the loop's body; return False where ``break`` ended the loop."""
    try:
        context.block(node.body, frame)
    except Break as signal:
        if signal.frame is not frame:
            raise  # of a loop over a generator, in whose body this loop stands
        return False
    except Continue as signal:
        if signal.frame is not frame:
            raise
    return True


def _reason_to_stop(context: DriveContext, node: Loop, frame: Frame, step: str, num_done: int) -> Reason | None:
    """Return the reason for which no further iteration is opened, None where one is.

    Args:
        step: the command that would begin the iteration, see ``Opening.opens_iteration``.
        num_done: the number of iterations so far; the first one was asked for with the loop.

    Raises:
        Restart: the loop has too many iterations, and cannot be a command.
    """
    if num_done and not context.opening.opens_iteration(node, step):
        return Reason.HIDDEN
    is_endless = False
    if not context.budget.is_full:
        is_endless = context.budget.count_iteration()
    elif not escapes(node):
        return Reason.BUDGET
    if is_endless or context.budget.is_overrun(HARD_FACTOR):
        context.give_up(node, frame, Reason.BUDGET)
    return None


def _emit_rest(context: DriveContext, node: Loop, frame: Frame, reason: Reason) -> None:
    """Emit the remaining iterations as one command.

    Raises:
        Restart: control may leave the loop by ``return`` or ``break``.
    """
    if escapes(node):
        context.give_up(node, frame, reason)
    context.kept.count(reason)
    frame.log_gap(node)
    rest: ast.stmt = node
    if frame.is_call or not context.rules.at_prompt:
        # the prompt would echo expression statements in the loop, which the program's own run does not
        rest = muted(node, context.writer.spare)
    context.emit(unparse(rest), frame, writes=sorted(bound_names([rest])))


HANDLERS: dict[type[ast.stmt], Handler] = {ast.While: run_while, ast.For: run_for}
