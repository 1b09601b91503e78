"""The statement driver: walks a program's syntax tree and emits, as commands, the statements that run.

For each statement the driver either *opens* it, which its handler does (``constructs``), or *keeps it as one command*.
A handler takes the decisions of control flow from the values that its commands gave: it emits the test of an ``if``,
reads the test's value, and has the statements of the taken branch run. Statements of a followed call run in the same
namespace as all others, under names of their own. A construct that has no faithful form when opened is kept as one
command, and counted under a ``Reason``; the worst case is a program of one command, so every program has a session.

A construct may turn out to have no faithful form only after part of it has been emitted. Then ``Restart`` ends the run
and names the construct, and the supervisor runs the snippet again from the start, with that construct kept.

The decision for this design, and what it was chosen over, is docs/decisions/0001-statement-driver.md.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, final

from trace_mine.tracer.inside.drive.context import DriveContext, Handler
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.rules import Rules
from trace_mine.tracer.inside.drive.set_up import SessionSetUp
from trace_mine.tracer.inside.drive.suspended import Walk
from trace_mine.tracer.inside.drive.writer import SessionWriter
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.jumps import COMPOUND, escapes
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import muted
from trace_mine.tracer.inside.views.opening import Opening


class Lower(Protocol):
    """Opens the calls in an expression, see ``DriveContext.lower``."""

    def __call__(self, context: DriveContext, node: ast.expr, frame: Frame, *, is_used: bool = True) -> ast.expr: ...


@final
class Driver(DriveContext):
    """Walks one program, piece by piece.

    Args:
        writer: executes and records the commands.
        opening: answers which constructs may be opened.
        rules: the settings of this run.
        set_up: takes the names that the row's set-up is to bind.
        handlers: the handler of each type of statement; given from outside, like ``lower``, since handlers and lowering
            run statements themselves: an import of them here would be a circle.
        lower: opens the calls in an expression.
        walk: makes the walk of a generator's activation.
    """

    def __init__(
        self,
        writer: SessionWriter,
        opening: Opening,
        rules: Rules,
        set_up: SessionSetUp,
        *,
        handlers: Mapping[type[ast.stmt], Handler],
        lower: Lower,
        walk: Callable[[DriveContext, Frame], Walk],
    ) -> None:
        super().__init__(writer, opening, rules, set_up)
        self._handlers = handlers
        self._lower = lower
        self._walk = walk

    def lower(self, node: ast.expr, frame: Frame, *, is_used: bool = True) -> ast.expr:
        return self._lower(self, node, frame, is_used=is_used)

    def walk(self, frame: Frame) -> Walk:
        return self._walk(self, frame)

    def block(self, body: Iterable[ast.stmt], frame: Frame) -> None:
        temporaries, places = self.variables.temporaries, self.writer.places
        for statement in body:
            num_before = len(temporaries)
            outer = places.enter(frame.filename, statement.lineno, statement.col_offset)
            try:
                self._run(statement, frame)
                # not where a signal leaves the statement: what a ``return`` hands on is still needed by the statement
                # that has the call, which ends its life here in its turn
                self.end_temporaries(num_before, frame)
                for gone in self.suspended.take_unheld() if self.suspended else ():
                    gone.end()
            finally:
                places.leave(outer)

    def _run(self, node: ast.stmt, frame: Frame) -> None:
        """Run one statement: opened by its handler, or as one command."""
        handler = self._handlers.get(type(node))
        if handler is None:
            # the only compound statement without a handler that gets here: Python compiles ``async for`` and
            # ``async with`` in a coroutine only, and a coroutine's body is never opened (``targets``)
            self.keep_as_one_command(node, frame, Reason.TRY_STAR)
        elif (frame.filename, node.lineno, node.col_offset) in self.rules.kept_statements:
            self.keep_as_one_command(node, frame, Reason.UNFAITHFUL)
        elif (
            isinstance(node, COMPOUND) and (reason := self.opening.keeps(node, is_full=self.budget.is_full)) is not None
        ):
            self.keep_as_one_command(node, frame, reason)
        else:
            handler(self, node, frame)

    def keep_as_one_command(self, node: ast.stmt, frame: Frame, reason: Reason) -> None:
        if escapes(node):
            self.give_up(node, frame, reason)
        if isinstance(node, COMPOUND):  # a simple statement is one command anyway: nothing less is shown
            self.kept.count(reason)
        self.begin_statement(frame, node.lineno)
        frame.log_gap(node)
        source = self.source(node, frame)
        # hidden: its output differs in a replay, and of that output the echoes can be left out
        is_hidden = source in self.writer.hide
        if is_hidden or not frame.echoes:
            # a prompt would echo expression statements inside it, which this program's own run does not
            quiet = muted(node, self.writer.spare)
            source = self.source(quiet, frame, rewritten=is_hidden or frame.is_call)
        self.emit(source, frame, writes=sorted(bound_names([node])), origin=node)
