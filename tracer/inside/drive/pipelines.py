"""Values of ``zip``, ``map``, ``filter`` and ``enumerate`` over iterables whose functions are opened.

Each of these asks its iterables in their order, one value at a time, and stops at the first that has none; ``map`` and
``filter`` call their function then. So the values are taken here in that order, and the function's body is opened.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import final

from trace_mine.tracer.inside.drive.context import DriveContext
from trace_mine.tracer.inside.drive.frames import Frame
from trace_mine.tracer.inside.drive.items import Items
from trace_mine.tracer.inside.drive.lowering import decide
from trace_mine.tracer.inside.drive.sites import is_piped
from trace_mine.tracer.inside.syntax.text import operand

MakeItems = Callable[[DriveContext, ast.For, Frame], Items]


@final
class PipedItems(Items):
    """The values of one of the four.

    Args:
        pipe: which one.
        function: the expression of the function; None for ``zip`` and ``enumerate``.
        sources: the values of each iterable, with the variable that takes them.
    """

    can_be_cut = False

    def __init__(self, pipe: object, function: ast.expr | None, sources: list[tuple[Items, str]]) -> None:
        self._pipe = pipe
        self._function = function
        self._sources = sources
        self._num_taken = 0

    def assignment(self, target: str, index: int) -> str:
        return f"{target} = [][0]"  # asked by views that hide something, which open no generator

    def rest(self, index: int) -> str:
        raise AssertionError("an opened iterator has no command for its other values")

    def assign(self, context: DriveContext, target: str, index: int, writes: list[str], frame: Frame) -> bool:
        while True:
            for items, name in self._sources:
                if not items.assign(context, name, self._num_taken, [name], frame):
                    self.close(context, frame)  # the others end with the loop
                    return False
            self._num_taken += 1
            taken: list[ast.expr] = [ast.Name(name, ast.Load()) for _, name in self._sources]
            value = self._value(context, taken, frame)
            if value is not None:
                break
        if (source := operand(value)) != target:
            context.emit(f"{target} = {source}", frame, "iterate", writes)
        return True

    def _value(self, context: DriveContext, taken: list[ast.expr], frame: Frame) -> ast.expr | None:
        """Return the value that these give; None where ``filter`` leaves it out."""
        if self._pipe is enumerate:
            return ast.Tuple([ast.Constant(self._num_taken - 1), *taken], ast.Load())
        if self._pipe is zip:
            return ast.Tuple(taken, ast.Load())
        is_none = isinstance(self._function, ast.Constant)
        assert self._function is not None
        call = taken[0] if is_none else ast.Call(self._function, taken, [])
        if self._pipe is map:
            return context.lower(call, frame)
        return taken[0] if decide(context, call, frame) else None

    def close(self, context: DriveContext, frame: Frame) -> None:
        for items, _ in self._sources:
            items.close(context, frame)


def piped(context: DriveContext, node: ast.expr, frame: Frame, make: MakeItems) -> PipedItems | None:
    """Return the values of a call of one of the four, where something of the program's own runs for them.

    Args:
        context: the session.
        node: the iterable of a loop.
        frame: the activation.
        make: makes the values of an iterable.

    Raises:
        Raised: an iterable's expression raised an exception.
    """
    if context.budget.is_full or not is_piped(context, node):
        return None
    assert isinstance(node, ast.Call)
    pipe, arguments, function = context.variables.peek(node.func), list(node.args), None
    if pipe in (map, filter):
        function = arguments.pop(0)
        if not isinstance(function, (ast.Constant, ast.Lambda)):
            function = (
                function if _is_fixed(context, function) else context.assign_temporary(function, "function", frame)
            )
        elif isinstance(function, ast.Lambda):
            function = context.assign_temporary(function, "function", frame, reveal=False)
    sources: list[tuple[Items, str]] = []
    for argument in arguments:
        name = context.variables.temporary("item")
        loop = ast.copy_location(ast.For(ast.Name(name, ast.Store()), argument, [], []), node)
        sources.append((make(context, ast.fix_missing_locations(loop), frame), name))
    return PipedItems(pipe, function, sources)


def _is_fixed(context: DriveContext, node: ast.expr) -> bool:
    """Return True for a name that nothing rebinds while the values are taken."""
    return isinstance(node, ast.Name) and not context.variables.may_be_rebound(node.id)
