"""Activations of functions, and the control flow of the program as signals between them."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.inside.reasons import Reason


class Restart(Exception):
    """Ends the run of the driver: a construct cannot be opened, and part of it has been written already.

    The supervisor runs the snippet again from the start. A process cannot be set back, and commands that were executed
    cannot be unwritten.

    Attributes:
        place: the statement to keep as one command the next time, or the function whose calls are to stay calls.
        reason: the reason that is counted for it.
    """

    def __init__(self, place: Place, reason: Reason) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


# signals are exceptions of the driver, never of the program: commands run under ``exec`` in the writer, which records
# the program's exceptions, so neither can be taken for the other


class Signal(Exception):
    """Control flow of the program, with the frame whose statement caused it."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame


class Break(Signal):
    """Leaves the innermost loop of the frame."""


class Continue(Signal):
    """Ends the iteration of the innermost loop of the frame."""


class Return(Signal):
    """Ends the frame's function; ``result`` is the expression, in session names, that gives what it returns."""

    def __init__(self, frame: Frame, result: ast.expr) -> None:
        super().__init__(frame)
        self.result = result


class Raised(Signal):
    """Carries an exception of the program that no handler has caught yet.

    Attributes:
        error: the exception.
        index: the position in the session of the command that raised it.
        first: the position of the command that raised it first; a manager's exception is raised again.
        inside: the exception that was being handled then, where the first command's text does not say so.
    """

    def __init__(self, frame: Frame, error: BaseException, index: int, inside: Handled | None = None) -> None:
        super().__init__(frame)
        self.error = error
        self.index = self.first = index
        self.inside = inside

    def let_go(self) -> None:
        """Hold the exception no longer, which has been handled: the program doesn't, either."""
        del self.error
        self.inside = self.__traceback__ = self.__context__ = None


@dataclass(slots=True, kw_only=True)
class Handled:
    """An exception that is being handled now: by a handler, a ``finally`` or a manager.

    Attributes:
        error: the exception.
        index: the position in the session of the command that raised it.
        statement, frame: the ``try`` or ``with``, and the activation that it runs in.
        name: the variable that holds it; None as long as no variable does, which is until a command needs one.
    """

    error: BaseException
    index: int
    statement: ast.stmt
    frame: Frame
    name: str | None = None

    def __post_init__(self) -> None:
        if self.index < 0:
            raise ValueError(f"expected the index of a command, got {self.index}; give the one that raised")


@dataclass(slots=True, kw_only=True)
class Body:
    """The body of a called function, made ready to run in the session.

    ``bodies.prepare`` makes one for each call; it fills the lists step by step, so the record is not frozen.

    Attributes:
        filename, first_line: where the function stands in the program; lines count from 1.
        definition: its tree, with the program's line numbers.
        statements: its statements, in session names.
        names: from locals to session variables.
        bindings: (command, variable or None) of the commands that bind its parameters.
        values: the expressions that variables of parameters are bound to.
        lines: where its path can be compared with settrace's, see ``comparable_lines``.
        package: the package that its relative imports start from.
        qualified: the function's qualified name.
        instance: the session variable of ``self`` where the call makes an instance.
        shared: locals that are variables of the caller, under the same name.
        captures: True if a function or generator made in the body may read its variables after the call.
        kept: locals that such a function reads: they stay when the call has returned.
        cells: session variables that hold what its closure's cells hold.
        same: for each session variable that stands for one which others can rebind (a shared parameter, an imported
            global, a cell of a closure), a function that gives what that one holds now.
    """

    filename: str
    first_line: int
    definition: ast.FunctionDef
    statements: list[ast.stmt]
    names: dict[str, str]
    bindings: list[tuple[str, str | None]] = field(default_factory=list)
    values: dict[str, ast.expr] = field(default_factory=dict)
    lines: list[tuple[int, int]] = field(default_factory=list)
    package: str = ""
    qualified: str = ""
    instance: str | None = None
    shared: frozenset[str] = frozenset()
    captures: bool = False
    kept: frozenset[str] = frozenset()
    cells: list[str] = field(default_factory=list)
    same: dict[str, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = self.shared - self.names.keys()
        if unknown:
            raise ValueError(f"expected shared locals to be among names, got {sorted(unknown)}; add them to names")


class Frame:
    """One activation: the program's own (``function`` None) or a followed call's.

    Attributes:
        names: from locals to session variables.
        visits: for the path check, (line, {local: text}) before each statement that ran.
        gaps: for the path check, (first, last) lines of statements that ran inside one command.
        captures: see ``Body``.
        echoes: its expression statements echo, as those of examples at a prompt do.
        entries: how often it was entered; a generator's frame is at each resumption.
        left_over: temporary variables that its statements left bound, see ``Variables``; the values are nothing.
        qualified: the qualified name of the function, '' for the program's own frame.
        num_temporaries: how many temporary variables there were when it was entered.
        entered_in: the exception that was being handled when it was entered.
        call: the number of the call, see ``CallLog``; 0 for the program's own frame.
    """

    # one frame for each followed call
    __slots__ = (
        "call",
        "captures",
        "echoes",
        "entered_in",
        "entries",
        "filename",
        "first_line",
        "function",
        "gaps",
        "left_over",
        "names",
        "num_temporaries",
        "package",
        "qualified",
        "texts",
        "visits",
    )

    def __init__(
        self,
        filename: str,
        names: dict[str, str],
        function: ast.FunctionDef | None,
        *,
        package: str = "",
        qualified: str = "",
        first_line: int = 1,
        captures: bool = False,
        echoes: bool = False,
    ) -> None:
        self.filename = filename
        self.echoes = echoes
        self.names = names
        self.function = function
        self.package = package
        self.qualified = qualified
        self.first_line = first_line
        self.captures = captures
        self.visits: list[tuple[int, dict[str, str]]] = []
        self.gaps: list[tuple[int, int]] = []
        self.entries = 1
        self.left_over: dict[str, None] = {}
        self.num_temporaries = 0
        self.call = 0
        self.entered_in: BaseException | None = None
        # the author's text of nodes, by id; the node is kept with it, so that its id is not given to another one
        self.texts: dict[int, tuple[ast.AST, str | None]] = {}

    @classmethod
    def of_call(cls, body: Body) -> Frame:
        """Make the frame of a call of the body's function."""
        return cls(
            body.filename,
            body.names,  # shared, not copied: what ``release`` frees are the names that the frame used
            body.definition,
            package=body.package,
            qualified=body.qualified,
            first_line=body.first_line,
            captures=body.captures,
        )

    @property
    def is_call(self) -> bool:
        """True for a followed call, False for the program's own frame."""
        return self.function is not None

    @contextlib.contextmanager
    def without_log(self) -> Iterator[None]:
        """Drop what is logged inside the ``with``: statements that the driver made, which settrace sees nothing of."""
        visits, self.visits = self.visits, []
        gaps, self.gaps = self.gaps, []
        try:
            yield
        finally:
            self.visits = visits
            self.gaps = gaps

    def log_gap(self, node: ast.stmt) -> None:
        """Log that the statement's lines run inside one command: the path check skips settrace's events there."""
        # how often the lines run, and in which order, shows in no command
        self.gaps.append((node.lineno, node.end_lineno or node.lineno))
