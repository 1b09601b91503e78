"""Activations of functions, and the control flow of the program as signals between them."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


class Restart(Exception):
    """Part of a construct was written before it turned out that it cannot be opened: run the snippet again from the
    start, and keep ``key`` as one command. ``key`` is ``[file, line, column]`` of a statement, or ``[file, line]`` of
    a function whose calls are to stay calls.
    """

    def __init__(self, key: list[Any], reason: str) -> None:
        super().__init__(reason)
        self.key = key
        self.reason = reason


class Signal(Exception):
    """Control flow of the program, addressed to the frame whose statement it is."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame


class Break(Signal):
    """``break`` in a loop of the frame."""


class Continue(Signal):
    """``continue`` in a loop of the frame."""


class Return(Signal):
    """``return``; ``result`` is the expression, in session names, that gives the value."""

    def __init__(self, frame: Frame, result: ast.expr) -> None:
        super().__init__(frame)
        self.result = result


class Raised(Signal):
    """An exception of the program that no handler has caught yet; ``index`` is the command that showed it."""

    def __init__(self, frame: Frame, error: BaseException, index: int) -> None:
        super().__init__(frame)
        self.error = error
        self.index = index


@dataclass(slots=True, kw_only=True)
class Handled:
    """An exception whose handler runs: ``index`` is the command that showed it, ``name`` the variable that holds it,
    None as long as none does.
    """

    error: BaseException
    index: int
    name: str | None


@dataclass(slots=True, kw_only=True)
class Body:
    """The body of a called function, made ready to run in the session.

    Attributes:
        filename, first_line: where the function stands in the program.
        definition: its tree, with the program's line numbers.
        statements: its statements, in session names.
        names: from locals to session variables.
        bindings: (command, variable or None) of the commands that bind its parameters.
        lines: where its path can be compared with settrace's.
        package: the package that its relative imports start from.
        instance: the session variable of ``self`` where the call makes an instance.
        shared: locals that are variables of the caller, under the same name.
        captures: a function or generator made in the body may read its variables after the call.
        cells: session variables that hold what its closure's cells hold.
    """

    filename: str
    first_line: int
    definition: ast.FunctionDef
    statements: list[ast.stmt]
    names: dict[str, str]
    bindings: list[tuple[str, str | None]] = field(default_factory=list)
    lines: list[tuple[int, int]] = field(default_factory=list)
    package: str = ""
    instance: str | None = None
    shared: frozenset[str] = frozenset()
    captures: bool = False
    cells: list[str] = field(default_factory=list)


class Frame:
    """One activation: the program's own (``function`` None) or a followed call's.

    Attributes:
        names: from locals to session variables.
        log: what check V3 compares with settrace: ``["s", line, {local: text}]`` before each simple statement, and
            ``["gap", first, last]`` for lines that ran inside one command.
        handled: the exceptions whose handlers run, innermost last.
        collect: for a generator's frame, what is done with each yielded expression (None for a bare ``yield``).
        captures: see ``Body``.
    """

    __slots__ = (
        "captures",
        "collect",
        "filename",
        "first_line",
        "function",
        "handled",
        "log",
        "names",
        "package",
        "texts",
    )

    def __init__(
        self,
        filename: str,
        names: dict[str, str],
        function: ast.FunctionDef | None,
        *,
        package: str = "",
        first_line: int = 1,
        captures: bool = False,
        collect: Callable[[ast.expr | None], None] | None = None,
    ) -> None:
        self.filename = filename
        self.names = names
        self.function = function
        self.package = package
        self.first_line = first_line
        self.captures = captures
        self.collect = collect
        self.log: list[list[Any]] = []
        self.handled: list[Handled] = []
        # the author's text of nodes, by id; the node is kept with it, so that its id is not given to another one
        self.texts: dict[int, tuple[ast.AST, str | None]] = {}

    @classmethod
    def of_call(cls, body: Body) -> Frame:
        """The frame of a call of the body's function."""
        return cls(
            body.filename,
            body.names,
            body.definition,
            package=body.package,
            first_line=body.first_line,
            captures=body.captures,
        )

    @property
    def is_call(self) -> bool:
        """True for a followed call, False for the program's own frame."""
        return self.function is not None

    @contextlib.contextmanager
    def without_log(self) -> Iterator[None]:
        """What is logged meanwhile is dropped."""
        log, self.log = self.log, []
        try:
            yield
        finally:
            self.log = log

    def log_gap(self, node: ast.stmt) -> None:
        """The statement's lines run inside one command: how often and in which order is not told."""
        self.log.append(["gap", node.lineno, node.end_lineno or node.lineno])
