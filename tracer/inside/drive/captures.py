"""Output that no doctest can show: the command captures it, and a second command shows it as ``repr`` writes it.

``print("a\\tb")`` becomes

    >>> from contextlib import redirect_stdout
    >>> from io import StringIO
    >>> with redirect_stdout(StringIO()) as printed:
    ...     print("a\\tb")
    >>> printed.getvalue()
    'a\\tb\\n'

so that the session is a doctest all the same, needs nothing but the standard library, and says each character that was
printed. Functions of the program that print find ``sys.stdout`` replaced while such a command runs; one that kept the
old one prints past the capture, which a replay shows.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

from trace_mine.tracer.inside.drive.variables import Variables
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.text import indented

_redirect, _buffer = contextlib.redirect_stdout, io.StringIO  # bound before the snippet runs, which may replace them


class Captures:
    """Rewrites commands whose output no doctest can show, under names that the program does not use.

    Args:
        variables: the session's names.
        bind: executes a command that binds names, before the one that is rewritten.
    """

    def __init__(self, variables: Variables, bind: Callable[[str], object]) -> None:
        self._variables = variables
        self._bind = bind
        self._names: dict[object, str] = {}
        self._printed = ""

    def rewrite(self, source: str, output: str) -> tuple[str, str, str]:
        """Return the text of a command that captures its output, the name that it binds, and the text that shows it.

        The command was executed already, so its name is bound here to what the new text would have bound.
        """
        redirect = self._imported(_redirect, "contextlib", "redirect_stdout")
        buffer = self._imported(_buffer, "io", "StringIO")
        if not self._printed:
            self._printed = self._variables.claim("printed")
        held = _buffer()
        held.write(output)
        self._variables.namespace[self._printed] = held
        shown = f"{self._printed}.getvalue()"
        if doctext.has_printed_frames(output):
            # files and lines of frames are those of the run: what two runs agree on are the lines that are not indented
            shown = f"[line for line in {shown}.splitlines() if line[:1] != ' ']"
        return f"with {redirect}({buffer}()) as {self._printed}:\n{indented(source)}", self._printed, shown

    def _imported(self, value: object, module: str, name: str) -> str:
        """Return a variable that holds an object of the standard library, imported by a command where none does."""
        namespace = self._variables.namespace
        known = self._names.get(value, name)
        if namespace.get(known) is not value:
            known = self._names[value] = self._variables.claim(name)
            self._bind(f"from {module} import {name}" + ("" if known == name else f" as {known}"))
        return known
