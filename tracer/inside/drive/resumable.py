"""The statements of a generator's body, run up to each ``yield``.

A statement without a ``yield`` runs as in any other function. The others run here, as Python generators themselves:
what they give is the expression that the program's generator yields, and what they are sent is the expression of the
value that comes back for it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Generator, Iterable
from typing import final

from trace_mine.tracer.inside.drive.blocks import handle, handler_of, keep_result, taken_case
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Break, Continue, Frame, Handled, Raised, Signal
from trace_mine.tracer.inside.drive.handling import run_handling
from trace_mine.tracer.inside.drive.items import ResumedItems
from trace_mine.tracer.inside.drive.iterables import items_of
from trace_mine.tracer.inside.drive.loops import ForTurns, Turns, WhileTurns
from trace_mine.tracer.inside.drive.statements import taken_branch
from trace_mine.tracer.inside.drive.suspended import Steps
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import has_yield
from trace_mine.tracer.inside.syntax.walking import walk

NONE = ast.Constant(None)

Yielding = Generator[ast.expr, ast.expr, ast.expr]
"""As ``Steps``; returns the expression of a ``yield``'s value."""


@final
class ResumableWalk:
    """The walk of one generator's activation, see ``context.Walk``."""

    def __init__(self, context: DriveContext, frame: Frame) -> None:
        self.base = 0
        self._context = context
        self._frame = frame
        self._yields: dict[int, bool] = {}  # by id: the statements live as long as the body

    def steps(self, body: Iterable[ast.stmt]) -> Steps:
        for statement in body:
            yields = self._yields.get(id(statement))
            if yields is None:
                yields = self._yields[id(statement)] = has_yield(statement)
            if yields:
                yield from self._run(statement)
            else:
                self._context.block([statement], self._frame)

    def _run(self, node: ast.stmt) -> Steps:
        """Run one statement with a ``yield`` in it."""
        context, frame = self._context, self._frame
        temporaries, places = context.variables.temporaries, context.writer.places
        # counted from where those of the consumer end, who may have others the next time
        num_before = len(temporaries) - self.base
        outer = places.enter(frame.filename, node.lineno, node.col_offset)
        try:
            if (frame.filename, node.lineno, node.col_offset) in context.rules.kept_statements:
                context.give_up(node, frame, Reason.UNFAITHFUL)
            yield from self._opened(node)
            context.end_temporaries(self.base + num_before, frame)
        finally:
            places.leave(outer)

    def _opened(self, node: ast.stmt) -> Steps:
        """Run the statement by its type."""
        context, frame = self._context, self._frame
        if isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)):
            yield from self._simple(node)
        elif isinstance(node, ast.If):
            yield from self.steps(taken_branch(context, node, frame) or [])
        elif isinstance(node, ast.While):
            yield from self._loop(node, WhileTurns(context, node, frame))
        elif isinstance(node, ast.For):
            yield from self._loop(node, ForTurns(context, node, frame))
        elif isinstance(node, ast.Try):
            yield from self._try(node)
        elif isinstance(node, ast.Match):
            yield from self.steps(taken_case(context, node, frame) or [])
        else:  # ``with``: a generator that is left there runs ``__exit__`` when it dies, which no command shows
            context.give_up(node, frame, Reason.WITH_YIELD)

    # yields

    def _simple(self, node: ast.Expr | ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return) -> Steps:
        """Run a statement whose value is a ``yield``: up to it, then the statement with what came back for it."""
        context, frame = self._context, self._frame
        assert isinstance(node.value, (ast.Yield, ast.YieldFrom))  # ``FunctionFacts.refusal``
        context.begin_statement(frame, node.lineno)
        if isinstance(node.value, ast.Yield):
            value = node.value.value
            back = yield NONE if value is None else context.lower(value, frame)
        else:
            back = yield from self._delegated(node, node.value.value)
        if isinstance(node, ast.Expr):
            return
        rest = copy.copy(node)
        rest.value = back
        if isinstance(node, ast.Return):
            context.block([rest], frame)
            return
        with frame.without_log():  # one statement, which was logged when it began
            context.block([rest], frame)

    def _delegated(self, node: ast.stmt, iterable: ast.expr) -> Yielding:
        """Give the values of ``yield from``; return what it gives itself."""
        context, frame = self._context, self._frame
        frame.log_gap(node)  # settrace sees one line, however many values it yields
        name = context.variables.temporary("item")
        loop = ast.For(target=ast.Name(name, ast.Store()), iter=iterable, body=[], orelse=[])
        # the line of the ``yield from``, by which nodes are logged and looked up like all others
        for inner in walk(ast.copy_location(loop, node)):
            if isinstance(inner, (ast.expr, ast.stmt)):
                ast.copy_location(inner, node)
        items = items_of(context, loop, frame)
        if isinstance(items, ResumedItems):
            return (yield from self._handed_on(items))
        turns = ForTurns(context, loop, frame, items)
        while turns.begin():
            try:
                back = yield ast.Name(name, ast.Load())
            except Signal:
                turns.leave()
                raise
            if not (isinstance(back, ast.Constant) and back.value is None):
                context.give_up(node, frame, Reason.YIELD_EXPRESSION)  # an iterator takes nothing
        return NONE

    def _handed_on(self, items: ResumedItems) -> Yielding:
        """Give the values of an opened generator, and hand on what is sent or raised."""
        value = items.resume()
        while value is not None:
            back: ast.expr = NONE
            raised: Raised | None = None
            try:
                back = yield value
            except Raised as signal:
                raised = signal  # the generator goes on outside, where the driver handles no exception of its own
            except Signal:
                items.close(self._context, self._frame)
                raise
            value = items.resume(back) if raised is None else items.throw(raised)
        return items.result

    # compound statements

    def _loop(self, node: ast.For | ast.While, turns: Turns) -> Steps:
        while turns.begin():
            try:
                yield from self.steps(node.body)
            except Continue:
                continue
            except Break:
                turns.leave()
                return
            except Signal:
                turns.leave()
                raise
        if not turns.is_cut:
            yield from self.steps(node.orelse)

    def _try(self, node: ast.Try) -> Steps:
        context, frame = self._context, self._frame
        left_by: Signal | None = None
        try:
            yield from self._guarded(node)
        except Signal as signal:
            left_by = signal
        # outside, where the driver handles no exception of its own
        if isinstance(left_by, Raised) and not any(map(has_yield, node.finalbody)):
            handled = Handled(error=left_by.error, index=left_by.index, statement=node, frame=frame)
            raise run_handling(context, handled, frame, lambda: context.block(node.finalbody, frame)) or left_by
        keep_result(context, node, left_by, frame)
        yield from self.steps(node.finalbody)
        if left_by is not None:
            raise left_by

    def _guarded(self, node: ast.Try) -> Steps:
        context, frame = self._context, self._frame
        caught: tuple[ast.ExceptHandler, Raised] | None = None
        try:
            with context.writer.catching():
                yield from self.steps(node.body)
        except Raised as raised:
            handler = handler_of(context, node, raised, frame)
            if handler is None:
                raise
            if has_yield(handler):
                context.give_up(node, frame, Reason.YIELD_EXPRESSION)  # a handler is run as one piece
            caught = handler, raised
        if caught is None:
            yield from self.steps(node.orelse)
        else:
            handle(context, node, *caught, frame)
