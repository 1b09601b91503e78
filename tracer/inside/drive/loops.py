"""Handlers of ``while`` and ``for``: loops are unrolled, iteration by iteration.

Once the session has as many commands as it may have, the remaining iterations are one command: a loop that goes on
where the session stands. A loop with a ``return`` in it has no such command, so its function is kept instead.
"""

from __future__ import annotations

import ast
import copy
from abc import ABC, abstractmethod
from typing import final

from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Signal
from trace_mine.tracer.inside.drive.items import Items
from trace_mine.tracer.inside.drive.iterables import items_of
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


class Turns(ABC):
    """The turns of one loop that is opened: the commands that begin each of them.

    Attributes:
        is_cut: what is left of the loop became one command, its ``else`` included.
    """

    def __init__(self, context: DriveContext, node: Loop, frame: Frame) -> None:
        self._context = context
        self._frame = frame
        self._num_done = 0
        self.is_cut = False

    @abstractmethod
    def begin(self) -> bool:
        """Begin the next turn; return False where the loop is over.

        Raises:
            Raised: the test, or the iterator, raised an exception.
            Restart: see ``_reason_to_stop``.
        """

    def leave(self) -> None:
        """Emit what Python does where the loop is left before its end."""
        return


@final
class WhileTurns(Turns):
    """The turns of ``while``: its test is a command before each of them, unless it is a constant."""

    def __init__(self, context: DriveContext, node: ast.While, frame: Frame) -> None:
        super().__init__(context, node, frame)
        self._node = node
        self._test = context.text(node.test, frame)

    def begin(self) -> bool:
        context, node, frame = self._context, self._node, self._frame
        is_constant = isinstance(node.test, ast.Constant)
        if isinstance(node.test, ast.Constant) and not node.test.value:
            return False  # ``while 0:`` compiles to its ``else`` alone
        reason = _reason_to_stop(context, node, frame, self._test, self._num_done)
        if reason is not None:
            _emit_rest(context, node, frame, reason)
            self.is_cut = True
            return False
        self._num_done += 1
        if is_constant:
            return True
        context.begin_statement(frame, node.lineno)
        return decide(context, node.test, frame)


@final
class ForTurns(Turns):
    """The turns of ``for``: each value is assigned by a command.

    ``items`` are the values; None: those of the loop's iterable, which is evaluated here.
    """

    def __init__(self, context: DriveContext, node: ast.For, frame: Frame, items: Items | None = None) -> None:
        super().__init__(context, node, frame)
        self._node = node
        self._items = items_of(context, node, frame) if items is None else items
        self._target = without_brackets(node.target)
        # the names that the target binds: those of an assignment of anything to it
        self._writes = sorted(bound_names([ast.Assign([node.target], ast.Constant(None), lineno=node.lineno)]))

    def begin(self) -> bool:
        context, node, frame, items = self._context, self._node, self._frame, self._items
        step = items.assignment(self._target, self._num_done)
        reason = _reason_to_stop(context, node, frame, step, self._num_done, can_be_cut=items.can_be_cut)
        if reason is not None:
            # the same loop over what is left of the values
            rest = copy.copy(node)
            rest.iter = ast.parse(items.rest(self._num_done), mode="eval").body
            _emit_rest(context, rest, frame, reason)
            self.is_cut = True
            return False
        context.move_to(frame, node.lineno)
        if not items.assign(context, self._target, self._num_done, self._writes, frame):
            return False
        self._num_done += 1
        return True

    def leave(self) -> None:
        # a loop that is left early lets go of its iterator at once: a generator's ``finally`` runs then, not later
        self._items.close(self._context, self._frame)


def run_while(context: DriveContext, node: ast.While, frame: Frame) -> None:
    """Run ``while``, turn by turn."""
    if isinstance(node.test, ast.Constant) and not node.test.value:
        context.block(node.orelse, frame)
    elif context.opening.opens_loop(node):
        _run(context, node, frame, WhileTurns(context, node, frame))
    else:
        context.keep_as_one_command(node, frame, Reason.HIDDEN)


def run_for(context: DriveContext, node: ast.For, frame: Frame) -> None:
    """Run ``for``, turn by turn; ``items`` decides which command gives the next value."""
    context.move_to(frame, node.lineno)
    if context.opening.opens_loop(node):
        _run(context, node, frame, ForTurns(context, node, frame))
    else:
        context.keep_as_one_command(node, frame, Reason.HIDDEN)


def _run(context: DriveContext, node: Loop, frame: Frame, turns: Turns) -> None:
    """Run the body at each turn, and ``else`` at the loop's own end."""
    while turns.begin():
        try:
            context.block(node.body, frame)
        except Continue:
            continue
        except Break:
            turns.leave()
            return
        except Signal:
            turns.leave()
            raise
    if not turns.is_cut:
        context.block(node.orelse, frame)


def _reason_to_stop(
    context: DriveContext, node: Loop, frame: Frame, step: str, num_done: int, *, can_be_cut: bool = True
) -> Reason | None:
    """Return the reason for which no further iteration is opened, None where one is.

    Args:
        step: the command that would begin the iteration, see ``Opening.opens_iteration``.
        num_done: the number of iterations so far; the first one was asked for with the loop.
        can_be_cut: the values that are left can be the iterable of one command.

    Raises:
        Restart: the loop has too many iterations, and cannot be a command.
    """
    if num_done and not context.opening.opens_iteration(node, step):
        return Reason.HIDDEN
    is_endless = False
    if not context.budget.is_full:
        is_endless = context.budget.count_iteration()
    elif can_be_cut and not escapes(node):
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
    if not frame.echoes:
        # the prompt would echo expression statements in the loop, which the program's own run does not
        rest = muted(node, context.writer.spare)
    context.emit(unparse(rest), frame, writes=sorted(bound_names([rest])))


HANDLERS: dict[type[ast.stmt], Handler] = {ast.While: run_while, ast.For: run_for}
