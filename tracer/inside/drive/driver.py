"""The statement driver: walks a program's syntax tree and emits, as commands, the statements that run.

Control flow lives here; the text of each command is what is executed (``session``). Statements of a followed call run
in the same flat namespace under names of their own. Any construct can be kept whole, as one command; what has no
faithful open form is, and is counted. Constructs stand in ``simple``, ``loops``, ``errors`` and ``calls``, one handler
each, collected in ``jobs``; this file holds what they share.

Where a construct is found to have no faithful form only after part of it was emitted, ``Restart`` ends the run and
says what to keep whole the next time: the supervisor runs the snippet again from the start.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from trace_mine.tracer.inside.drive.writer import Command, Session
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.syntax.jumps import COMPOUND, escapes
from trace_mine.tracer.inside.syntax.names import CannotFlatten, bound_names
from trace_mine.tracer.inside.syntax.text import expression, muted, original, unparse

if TYPE_CHECKING:
    from trace_mine.tracer.inside.drive.bodies import Body
    from trace_mine.tracer.inside.views.gate import Gate

Handler = Callable[["Driver", Any, "Frame"], None]


class Restart(Exception):
    """Run again with ``key`` kept whole; ``key`` is ``[file, line, column]`` of a statement or ``[file, line]`` of a
    function.
    """

    def __init__(self, key: list[Any], reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.reason = reason


class Signal(Exception):
    """Control flow of the program, addressed to the frame whose statement it is."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame


class Break(Signal):
    """``break`` in a loop of the frame."""


class Continue(Signal):
    """``continue`` in a loop of the frame."""


class Return(Signal):
    """``return``; ``result`` is the expression, in session names, that holds the value."""

    def __init__(self, frame: Frame, result: ast.expr) -> None:
        super().__init__(frame)
        self.result = result


class Raised(Signal):
    """An exception of the program on its way out; ``index`` is the command that showed it."""

    def __init__(self, frame: Frame, error: BaseException, index: int) -> None:
        super().__init__(frame)
        self.error = error
        self.index = index


class Frame:
    """One activation: the program's own (``function`` None) or a followed call's.

    ``names`` maps locals to session variables. ``log`` is what V3 compares: ``["s", line, {local: text}]`` before each
    simple statement and ``["gap", first, last]`` where lines were kept whole.
    """

    def __init__(self, filename: str, names: dict[str, str], function: ast.FunctionDef | None) -> None:
        self.filename = filename
        self.names = names
        self.function = function
        self.log: list[list[Any]] = []
        self.errors: list[tuple[BaseException, int, str | None]] = []
        self.collect: Callable[[ast.expr | None], None] | None = None
        self.package = ""
        self.first_line = 1
        self.captures = False
        self.texts: dict[int, tuple[ast.AST, str | None]] = {}

    @property
    def is_call(self) -> bool:
        return self.function is not None


class Driver:
    """Drives one program. ``whole`` and ``closed`` come from earlier runs' ``Restart``; ``follow`` is the depth of
    calls.
    """

    def __init__(
        self,
        session: Session,
        handlers: dict[type[ast.stmt], Handler],
        *,
        follow: int,
        opens: Iterable[str],
        whole: Iterable[tuple[Any, ...]],
        closed: Iterable[tuple[Any, ...]],
        max_commands: int,
        single: bool,
        open_statements: bool = True,
        open_comprehensions: bool = False,
        skip_loops: bool = False,
    ) -> None:
        self.session = session
        self.handlers = handlers
        self.follow = follow
        self.opens = frozenset(opens)
        self.whole_keys = frozenset(whole)
        self.closed = frozenset(closed)
        self.max_commands = max_commands
        self.single = single
        self.open_statements = open_statements
        self.open_comprehensions = open_comprehensions
        self.skip_loops = skip_loops
        self.depth = 0
        self.kept: dict[str, int] = {}
        self.opened_calls = 0
        self.spins = 0
        self.finished: list[dict[str, Any]] = []
        self.taken = session.reserved
        self.pending: list[str] = []
        self.refused: dict[int, ast.AST] = {}
        # what is known of a node, by its id, with the node, so that the id stays its own: loops come by again and again
        self.definitions: dict[int, Any] = {}
        self.shapes: dict[int, Any] = {}
        self._writes: dict[int, tuple[ast.stmt, list[str]]] = {}
        self._calls: dict[int, tuple[ast.expr, bool]] = {}
        self.gate: Gate | None = None
        self.lower: Callable[[Driver, ast.expr, Frame], ast.expr] = lambda driver, node, frame: node

    # bookkeeping

    def keep(self, reason: str) -> None:
        """Counts a construct that is kept whole."""
        self.kept[reason] = self.kept.get(reason, 0) + 1

    def full(self) -> bool:
        """Whether the session is long enough: from here on nothing more is opened."""
        return len(self.session.commands) >= self.max_commands

    def writes(self, node: ast.stmt) -> list[str]:
        """The names that a statement binds, sorted; the statement must stay as it is."""
        known = self._writes.get(id(node))
        if known is None:
            known = self._writes[id(node)] = node, sorted(bound_names([node]))
        return known[1]

    def may_open(self, node: ast.expr) -> bool:
        """Whether something stands in the expression that could be opened; the expression must stay as it is."""
        known = self._calls.get(id(node))
        if known is None:
            found = any(isinstance(inner, (ast.Call, ast.ListComp)) for inner in ast.walk(node))
            known = self._calls[id(node)] = node, found
        return known[1]

    def stand(self, frame: Frame, line: int) -> None:
        """Sets the place of the next commands and, in the frame's log, its locals before the statement."""
        place = self.session.place
        place.path, place.line, place.depth = frame.filename, line, self.depth
        frame.log.append(["s", line, self.locals(frame)])

    def locals(self, frame: Frame) -> dict[str, str]:
        """The frame's bound locals as text, under their own names."""
        namespace = self.session.namespace
        return {
            name: values.text(values.snapshot(namespace[held]))
            for name, held in frame.names.items()
            if held in namespace
        }

    def check(self, command: Command, frame: Frame) -> Command:
        """Turns an exception that a command recorded into control flow."""
        if command.exception is not None:
            index = max(i for i, c in enumerate(self.session.commands) if c is command)
            raise Raised(frame, command.exception, index)
        return command

    # commands

    def emit(
        self,
        source: str,
        frame: Frame,
        kind: str = "statement",
        writes: Iterable[str] = (),
        reveal: bool = True,
        origin: ast.stmt | None = None,
    ) -> Command:
        """Executes a statement and raises what it raised; ``origin`` is the definition that the command was made
        from.
        """
        home = None if origin is None else (frame.filename, origin)
        return self.check(self.session.do(source, kind, writes, reveal, home), frame)

    def value(self, node: ast.expr, frame: Frame, kind: str = "statement", echo: str = "safe") -> Any:
        """Executes an expression, shown where it may be, and gives its value."""
        self.check(self.session.evaluate(self.text(node, frame), kind, echo), frame)
        return self.session.last_value

    def condition(self, node: ast.expr, frame: Frame) -> bool:
        """Executes a test; a value that is not a bool is shown through ``bool``, which the program's own test calls
        too.
        """
        source = self.text(node, frame)
        self.check(self.session.evaluate(source, "condition", "safe", wrapper=self.session.builtin("bool")), frame)
        return bool(self.session.last_value)

    def hold(self, node: ast.expr, stem: str, frame: Frame, kind: str = "statement", reveal: bool = True) -> ast.expr:
        """Assigns an expression to a fresh session variable and gives that variable."""
        name = self.temporary(stem)
        self.emit(f"{name} = {expression(node)}", frame, kind, [name], reveal)
        return ast.Name(name, ast.Load())

    def temporary(self, stem: str) -> str:
        """A fresh name that is let go of when the statement being run is done."""
        name = self.session.fresh(stem)
        self.pending.append(name)
        return name

    def claim(self, name: str, avoid: Iterable[str] = ()) -> str:
        """A session name for a local: its own where nothing holds it, else with a number; it stays taken."""
        session = self.session
        avoided = set(avoid) - {name}
        candidate, number = name, 0
        while (
            candidate in session.namespace
            or candidate in self.taken
            or candidate in session.tracked
            or candidate in avoided
            or hasattr(builtins, candidate)
        ):
            number += 1
            candidate = f"{name}_{number}"
        self.taken.add(candidate)
        return candidate

    def release(self, body: Body, result: str | None) -> None:
        """Lets the names of a returned call be used again, unless a closure of its may still read them."""
        own = [held for name, held in body.names.items() if name not in body.shared and held != result]
        own += [held for held in body.cells if held != result]
        self.session.forget(own)
        if body.captures:
            return
        for name in own:
            self._let_go(name)
        if result is not None and result in body.names.values() and result not in body.shared:
            self.pending.append(result)

    def _let_go(self, name: str) -> None:
        self.session.namespace.pop(name, None)
        self.taken.discard(name)
        self.session.forget([name])

    def peek(self, node: ast.expr) -> Any:
        """The value of an inert expression (a name or a constant) without a command; ``missing`` where unbound."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            namespace = self.session.namespace
            if node.id in namespace:
                return namespace[node.id]
            built_in = namespace["__builtins__"]
            table = built_in if isinstance(built_in, dict) else vars(built_in)
            return table.get(node.id, missing)
        return missing

    # statements

    def block(self, body: Iterable[ast.stmt], frame: Frame) -> None:
        """Runs statements in order."""
        for statement in body:
            self.statement(statement, frame)

    def statement(self, node: ast.stmt, frame: Frame) -> None:
        """Runs one statement: opened by its construct's handler, or whole."""
        mark = len(self.pending)
        self._run(node, frame)
        # not where a signal leaves the statement: what a return hands on is still needed
        while len(self.pending) > mark:
            self._let_go(self.pending.pop())

    def _run(self, node: ast.stmt, frame: Frame) -> None:
        handler = self.handlers.get(type(node))
        key = (frame.filename, node.lineno, node.col_offset)
        if handler is None:
            self.whole(node, frame, type(node).__name__)
        elif key in self.whole_keys:
            self.whole(node, frame, "unfaithful")
        elif isinstance(node, COMPOUND) and (not self.open_statements or (self.full() and not escapes(node))):
            self.whole(node, frame, "budget" if self.open_statements else "closed")
        elif self.skip_loops and isinstance(node, (ast.For, ast.While)) and not escapes(node):
            self.whole(node, frame, "skipped")
        else:
            handler(self, node, frame)

    def whole(self, node: ast.stmt, frame: Frame, reason: str) -> None:
        """Emits a statement as one command; one whose ``return`` or ``break`` leads out of it closes its function."""
        if escapes(node):
            self.give_up(node, frame, reason)
        if isinstance(node, COMPOUND):
            self.keep(reason)
        self.stand(frame, node.lineno)
        frame.log.append(["gap", node.lineno, node.end_lineno or node.lineno])
        source = self.source(node, frame)
        if source in self.session.hide or frame.is_call or not self.single:
            source = self.source(
                muted(node, self.session.spare), frame, rewritten=source in self.session.hide or frame.is_call
            )
        self.emit(source, frame, writes=sorted(bound_names([node])), origin=node)

    def give_up(self, node: ast.stmt, frame: Frame, reason: str) -> None:
        """Ends the run: the frame's function, or this statement, has to be kept whole."""
        if frame.function is not None:
            raise Restart([frame.filename, frame.first_line], reason)
        raise Restart([frame.filename, node.lineno, node.col_offset], reason)

    def author_text(self, node: ast.stmt | ast.expr, frame: Frame) -> str | None:
        """The node's text as its author wrote it, where that is the same program; None otherwise."""
        known = frame.texts.get(id(node))
        if known is None or known[0] is not node:
            lines = self.session.sources.lines(frame.filename)
            known = frame.texts[id(node)] = node, None if lines is None else original(lines, node)
        return known[1]

    def text(self, node: ast.expr, frame: Frame) -> str:
        """An expression's command."""
        return self.author_text(node, frame) or expression(node)

    def source(self, node: ast.stmt, frame: Frame, rewritten: bool = False) -> str:
        """A statement's command: as its author wrote it where that can be, as the tree says otherwise."""
        found = None if rewritten else self.author_text(node, frame)
        if found is not None:
            return found
        try:
            return unparse(node)
        except CannotFlatten as error:
            self.give_up(node, frame, str(error))
            raise


class _Missing:
    """The value of a name that is not bound."""


missing = _Missing()
