"""One command run in a namespace as it is: the text that it shows, a test's truth, the exception that it raises.

It is run as the console of a replay would run it. What some outcome of a command has for which a session writes it in
another way (it prints and raises, say) is noted as an *oddity*, from whatever state it was run.
"""

from __future__ import annotations

import sys
from types import CodeType

from trace_mine.tracer.inside.draws import resting
from trace_mine.tracer.inside.draws.refusals import is_refusal
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.states.raised import some_traceback
from trace_mine.tracer.inside.states.records import LONGEST_ECHO, OURS, Mode, Oddity, Refused
from trace_mine.tracer.inside.syntax import doctext


class CommandRunner:
    """Runs commands.

    Args:
        flags: the compiler flags of the session's ``from __future__`` imports.
        lazy: continuous draws are lazy reals.

    Attributes:
        oddities: of commands.
    """

    def __init__(self, flags: int, lazy: bool) -> None:
        self.flags = flags
        self._lazy = lazy
        self._codes: dict[tuple[str, Mode], CodeType] = {}
        self.oddities: dict[str, set[Oddity]] = {}

    def code(self, source: str, mode: Mode) -> CodeType:
        """The compiled command, as the console of a replay would run it."""
        key = (source, mode)
        if key not in self._codes:
            # The line break ends a compound statement, as the empty line does that a prompt waits for.
            text = source if mode == "eval" else source + "\n"
            self._codes[key] = compile(text, "<command>", "single" if mode == "part" else mode, self.flags, True)
        return self._codes[key]

    def run_again(self, source: str, mode: Mode, namespace: dict[str, object]) -> None:
        """Run a command as part of the way to a state: whatever it shows or raises was seen before."""
        with resting.running:
            try:
                (eval if mode == "eval" else exec)(self.code(source, mode), namespace)
            except OURS:
                raise
            except BaseException:  # the run that reached the state met it as well
                return

    def execute(
        self, source: str, mode: Mode, namespace: dict[str, object], capture: Capture
    ) -> tuple[str, bool | None, str | None]:
        """Run a command; gives its text, a test's truth, and the exception's name.

        Raises:
            Refused: C code of the program does not take a lazy real.
        """
        with resting.running:
            return self._execute(source, mode, namespace, capture)

    def _execute(
        self, source: str, mode: Mode, namespace: dict[str, object], capture: Capture
    ) -> tuple[str, bool | None, str | None]:
        value: bool | None = None
        raised: str | None = None
        error_text = ""
        message: str | None = None
        _displayed.clear()
        try:
            if mode == "eval":
                given = eval(self.code(source, mode), namespace)
                value = bool(given)
                if type(given) is not bool:
                    self.note(source, "no bool")
            else:
                exec(self.code(source, mode), namespace)
        except OURS:
            raise
        except BaseException as error:  # the program may have exceptions below it: pytest's ``skip`` raises one
            raised = type(error).__name__
            if self._lazy and is_refusal(error):
                raise Refused from None
            printed = capture.take()  # by the command, before what ``__str__`` prints
            message = doctext.message_of(error)
            if printed or capture.take():
                self.note(source, "cut output")
            if not doctext.is_showable_message(message or ""):
                self.note(source, "no message")
            error_text = doctext.shown_error(message or "")
            error.__traceback__ = some_traceback()  # its own would keep the locals of its frames alive
        output = capture.take()
        if raised is None and output:
            if not doctext.is_showable(output):
                self.note(source, "no doctest")
            for is_safe, text in _displayed:
                if not is_safe:
                    self.note(source, "echo unsafe")
                if len(text) > LONGEST_ECHO or " at 0x" in text:
                    self.note(source, "echo hidden")
        # of a command that raised a doctest shows the traceback alone
        return error_text or (output if mode == "part" else doctext.shown(output)), value, raised

    def note(self, source: str, oddity: Oddity) -> None:
        """Note an oddity of a command."""
        self.oddities.setdefault(source, set()).add(oddity)


def display(value: object) -> None:
    """In the place of the prompt's ``sys.displayhook``: it does not set ``_``.

    Builtins are no part of a state, so that ``_`` would leak from one to another.
    """
    if value is not None:
        is_safe = values.stable(value)
        text = repr(value)
        _displayed.append((is_safe, text))
        sys.stdout.write(text + "\n")


_displayed: list[tuple[bool, str]] = []
"""The echo of the command that runs: if its ``repr`` is safe and the same in each process, and the text."""
