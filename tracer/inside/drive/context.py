"""The interface between the driver and the handlers of constructs: ``DriveContext``, which ``Driver`` implements.

A handler runs one construct of the program: it emits the commands that stand for it and has the statements inside run
by ``block``. It reads the program's state by ``variables`` and asks ``opening`` what may be opened. Handlers know this
class and not the driver, so that the driver can import them all.

Over 400 lines because an interface is not cut.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from trace_mine.tracer.inside.drive.commands import Command, Position
from trace_mine.tracer.inside.drive.frames import Body, Frame, Handled, Raised, Restart
from trace_mine.tracer.inside.drive.from_file import defined_from_file
from trace_mine.tracer.inside.drive.functions import KnownFunctions
from trace_mine.tracer.inside.drive.parts import Openable, calls_in, reads_first
from trace_mine.tracer.inside.drive.rules import BegunCall, CallLog, CommandBudget, Kept, Rules
from trace_mine.tracer.inside.drive.set_up import SessionSetUp
from trace_mine.tracer.inside.drive.suspended import SuspendedGenerators, Walk
from trace_mine.tracer.inside.drive.writer import Echo, SessionWriter
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.protocol.answers import CommandKind
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.current_exception import Asks, calls_something, file_asks_for
from trace_mine.tracer.inside.syntax.nameless import origin_of
from trace_mine.tracer.inside.syntax.names import CannotOpen, bound_names
from trace_mine.tracer.inside.syntax.shown_source import call_text
from trace_mine.tracer.inside.syntax.text import expression, text_as_written, unparse
from trace_mine.tracer.inside.views.opening import Opening

# ``Any``: each handler takes the one type of statement that is its key in ``constructs.HANDLERS``, which no type of
# a dictionary's values can say
Handler = Callable[["DriveContext", Any, Frame], None]
"""Runs a statement of one type, in a frame."""


DEEPEST = 100
"""Levels of an expression that is taken apart. The walk is recursive, and its frames are on the snippet's stack."""


_UNBOUND = "cannot access local variable '{}' where it is not associated with a value"
"""What CPython says of a local variable that is read while it is not bound."""


class DriveContext(ABC):
    """The session being written, with the facts and counts that its handlers share.

    Attributes:
        writer: executes and records commands.
        variables: the names of the session, and values read without a command.
        opening: answers which constructs may be opened.
        rules: the settings of this run of the driver.
        set_up: the names that the row's set-up binds.
        budget: how long the session may get.
        kept: constructs kept as one command, counted by reason.
        calls: opened calls.
        functions: facts of functions.
        handling: the exceptions being handled now, innermost last.
        owners: from session variables that are locals of followed calls to the local's own name and the function.
        suspended: opened generators that wait for their next resumption.
    """

    def __init__(self, writer: SessionWriter, opening: Opening, rules: Rules, set_up: SessionSetUp) -> None:
        self.writer = writer
        self.variables = writer.variables
        self.opening = opening
        self.rules = rules
        self.set_up = set_up
        self.budget = CommandBudget(writer.commands, rules.max_commands)
        self.kept = Kept()
        self.calls = CallLog()
        self.functions = KnownFunctions()
        self.owners: dict[str, tuple[str, Place]] = {}
        self.handling: list[Handled] = []
        self._asking: dict[str, Asks] = {}
        self.suspended = SuspendedGenerators()
        # by id of a node, with the node, so that its id is not given to another one. A loop's statements come by again
        # and again: this and the like in ``Frame.texts`` and ``functions`` gave a third more commands a second
        self._writes: dict[int, tuple[ast.stmt, list[str]]] = {}
        self._call_texts: dict[tuple[object, ...], str] = {}
        self._calls: dict[int, tuple[ast.expr, list[Openable]]] = {}

    # the walk

    @abstractmethod
    def block(self, body: Iterable[ast.stmt], frame: Frame) -> None:
        """Run statements in order.

        Raises:
            Signal: control leaves the block; the frame that it is addressed to takes it.
            Restart: see ``give_up``.
        """

    @abstractmethod
    def walk(self, frame: Frame) -> Walk:
        """Return the walk of a generator's activation."""

    @abstractmethod
    def keep_as_one_command(self, node: ast.stmt, frame: Frame, reason: Reason) -> None:
        """Emit a statement as one command, counted under the reason.

        Raises:
            Restart: control may leave the statement by ``return`` or ``break``; its function is to be kept instead.
        """

    @abstractmethod
    def lower(self, node: ast.expr, frame: Frame, *, is_used: bool = True) -> ast.expr:
        """Open the calls in an expression that can be opened; ``is_used``: see ``lowering.lower``.

        Returns:
            The expression with the calls' results in their place; ``node`` itself where none was opened.
        """

    def give_up(self, node: ast.stmt, frame: Frame, reason: Reason) -> NoReturn:
        """End the run, to begin again with one construct more kept as one command.

        That is every call of the frame's function, or the statement where it is the program's own.

        Raises:
            Restart: always.
        """
        if frame.function is not None:
            raise Restart(Place(path=frame.filename, line=frame.first_line), reason)
        raise Restart(Place(path=frame.filename, line=node.lineno, column=node.col_offset), reason)

    def give_up_statement(self, frame: Frame, reason: Reason) -> NoReturn:
        """End the run, to begin again with the innermost statement that runs now kept as one command.

        Raises:
            Restart: always.
        """
        statement = self.writer.places.statement()
        if statement is None:  # a function's parameters: none of its statements has begun
            raise Restart(Place(path=frame.filename, line=frame.first_line), reason)
        path, line, column = statement
        raise Restart(Place(path=path, line=line, column=column), reason)

    # positions in the program

    @property
    def position(self) -> Position:
        """The position in the program that the next command comes from."""
        return self.writer.position

    def return_to(self, position: Position) -> None:
        """Note that the next commands come from an earlier position again."""
        self.writer.move_to(position)

    def move_to(self, frame: Frame, line: int) -> None:
        """Note that the next commands come from this line."""
        self.writer.move_to((frame.filename, line, self.calls.depth, frame.call))

    def begin_statement(self, frame: Frame, line: int) -> None:
        """Note that a statement begins at this line, and log the frame's locals as they are now.

        The path check compares the locals with those that settrace saw at the line's event, before the statement ran.
        """
        self.writer.move_to((frame.filename, line, self.calls.depth, frame.call))
        namespace = self.variables.namespace
        local_texts = {
            name: values.text(values.snapshot(namespace[variable]))
            for name, variable in frame.names.items()
            if variable in namespace
        }
        frame.visits.append((line, local_texts))

    # text

    def author_text(self, node: ast.stmt | ast.expr, frame: Frame) -> str | None:
        """Return the node's text as its author wrote it, where that is the same program; None otherwise."""
        entry = frame.texts.get(id(node))
        if entry is None or entry[0] is not node:
            entry = frame.texts[id(node)] = node, self._own_text(node, frame)
        return entry[1]

    def _own_text(self, node: ast.stmt | ast.expr, frame: Frame) -> str | None:
        lines = None if node.end_lineno is None else self.writer.sources.lines(frame.filename)
        return None if lines is None else text_as_written(lines, node)

    def text(self, node: ast.expr, frame: Frame) -> str:
        """Return an expression's command: as its author wrote it where that can be, as the tree says otherwise."""
        return self.author_text(node, frame) or expression(node)

    def source(self, node: ast.stmt, frame: Frame, rewritten: bool = False) -> str:
        """Return a statement's command: as its author wrote it where that can be, as the tree says otherwise.

        ``rewritten``: the statement is a changed copy; what was changed is changed in its author's text, too.

        Raises:
            Restart: the statement cannot be written out.
        """
        # a copy is made anew for each command, so its text is not kept
        text = self._own_text(node, frame) if rewritten else self.author_text(node, frame)
        if text is not None:
            return text
        try:
            return unparse(node)
        except CannotOpen as error:
            self.give_up(node, frame, error.reason)

    def writes(self, node: ast.stmt) -> list[str]:
        """Return the names that a statement binds, sorted. The statement must not change afterwards."""
        entry = self._writes.get(id(node))
        if entry is None:
            entry = self._writes[id(node)] = node, sorted(bound_names([node]))
        return entry[1]

    def calls_in(self, node: ast.expr) -> list[Openable]:
        """Return the nodes that could be opened in an expression, which must not change.

        None of an expression that nests too deeply to be taken apart, which is counted.
        """
        entry = self._calls.get(id(node))
        if entry is None:
            calls = calls_in(node, DEEPEST)
            if calls is None:
                self.kept.count_once(node, Reason.UNPARSE)
                calls = []
            entry = self._calls[id(node)] = node, calls
        return entry[1]

    # commands

    def check(self, command: Command, frame: Frame) -> Command:
        """Return the command, or turn the exception that it recorded into control flow.

        Raises:
            Raised: the command raised an exception.
            Restart: it is the NameError of a session's variable, which in the program is an UnboundLocalError of the
                function's own variable, and the command did something before: the function's calls stay calls.
        """
        if self.suspended and (resumed := self.suspended.resumed_by_command()) is not None:
            raise Restart(resumed.began, Reason.UNFAITHFUL)  # from the start as a generator whose body stays closed
        if command.exception is not None:
            error = command.exception
            # any function's: a caller's variable may be read by the commands that bind parameters
            if type(error) is NameError and error.name in self.owners:
                local, function = self.owners[error.name]
                if not reads_first(command.source, error.name):
                    raise Restart(function, Reason.UNBOUND_LOCAL)
                # the session's variable is a global one, whose NameError is another exception
                self.writer.take_back(command)
                raising = self.writer.builtin("UnboundLocalError")
                return self.emit(f"raise {raising}({_UNBOUND.format(local)!r})", frame)
            # by identity, and not the last one: reveals and aliases of built-ins may stand after it
            index = max(i for i, each in enumerate(self.writer.commands) if each is command)
            inside = self.handling[-1] if self.handling else None
            if inside is not None and self._says_inside(command, inside, frame):
                inside = None
            raise Raised(frame, command.exception, index, inside)
        if self.handling:
            self._says_inside(command, self.handling[-1], frame)
        return command

    def _says_inside(self, command: Command, handled: Handled, frame: Frame) -> bool:
        """Have a command's text say that an exception was being handled, where that may show; return if it does."""
        is_told = command.exception is handled.error and command.source != f"raise {handled.name}"
        if not is_told and (asks := self.asked_for(frame)) != "nothing":
            is_told = command.raised or (asks == "current" and calls_something(command.source))
        if is_told:
            self.writer.put_inside(command, self.name_of(handled))
        return is_told

    def asked_for(self, frame: Frame) -> Asks:
        """Return what the program, or the file of the frame's function, asks for of exceptions being handled."""
        if self.rules.asks != "nothing" or not frame.is_call:
            return self.rules.asks
        asks = self._asking.get(frame.filename)
        if asks is None:
            lines = self.writer.sources.lines(frame.filename)
            asks = self._asking[frame.filename] = "nothing" if lines is None else file_asks_for(lines)
        return asks

    def name_of(self, handled: Handled) -> str:
        """Return the variable that holds an exception being handled, after binding one where none does.

        Raises:
            Restart: the program has bound something else to it.
        """
        if handled.name is None:
            handled.name = self.writer.guard(handled.index, self.variables.temporary("error"))
        if self.variables.namespace.get(handled.name) is not handled.error:
            self.give_up(handled.statement, handled.frame, Reason.EXCEPTION_CONTEXT)
        return handled.name

    def emit(
        self,
        source: str,
        frame: Frame,
        kind: CommandKind = "statement",
        writes: Iterable[str] = (),
        reveal: bool = True,
        origin: ast.stmt | None = None,
    ) -> Command:
        """Execute a statement as a command.

        Args:
            source: the command's text.
            frame: the activation that it belongs to.
            kind: see ``Command``.
            writes: the names that the text binds.
            reveal: show what the command wrote, where the opening says so.
            origin: the statement of the program that the command was made from, where it defines a function: the
                function's lines are then those of the program.

        Raises:
            Raised: the command raised an exception.
        """
        home = None if origin is None else (frame.filename, origin)
        if origin is not None and self.rules.from_file and not frame.is_call:
            source = defined_from_file(source, origin, self.writer.sources.lines(frame.filename) or ()) or source
        return self.check(self.writer.execute(source, kind, writes, reveal, home), frame)

    def evaluate(
        self,
        source: str,
        frame: Frame,
        kind: CommandKind = "statement",
        echo: Echo = "safe",
        wrapper: str | None = None,
    ) -> object:
        """Execute an expression as a command, shown where it may be, and return its value (``SessionWriter.evaluate``).

        Raises:
            Raised: the command raised an exception.
        """
        self.check(self.writer.evaluate(source, kind, echo, wrapper), frame)
        return self.writer.last_value

    def condition(self, node: ast.expr, frame: Frame) -> bool:
        """Execute a test and return its truth; a value that is no bool is shown through ``bool``.

        The program's own test calls ``__bool__`` as well, and once: the command is the call that counts.
        """
        source = self.text(node, frame)
        return bool(self.evaluate(source, frame, "condition", wrapper=self.writer.builtin("bool")))

    def assign_temporary(
        self, node: ast.expr, stem: str, frame: Frame, kind: CommandKind = "statement", reveal: bool = True
    ) -> ast.Name:
        """Assign an expression to a fresh temporary variable, named ``stem_1`` or so, and return that variable."""
        name = self.variables.temporary(stem)
        self.emit(
            f"{name} = {self._own_text(node, frame) or expression(node)}",
            frame,
            kind,
            [name],
            reveal,
            origin_of(name, node),
        )
        return ast.Name(name, ast.Load())

    # calls

    def begin_call(self, body: Body, call: ast.Call, frame: Frame) -> int:
        """Note that a call begins, and have the next command say so by a comment; return the call's number."""
        text = self._call_text(call, frame)
        self.calls.begun.append(BegunCall(caller=frame.call, name=body.qualified, text=text))
        number = len(self.calls.begun)
        self.writer.beginning.append(number)
        return number

    def _call_text(self, call: ast.Call, frame: Frame) -> str:
        """The call as it is written; worked out once for each place, since a loop makes it again and again."""
        place = frame.filename, *(getattr(call, name, None) for name in ("lineno", "col_offset", "end_col_offset"))
        key = place, type(call.func), len(call.args), len(call.keywords)
        is_placed = None not in place
        text = self._call_texts.get(key) if is_placed else None
        if text is None:
            text = call_text(call, self.writer.sources.lines(frame.filename))
            if is_placed:
                self._call_texts[key] = text
        return text

    def end_call_that_never_began(self, inner: Frame) -> None:
        """Forget the call that was noted last: one of its arguments raised an exception."""
        caller = self.calls.begun.pop().caller
        for command in reversed(self.writer.commands):
            if command.call != inner.call:
                break
            command.call = caller
            command.begun = [number for number in command.begun if number != inner.call]

    # the end of variables

    def end_temporaries(self, start: int, frame: Frame) -> None:
        """Unbind the temporary variables from this position on, but for those that may be left over, see ``Variables``.

        The spare variable goes with them where it holds an object, which in the program nothing holds.
        """
        names = self.variables.take_temporaries(start)
        spare, variables = self.writer.spare, self.variables
        if self.writer.wrote_spare:
            self.writer.wrote_spare = False
            # not where a local of a called function has that name
            if spare in variables.namespace and not variables.is_reserved(spare) and self.opening.is_certain:
                names += [] if variables.is_plain(spare) else [spare]
        if names:
            self.unbind([name for name in names if not self._leave_over(name, frame)], frame)

    def _leave_over(self, name: str, frame: Frame) -> bool:
        """Leave a temporary variable bound where nothing can tell; return False where it has to be unbound."""
        # hidden outcomes: if a value is plain depends on them
        if self.rules.lists_names or not self.opening.is_certain or not self.variables.leave_over(name):
            return False
        frame.left_over[name] = None
        return True

    def unbind(self, names: Sequence[str], frame: Frame) -> None:
        """Unbind variables by a command, and let other variables have their names."""
        namespace = self.variables.namespace
        certain = self.opening.tells_bound(names)
        untold = [name for name in names if name not in certain]
        if untold:
            # if they are bound depends on hidden outcomes: now they all are
            self.emit(" = ".join([*untold, "None"]), frame, "bind", untold, reveal=False)
        bound = [name for name in names if name in namespace]
        if bound:
            self.writer.merge_ends(self.emit(f"del {', '.join(bound)}", frame, "bind", reveal=False))
        self.writer.free(names)

    def release(self, body: Body, inner: Frame, result: str | None) -> None:
        """End the variables of a call that returned, by one command.

        ``result`` is the variable that holds the returned value, None where a constant or nothing is returned. It lives
        until the statement with the call is done.
        """
        variables = self.variables
        ending = [*variables.take_temporaries(inner.num_temporaries), *self.owned_by(body, inner)]
        if result in ending:
            variables.make_temporary(result)
        self.unbind([name for name in dict.fromkeys(ending) if name != result], inner)

    def owned_by(self, body: Body, inner: Frame) -> list[str]:
        """Return the variables that end with a call, in the order in which Python lets go of them.

        All of its locals, but for those that a closure made in it may still read.
        """
        for variable in (*body.names.values(), *body.cells):
            self.owners.pop(variable, None)
        ending = [name for name in inner.left_over if self.variables.is_left_over(name)]
        ending += [name for local, name in body.names.items() if local not in body.shared and local not in body.kept]
        return ending if body.captures else [*ending, *body.cells]
