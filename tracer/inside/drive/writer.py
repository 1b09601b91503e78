"""Writes the session: commands that are executed as they are emitted, in one namespace.

The text that is compiled is the text that is emitted, so a session is true by construction: what it shows has happened.
After each command the writer compares all variables with their values before it, so that the command's writes are
known, those through another name included; the opening then adds the reveals that are due.

A command is executed as a statement (``execute``: compiled in ``single`` mode, echoed by ``sys.displayhook``) or as an
expression (``evaluate``: compiled in ``eval`` mode, since the driver needs its value).

Over 400 lines because all that adds a command to the session, or changes one, stands in one place.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from trace_mine.tracer.inside.drive.captures import Captures
from trace_mine.tracer.inside.drive.commands import Command, Position
from trace_mine.tracer.inside.drive.places import Places
from trace_mine.tracer.inside.drive.variables import Variables, missing
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.exception_fields import asking_runs_code
from trace_mine.tracer.inside.observe.reveals import LONGEST_VALUE
from trace_mine.tracer.inside.program import Capture, OutputFull, Sources
from trace_mine.tracer.inside.protocol.answers import CommandKind
from trace_mine.tracer.inside.states.records import LONGEST_ECHO, Oddity
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.text import indented
from trace_mine.tracer.inside.views.opening import Opening

Echo = Literal["native", "safe"]
"""The rule by which the value of an expression is shown, see ``SessionWriter.evaluate``."""
_HIDE_ECHO: dict[Echo, frozenset[Oddity]] = {
    "native": frozenset(("echo hidden",)),
    "safe": frozenset(("echo hidden", "echo unsafe")),
}
_CAPTURED: frozenset[Oddity] = frozenset(("cut output", "no doctest"))
"""The text that a doctest can show of a command that captures its output, and of no other one."""


class SessionWriter:
    """Executes and records commands, and adds the reveals that the opening asks for (``Shows``).

    Takes over ``sys.displayhook``, by which a prompt echoes values.

    Attributes:
        variables: the names of the session, and the namespace that commands are executed in.
        flags: compiler flags of the program's ``from __future__`` imports.
        sources: finds the trees of functions, those that commands define included.
        hide: sources of commands and reveals whose output must not be shown: it differs in a replay.
        unshown: sources of such, each with its place among the commands, whose output must not be shown there: another
            one is possible, which differs. Where outcomes are hidden it is not what is shown that decides.
        tells: a command is written in a way that hangs on a hidden outcome.
        spare: the variable that takes values which the session does not show.
        commands: the emitted commands, in order.
        places: the constructs that the commands come from.
        printed: the texts that the program printed since the piece began.
        echoes: the values that its prompt echoed since then, as text. Apart from ``printed``, since the result check
            compares each with the native run, which in a script prints and does not echo.
        last_value: the value of the last expression.
        begins: is called before each command, where somebody is to know which one runs.
        wrote_spare: the statement that runs now has bound the spare variable.
        beginning: numbers of the calls that begin with the next command.
    """

    def __init__(
        self,
        variables: Variables,
        opening: Opening,
        *,
        flags: int,
        sources: Sources,
        capture: Capture,
        hide: Iterable[str],
        spare: str,
        unshown: Iterable[tuple[str, int]] = (),
    ) -> None:
        self.variables = variables
        self.flags = flags
        self.sources = sources
        self.hide = frozenset(hide)
        self.unshown = tuple(unshown)
        self.tells = False
        self.spare = spare
        self.commands: list[Command] = []
        self.places = Places()
        self._position: Position = ("", 0, 0, 0)
        self._piece = 0
        self._num_emitted = 0
        self.printed: list[str] = []
        self.echoes: list[str] = []
        self.last_value: object = None
        self.begins: Callable[[], None] | None = None
        self.wrote_spare = False
        self.beginning: list[int] = []
        self._opening = opening
        self._capture = capture
        self._num_catching = 0
        """Statements around the running command that may catch what it raises."""
        self._mixed: list[str] = []
        """Output of the running command, printed and echoed, in the order in which the session shows it."""
        self._codes: dict[tuple[str, str], types.CodeType] = {}
        """Compiled commands by text and mode: a loop emits the same ones in every iteration."""
        self._captures = Captures(variables, self._bind_before)
        sys.displayhook = self._display

    def begin_piece(self, index: int) -> None:
        """Note that the piece with this index begins: what was printed and echoed before belongs to other pieces."""
        self._piece = index
        self.printed.clear()
        self.echoes.clear()

    @property
    def position(self) -> Position:
        """The position in the program that the next command comes from."""
        return self._position

    def move_to(self, position: Position) -> None:
        """Note where the next commands come from."""
        self._position = position

    @contextlib.contextmanager
    def catching(self) -> Iterator[None]:
        """Around commands whose exceptions a statement of the program may catch."""
        self._num_catching += 1
        try:
            yield
        finally:
            self._num_catching -= 1

    # execution

    def _compile(self, source: str, mode: str, origin: tuple[str, ast.stmt] | None = None) -> types.CodeType:
        """Return the code of a command, compiled once; ``mode`` is ``compile``'s, ``origin`` as in ``execute``."""
        key = (source, mode)
        code = self._codes.get(key)
        if code is None:
            # a file name of its own, by which ``sources`` finds the text of a function that the command defines
            filename = f"<command {len(self._codes)}>"
            self.sources.register(filename, source, origin)
            text = source if mode == "eval" else source + "\n"
            code = self._codes[key] = compile(text, filename, mode, self.flags, True)
        return code

    def _display(self, value: object) -> None:
        """Echo a value as a prompt does: ``sys.displayhook`` of the session."""
        if value is None:
            return
        builtins._ = None  # type: ignore[attr-defined]  # as ``sys.displayhook`` does while ``repr`` runs
        # before ``repr``, which is the snippet's and may change the value
        self.echoes.append(values.text(values.snapshot(value)))
        self._move_printed()
        text = repr(value)
        # a program that redirected its output gets its echoes there, as at a prompt of its own
        if sys.stdout is self._capture:
            self._move_printed()
            self._mixed.append(text + "\n")
        else:
            sys.stdout.write(text + "\n")
        builtins._ = value  # type: ignore[attr-defined]

    def _move_printed(self) -> None:
        """Move what was printed since the last look to ``printed``, and into the running command's output."""
        printed = self._capture.take()
        self.printed.append(printed)
        self._mixed.append(printed)

    def execute(
        self,
        source: str,
        kind: CommandKind = "statement",
        writes: Iterable[str] = (),
        reveal: bool = True,
        origin: tuple[str, ast.stmt] | None = None,
        asked: Command | None = None,
    ) -> Command:
        """Execute a statement as a command; an exception is recorded in it, not raised.

        Args:
            source: the command's text.
            kind: see ``Command``.
            writes: the names that the text binds; they are tracked from now on.
            reveal: False for a command after which nothing is to be shown.
            origin: the file and the definition that the command was made from.
            asked: a command that raised the exception that this one raises, and was asked what it says.

        Raises:
            OutputFull: the program printed more than it may.
        """
        if self.begins is not None:
            self.begins()
        command = self._begun(Command(source, kind, self._position, self._piece))
        if asked is not None:
            command.is_asked, command.message = asked.is_asked, asked.message
        num_echoes = len(self.echoes)
        self.last_value = None  # the command may be what ends its life
        try:
            # one dictionary as globals and locals, as at a prompt: nested functions and comprehensions find all names
            exec(self._compile(source, "single", origin), self.variables.namespace)
        except OutputFull:
            raise  # the run's own limit, which is no exception of the program
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the program's own, too
            command.exception, command.raised = error, True
        self._move_printed()
        command.output = "".join(self._mixed)
        self._mixed.clear()
        command.echoed = len(self.echoes) > num_echoes
        self._finish(command, writes, reveal)
        return command

    def evaluate(
        self, source: str, kind: CommandKind, echo: Echo, wrapper: str | None = None, reveal: bool = True
    ) -> Command:
        """Execute an expression as a command; its value is in ``last_value`` (None where it raised).

        A value that is not shown is bound to the spare variable, so that the prompt echoes nothing.

        Args:
            source: the expression's text.
            kind: see ``Command``.
            echo: ``native`` where the program itself runs at a prompt, so that ``repr`` is called by the program;
                ``safe`` where only a value whose ``repr`` runs no code of the snippet is shown.
            wrapper: the name of the built-in ``bool`` for a condition, whose value it turns to bool; the command then
                spells that. None for any other expression.
            reveal: see ``execute``.

        Raises:
            OutputFull: the program printed more than it may.
        """
        if self.begins is not None:
            self.begins()
        command = self._begun(Command(source, kind, self._position, self._piece))
        value: object = None
        try:
            value = eval(self._compile(source, "eval"), self.variables.namespace)
            if wrapper is not None and self._wraps(source, value):
                # the snippet's ``__bool__``, once as in the native run: tests/samples/side_effects.py prints in it
                value = bool(value)
                command.source = source = f"{wrapper}({source})"
        except OutputFull:
            raise
        except BaseException as error:
            command.exception, command.raised = error, True
            if wrapper is not None and self._wraps(source, True):
                command.source = source = f"{wrapper}({source})"
        printed = self._capture.take()
        self.printed.append(printed)
        self.last_value = value
        outlook = self._opening.outlook(source)
        # as the opening says where outcomes are hidden, and by what happened elsewhere
        hidden = self._is_unshown(source) or (not outlook.is_one and not _HIDE_ECHO[echo].isdisjoint(outlook.oddities))
        echoed = "" if command.exception is not None else self._echo(source, value, echo)
        if echoed is None and not hidden:
            hidden = True
            self.tells = self.tells or not outlook.is_one
        command.output = printed + ("" if hidden else echoed or "")
        command.echoed = bool(echoed) and not hidden
        if hidden:
            command.source = f"{self.spare} = {source}"
            if command.exception is None:
                self.variables.namespace[self.spare] = value
        # what is printed is hidden as well, where it may be that which differs
        is_unshown = self._is_unshown(source) and self._opening.outlook(command.source).shows
        self._finish(command, (), reveal, is_unshown=is_unshown)
        return command

    def _wraps(self, source: str, value: object) -> bool:
        """Return True if a test is written with ``bool`` around it: its value is none, or could be none."""
        outlook = self._opening.outlook(source, "eval")
        is_bool = type(value) is bool
        wraps = not is_bool if outlook.is_one else "no bool" in outlook.oddities
        self.tells = self.tells or not (wraps or is_bool)
        return wraps or not is_bool

    def _is_unshown(self, source: str) -> bool:
        """Return True if the output of the next command, which this is, must not be shown."""
        return any(source == hidden and len(self.commands) == number for hidden, number in self.unshown)

    def _begun(self, command: Command) -> Command:
        """Have a command say which calls begin with it."""
        command.begun, self.beginning = self.beginning, []
        return command

    def _echo(self, source: str, value: object, echo: Echo) -> str | None:
        """Return the echo's text, '' for the value None, or None where the value must not be shown."""
        if value is None:
            return ""
        if echo == "native":
            self.echoes.append(values.text(values.snapshot(value)))
            text = repr(value)
            if self._capture.take():
                return None  # the ``repr`` printed something: its order beside the echo would be another one
        elif values.stable(value):
            text = repr(value)
        else:
            return None
        # an address is another one in each run
        if " at 0x" in text or len(text) > LONGEST_ECHO or source in self.hide:
            return None
        builtins._ = value  # type: ignore[attr-defined]  # a later command of the program may read ``_``
        return text + "\n"

    def _finish(self, command: Command, writes: Iterable[str], reveal: bool, *, is_unshown: bool = False) -> None:
        """Record an executed command that binds ``writes``, and show the reveals that are due, if ``reveal``.

        What it printed is not shown if it ``is_unshown``.

        The order matters: the opening gets the command before the variables are compared, so that a view which hides
        outcomes judges by the text that a reader has; reveals come last, since they show the values just compared.
        """
        error = command.exception
        binds = list(writes)
        outlook = self._opening.outlook(command.source)
        command.is_one = outlook.is_one
        captures = not doctext.is_showable(command.output)
        if not outlook.is_one:
            # one way of writing it for all outcomes; of those that no way fits some may not be told from others
            is_odd = captures or (error is not None and bool(command.output))
            captures = not _CAPTURED.isdisjoint(outlook.oddities)
            self.tells = self.tells or "no message" in outlook.oddities or (is_odd and not captures)
            self.tells = self.tells or doctext.has_printed_frames(command.output)
            captures = captures or not doctext.is_showable(command.output)
        is_unshown = is_unshown or self._is_unshown(command.source)
        shown_by = [self._capture_output(command)] if captures or is_unshown else []
        if is_unshown:
            shown_by.clear()
        if error is not None:
            # An exception that is caught nobody asks for its text, and a program's ``__str__`` may change things. If it
            # is not caught after all, ``show_uncaught`` raises it by a command of its own.
            if not (self._num_catching and command.is_one and asking_runs_code(error)):
                self.ask(command, error)
            command.error = doctext.shown_error(command.message or "")
        self._record(command)
        is_told = command.is_asked and doctext.is_showable_message(command.message or "")
        if error is not None and (command.output or not is_told):
            # a doctest shows either output or a traceback: the command catches its exception and keeps the output
            name = self.guard(len(self.commands) - 1, self.variables.temporary("error"))
            if command.is_asked and not command.output:
                shown_by += self._telling(name, error, command.message)
        self._tell_opening(command)
        if binds:
            self.variables.track(binds)
        wrote, changes = self.variables.observe()
        command.wrote += wrote
        command.changes.update(changes)
        if changes and self.spare in changes:
            self.wrote_spare = True
        for source in shown_by:
            self.show_by_command(source)
        if error is not None:
            self._opening.unshown([*command.wrote, *binds])
            return  # a reveal here would stand between the command and the handler's statements
        # a name that is bound to an equal value again was written all the same
        command.wrote += [name for name in binds if name not in command.wrote and self.variables.has_value(name)]
        if reveal:
            self._opening.reveal_after(command.source, binds, command.wrote, self)
        else:
            self._opening.unshown(command.wrote)

    def ask(self, command: Command, error: BaseException) -> str | None:
        """Ask the exception of a command what it says, once: ``message_of``."""
        if not command.is_asked:
            command.is_asked, command.message = True, self.message_of(error)
        return command.message

    def message_of(self, error: BaseException) -> str | None:
        """The lines of an exception as ``doctext.message_of`` has them; None, too, where its ``__str__`` printed
        something: a prompt would show that before the traceback, and a doctest would not.
        """
        message = doctext.message_of(error)
        return None if self._capture.take() else message

    def _capture_output(self, command: Command) -> str:
        """Rewrite a command so that it captures its output, which no doctest can show; return what shows it."""
        command.source, name, shown_by = self._captures.rewrite(command.source, command.output)
        command.output, command.echoed = "", False
        self.variables.track([name])
        return shown_by

    def _telling(self, name: str, error: BaseException, message: str | None) -> list[str]:
        """The expressions that tell what an exception is and says, where no traceback can show it; of a hostile one
        none that would run code of its metaclass.
        """
        namespace = self.variables.namespace
        is_hidden = namespace.get("type", type) is not type or namespace.get("str", str) is not str
        if is_hidden or type(type(error)) is not type:
            return []
        if message is None or doctext.has_printed_frames(message):
            return [f"type({name}).__name__"]
        return [f"type({name}).__name__, str({name})"]

    def _bind_before(self, source: str) -> None:
        """Execute an import, which stands before a command that ran already: what that one wrote is not looked at."""
        command = Command(source, "bind", self._position, self._piece)
        exec(self._compile(source, "single"), self.variables.namespace)
        self.commands.append(command)
        self._tell_opening(command)

    def show_source(self, text: str, name: str, restore: str) -> Command | None:
        """Execute a definition that nothing uses, and what gives its name back.

        ``text`` binds ``name`` and does nothing else; after ``restore`` the name means what it meant before. Where it
        doesn't (the program has replaced ``__import__``), nothing is shown.

        Returns:
            The command that gives the name back; None where nothing is shown.
        """
        namespace, before = self.variables.namespace, self.variables.held(name)
        had = namespace.get(name, missing)
        define = Command(text, "source", self._position, self._piece)
        give_back = Command(restore, "source", self._position, self._piece)
        try:
            exec(self._compile(text, "single"), namespace)
            exec(self._compile(restore, "single"), namespace)
        except Exception:
            define.raised = True
        self._move_printed()
        printed = self.printed.pop()
        self._mixed.clear()
        if define.raised or printed or namespace.get(name, missing) is not had:
            namespace.pop(name, None)
            if had is not missing:
                namespace[name] = had
            return None
        # not observed: between the two nothing looks, and after them the variables are what they were
        for command in (define, give_back):
            self._record(command)
            self._tell_opening(command)
        if before is not None:  # a value that states hold
            define.changes[name], give_back.changes[name] = None, before
            define.wrote, give_back.wrote = [name], [name]
        return give_back

    def _tell_opening(self, command: Command) -> None:
        """Tell the opening of a command that was executed, or that it has another text now."""
        if command.num_emitted is None:
            command.num_emitted, self._num_emitted = self._num_emitted, self._num_emitted + 1
            self._opening.emitted(command.source, command.output, command.error)
        else:
            self._opening.rewritten(command.num_emitted, command.source, command.output, command.error)

    def _record(self, command: Command) -> None:
        """Add a command that was executed to the session, with where it stands."""
        command.place, command.num_texts = self.places.current, len(self.printed)
        command.num_uncertain = self._opening.num_uncertain
        self.commands.append(command)

    def would_tell(self, path: str, line: int, column: int | None) -> bool:
        """Return True if to keep a place whole would tell what was shown after it began for the first time.

        Sessions that looked alike up to there, and were shown something else since, need not keep it whole.
        """
        outermost: list[int] = []
        places = set()
        for number, (outer, *place) in enumerate(self.places.all, 1):
            outermost.append(outermost[outer - 1] if outer else number)
            if place == [path, line, column]:
                places.add(outermost[-1])
        if not places:
            return False
        began = (each for each in self.commands if each.place and outermost[each.place - 1] >= min(places))
        first = next(began, None)
        return first is not None and self._opening.num_uncertain > first.num_uncertain

    # changes to what was emitted

    def take_back_reveal(self, source: str) -> None:
        """Take back a reveal that the next command, the program's own echo of this expression, repeats.

        Not where outcomes are hidden: if there is an echo may hang on what the reveal showed.
        """
        if self._opening.hides:
            return
        for index in range(len(self.commands) - 1, -1, -1):
            command = self.commands[index]
            if command.kind == "reveal" and command.source == source:
                del self.commands[index]
            elif command.kind == "reveal" or (command.kind == "bind" and command.source.startswith("del ")):
                continue  # of the same command, or the end of a call that gave the value
            return

    def take_back(self, command: Command) -> None:
        """Take back a command that changed nothing: in a replay it would change nothing either."""
        self.tells = self.tells or not command.is_one
        self.commands.remove(command)
        self.beginning = command.begun

    def merge_ends(self, command: Command) -> None:
        """Make one command of two that unbind variables, where the last one stands right after another one.

        Not where one printed something: whose output it is would not show.
        """
        if len(self.commands) < 2 or self.commands[-1] is not command:
            return
        before = self.commands[-2]
        is_end = before.kind == "bind" and before.source.startswith("del ") and "\n" not in before.source
        if not is_end or before.output or command.output or command.begun or before.piece != command.piece:
            return
        before.source += command.source.replace("del ", ", ", 1)
        before.changes |= command.changes
        before.wrote += [name for name in command.wrote if name not in before.wrote]
        before.num_texts = command.num_texts
        self.commands.pop()

    def replace_failed(self, command: Command, source: str) -> None:
        """Give a command that raised another text, which does the same and raises nothing."""
        if command.error is None:  # ``guard`` has rewritten it already, since it printed something as well
            name = self._guarded_name(command)
            del self.variables.namespace[name], command.changes[name]
            command.wrote.remove(name)
            self.variables.free(name)
        command.source = source
        command.error, command.exception, command.raised = None, None, False
        if command.num_emitted is not None:
            self._tell_opening(command)

    def guard(self, index: int, name: str) -> str:
        """Rewrite a command that raised so that it binds the exception instead of ending in a traceback.

        The command was executed already, so its text is changed afterwards, and the namespace gets what the new text
        would have bound.

        Args:
            index: the command's position in the session.
            name: the variable that is to hold the exception.

        Returns:
            The variable that holds it: another one than asked for where a later command uses that name already
            (``del error`` of an inner handler would unbind it), or where an earlier call bound the exception.
        """
        command, namespace = self.commands[index], self.variables.namespace
        if command.error is None:
            return self._guarded_name(command)  # rewritten before, by an inner handler or ``with``
        self.tells = self.tells or not command.is_one
        assert command.exception is not None  # its handler runs
        later = "\n".join(each.source for each in self.commands[index + 1 :])
        number = 1
        while re.search(rf"\b{name}\b", later):
            number += 1
            fresh = f"error_{number}"
            name = name if fresh in namespace or self.variables.is_reserved(fresh) else fresh
        body = command.source
        # an expression would be echoed by the prompt if it stood in a block without an assignment
        try:
            ast.parse(body, mode="eval")
            body = f"{self.spare} = {body}"
        except SyntaxError:
            pass  # a statement stands in the block as it is
        caught = "caught" if "caught" not in namespace else self.variables.fresh("caught")
        command.source = f"try:\n{indented(body)}\nexcept BaseException as {caught}:\n    {name} = {caught}"
        # the ``except`` clause unbinds its own name at its end, so the exception is bound to a second one
        self.variables.free(caught)
        command.error = None
        command.changes[name] = self.variables.bind(name, command.exception)
        if name not in command.wrote:
            command.wrote.append(name)
        if command.num_emitted is not None:
            self._tell_opening(command)
        return name

    def put_inside(self, command: Command, name: str) -> None:
        """Rewrite a command that ran so that it runs where an exception is being handled, which a variable holds."""
        self.tells = self.tells or not command.is_one
        command.source = f"try:\n    raise {name}\nexcept BaseException:\n{indented(command.source)}"
        if command.num_emitted is not None:
            self._tell_opening(command)

    def let_go(self, index: int) -> None:
        """Hold the exception that a command raised no longer: the program doesn't, either."""
        self.commands[index].exception = None

    def _guarded_name(self, command: Command) -> str:
        """Return the variable that a command which ``guard`` rewrote binds: its last line is ``name = caught``."""
        return command.source.rsplit("\n", 1)[1].split(" = ", 1)[0].strip()  # indented twice after ``put_inside``

    # names

    def builtin(self, name: str) -> str:
        """Return the built-in's name, or an alias of it, which a command imports once, where a variable hides it.

        A program may call its variables ``next``, ``iter`` or ``bool`` (tests/samples/names_hidden.py does), which the
        driver's own commands need.
        """
        namespace, function = self.variables.namespace, getattr(builtins, name)
        if namespace.get(name, function) is function:
            return name
        alias = f"builtin_{name}"
        if namespace.get(alias) is not function:
            self.execute(f"from builtins import {name} as {alias}", "bind", reveal=False)
        return alias

    def free(self, names: Iterable[str]) -> None:
        """Let other variables have names that a command has unbound, or that none has bound."""
        for name in names:
            self.variables.free(name)
            self._opening.forget(name)

    # reveals

    def show_value(self, source: str) -> bool:
        """Show the value of an expression whose ``repr`` runs no code of the snippet; return False if it is not shown.

        A value is not shown where it differs in a replay, where it is longer than ``LONGEST_VALUE`` characters, or
        where no doctest can show it.
        """
        if source in self.hide:
            return False
        try:
            value = eval(self._compile(source, "eval"), self.variables.namespace)
        except Exception:
            return False  # a reveal that cannot be computed is left out: nothing was shown, nothing of the snippet ran
        shown = repr(value) + "\n"
        if len(shown) > LONGEST_VALUE or not doctext.is_showable(shown):
            return False
        reveal = Command(source, "reveal", self._position, self._piece)
        reveal.output = shown
        reveal.echoed = True
        self._record(reveal)
        builtins._ = value  # type: ignore[attr-defined]
        return True

    def show_by_command(self, source: str) -> None:
        """Execute a name, or a call of ``print``, as a command; what it shows is no output of the program."""
        if self._is_unshown(source):
            return
        reveal = Command(source, "reveal", self._position, self._piece)
        reveal.echoed = not source.startswith("print(")
        exec(self._compile(source, "single"), self.variables.namespace)
        self._move_printed()
        self.printed.pop()  # the result check compares ``printed`` and ``echoes`` with the native run, without reveals
        if any(self._mixed) and reveal.echoed:  # the echo of None is nothing
            self.echoes.pop()
            self.printed.pop()
        reveal.output = "".join(self._mixed)
        self._mixed.clear()
        self._record(reveal)
        self._tell_opening(reveal)
