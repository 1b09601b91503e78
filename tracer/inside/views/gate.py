"""The gate of a view that hides outcomes: what the driver may open, and which variables it may show.

Every command that the session shows is pushed through the support; every question is answered from the support as it
is, hence from the visible text alone. Where the support can't be kept (its budget is spent, or something outside the
namespace matters), the answer is no from then on: constructs stay whole, which tells nothing.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterable, Mapping

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.states.interpreter import HELD, Interpreter, Mass, TooMuch
from trace_mine.tracer.inside.states.paths import Unstable
from trace_mine.tracer.inside.states.records import NEGLIGIBLE, Refused, Spent, State
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot
from trace_mine.tracer.inside.states.support import Impossible, Support, agreed
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.inside.syntax.text import operand

LONGEST_VALUE = 160
LONGEST_LOOP = 1_000
"""Values of a loop's iterable that are looked at to see whether it has a first turn everywhere."""
States = Iterable[State]


def showable(value: object) -> bool:
    """Whether a value's ``repr`` is short and runs no code of the snippet."""
    return values.stable(value) and len(repr(value)) <= LONGEST_VALUE


class Gate:
    """Answers for one session.

    ``every``: commands between two reveals (0: none but the program's own output); ``partial``: one variable a time;
    ``style``: ``print`` or ``echo``; ``seed`` draws the variable, apart from the state. ``asked`` are hidden inputs
    with the commands that show them at the end: before, no reveal does, be it by another name, and after the first of
    them none is due. ``make_world`` is None for a program that
    draws nothing: then nothing is hidden, and ``may_show`` says which variables may be shown.
    """

    def __init__(
        self,
        make_world: Callable[[], World] | None,
        *,
        every: int,
        partial: bool,
        style: str,
        seed: int,
        asked: Mapping[str, str] | None = None,
        may_show: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.every = every
        self.partial = partial
        self.style = style
        self.asked = dict(asked or {})
        self._over = False
        self.failure: str | None = None
        self.names: dict[str, None] = {}
        self._draw = random.Random(f"reveals {seed}")
        self._commands = 0
        self._support: Support | None = None
        self._draws = make_world is not None
        self._may_show = may_show
        try:
            self._support = None if make_world is None else Support(make_world())
        except (CannotSnapshot, Spent) as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failure = f"{type(error).__name__}: {error}"[:300]
        self._support = None

    @property
    def is_certain(self) -> bool:
        """Whether nothing is hidden at this point."""
        return not self._draws or (self._support is not None and len(self._support.states) == 1)

    def push(self, source: str, text: str) -> None:
        """A command was emitted and showed this text (as a doctest has it)."""
        self._over = self._over or source in self.asked.values()
        if self._support is None:
            return
        try:
            self._support.push(source, text)
        except (Impossible, Refused, Spent, Unstable, SyntaxError) as error:
            self._fail(error)

    def _ask(self, question: Callable[[World, States], bool]) -> bool:
        if not self._draws:
            return True
        if self._support is None:
            return False
        try:
            return question(self._support.world, list(self._support.states))
        except TooMuch:
            return False
        except (Refused, Spent, SyntaxError, Unstable) as error:
            self._fail(error)
            return False

    # what may be opened

    def opens_test(self, source: str) -> bool:
        """Whether every state gives the test the same truth."""
        return self._ask(lambda world, states: agreed(world, source, states) is not None)

    def opens_loop(self, node: ast.While | ast.For) -> bool:
        """Whether the loop's first turn may be shown: all have one or none has, and nothing hidden ends it."""

        def question(world: World, states: States) -> bool:
            if isinstance(node, ast.While):
                return self._turn(world, states, node, _test_of(node))
            # a loop may be endless: its first values are enough to see whether it has a first turn everywhere
            taken = f"[item for item, _ in zip({operand(node.iter)}, range({LONGEST_LOOP}))]"
            begun = _ahead(world).command(f"{HELD} = {taken}", _mass(states))
            reached = [world.run(f"print(len({HELD}))", "exec", state) for state, _ in begun.after]
            lengths = {result.text.strip() for reach in reached for result in reach.results}
            if begun.raises or len(lengths) != 1:
                return False
            return lengths == {"0"} or self._turn(
                world, _states(begun.after), node, f"{ast.unparse(node.target)} = {HELD}[0]"
            )

        return self._ask(question)

    def opens_turn(self, node: ast.While | ast.For, step: str) -> bool:
        """Whether the loop's next turn may be shown; ``step`` is its test, or the command that assigns its value."""
        return self._ask(lambda world, states: self._turn(world, states, node, step))

    def _turn(self, world: World, states: States, node: ast.While | ast.For, step: str) -> bool:
        look = _ahead(world)
        going = _mass(states)
        if isinstance(node, ast.While):
            truth = agreed(world, step, states)
            if not truth:
                return truth is False
        else:
            turned = look.command(step, going)
            if turned.raises:
                return not turned.after
            going = turned.after
        inside = look.block(node.body, going)
        return not inside.hidden and inside.lost < NEGLIGIBLE

    def opens_call(self, bindings: Iterable[str], statements: Iterable[ast.stmt]) -> bool:
        """Whether a followed call's body is left the same way by all."""

        def question(world: World, states: States) -> bool:
            look, mass = _ahead(world), _mass(states)
            for source in bindings:
                bound = look.command(source, mass)
                if bound.raises:
                    return False
                mass = bound.after
            flow = look.block(statements, mass)
            return not flow.hidden and flow.ways == 1 and flow.lost < NEGLIGIBLE

        return self._ask(question)

    def opens_callee(self, source: str) -> bool:
        """Whether every state calls the same function."""
        told = (
            f"print(getattr({source}, '__module__', ''), getattr({source}, '__qualname__', type({source})),"
            f" getattr(getattr({source}, '__code__', None), 'co_firstlineno', 0))"
        )

        def question(world: World, states: States) -> bool:
            return len({r.text for state in states for r in world.run(told, "exec", state).results}) == 1

        return self.is_certain or self._ask(question)

    def opens_other(self, source: str) -> bool:
        """Whether a ``try``, ``with`` or ``match`` goes one way: one state, no draws in it."""

        def question(world: World, states: States) -> bool:
            reached = [world.run(source, "exec", state) for state in states]
            return len(reached) == 1 and reached[0].num_paths == 1

        return self._ask(question)

    # what may be shown

    def reveals(self, wrote: Iterable[str]) -> list[str]:
        """A command was emitted that binds these names; gives the reveals that are due, as commands."""
        self.names.update(dict.fromkeys(wrote))
        self._commands += 1
        if self._over or not self.every or self._commands % self.every:
            return []
        names = list(self.names)
        self._draw.shuffle(names)
        shown: list[str] = []
        for name in names:
            if not self._draws and not self._may_show(name):
                continue
            if self._ask(lambda world, states, name=name: self._may_reveal(name, world, states)):  # type: ignore[misc]
                shown.append(f"print({name!r}, {name})" if self.style == "print" else name)
                if self.partial:
                    break
        return shown if self.partial else sorted(shown)

    def _may_reveal(self, name: str, world: World, states: States) -> bool:
        """Whether every state could show the variable, and it isn't a hidden input under this or another name."""
        states = list(states)
        if name in self.asked or not all(world.showable(name, state, LONGEST_VALUE) for state in states):
            return False
        return not any(agreed(world, f'f"{{{name}!r}}" == f"{{{asked}!r}}"', states) for asked in self.asked)

    def forget(self, name: str) -> None:
        """The name is free again."""
        self.names.pop(name, None)


def _ahead(world: World) -> Interpreter:
    return Interpreter(world.run, weighs=False)


def _mass(states: States) -> Mass:
    states = list(states)
    return {(state, ""): 1.0 / len(states) for state in states}


def _states(mass: Mass) -> list[State]:
    return [state for state, _ in mass]


def _test_of(node: ast.While) -> str:
    return ast.unparse(node.test)
