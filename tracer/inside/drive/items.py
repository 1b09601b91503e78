"""The values of a ``for`` loop that is opened: spelt out, taken from a sequence by index, or from an iterator."""

from __future__ import annotations

import ast
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, cast, final

from trace_mine.tracer.inside.drive.context import Context
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.ranges import computed_range
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression

_SEQUENCES = (list, tuple, str, bytes)
_OWN_ITERATORS = (types.GeneratorType, enumerate, zip, map, filter, reversed, type(iter(int, 1)))
"""Iterators that ``iter`` gives back as they are, without running anything of the snippet."""

_ITERABLES: tuple[Iterable[Any], ...] = cast(
    "tuple[Iterable[Any], ...]",
    (
        *([], (), "", b"", {}, {}.values(), {}.items(), set()),
        *(range(1), range(1 << 70)),  # a long one has an iterator of another type
        reversed([]),
        "\u0101",  # so has a text that is not ASCII
    ),
)
_QUIET_ITERATORS = frozenset(type(iter(iterable)) for iterable in _ITERABLES)
"""Iterators whose ``next``, end and removal run nothing of the snippet."""


class Items(ABC):
    """The values of one loop."""

    @abstractmethod
    def assignment(self, target: str, index: int) -> str:
        """The command that assigns the value of this iteration; where there is none, one that raises."""

    @abstractmethod
    def rest(self, index: int) -> str:
        """An expression for the values from this iteration on."""

    @abstractmethod
    def assign(self, context: Context, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        """Emits the assignment; False where there is no value."""

    def close(self, context: Context, frame: Frame) -> None:
        """The loop was left before its end."""
        return


@final
class SpeltItems(Items):
    """Values of a range, spelt out."""

    def __init__(self, values: range) -> None:
        self._values = values

    def assignment(self, target: str, index: int) -> str:
        value = repr(self._values[index]) if index < len(self._values) else "[][0]"
        return f"{target} = {value}"

    def rest(self, index: int) -> str:
        return repr(self._values[index:])

    def assign(self, context: Context, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        if index >= len(self._values):
            return False
        context.emit(self.assignment(target, index), frame, "iterate", writes)
        return True


@final
class IndexedItems(Items):
    """Items of a sequence that a variable holds; the loop's body may change the sequence."""

    def __init__(self, name: str) -> None:
        self._name = name

    def assignment(self, target: str, index: int) -> str:
        return f"{target} = {self._name}[{index}]"

    def rest(self, index: int) -> str:
        return f"{self._name}[{index}:]"

    def assign(self, context: Context, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        if index >= len(context.variables.namespace[self._name]):
            return False
        context.emit(self.assignment(target, index), frame, "iterate", writes)
        return True


@final
class IteratorItems(Items):
    """What an iterator gives, which the variable ``name`` holds. It was made from the variable ``iterable``, if any."""

    def __init__(self, name: str, iterator: Iterator[Any], iterable: str = "") -> None:
        self._name = name
        self._iterable = iterable
        self._iterator: Iterator[Any] | None = iterator
        self._is_quiet = type(iterator) in _QUIET_ITERATORS

    def assignment(self, target: str, index: int) -> str:
        return f"{target} = next({self._name})"

    def rest(self, index: int) -> str:
        return self._name

    def assign(self, context: Context, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        writer = context.writer
        command = writer.execute(f"{target} = {writer.builtin('next')}({self._name})", "iterate", writes)
        if not isinstance(command.exception, StopIteration):
            context.check(command, frame)
            return True
        if self._is_quiet:
            writer.take_back(command)
        else:  # asking once too often may have run something
            writer.replace_failed(command, f"{writer.builtin('next')}({self._name}, None)")
        return False

    def close(self, context: Context, frame: Frame) -> None:
        """Lets go of the iterator, which may run the end of a generator, as the program's own loop does."""
        if self._is_quiet:
            return
        variables = [name for name in (self._name, self._iterable) if name in context.variables.namespace]
        self._iterator = None  # so that the command below is what ends the iterator's life
        context.emit(f"del {', '.join(variables)}", frame, "iterate", reveal=False)


def items_of(context: Context, node: ast.For, frame: Frame) -> Items:
    """The values of the loop; emits the commands that make them."""
    iterable = context.lower(node.iter, frame)
    held = ""
    if isinstance(iterable, ast.Name):
        # a name that the loop rebinds is no name for the sequence
        if type(context.variables.peek(iterable)) in _SEQUENCES and iterable.id not in bound_names([node]):
            return IndexedItems(iterable.id)
    elif (values := computed_range(context, iterable)) is not None:
        return SpeltItems(values)
    elif not _is_dictionary_view(iterable):
        makes_iterator = isinstance(iterable, ast.Call) and context.variables.peek(iterable.func) in (
            *_OWN_ITERATORS,
            iter,
        )
        iterable = context.hold(iterable, "iterator" if makes_iterator else "items", frame, "iterate")
        held = iterable.id
        value = context.variables.namespace[held]
        if type(value) in _SEQUENCES:
            return IndexedItems(held)
        if type(value) in _OWN_ITERATORS:
            return IteratorItems(held, value)
    name = context.variables.temporary("iterator")
    command = f"{name} = {context.writer.builtin('iter')}({expression(iterable)})"
    context.emit(command, frame, "iterate", [name], reveal=False)
    return IteratorItems(name, context.variables.namespace[name], held)


def _is_dictionary_view(node: ast.expr) -> bool:
    """True for ``d.items()`` and its like, which need no variable of their own."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("items", "values", "keys")
    )
