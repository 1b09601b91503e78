"""The statement driver: walks a program's syntax tree and emits, as commands, the statements that run.

Control flow is decided here and in the handlers; the text of each command is what is executed (``writer``). Statements
of a followed call run in the same flat namespace under names of their own. A construct that has no faithful form when
opened is kept as one command, and counted. There is one handler for each type of statement, in ``constructs``.

Where it is found only after part of a construct was emitted that the construct cannot be opened, ``Restart`` ends the
run and says what to keep the next time: the supervisor runs the snippet again from the start.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import final

from trace_mine.tracer.inside.drive.context import Context, Handler
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.rules import Rules
from trace_mine.tracer.inside.drive.writer import Writer
from trace_mine.tracer.inside.syntax.jumps import COMPOUND, escapes
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import muted
from trace_mine.tracer.inside.views.opening import Opening

Lower = Callable[[Context, ast.expr, Frame], ast.expr]


@final
class Driver(Context):
    """Drives one program."""

    def __init__(
        self,
        writer: Writer,
        opening: Opening,
        rules: Rules,
        *,
        handlers: Mapping[type[ast.stmt], Handler],
        lower: Lower,
    ) -> None:
        super().__init__(writer, opening, rules)
        self._handlers = handlers
        self._lower = lower

    def lower(self, node: ast.expr, frame: Frame) -> ast.expr:
        return self._lower(self, node, frame)

    def block(self, body: Iterable[ast.stmt], frame: Frame) -> None:
        temporaries = self.variables.temporaries
        for statement in body:
            num_before = len(temporaries)
            self._run(statement, frame)
            # not where a signal leaves the statement: what a ``return`` hands on is still needed
            while len(temporaries) > num_before:
                self.writer.let_go(temporaries.pop())

    def _run(self, node: ast.stmt, frame: Frame) -> None:
        """Runs one statement: opened by its handler, or as one command."""
        handler = self._handlers.get(type(node))
        if handler is None:
            self.keep_as_one_command(node, frame, type(node).__name__)
        elif (frame.filename, node.lineno, node.col_offset) in self.rules.kept_statements:
            self.keep_as_one_command(node, frame, "unfaithful")
        elif (
            isinstance(node, COMPOUND) and (reason := self.opening.keeps(node, is_full=self.budget.is_full)) is not None
        ):
            self.keep_as_one_command(node, frame, reason)
        else:
            handler(self, node, frame)

    def keep_as_one_command(self, node: ast.stmt, frame: Frame, reason: str) -> None:
        if escapes(node):
            self.give_up(node, frame, reason)
        if isinstance(node, COMPOUND):
            self.kept.count(reason)
        self.begin_statement(frame, node.lineno)
        frame.log_gap(node)
        source = self.source(node, frame)
        is_hidden = source in self.writer.hide
        if is_hidden or frame.is_call or not self.rules.at_prompt:
            # a prompt would echo expression statements inside it, which this program's own run does not
            quiet = muted(node, self.writer.spare)
            source = self.source(quiet, frame, rewritten=is_hidden or frame.is_call)
        self.emit(source, frame, writes=sorted(bound_names([node])), origin=node)
