"""The session being written: commands that are executed as they are emitted, in one namespace.

The text that is compiled is the text that is emitted. After each command the variables are looked at (``values``), so
that what it wrote is known, aliases included, and shown by reveals.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.reveals import LONGEST_VALUE, NOT_STATE, Reveals, spelt_and_aliased
from trace_mine.tracer.inside.program import Capture, OutputFull, Sources
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.text import indented

if TYPE_CHECKING:
    from trace_mine.tracer.inside.views.gate import Gate

LONGEST_ECHO = 2_000
MOST_REVEALS = 4


class Command:
    """One emitted command. ``output`` is raw, without the traceback, which ``error`` holds as doctest writes it."""

    __slots__ = (
        "changes",
        "depth",
        "echoed",
        "error",
        "exception",
        "kind",
        "line",
        "output",
        "path",
        "piece",
        "source",
        "wrote",
    )

    def __init__(self, source: str, kind: str, place: Place) -> None:
        self.source = source
        self.kind = kind
        self.output = ""
        self.error: str | None = None
        self.exception: BaseException | None = None
        self.echoed = False
        self.wrote: list[str] = []
        self.changes: dict[str, str | None] = {}
        self.depth = place.depth
        self.path = place.path
        self.line = place.line
        self.piece = place.piece


class Place:
    """Where the driver stands: file, line, depth of followed calls, index of the piece."""

    __slots__ = ("depth", "line", "path", "piece")

    def __init__(self) -> None:
        self.path = ""
        self.line = 0
        self.depth = 0
        self.piece = 0


class Unshowable(Exception):
    """A command printed what no doctest can show and can't be hidden; the message is the counted reason."""


class Session:
    """Executes and records commands. ``hide`` holds sources whose output must not be shown (it differs in replay)."""

    def __init__(
        self, namespace: dict[str, Any], flags: int, sources: Sources, capture: Capture, hide: Iterable[str], spare: str
    ) -> None:
        self.namespace = namespace
        self.flags = flags
        self.sources = sources
        self.capture = capture
        self.hide = frozenset(hide)
        self.spare = spare
        self.commands: list[Command] = []
        self.reserved: set[str] = set()
        self.place = Place()
        self.tracked: dict[str, bytes | str | None] = {}
        self.reveals = Reveals(namespace, sources.is_own)
        self.printed: list[str] = []
        self.echoes: list[str] = []
        self.last_value: Any = None
        self.gate: Gate | None = None
        self._mixed: list[str] = []
        self._gone: list[str] = []
        self._codes: dict[tuple[str, str], types.CodeType] = {}
        sys.displayhook = self._display

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
        builtins._ = None  # type: ignore[attr-defined]
        self.echoes.append(values.text(values.snapshot(value)))
        self._move_printed()
        told = repr(value)
        if sys.stdout is self.capture:
            self._move_printed()
            self._mixed.append(told + "\n")
        else:
            sys.stdout.write(told + "\n")
        builtins._ = value  # type: ignore[attr-defined]

    def _move_printed(self) -> None:
        """Keeps what was printed apart from what a prompt echoes: a native run prints the one and not the other."""
        printed = self.capture.take()
        self.printed.append(printed)
        self._mixed.append(printed)

    def do(
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
        command = Command(source, kind, self.place)
        before = len(self.echoes)
        try:
            exec(self._compile(source, "single", origin), self.namespace)
        except OutputFull:
            raise
        except BaseException as error:
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
        ``wrapper`` names the built-in that turns a condition's value to bool where it isn't one.
        """
        command = Command(source, kind, self.place)
        value: Any = None
        try:
            value = eval(self._compile(source, "eval"), self.namespace)
            if wrapper is not None and type(value) is not bool:
                value = bool(value)
                command.source = source = f"{wrapper}({source})"
        except OutputFull:
            raise
        except BaseException as error:
            command.exception = error
        printed = self.capture.take()
        self.printed.append(printed)
        self.last_value = value
        told = "" if command.exception is not None else self._echo(source, value, echo)
        command.output = printed + (told or "")
        command.echoed = bool(told)
        if told is None:
            command.source = f"{self.spare} = {source}"
            self.namespace[self.spare] = value
        self._finish(command, (), reveal)
        return command

    def _echo(self, source: str, value: Any, echo: str) -> str | None:
        """The echo's text, '' for None, or None where it must be hidden."""
        if value is None:
            return ""
        if echo == "native":
            self.echoes.append(values.text(values.snapshot(value)))
            told = repr(value)
            extra = self.capture.take()
            if extra:
                return None
        elif values.stable(value):
            told = repr(value)
        else:
            return None
        if " at 0x" in told or len(told) > LONGEST_ECHO or source in self.hide or doctext.why_not(told):
            return None
        builtins._ = value  # type: ignore[attr-defined]
        return told + "\n"

    def _finish(self, command: Command, writes: Iterable[str], reveal: bool) -> None:
        reason = doctext.why_not(command.output)
        if reason is not None:
            raise Unshowable(reason)
        error = command.exception
        if error is not None:
            command.error = doctext.shown_error(error)
            self.capture.take()
            reason = doctext.why_not(
                command.error.removeprefix(doctext.HEADER + "\n" + doctext.STACK + "\n").replace(doctext.BLANK, "")
            )
            if reason is not None:
                raise Unshowable(reason)
        self.commands.append(command)
        if error is not None and command.output:
            self.guard(len(self.commands) - 1, self.fresh("error"))
        if self.gate is not None:
            self.gate.push(command.source, _shown(command))
        written = list(writes) if error is None else []
        for name in writes:
            self.tracked.setdefault(name, None)
        self._observe(command)
        command.wrote += [name for name in written if name not in command.wrote and self.tracked.get(name) is not None]
        if not reveal or error is not None:
            return
        if self.gate is None:
            self._reveal(command)
        else:
            for source in self.gate.reveals(writes):
                self._show_due(source)

    def drop_reveal(self, source: str) -> None:
        """Takes back a reveal that the next command repeats."""
        if self.commands and self.commands[-1].kind == "reveal" and self.commands[-1].source == source:
            self.commands.pop()

    # exceptions

    def guard(self, index: int, name: str) -> str:
        """Rewrites a command that raised so that it binds the exception instead of ending in a traceback; gives its
        name.

        The name is another one than asked for where a later command speaks of it already (``del error`` of an inner
        handler).
        """
        command = self.commands[index]
        assert command.exception is not None
        if command.error is None:
            return self._guarded_name(command)
        later = "\n".join(each.source for each in self.commands[index + 1 :])
        number = 1
        while re.search(rf"\b{name}\b", later):
            number += 1
            fresh = f"error_{number}"
            name = name if fresh in self.namespace or fresh in self.reserved else fresh
        body = command.source
        try:
            ast.parse(body, mode="eval")
            body = f"{self.spare} = {body}"
        except SyntaxError:
            pass  # a statement stands in the block as it is
        caught = "caught" if "caught" not in self.namespace else self.fresh("caught")
        command.source = f"try:\n{indented(body)}\nexcept BaseException as {caught}:\n    {name} = {caught}"
        if caught != "caught":
            del self.namespace[caught]  # ``fresh`` reserves it; the command itself unbinds it
        command.error = None
        self.namespace[name] = command.exception
        return name

    def _guarded_name(self, command: Command) -> str:
        return command.source.rsplit("\n    ", 1)[1].split(" = ", 1)[0]

    # names

    def fresh(self, stem: str) -> str:
        """A name that nothing in the session holds: ``stem_1``, ``stem_2`` and so on."""
        number = 1
        while (
            (name := f"{stem}_{number}") in self.namespace
            or name in self.tracked
            or name in self.reserved
            or hasattr(builtins, name)
        ):
            number += 1
        self.namespace.setdefault(name, None)
        return name

    def builtin(self, name: str) -> str:
        """The built-in's name, or an alias that is imported once where the session's own variable hides it."""
        if self.namespace.get(name, getattr(builtins, name)) is getattr(builtins, name):
            return name
        alias = f"builtin_{name}"
        if self.namespace.get(alias) is not getattr(builtins, name):
            self.do(f"from builtins import {name} as {alias}", "bind", reveal=False)
        return alias

    def forget(self, names: Iterable[str]) -> None:
        """Stops following variables of a call that has returned."""
        for name in names:
            if self.tracked.pop(name, None) is not None:
                self._gone.append(name)
            self.reveals.forget(name)
            if self.gate is not None:
                self.gate.forget(name)

    # observation

    def _observe(self, command: Command) -> None:
        namespace = self.namespace
        if self._gone:
            command.changes.update(dict.fromkeys(self._gone))
            self._gone.clear()
        for name, before in self.tracked.items():
            if name in namespace:
                value = namespace[name]
                after: bytes | str | None = None if issubclass(type(value), NOT_STATE) else values.snapshot(value)
            else:
                after = None
            if after != before:
                command.wrote.append(name)
                command.changes[name] = None if after is None else values.text(after)
                self.tracked[name] = after

    def _reveal(self, command: Command) -> None:
        if not command.wrote or command.kind == "reveal":
            return
        spelt, aliased = spelt_and_aliased(command.source)
        budget = MOST_REVEALS
        for name in command.wrote:
            if name == self.spare or name not in self.namespace:
                continue
            for source in self.reveals.sources(name, name in spelt):
                if name in aliased and "." in source:
                    continue  # another name for an object whose fields were shown when they changed
                if budget and source not in self.hide:
                    budget -= self._show(source)

    def _show_due(self, source: str) -> None:
        """A reveal that the view asks for: an expression, or a call of ``print``; not part of the program's output."""
        reveal = Command(source, "reveal", self.place)
        exec(self._compile(source, "single"), self.namespace)
        self._move_printed()
        self.printed.pop()
        if any(self._mixed) and not source.startswith("print("):  # the echo of None is nothing
            self.echoes.pop()
            self.printed.pop()
        reveal.output = "".join(self._mixed)
        self._mixed.clear()
        reveal.echoed = not source.startswith("print(")
        self.commands.append(reveal)
        assert self.gate is not None
        self.gate.push(source, _shown(reveal))

    def _show(self, source: str) -> int:
        try:
            value = eval(self._compile(source, "eval"), self.namespace)
        except Exception:
            return 0  # a reveal that can't be computed is left out: nothing is shown, nothing was run of the snippet's
        told = repr(value) + "\n"
        if len(told) > LONGEST_VALUE or doctext.why_not(told):
            return 0
        reveal = Command(source, "reveal", self.place)
        reveal.output = told
        reveal.echoed = True
        self.commands.append(reveal)
        builtins._ = value  # type: ignore[attr-defined]
        return 1


def _shown(command: Command) -> str:
    """A command's output as a doctest has it."""
    return command.error if command.error is not None else doctext.shown(command.output)
