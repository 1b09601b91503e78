"""What a view lets the driver open and show: ``Opening``.

To *open* a construct (an ``if``, a loop, a call, ...) is to write the statements that ran in it; a construct that is
not opened is *kept as one command*. A *reveal* is a command that only shows something. The driver and the writer are
given one ``Opening`` when they are made, and ask it; neither knows which view stands behind it.

A new view is a new implementation of this class, made in ``choose``.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from trace_mine.tracer.inside.syntax.jumps import escapes

Loop = ast.While | ast.For
Block = ast.Try | ast.TryStar | ast.With | ast.Match


class Shows(Protocol):
    """What an opening may add to a session: reveals. The writer implements it."""

    def show_value(self, source: str) -> bool:
        """Shows the value of an expression, and says if it did: not where no doctest can, or where it is long."""
        ...

    def show_by_command(self, source: str) -> None:
        """Shows what a statement or expression shows at a prompt."""
        ...


class Opening(ABC):
    """What may be opened in one session, and which reveals it gets.

    An implementation keeps up with the session by ``emitted``, ``reveal_after`` and ``forget``. Its answers hold for
    the session as it is when they are given.
    """

    @property
    @abstractmethod
    def failure(self) -> str | None:
        """Why the opening could not keep up with the session, so that it keeps all constructs as one command."""

    @property
    @abstractmethod
    def is_certain(self) -> bool:
        """True if commands may spell values out: no state that looks the same so far has other values."""

    # what may be opened

    @abstractmethod
    def keeps(self, node: ast.stmt, *, is_full: bool) -> str | None:
        """The reason for which a compound statement is kept as one command by its kind alone; None where the questions
        below decide. ``is_full``: the session has as many commands as it may have.
        """

    @abstractmethod
    def opens_test(self, test: str) -> bool:
        """True if an ``if`` with this test, as source, may be opened."""

    @abstractmethod
    def opens_loop(self, node: Loop) -> bool:
        """True if the loop's first iteration may be opened."""

    @abstractmethod
    def opens_iteration(self, node: Loop, step: str) -> bool:
        """True if the loop's next iteration may be opened. ``step`` begins it: a ``while`` loop's test, or the
        assignment of the next value to a ``for`` loop's target.
        """

    @abstractmethod
    def opens_block(self, node: Block) -> bool:
        """True if a ``try``, ``with`` or ``match`` may be opened."""

    @abstractmethod
    def opens_callee(self, function: ast.expr) -> bool:
        """True if it may be told which function a call calls, ``function`` being the expression that is called."""

    @abstractmethod
    def opens_call(self, bindings: Sequence[tuple[str, str | None]], statements: Sequence[ast.stmt]) -> bool:
        """True if a call may be opened: ``bindings`` are (command, variable) of the commands that bind its parameters,
        ``statements`` its function's body.
        """

    @abstractmethod
    def opens_comprehension(self, node: ast.ListComp) -> bool:
        """True if a list comprehension may be opened into a loop."""

    @abstractmethod
    def opens_generators(self) -> bool:
        """True if bodies of generators may be opened, where a loop or ``list`` and its like run them."""

    # what was shown, and what is to be shown

    @abstractmethod
    def emitted(self, source: str, output: str, error: str | None) -> None:
        """A command was executed. ``output`` is what it printed, as it was printed; ``error`` is its traceback as
        doctest has it, which the session then shows instead.
        """

    @abstractmethod
    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        """Shows the reveals that are due after a command that raised nothing.

        ``binds`` are the names that the command's text binds, ``wrote`` the variables whose value it changed: only
        an opening that hides nothing may use the latter.
        """

    @abstractmethod
    def forget(self, name: str) -> None:
        """The variable is gone; its name may come again for another one."""


def past_budget(node: ast.stmt, *, is_full: bool) -> str | None:
    """``budget`` where a full session keeps a compound statement as one command, else None.

    One that control leaves by ``return`` or ``break`` goes on being opened, since it cannot be a command.
    """
    return "budget" if is_full and not escapes(node) else None
