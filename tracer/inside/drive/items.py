"""The values of a ``for`` loop that is opened: spelt out, taken from a sequence by index, or from an iterator.

``i = 0`` says the value without another look; ``x = xs[0]`` keeps the reader aware that ``x`` is an element of ``xs``,
the same object; ``x = next(iterator_1)`` is the general form. Each is chosen only where it runs what the program's own
loop runs, no more and no less.
"""

from __future__ import annotations

import ast
import types
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sized
from typing import cast, final

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame, Raised
from trace_mine.tracer.inside.drive.implicit import open_special, special_call
from trace_mine.tracer.inside.drive.ranges import computed_range
from trace_mine.tracer.inside.observe.describe import class_dict, class_mro
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import expression, operand

_SEQUENCES = (list, tuple, str, bytes)
"""Types, exactly these, whose items can be taken by index: a subclass may have an ``__iter__`` of its own."""

_OWN_ITERATORS = (types.GeneratorType, enumerate, zip, map, filter, reversed, type(iter(int, 1)))
"""Iterators that ``iter`` gives back as they are, without running anything of the snippet."""

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
    """The values of one loop, as commands that assign them. Iterations count from 0."""

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


def _opened_iterator(context: DriveContext, iterable: ast.expr, frame: Frame) -> Items | None:
    """Return the values of an instance of the program's own class, after opening its ``__iter__``; None of any other.

    Raises:
        Raised: ``__iter__`` raised an exception.
        Restart: it gave what is no iterator.
    """
    made = open_special(context, frame, "__iter__", iterable)
    if made is None:
        return None
    iterator = context.variables.peek(made)
    if not isinstance(made, ast.Name) or not any("__next__" in class_dict(base) for base in class_mro(type(iterator))):
        context.give_up_statement(frame, Reason.UNFAITHFUL)
    # not a variable of the program's, which the loop's body may rebind, and which lives on when the loop is left
    if not context.variables.is_temporary(made.id):
        made = context.assign_temporary(made, "iterator", frame, "iterate", reveal=False)
    is_opened = special_call(context, "__next__", [made]) is not None
    kind = SteppedItems if is_opened else IteratorItems
    return kind(made.id, cast("Iterator[object]", iterator))


def items_of(context: DriveContext, node: ast.For, frame: Frame) -> Items:
    """Return the values of the loop, after emitting the commands that they are made by.

    The iterable is evaluated once. Where it is a variable that holds a sequence, items are taken from it by index;
    where it is a range over known numbers, its values are spelt out; where it is another expression, a temporary
    variable holds its value; and only where none of these gives the values, a command calls ``iter``.

    Raises:
        Raised: the iterable's expression, or ``iter``, raised an exception.
    """
    iterable = context.lower(node.iter, frame)
    opened = _opened_iterator(context, iterable, frame)
    if opened is not None:
        return opened
    variable = ""
    if isinstance(iterable, ast.Name):
        # a loop over ``xs`` that rebinds ``xs`` goes on over the old sequence, which no name has then
        is_rebound = iterable.id in bound_names([node]) or context.variables.may_be_rebound(iterable.id)
        if type(context.variables.peek(iterable)) in _SEQUENCES and not is_rebound:
            return IndexedItems(iterable.id)
    elif (values := computed_range(context, iterable)) is not None:
        return SpeltItems(values)
    elif not _is_dictionary_view(iterable):
        makes_iterator = isinstance(iterable, ast.Call) and context.variables.peek(iterable.func) in (
            *_OWN_ITERATORS,
            iter,
        )
        iterable = context.assign_temporary(iterable, "iterator" if makes_iterator else "items", frame, "iterate")
        variable = iterable.id
        value = context.variables.namespace[variable]
        if type(value) in _SEQUENCES:
            return IndexedItems(variable)
        if type(value) in _OWN_ITERATORS:
            return IteratorItems(variable, cast("Iterator[object]", value))
    name = context.variables.temporary("iterator")
    command = f"{name} = {context.writer.builtin('iter')}({expression(iterable)})"
    context.emit(command, frame, "iterate", [name], reveal=False)
    # ``iter`` has checked that this is an iterator
    return IteratorItems(name, cast("Iterator[object]", context.variables.namespace[name]), variable)


def _is_dictionary_view(node: ast.expr) -> bool:
    """Return True for ``d.items()`` and its like: ``iter(d.items())`` reads better than two variables."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("items", "values", "keys")
    )
