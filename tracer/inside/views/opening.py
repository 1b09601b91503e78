"""``Opening``: the questions that the driver asks of a view, and the events that it reports to it.

To *open* a construct (an ``if``, a loop, a call, ...) is to write the statements that ran in it; a construct that is
not opened is *kept as one command*. A *reveal* is a command that only shows something. The driver and the writer get
one ``Opening`` when they are made, and never learn which view it belongs to.

The questions exist for views that hide the outcomes of draws. There the statements that a session shows tell which
branch was taken; so a construct may be opened only if the text before it already tells that. A view that hides nothing
answers yes to all of them.

A new view is a new implementation of this class, made in ``choose``.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states.beliefs import SessionBeliefs
from trace_mine.tracer.inside.states.support import Outlook
from trace_mine.tracer.inside.syntax.jumps import escapes

ONE_OUTCOME = Outlook(True, frozenset())
"""The look of a command where nothing is hidden: what it does."""

# what ``isinstance`` would test; ``async`` forms are missing, since no coroutine's body is opened
Loop = ast.While | ast.For
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Block = ast.Try | ast.TryStar | ast.With | ast.Match


class Shows(Protocol):
    """The part of the writer that an opening uses: it adds reveals to the session."""

    def show_value(self, source: str) -> bool:
        """Show the value of an expression; return False if it is too long, or no doctest can show it."""
        ...

    def show_by_command(self, source: str) -> None:
        """Execute a command and show what the prompt shows of it."""
        ...


class Opening(ABC):
    """Decides which constructs of one session may be opened, and which reveals the session gets.

    An implementation follows the session by ``emitted``, ``reveal_after`` and ``forget``. Its answers hold for the
    session as it stands when they are given: ask again after the next command.
    """

    @property
    @abstractmethod
    def failure(self) -> str | None:
        """The error because of which the opening lost track of the session, None as long as it has not.

        From then on it keeps every construct as one command and adds no reveals.
        """

    @property
    @abstractmethod
    def loss(self) -> Reason | None:
        """The reason that a session with a ``failure`` is counted under, None without one.

        ``OPENING_SPENT`` where the time was over, ``SUPPORT_LOST`` where the states were wrong, or could not be had.
        """

    @property
    @abstractmethod
    def is_certain(self) -> bool:
        """True if commands may spell values out (``i = 0``): no state that agrees with the text has other values."""

    @property
    def hides(self) -> bool:
        """True if outcomes are hidden, which no command's text may tell."""
        return False

    def outlook(self, source: str, mode: Literal["single", "eval"] = "single") -> Outlook:
        """All that could be seen of a command that is not in the session yet, in all states that agree with the text.

        A command is written in another way where a doctest can't show it as it is. Where outcomes are hidden, that must
        not hang on the outcome: the command is then written in the way that fits all of them. Elsewhere there is one.
        """
        return ONE_OUTCOME

    @property
    def num_uncertain(self) -> int:
        """The number of commands so far that could have shown something else than they did, as far as is known."""
        return 0

    def beliefs(self, commands: Sequence[tuple[str, str]]) -> SessionBeliefs | None:
        """The beliefs of the session as it was written, where the opening has followed all that it hides.

        Args:
            commands: source and output of each of its commands.

        Returns:
            None where it lost track of the states, or follows none.
        """
        return None

    # what may be opened

    @abstractmethod
    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None:
        """Return the reason for which a compound statement is kept as one command by its kind alone.

        ``is_full``: the session has as many commands as it may have.

        Returns:
            None where the questions below decide.
        """

    @abstractmethod
    def opens_test(self, test: str) -> bool:
        """Return True if an ``if`` with this test, as source, may be opened."""

    @abstractmethod
    def opens_loop(self, node: Loop) -> bool:
        """Return True if the loop's first iteration may be opened."""

    @abstractmethod
    def opens_iteration(self, node: Loop, step: str) -> bool:
        """Return True if the loop's next iteration may be opened.

        ``step`` is the source that begins it: a ``while`` loop's test, or the assignment of the next value to a ``for``
        loop's target.
        """

    @abstractmethod
    def opens_block(self, node: Block) -> bool:
        """Return True if a ``try``, ``with`` or ``match`` may be opened."""

    @abstractmethod
    def opens_callee(self, function: ast.expr) -> bool:
        """Return True if a session may tell which function a call calls; ``function`` is the expression called."""

    @abstractmethod
    def opens_call(self, bindings: Sequence[tuple[str, str | None]], statements: Sequence[ast.stmt]) -> bool:
        """Return True if a call may be opened.

        Args:
            bindings: (command, variable) of the commands that bind the parameters, None for a command without one.
            statements: the function's body, in session names.
        """

    @abstractmethod
    def opens_comprehension(self, node: Comprehension) -> bool:
        """Return True if a comprehension is opened into a loop whatever it calls."""

    @abstractmethod
    def opens_generators(self) -> bool:
        """Return True if bodies of generators may be opened, where a loop, or ``list`` and the like, runs them."""

    @abstractmethod
    def tells_bound(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of the variables of which a session may tell if they are bound now."""

    # events of the session, and the reveals that follow them

    @abstractmethod
    def emitted(self, source: str, output: str, error: str | None) -> None:
        """Take note that a command was executed.

        Args:
            source: the command's text.
            output: the text that it printed and echoed, as it was printed.
            error: its traceback as doctest writes it, which the session then shows instead of the output; None where
                it raised nothing.
        """

    @abstractmethod
    def rewritten(self, number: int, source: str, output: str, error: str | None) -> None:
        """Take note that an executed command has another text than it had when it was executed.

        What the program sees is the same; a session's own variable may hold what the old text let go: the exception
        that a handler binds.

        Args:
            number: of the call of ``emitted`` that told of the command, from 0.
            source, output, error: as for ``emitted``, of the new text.
        """

    @abstractmethod
    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        """Add the reveals that are due after a command that raised nothing.

        Args:
            source: the command's text.
            binds: the names that the text binds.
            wrote: the variables whose value the command changed. Only an opening that hides nothing may use these:
                which values changed depends on the hidden outcomes.
            session: takes the reveals.
        """

    @abstractmethod
    def unshown(self, names: Iterable[str]) -> None:
        """Take note that a command wrote these variables, and that no reveal follows it."""

    @abstractmethod
    def forget(self, name: str) -> None:
        """Take note that a variable is gone; another variable may get its name."""


def past_budget(node: ast.stmt, *, is_full: bool) -> Reason | None:
    """Return ``Reason.BUDGET`` where a full session keeps a compound statement as one command, else None.

    A statement that control leaves by ``return`` or ``break`` is still opened, since it cannot be a command.
    """
    # ``escapes`` walks the statement, so it comes second: most sessions are never full
    return Reason.BUDGET if is_full and not escapes(node) else None
