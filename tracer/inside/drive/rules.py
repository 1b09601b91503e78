"""The settings of a driver (``Rules``), and its counts on the way: budget, kept constructs, opened calls."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from trace_mine.tracer.inside.drive.commands import Command
from trace_mine.tracer.inside.drive.frames import Body, Frame
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.current_exception import Asks

MOST_ITERATIONS = 50
"""Iterations of opened loops for each command that a session may have.

``while True: pass`` emits no command, so a limit of commands alone would never end it. 50 is far more than a loop that
emits something needs: the shortest one emits a command an iteration.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The settings of one run of the driver.

    Attributes:
        follow: depth of calls that are opened; 0 for none.
        opens: callables, as the program spells them, whose calls are opened and count as no depth.
        kept_statements: (file, line, column) of statements to keep as one command: an earlier run ended with
            ``Restart`` there, or a check failed there.
        kept_functions: (file, line) of functions whose calls are to stay calls, for the same reasons.
        max_commands: commands from which on the session opens nothing more.
        lists_names: the program may list the session's names, so that none is left over.
        reads_qualified: the program may read the qualified names of functions.
        asks: what the program asks for of exceptions being handled.
        from_file: definitions are compiled under the script's file (see ``from_file``).
        focus: (file, line) of functions: where there are some, calls of others stay calls.
        focus_names: their names.
    """

    follow: int
    opens: frozenset[str]
    # tuples, not the protocol's ``Place``: one is made for each statement that runs, to be looked up here
    kept_statements: frozenset[tuple[str, int, int]]
    kept_functions: frozenset[tuple[str, int]]
    max_commands: int
    lists_names: bool = False
    reads_qualified: bool = False
    asks: Asks = "nothing"
    from_file: bool = False
    focus: frozenset[tuple[str, int]] = frozenset()
    focus_names: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.follow < 0:
            raise ValueError(f"expected follow >= 0, got {self.follow}; 0 opens no calls")
        if self.max_commands < 0:
            raise ValueError(f"expected max_commands >= 0, got {self.max_commands}; 0 opens nothing")


class CommandBudget:
    """The limit on a session's commands, with the commands so far.

    A full session goes on, but opens nothing more: the remaining statements are one command each, so that the session
    is still complete.
    """

    def __init__(self, commands: list[Command], max_commands: int) -> None:
        self._commands = commands
        self._max_commands = max_commands
        self._num_iterations = 0

    @property
    def is_full(self) -> bool:
        """True if the session has as many commands as it may have: nothing more is opened."""
        # the writer's own list, so reveals count and a command that was taken back does not
        return len(self._commands) >= self._max_commands

    def is_overrun(self, factor: int) -> bool:
        """Return True if the session has more than ``factor`` times as many commands as it may have."""
        return len(self._commands) > factor * self._max_commands

    def count_iteration(self) -> bool:
        """Count an iteration of an opened loop; return True if there were too many of them, see ``MOST_ITERATIONS``."""
        self._num_iterations += 1
        return self._num_iterations > MOST_ITERATIONS * self._max_commands


class Kept:
    """Constructs that were kept as one command, counted by reason (the column ``kept_whole``)."""

    def __init__(self) -> None:
        self.counts: dict[Reason, int] = {}
        self._counted: dict[int, ast.AST] = {}  # with the node, so that its id is not given to another one

    def count(self, reason: Reason) -> None:
        """Count one construct more, each time that it is kept."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def count_once(self, node: ast.AST, reason: Reason) -> None:
        """Count a construct, if this node was not counted before.

        Its target is looked for again and again while the expression around it is lowered.
        """
        if id(node) not in self._counted:
            self._counted[id(node)] = node
            self.count(reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedFrame:
    """An activation that ended, for the path check.

    Attributes:
        filename, first_line, name: the code that ran in it, as settrace names it.
        visits, gaps: see ``Frame``.
        lines: the (first, last) lines at which it can be compared with settrace's path.
        entries: see ``Frame``.
    """

    filename: str
    first_line: int
    name: str
    visits: list[tuple[int, dict[str, str]]]
    gaps: list[tuple[int, int]]
    lines: list[tuple[int, int]]
    entries: int

    def __post_init__(self) -> None:
        if self.first_line < 1:
            raise ValueError(f"expected a line from 1 on, got first_line={self.first_line}; count as the file does")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFunction:
    """A function whose body the session shows, as the row tells it: its qualified name, and its lines in its file."""

    name: str
    text: str

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("expected the qualified name of a function, got none; take it from its code")


@dataclass(slots=True, kw_only=True)
class BegunCall:
    """An opened call, as the row tells it.

    Attributes:
        caller: the number of the call that made it; 0: the program itself.
        name: the function's qualified name.
        text: the call as it is written, on one line.
    """

    caller: int
    name: str
    text: str

    def __post_init__(self) -> None:
        if self.caller < 0:
            raise ValueError(f"expected caller >= 0, got {self.caller}; 0 is the program itself")


class CallLog:
    """The opened calls: how deeply they are nested now, and the frames that ended, for the path check.

    ``begun`` are the opened calls in the order in which they begin; a call's number is its place there, from 1.
    ``shown`` are the functions of opened calls, by file and first line, ``sources`` the definitions, by file and line,
    that stand in the text for them. ``refused`` are calls that stayed calls, by file, first line and name of the
    function's code, and by reason: their number, or None where the function itself can't be opened, which goes for all
    its calls.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.num_opened = 0
        self.finished: list[FinishedFrame] = []
        self.begun: list[BegunCall] = []
        self.shown: dict[tuple[str, int], ShownFunction] = {}
        self.sources: set[tuple[str, int]] = set()
        self.refused: dict[tuple[tuple[str, int, str], Reason], int | None] = {}

    def refuse(self, home: tuple[str, int], name: str, reason: Reason, *, for_all: bool) -> None:
        """Note that a call stays a call; ``for_all``: no call of the function can be opened.

        Args:
            home: the file and first line of the function's code.
            name: the code's name.
            reason: the reason.
            for_all: see above.
        """
        key = (*home, name), reason
        number = self.refused.get(key, 0)
        self.refused[key] = None if for_all or number is None else number + 1

    def enter(self, *, counts_depth: bool) -> None:
        """Note that a call begins."""
        self.num_opened += 1
        self.depth += counts_depth  # a wrapper of ``functools.wraps`` counts as no level, see ``target_of``

    def never_began(self, *, counts_depth: bool) -> None:
        """Undo ``enter``: an argument of the call raised, so there is no frame that settrace saw."""
        self.num_opened -= 1
        self.depth -= counts_depth

    @contextlib.contextmanager
    def suspended(self, *, counts_depth: bool) -> Iterator[None]:
        """Leave the generator's depth inside the ``with``, where the statements of its consumer run."""
        depth = self.depth
        self.depth -= counts_depth
        try:
            yield
        finally:
            self.depth = depth  # set, not added to: a signal may have left calls of the consumer on the way out

    def leave(self, body: Body, frame: Frame, function_name: str, *, counts_depth: bool) -> None:
        """Note that a call ended, by a return or by an exception."""
        self.depth -= counts_depth
        self.finish(frame, body.first_line, function_name, body.lines)

    def finish(self, frame: Frame, first_line: int, name: str, lines: list[tuple[int, int]]) -> None:
        """Note that an activation ended; ``first_line`` and ``name`` are those of its code object."""
        self.finished.append(
            FinishedFrame(
                filename=frame.filename,
                first_line=first_line,
                name=name,
                visits=frame.visits,
                gaps=frame.gaps,
                lines=lines,
                entries=frame.entries,
            )
        )
