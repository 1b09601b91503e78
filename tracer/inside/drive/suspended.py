"""Opened generators that wait between two of their values, by the object that the program holds.

In the session's text that object is a generator that has not begun: the statements that its body has run stand there as
commands, and the object is closed by a command once they have ended. A command that resumes it all the same would run
the body a second time. It is found by the object's own state, which only such a command changes.
"""

from __future__ import annotations

import ast
import collections.abc
import types
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Protocol

from trace_mine.tracer.inside.protocol.jobs import Place

Generator = types.GeneratorType
"""The type of the program's generator objects."""


Steps = collections.abc.Generator[ast.expr, ast.expr, None]
"""A generator's body as it runs: gives each yielded expression, and takes the expression of what is sent for it."""


class Walk(Protocol):
    """The statements of one generator's activation.

    Attributes:
        base: how many temporary variables there were when it was resumed last.
    """

    base: int

    def steps(self, body: Iterable[ast.stmt]) -> Steps:
        """Run statements up to each ``yield``.

        Raises:
            Signal: as ``DriveContext.block``.
        """
        ...


class Activation(ABC):
    """An opened generator that waits.

    Attributes:
        began: the statement of the program that resumed it first.
    """

    began: Place

    @abstractmethod
    def end(self) -> None:
        """End it where it waits: the program holds it no longer."""

    @abstractmethod
    def finish(self) -> None:
        """Note what it ran so far, at the end of the program, where it waits still."""


class SuspendedGenerators:
    """The opened generators that wait."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[weakref.ref[Generator[object, object, object]], Activation]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def find(self, generator: object) -> Activation | None:
        """Return what was opened of a generator; None where nothing was, or it has ended."""
        held, activation = self._by_id.get(id(generator), (None, None))
        return activation if held is not None and held() is generator else None

    def add(self, generator: Generator[object, object, object], activation: Activation) -> None:
        """Note that a generator was opened."""
        self._by_id[id(generator)] = weakref.ref(generator), activation

    def remove(self, generator: Generator[object, object, object]) -> None:
        """Note that an opened generator has ended."""
        self.remove_key(id(generator))

    def remove_key(self, key: int) -> None:
        """Note that the opened generator whose object has this ``id`` has ended."""
        self._by_id.pop(key, None)

    def resumed_by_command(self) -> Activation | None:
        """Return an opened generator whose object has begun or ended by itself; None where there is none."""
        for held, activation in self._by_id.values():
            generator = held()
            if generator is not None and not has_not_begun(generator):
                return activation
        return None

    def take_unheld(self) -> list[Activation]:
        """Return the opened generators whose objects are gone, and forget them."""
        gone = [(key, activation) for key, (held, activation) in self._by_id.items() if held() is None]
        for key, _ in gone:
            del self._by_id[key]
        return [activation for _, activation in gone]

    def take_all(self) -> list[Activation]:
        """Return all of them, and forget them."""
        waiting = [activation for _, activation in self._by_id.values()]
        self._by_id.clear()
        return waiting


def has_not_begun(generator: Generator[object, object, object]) -> bool:
    """Return True if a generator was made, and neither resumed nor closed."""
    return generator.gi_frame is not None and not generator.gi_running and not generator.gi_suspended
