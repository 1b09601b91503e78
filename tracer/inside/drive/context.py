"""What the handler of a construct may use: ``Context``, which the driver implements.

A handler runs one construct of the program: it emits the commands that stand for it and has the statements inside run
by ``block``. It reads the program's state by ``variables`` and asks ``opening`` what may be opened.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from trace_mine.tracer.inside.drive.commands import Command, Place
from trace_mine.tracer.inside.drive.frames import Body, Frame, Raised, Restart
from trace_mine.tracer.inside.drive.functions import KnownFunctions
from trace_mine.tracer.inside.drive.rules import Budget, CallLog, Kept, Rules
from trace_mine.tracer.inside.drive.writer import Writer
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.syntax.names import CannotFlatten, bound_names
from trace_mine.tracer.inside.syntax.text import expression, original, unparse
from trace_mine.tracer.inside.views.opening import Opening

Handler = Callable[["Context", Any, Frame], None]
"""Runs a statement of one type, in a frame. The statement's type is the key of the handler in its registry."""


class Context(ABC):
    """The session being written, with what is known and counted on the way. Nothing here is set from outside.

    Attributes:
        writer: executes and records commands.
        variables: the session's names, and values without a command.
        opening: what may be opened.
        rules: what the driver was told.
        budget: how long the session may get.
        kept: constructs kept as one command, by reason.
        calls: opened calls.
        functions: facts of functions.
    """

    def __init__(self, writer: Writer, opening: Opening, rules: Rules) -> None:
        self.writer = writer
        self.variables = writer.variables
        self.opening = opening
        self.rules = rules
        self.budget = Budget(writer.commands, rules.max_commands)
        self.kept = Kept()
        self.calls = CallLog()
        self.functions = KnownFunctions()
        # by id of a node, with the node, so that its id is not given to another one: loops come by again and again
        self._writes: dict[int, tuple[ast.stmt, list[str]]] = {}
        self._with_calls: dict[int, tuple[ast.expr, bool]] = {}

    # the walk

    @abstractmethod
    def block(self, body: Iterable[ast.stmt], frame: Frame) -> None:
        """Runs statements in order."""

    @abstractmethod
    def keep_as_one_command(self, node: ast.stmt, frame: Frame, reason: str) -> None:
        """Emits a statement as one command, counted under the reason.

        Raises:
            Restart: control may leave the statement by ``return`` or ``break``; its function is to be kept instead.
        """

    @abstractmethod
    def lower(self, node: ast.expr, frame: Frame) -> ast.expr:
        """Opens the calls in an expression that can be opened, and gives the expression with their results in place of
        them; ``node`` itself where none was opened.
        """

    def give_up(self, node: ast.stmt, frame: Frame, reason: str) -> NoReturn:
        """Ends the run: calls of the frame's function, or this statement, are to be kept as one command."""
        if frame.function is not None:
            raise Restart([frame.filename, frame.first_line], reason)
        raise Restart([frame.filename, node.lineno, node.col_offset], reason)

    # places

    @property
    def place(self) -> Place:
        """Where the next command comes from."""
        return self.writer.place

    def return_to(self, place: Place) -> None:
        """The next commands come from there again."""
        self.writer.move_to(place)

    def move_to(self, frame: Frame, line: int) -> None:
        """The next commands come from this line."""
        self.writer.move_to((frame.filename, line, self.calls.depth))

    def begin_statement(self, frame: Frame, line: int) -> None:
        """The next commands come from this line, where a statement begins: the frame's log gets its locals."""
        self.writer.move_to((frame.filename, line, self.calls.depth))
        namespace = self.variables.namespace
        local_texts = {
            name: values.text(values.snapshot(namespace[variable]))
            for name, variable in frame.names.items()
            if variable in namespace
        }
        frame.log.append(["s", line, local_texts])

    # text

    def author_text(self, node: ast.stmt | ast.expr, frame: Frame) -> str | None:
        """The node's text as its author wrote it, where that is the same program; None otherwise."""
        known = frame.texts.get(id(node))
        if known is None or known[0] is not node:
            lines = self.writer.sources.lines(frame.filename)
            known = frame.texts[id(node)] = node, None if lines is None else original(lines, node)
        return known[1]

    def text(self, node: ast.expr, frame: Frame) -> str:
        """An expression's command."""
        return self.author_text(node, frame) or expression(node)

    def source(self, node: ast.stmt, frame: Frame, rewritten: bool = False) -> str:
        """A statement's command: as its author wrote it where that can be, as the tree says otherwise."""
        text = None if rewritten else self.author_text(node, frame)
        if text is not None:
            return text
        try:
            return unparse(node)
        except CannotFlatten as error:
            self.give_up(node, frame, str(error))

    def writes(self, node: ast.stmt) -> list[str]:
        """The names that a statement binds, sorted; the statement must stay as it is."""
        known = self._writes.get(id(node))
        if known is None:
            known = self._writes[id(node)] = node, sorted(bound_names([node]))
        return known[1]

    def may_be_lowered(self, node: ast.expr) -> bool:
        """True if the expression contains a call or a list comprehension; the expression must stay as it is."""
        known = self._with_calls.get(id(node))
        if known is None:
            has_calls = any(isinstance(inner, (ast.Call, ast.ListComp)) for inner in ast.walk(node))
            known = self._with_calls[id(node)] = node, has_calls
        return known[1]

    # commands

    def check(self, command: Command, frame: Frame) -> Command:
        """Turns an exception that a command recorded into control flow.

        Raises:
            Raised: the command raised an exception.
        """
        if command.exception is not None:
            # by identity, and not the last one: reveals and aliases may stand after it
            index = max(i for i, each in enumerate(self.writer.commands) if each is command)
            raise Raised(frame, command.exception, index)
        return command

    def emit(
        self,
        source: str,
        frame: Frame,
        kind: str = "statement",
        writes: Iterable[str] = (),
        reveal: bool = True,
        origin: ast.stmt | None = None,
    ) -> Command:
        """Executes a statement as a command; ``origin`` is the statement of the program that it was made from.

        Raises:
            Raised: see ``check``.
        """
        home = None if origin is None else (frame.filename, origin)
        return self.check(self.writer.execute(source, kind, writes, reveal, home), frame)

    def evaluate(
        self, source: str, frame: Frame, kind: str = "statement", echo: str = "safe", wrapper: str | None = None
    ) -> Any:
        """Executes an expression as a command, shown where it may be, and gives its value; see ``Writer.evaluate``.

        Raises:
            Raised: see ``check``.
        """
        self.check(self.writer.evaluate(source, kind, echo, wrapper), frame)
        return self.writer.last_value

    def condition(self, node: ast.expr, frame: Frame) -> bool:
        """Executes a test; a value that is no bool is shown through ``bool``, which the program's test calls too."""
        source = self.text(node, frame)
        return bool(self.evaluate(source, frame, "condition", wrapper=self.writer.builtin("bool")))

    def hold(self, node: ast.expr, stem: str, frame: Frame, kind: str = "statement", reveal: bool = True) -> ast.Name:
        """Assigns an expression to a fresh temporary variable and gives that variable."""
        name = self.variables.temporary(stem)
        self.emit(f"{name} = {expression(node)}", frame, kind, [name], reveal)
        return ast.Name(name, ast.Load())

    # calls

    def release(self, body: Body, result: str | None) -> None:
        """Frees the names of a call that returned, unless a closure made in it may still read them; ``result`` is the
        variable that holds what it returned.
        """
        variables = [held for name, held in body.names.items() if name not in body.shared and held != result]
        variables += [held for held in body.cells if held != result]
        self.writer.forget(variables)
        if body.captures:
            return
        for variable in variables:
            self.writer.let_go(variable)
        if result is not None and result in body.names.values() and result not in body.shared:
            self.variables.make_temporary(result)
