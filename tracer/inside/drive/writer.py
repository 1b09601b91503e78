"""Writes the session: commands that are executed as they are emitted, in one namespace.

The text that is compiled is the text that is emitted. After each command the variables are looked at, so that it is
known what the command wrote, aliases included; the opening then adds the reveals that are due.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import types
from collections.abc import Iterable
from typing import Any

from trace_mine.tracer.inside.drive.commands import Command, Place, Unshowable
from trace_mine.tracer.inside.drive.variables import Variables
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import LONGEST_VALUE
from trace_mine.tracer.inside.program import Capture, OutputFull, Sources
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.text import indented
from trace_mine.tracer.inside.views.opening import Opening

LONGEST_ECHO = 2_000
"""Characters of an echo; a longer one is bound to the spare variable instead of shown."""


class Writer:
    """Executes and records commands; shows what the opening asks for (``Shows``).

    Attributes:
        variables: the names of the session, and the namespace that commands are executed in.
        flags: compiler flags of the program's ``from __future__`` imports.
        sources: from functions to their trees; learns what commands define.
        hide: sources of commands and reveals whose output must not be shown: it differs in a replay.
        spare: the variable that takes values which the session does not show.
        commands: what was emitted, in order.
        printed, echoes: what the program printed and what its prompt echoed since the piece began, apart: a native run
            prints the one and not the other.
        last_value: the value of the last expression.
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
    ) -> None:
        self.variables = variables
        self.flags = flags
        self.sources = sources
        self.hide = frozenset(hide)
        self.spare = spare
        self.commands: list[Command] = []
        self._place: Place = ("", 0, 0)
        self._piece = 0
        self.printed: list[str] = []
        self.echoes: list[str] = []
        self.last_value: Any = None
        self._opening = opening
        self._capture = capture
        self._mixed: list[str] = []
        """Output of the running command, printed and echoed, in the order in which the session shows it."""
        self._codes: dict[tuple[str, str], types.CodeType] = {}
        sys.displayhook = self._display

    def begin_piece(self, index: int) -> None:
        """The program's next piece begins."""
        self._piece = index
        self.printed.clear()
        self.echoes.clear()

    @property
    def place(self) -> Place:
        """Where the next command comes from."""
        return self._place

    def move_to(self, place: Place) -> None:
        """The next commands come from there."""
        self._place = place

    # execution

    def _compile(self, source: str, mode: str, origin: tuple[str, ast.stmt] | None = None) -> types.CodeType:
        key = (source, mode)
        code = self._codes.get(key)
        if code is None:
            filename = f"<command {len(self._codes)}>"
            self.sources.register(filename, source, origin)
            text = source if mode == "eval" else source + "\n"
            code = self._codes[key] = compile(text, filename, mode, self.flags, True)
        return code

    def _display(self, value: Any) -> None:
        if value is None:
            return
        builtins._ = None  # type: ignore[attr-defined]  # as ``sys.displayhook`` does while ``repr`` runs
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
        """Keeps what was printed apart from what a prompt echoes: a native run prints the one and not the other."""
        printed = self._capture.take()
        self.printed.append(printed)
        self._mixed.append(printed)

    def execute(
        self,
        source: str,
        kind: str = "statement",
        writes: Iterable[str] = (),
        reveal: bool = True,
        origin: tuple[str, ast.stmt] | None = None,
    ) -> Command:
        """Executes a statement as a command; an exception is recorded in it, not raised.

        ``origin`` is the file and the definition that the command was made from.
        """
        command = Command(source, kind, self._place, self._piece)
        before = len(self.echoes)
        try:
            exec(self._compile(source, "single", origin), self.variables.namespace)
        except OutputFull:
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt are the program's own, too
            command.exception = error
        self._move_printed()
        command.output = "".join(self._mixed)
        self._mixed.clear()
        command.echoed = len(self.echoes) > before
        self._finish(command, writes, reveal)
        return command

    def evaluate(self, source: str, kind: str, echo: str, wrapper: str | None = None, reveal: bool = True) -> Command:
        """Executes an expression as a command; its value is in ``last_value``.

        ``echo``: ``native`` where the program itself runs at a prompt (``repr`` is the program's), ``safe`` where only
        a value whose ``repr`` runs no code of the snippet is shown. What is not shown is bound to the spare name.
        ``wrapper`` names the built-in that turns a condition's value to bool where it is not one.
        """
        command = Command(source, kind, self._place, self._piece)
        value: Any = None
        try:
            value = eval(self._compile(source, "eval"), self.variables.namespace)
            if wrapper is not None and type(value) is not bool:
                value = bool(value)
                command.source = source = f"{wrapper}({source})"
        except OutputFull:
            raise
        except BaseException as error:
            command.exception = error
        printed = self._capture.take()
        self.printed.append(printed)
        self.last_value = value
        echoed = "" if command.exception is not None else self._echo(source, value, echo)
        command.output = printed + (echoed or "")
        command.echoed = bool(echoed)
        if echoed is None:
            command.source = f"{self.spare} = {source}"
            self.variables.namespace[self.spare] = value
        self._finish(command, (), reveal)
        return command

    def _echo(self, source: str, value: Any, echo: str) -> str | None:
        """The echo's text, '' for None, or None where it must be hidden."""
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
        if " at 0x" in text or len(text) > LONGEST_ECHO or source in self.hide or doctext.why_not(text):
            return None
        builtins._ = value  # type: ignore[attr-defined]
        return text + "\n"

    def _finish(self, command: Command, writes: Iterable[str], reveal: bool) -> None:
        """Records an executed command that binds ``writes``, and shows what is due unless ``reveal`` is False.

        Raises:
            Unshowable: a doctest cannot show the output or the traceback.
        """
        error = command.exception
        reason = doctext.why_not(command.output)
        if reason is None and error is not None:
            command.error = doctext.shown_error(error)
            self._capture.take()  # what the exception's ``__str__`` printed is no output of the command
            reason = doctext.why_not_error(command.error)
        if reason is not None:
            raise Unshowable(reason)
        self.commands.append(command)
        if error is not None and command.output:
            # a doctest shows either output or a traceback: the command catches its exception and keeps the output
            self.guard(len(self.commands) - 1, self.variables.fresh("error"))
        self._opening.emitted(command.source, command.output, command.error)
        binds = list(writes)
        if binds:
            self.variables.track(binds)
        command.wrote, command.changes = self.variables.observe()
        if error is not None:
            return
        # a name that is bound to an equal value again was written all the same
        command.wrote += [name for name in binds if name not in command.wrote and self.variables.has_value(name)]
        if reveal:
            self._opening.reveal_after(command.source, binds, command.wrote, self)

    # changes to what was emitted

    def take_back_reveal(self, source: str) -> None:
        """Takes back a reveal that the next command repeats."""
        if self.commands and self.commands[-1].kind == "reveal" and self.commands[-1].source == source:
            self.commands.pop()

    def take_back(self, command: Command) -> None:
        """Takes back a command that changed nothing."""
        self.commands.remove(command)

    def replace_failed(self, command: Command, source: str) -> None:
        """Gives a command that raised a text that does the same and raises nothing."""
        command.source = source
        command.error = command.exception = None

    def guard(self, index: int, name: str) -> str:
        """Rewrites a command that raised so that it binds the exception instead of ending in a traceback; gives its
        name.

        The name is another one than asked for where a later command speaks of it already (``del error`` of an inner
        handler).
        """
        command, namespace = self.commands[index], self.variables.namespace
        assert command.exception is not None
        if command.error is None:
            return self._guarded_name(command)
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
        if caught != "caught":
            del namespace[caught]  # ``fresh`` reserves it; the command itself unbinds it
        command.error = None
        namespace[name] = command.exception
        return name

    def _guarded_name(self, command: Command) -> str:
        return command.source.rsplit("\n    ", 1)[1].split(" = ", 1)[0]

    # names

    def builtin(self, name: str) -> str:
        """The built-in's name, or an alias that is imported once where the session's own variable hides it."""
        namespace, wanted = self.variables.namespace, getattr(builtins, name)
        if namespace.get(name, wanted) is wanted:
            return name
        alias = f"builtin_{name}"
        if namespace.get(alias) is not wanted:
            self.execute(f"from builtins import {name} as {alias}", "bind", reveal=False)
        return alias

    def forget(self, names: Iterable[str]) -> None:
        """Stops following variables of a call that has returned."""
        for name in names:
            self.variables.forget(name)
            self._opening.forget(name)

    def let_go(self, name: str) -> None:
        """Unbinds a variable, so that its name is free for another one."""
        self.variables.unbind(name)
        self.forget([name])

    # reveals

    def show_value(self, source: str) -> bool:
        """Shows the value of an expression whose ``repr`` runs no code of the snippet; False where it is not shown."""
        if source in self.hide:
            return False
        try:
            value = eval(self._compile(source, "eval"), self.variables.namespace)
        except Exception:
            return False  # a reveal that cannot be computed is left out: nothing was shown, nothing of the snippet ran
        shown = repr(value) + "\n"
        if len(shown) > LONGEST_VALUE or doctext.why_not(shown):
            return False
        reveal = Command(source, "reveal", self._place, self._piece)
        reveal.output = shown
        reveal.echoed = True
        self.commands.append(reveal)
        builtins._ = value  # type: ignore[attr-defined]
        return True

    def show_by_command(self, source: str) -> None:
        """Shows what a name or a call of ``print`` shows at a prompt; that is no output of the program."""
        reveal = Command(source, "reveal", self._place, self._piece)
        reveal.echoed = not source.startswith("print(")
        exec(self._compile(source, "single"), self.variables.namespace)
        self._move_printed()
        self.printed.pop()
        if any(self._mixed) and reveal.echoed:  # the echo of None is nothing
            self.echoes.pop()
            self.printed.pop()
        reveal.output = "".join(self._mixed)
        self._mixed.clear()
        self.commands.append(reveal)
        self._opening.emitted(source, reveal.output, None)
