"""The values of a ``for`` loop that is opened: spelt out, taken from a sequence by index, or from an iterator.

``i = 0`` says the value without another look; ``x = xs[0]`` keeps the reader aware that ``x`` is an element of ``xs``,
the same object; ``x = next(iterator_1)`` is the general form. Each is chosen only where it runs what the program's own
loop runs, no more and no less.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sized
from typing import ClassVar, cast, final

from trace_mine.tracer.inside.drive.calls import yielded_text
from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Raised, Signal
from trace_mine.tracer.inside.drive.generators import OpenedGenerator
from trace_mine.tracer.inside.drive.implicit import open_special
from trace_mine.tracer.inside.drive.stored_generators import StoredGenerator
from trace_mine.tracer.inside.observe.describe import class_mro
from trace_mine.tracer.inside.syntax.text import operand

_ITERABLES: tuple[Iterable[object], ...] = cast(
    "tuple[Iterable[object], ...]",
    (
        *([], (), "", b"", {}, {}.values(), {}.items(), set()),
        # CPython has a second type of iterator for ranges past a C long, and one for texts that are not ASCII
        *(range(1), range(1 << 70)),
        reversed([]),
        "\u0101",
    ),
)
_QUIET_ITERATORS = frozenset(type(iter(iterable)) for iterable in _ITERABLES)
"""Iterators whose ``next``, end and removal run nothing of the snippet."""


class Items(ABC):
    """The values of one loop, as commands that assign them. Iterations count from 0.

    Attributes:
        can_be_cut: ``rest`` gives the values that are left.
    """

    can_be_cut: ClassVar[bool] = True

    @abstractmethod
    def assignment(self, target: str, index: int) -> str:
        """Return the command that assigns the value of this iteration; where there is no value, one that raises."""

    @abstractmethod
    def rest(self, index: int) -> str:
        """Return an expression for the values from this iteration on."""

    @abstractmethod
    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        """Emit the assignment of this iteration's value; return False where there is no value.

        Args:
            target: the loop's target, as source.
            index: the number of the iteration.
            writes: the names that the target binds.

        Raises:
            Raised: the snippet's iterator raised an exception.
        """

    def close(self, context: DriveContext, frame: Frame) -> None:
        """Emit what Python does where a loop is left before its end: nothing, but for iterators that run code then."""
        return


@final
class SpeltItems(Items):
    """Values of a range, spelt out: ``i = 0``."""

    def __init__(self, values: range) -> None:
        self._values = values

    def assignment(self, target: str, index: int) -> str:
        value = repr(self._values[index]) if index < len(self._values) else "[][0]"  # raises, as promised
        return f"{target} = {value}"

    def rest(self, index: int) -> str:
        return repr(self._values[index:])

    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        if index >= len(self._values):
            return False
        context.emit(self.assignment(target, index), frame, "iterate", writes)
        return True


@final
class IndexedItems(Items):
    """Items of a sequence that a variable holds: ``x = xs[0]``.

    The loop's body may change the sequence, as it may under Python's own iterator, which counts an index likewise
    (tests/samples/for_kinds.py appends to the list).
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def assignment(self, target: str, index: int) -> str:
        return f"{target} = {self._name}[{index}]"

    def rest(self, index: int) -> str:
        return f"{self._name}[{index}:]"

    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        if index >= len(cast("Sized", context.variables.namespace[self._name])):
            return False
        context.emit(self.assignment(target, index), frame, "iterate", writes)
        return True


class IteratorItems(Items):
    """Values that an iterator gives, one at a time: ``x = next(iterator_1)``.

    Args:
        name: the variable that holds the iterator.
        iterator: the iterator itself.
        iterable: the variable that the iterator was made from, '' where there is none.
    """

    def __init__(self, name: str, iterator: Iterator[object], iterable: str = "") -> None:
        self._name = name
        self._iterable = iterable
        self._iterator: Iterator[object] | None = iterator
        self._is_quiet = type(iterator) in _QUIET_ITERATORS

    def assignment(self, target: str, index: int) -> str:
        return f"{target} = next({self._name})"

    def rest(self, index: int) -> str:
        return self._name

    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        writer = context.writer
        command = writer.execute(f"{target} = {writer.builtin('next')}({self._name})", "iterate", writes)
        if not isinstance(command.exception, StopIteration):
            context.check(command, frame)
            return True
        if self._is_quiet:
            writer.take_back(command)
        else:  # the last ``next`` may have run code, such as what a generator prints at its end
            writer.replace_failed(command, f"{writer.builtin('next')}({self._name}, None)")
        return False

    def close(self, context: DriveContext, frame: Frame) -> None:
        """Unbind the iterator by a command, which may run the end of a generator, as the program's own loop does."""
        if self._is_quiet:
            return
        variables = [name for name in (self._name, self._iterable) if name in context.variables.namespace]
        self._iterator = None  # so that the command below is what ends the iterator's life
        context.emit(f"del {', '.join(variables)}", frame, "iterate", reveal=False)


@final
class SteppedItems(IteratorItems):
    """Values of an iterator of the program's own class: the body of its ``__next__`` runs for each of them."""

    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        try:
            value = open_special(context, frame, "__next__", ast.Name(self._name, ast.Load()))
        except Raised as raised:
            if any(base is StopIteration for base in class_mro(type(raised.error))):
                return False  # the command that raised it is shown with its traceback, as in a ``try``
            raise
        if value is None:
            return super().assign(context, target, index, writes, frame)
        if (text := operand(value)) != target:  # ``x = x`` would say nothing
            context.emit(f"{target} = {text}", frame, "iterate", writes)
        return True


@final
class ResumedItems(Items):
    """Values of an opened generator: its body runs up to the next ``yield`` for each of them.

    Args:
        opened: the generator.
        stored: the same where the program holds the object, with the variable of it.
        is_numbered: each value comes with its number, as ``enumerate`` gives it.
    """

    can_be_cut = False

    def __init__(
        self,
        opened: OpenedGenerator | None,
        stored: tuple[StoredGenerator, ast.expr, Frame] | None = None,
        *,
        is_numbered: bool = False,
    ) -> None:
        self._opened = opened
        self._stored = stored
        self._is_numbered = is_numbered

    def assignment(self, target: str, index: int) -> str:
        return f"{target} = [][0]"  # asked by views that hide something, which open no generator

    def rest(self, index: int) -> str:
        raise AssertionError("an opened generator has no command for its other values")

    def resume(self, sent: ast.expr | None = None) -> ast.expr | None:
        """Return the expression of the next value; None where there is none."""
        back = ast.Constant(None) if sent is None else sent
        if self._stored is not None:
            stored, node, frame = self._stored
            return stored.resume(node, frame, back)
        assert self._opened is not None
        return self._opened.resume(back)

    def throw(self, signal: Signal) -> ast.expr | None:
        """Raise at the ``yield`` where the generator waits; return as ``resume``."""
        if self._stored is not None:
            stored, node, frame = self._stored
            return stored.throw(node, frame, signal)
        assert self._opened is not None
        return self._opened.throw(signal)

    @property
    def result(self) -> ast.expr:
        """The expression of what the generator returned."""
        source = self._opened if self._stored is None else self._stored[0]
        assert source is not None
        return source.result

    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        value = self.resume()
        if value is None:
            return False
        source = yielded_text(value)
        if self._is_numbered:
            source = f"{index}, {source}"
        if source != target:  # ``x = x`` would say nothing
            context.emit(f"{target} = {source}", frame, "iterate", writes)
        return True

    def close(self, context: DriveContext, frame: Frame) -> None:
        if self._opened is not None:
            self._opened.end()
