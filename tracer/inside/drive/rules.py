"""What a driver is told before it begins, and what it counts on the way."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.drive.commands import Command
from trace_mine.tracer.inside.drive.frames import Body, Frame

MOST_ITERATIONS = 50
"""Iterations of opened loops for each command that a session may have: a loop that emits no command has to end too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a program is to be driven.

    Attributes:
        follow: depth of calls that are opened; 0 for none.
        opens: callables, as the program spells them, whose calls are opened and count as no depth.
        kept_statements: (file, line, column) of statements that are to be kept as one command: an earlier run ended
            with ``Restart`` there.
        kept_functions: (file, line) of functions whose calls are to stay calls, for the same reason.
        max_commands: length from which on the session opens nothing more.
        at_prompt: the pieces are examples at a prompt, so expression statements echo.
    """

    follow: int
    opens: frozenset[str]
    kept_statements: frozenset[tuple[Any, ...]]
    kept_functions: frozenset[tuple[Any, ...]]
    max_commands: int
    at_prompt: bool

    def __post_init__(self) -> None:
        if self.follow < 0:
            raise ValueError(f"expected follow >= 0, got {self.follow}; 0 opens no calls")
        if self.max_commands < 0:
            raise ValueError(f"expected max_commands >= 0, got {self.max_commands}; 0 opens nothing")


class Budget:
    """How long a session may get."""

    def __init__(self, commands: list[Command], max_commands: int) -> None:
        self._commands = commands
        self._max_commands = max_commands
        self._num_iterations = 0

    @property
    def is_full(self) -> bool:
        """True if the session is long enough: from here on nothing more is opened."""
        return len(self._commands) >= self._max_commands

    def is_overrun(self, factor: int) -> bool:
        """True if the session is more than ``factor`` times as long as it should be."""
        return len(self._commands) > factor * self._max_commands

    def count_iteration(self) -> bool:
        """Counts an iteration of an opened loop; True if there were too many of them."""
        self._num_iterations += 1
        return self._num_iterations > MOST_ITERATIONS * self._max_commands


class Kept:
    """Constructs that were kept as one command, counted by reason."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._counted: dict[int, ast.AST] = {}

    def count(self, reason: str) -> None:
        """One more."""
        self.counts[reason] = self.counts.get(reason, 0) + 1

    def count_once(self, node: ast.AST, reason: str) -> None:
        """One more, if this node was not counted before."""
        if id(node) not in self._counted:
            self._counted[id(node)] = node
            self.count(reason)


class CallLog:
    """The opened calls: how deep they are nested now, and what check V3 compares with settrace of each that ended."""

    def __init__(self) -> None:
        self.depth = 0
        self.num_opened = 0
        self.finished: list[dict[str, Any]] = []

    def enter(self, *, counts_depth: bool) -> None:
        """A call begins."""
        self.num_opened += 1
        self.depth += counts_depth

    def never_began(self, *, counts_depth: bool) -> None:
        """An argument of the call that was entered raised: it has no frame that settrace saw."""
        self.num_opened -= 1
        self.depth -= counts_depth

    @contextlib.contextmanager
    def suspended(self, *, counts_depth: bool) -> Iterator[None]:
        """What is run meanwhile is the consumer of the generator that was entered, not part of its call."""
        depth = self.depth
        self.depth -= counts_depth
        try:
            yield
        finally:
            self.depth = depth

    def leave(self, body: Body, frame: Frame, function_name: str, *, counts_depth: bool) -> None:
        """A call ended."""
        self.depth -= counts_depth
        self.finish([body.filename, body.first_line, function_name], frame, body.lines)

    def finish(self, code: list[Any], frame: Frame, lines: list[tuple[int, int]]) -> None:
        """An activation ended; ``code`` is ``[file, first line, name]`` of what ran in it."""
        self.finished.append({"code": code, "log": frame.log, "lines": lines})
