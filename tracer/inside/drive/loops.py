"""Loops, unrolled: ``while`` and ``for``. Past the session's budget the remaining iterations are one command."""

from __future__ import annotations

import ast
import copy
import operator
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from trace_mine.tracer.inside.drive.calls import open_generator
from trace_mine.tracer.inside.drive.driver import Break, Continue, Driver, Frame, Handler, Signal
from trace_mine.tracer.inside.drive.statements import is_inert
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.names import bound_names
from trace_mine.tracer.inside.syntax.text import bare, expression, muted, unparse

HARD_FACTOR = 3
"""A loop that can't be cut (a ``return`` stands in it) may overrun the budget this many times before its function
closes.
"""

_sequences = (list, tuple, str, bytes)
_counted = (list, tuple, str, bytes, dict, set, frozenset)
_operations: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_own_iterators = (types.GeneratorType, enumerate, zip, map, filter, reversed, type(iter(int, 1)))
"""Iterators that ``iter`` gives back as they are, without running anything of the snippet."""
_pure_iterators = frozenset(
    type(iter(source))
    for source in cast(
        "tuple[Iterable[Any], ...]",
        (
            [],
            (),
            "",
            b"",
            {},
            {}.values(),
            {}.items(),
            set(),
            range(1),
            range(1 << 70),
            reversed([]),
            "\u0101",
        ),
    )
)


def run_while(driver: Driver, node: ast.While, frame: Frame) -> None:
    """``while``: the test is a command before every iteration."""
    constant = isinstance(node.test, ast.Constant)
    if constant and not node.test.value:  # type: ignore[attr-defined]
        driver.block(node.orelse, frame)
        return
    if driver.gate is not None and not driver.gate.opens_loop(node):
        driver.whole(node, frame, "hidden")
        return
    test, turns = driver.text(node.test, frame), 0
    while True:
        if turns and driver.gate is not None and not driver.gate.opens_turn(node, test):
            _emit_rest(driver, node, frame, "hidden")
            return
        turns += 1
        if _cut(driver, node, frame):
            _emit_rest(driver, node, frame)
            return
        if not constant:
            driver.stand(frame, node.lineno)
            if not driver.condition(driver.lower(driver, node.test, frame), frame):
                driver.block(node.orelse, frame)
                return
        try:
            driver.block(node.body, frame)
        except Break as signal:
            if signal.frame is not frame:
                raise
            return
        except Continue as signal:
            if signal.frame is not frame:
                raise


def _cut(driver: Driver, node: ast.While | ast.For, frame: Frame) -> bool:
    if not driver.full():
        driver.spins += 1
        if driver.spins > 50 * driver.max_commands:
            driver.give_up(node, frame, "budget")
        return False
    if not escapes(node):
        return True
    if len(driver.session.commands) > HARD_FACTOR * driver.max_commands:
        driver.give_up(node, frame, "budget")
    return False


def _emit_rest(driver: Driver, node: ast.stmt, frame: Frame, reason: str = "budget") -> None:
    if escapes(node):
        driver.give_up(node, frame, reason)
    driver.keep(reason)
    frame.log.append(["gap", node.lineno, node.end_lineno or node.lineno])
    if frame.is_call or not driver.single:
        node = muted(node, driver.session.spare)
    driver.emit(unparse(node), frame, writes=sorted(bound_names([node])))


class _Steps:
    """Where a loop's values come from: the variable ``name``, which ``source`` (if any) was made into an iterator
    for.
    """

    def __init__(
        self, kind: str, name: str, iterator: Iterator[Any] | None = None, values: Any = None, source: str = ""
    ) -> None:
        self.source = source
        self.kind = kind
        self.name = name
        self.iterator = iterator
        self.values = values

    def assign(self, target: str, done: int) -> str:
        """The command that assigns the next value; where there is none, one that raises."""
        if self.kind == "literal":
            held = repr(self.values[done]) if done < len(self.values) else "[][0]"
            return f"{target} = {held}"
        return f"{target} = {self.name}[{done}]" if self.kind == "index" else f"{target} = next({self.name})"

    def rest(self, done: int) -> str:
        """An expression for the iterations that are left."""
        if self.kind == "literal":
            return repr(self.values[done:])
        return f"{self.name}[{done}:]" if self.kind == "index" else self.name


def run_for(driver: Driver, node: ast.For, frame: Frame) -> None:
    """``for``: each value is assigned by a command, then the body's statements run."""
    place = driver.session.place
    place.path, place.line, place.depth = frame.filename, node.lineno, driver.depth
    if open_generator(driver, node, frame):
        return
    if driver.gate is not None and not driver.gate.opens_loop(node):
        driver.whole(node, frame, "hidden")
        return
    steps = _steps(driver, node, frame)
    target = bare(node.target)
    writes = sorted(bound_names([ast.Assign([node.target], ast.Constant(None), lineno=node.lineno)]))
    done = 0
    while True:
        hidden = done > 0 and driver.gate is not None and not driver.gate.opens_turn(node, steps.assign(target, done))
        if hidden or _cut(driver, node, frame):
            rest = copy.copy(node)
            rest.iter = ast.parse(steps.rest(done), mode="eval").body
            _emit_rest(driver, rest, frame, "hidden" if hidden else "budget")
            return
        place.path, place.line, place.depth = frame.filename, node.lineno, driver.depth
        if not _step(driver, steps, done, target, writes, frame):
            break
        done += 1
        try:
            driver.block(node.body, frame)
        except Break as signal:
            _close(driver, steps, frame)
            if signal.frame is not frame:
                raise
            return
        except Continue as signal:
            if signal.frame is not frame:
                _close(driver, steps, frame)
                raise
        except Signal:
            _close(driver, steps, frame)
            raise
    driver.block(node.orelse, frame)


def _step(driver: Driver, steps: _Steps, done: int, target: str, writes: list[str], frame: Frame) -> bool:
    """Assigns the next value; False where there is none."""
    session = driver.session
    if steps.kind != "next":
        values = steps.values if steps.kind == "literal" else session.namespace[steps.name]
        if done >= len(values):
            return False
        driver.emit(steps.assign(target, done), frame, "iterate", writes)
        return True
    command = session.do(f"{target} = {session.builtin('next')}({steps.name})", "iterate", writes)
    if isinstance(command.exception, StopIteration) and done >= 0:
        if _is_pure(steps):
            session.commands.remove(command)
        else:
            command.source = f"{session.builtin('next')}({steps.name}, None)"
            command.error = command.exception = None
        return False
    driver.check(command, frame)
    return True


def _is_pure(steps: _Steps) -> bool:
    return type(steps.iterator) in _pure_iterators


def _close(driver: Driver, steps: _Steps, frame: Frame) -> None:
    """A loop that was left lets go of its iterator, which may run the end of a generator."""
    if steps.kind == "next" and not _is_pure(steps):
        held = [name for name in (steps.name, steps.source) if name in driver.session.namespace]
        steps.iterator = None  # the command below is what ends the iterator's life
        driver.emit(f"del {', '.join(held)}", frame, "iterate", reveal=False)


def _steps(driver: Driver, node: ast.For, frame: Frame) -> _Steps:
    session = driver.session
    iterable = driver.lower(driver, node.iter, frame)
    source = ""
    if isinstance(iterable, ast.Name):
        value = driver.peek(iterable)
        if type(value) in _sequences and iterable.id not in bound_names([node]):
            return _Steps("index", iterable.id)
    elif (spelt := pure_range(driver, iterable)) is not None:
        return _Steps("literal", "", values=spelt)
    elif not _spells_view(iterable):
        makes = isinstance(iterable, ast.Call) and driver.peek(iterable.func) in (*_own_iterators, iter)
        held = driver.hold(iterable, "iterator" if makes else "items", frame, "iterate")
        assert isinstance(held, ast.Name)
        value = session.namespace[held.id]
        if type(value) in _sequences:
            return _Steps("index", held.id)
        if type(value) in _own_iterators:
            return _Steps("next", held.id, value)
        source = held.id
        iterable = held
    name = driver.temporary("iterator")
    driver.emit(f"{name} = {session.builtin('iter')}({expression(iterable)})", frame, "iterate", [name], reveal=False)
    return _Steps("next", name, session.namespace[name], source=source)


def _spells_view(node: ast.expr) -> bool:
    """A dictionary's view needs no name of its own."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("items", "values", "keys")
    )


def pure_range(driver: Driver, node: ast.expr) -> range | None:
    """The range that the expression makes, where it can be computed without running anything of the snippet."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords):
        return None
    if driver.peek(node.func) is not range or not 1 <= len(node.args) <= 3:
        return None
    hidden = driver.gate is not None and not driver.gate.is_certain
    if hidden and not all(isinstance(argument, ast.Constant) for argument in node.args):
        return None
    numbers = [_number(driver, argument) for argument in node.args]
    if any(number is None for number in numbers) or (len(numbers) == 3 and numbers[2] == 0):
        return None
    return range(*(number for number in numbers if number is not None))


def _number(driver: Driver, node: ast.expr) -> int | None:
    """The int that an expression over ints and lengths of built-in containers gives; None for any other expression."""
    value: Any = None
    if isinstance(node, (ast.Constant, ast.Name)):
        value = driver.peek(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _number(driver, node.operand)
        value = None if operand is None else -operand
    elif isinstance(node, ast.BinOp):
        left, right = _number(driver, node.left), _number(driver, node.right)
        operation = _operations.get(type(node.op))
        if left is not None and right is not None and operation is not None:
            divides = isinstance(node.op, (ast.FloorDiv, ast.Mod))
            value = None if divides and right == 0 else operation(left, right)
    elif isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords and is_inert(node.args[0]):
        counted = driver.peek(node.args[0])
        if driver.peek(node.func) is len and type(counted) in _counted:
            value = len(counted)
    return value if type(value) is int else None


HANDLERS: dict[type[ast.stmt], Handler] = {ast.While: run_while, ast.For: run_for}
