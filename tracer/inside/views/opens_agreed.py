"""The opening of a view that hides the outcomes of draws (``branch``, ``inverse``).

The *support* is the set of weighted program states that agree with the text so far. Every command that the session
shows is executed from each of these states, and states with another output are left out. Every question is answered
from the support as it is, hence from the visible text alone: an ``if`` is opened only where its test has the same truth
in all states, so that the statements of the branch tell a reader nothing new.

Where the support cannot be followed any further, the answer is no from then on: constructs are kept as one command,
which tells nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, final

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.states.beliefs import SessionBeliefs
from trace_mine.tracer.inside.states.interpreter import HELD, Interpreter, Mass
from trace_mine.tracer.inside.states.questions import Questions
from trace_mine.tracer.inside.states.records import NEGLIGIBLE, State
from trace_mine.tracer.inside.states.session_support import SessionSupport, States
from trace_mine.tracer.inside.states.support import Outlook, agreed
from trace_mine.tracer.inside.states.world import World
from trace_mine.tracer.inside.syntax import doctext
from trace_mine.tracer.inside.syntax.jumps import escapes
from trace_mine.tracer.inside.syntax.text import expression, operand
from trace_mine.tracer.inside.views.opening import Block, Comprehension, Loop, Opening, Shows, past_budget
from trace_mine.tracer.inside.views.spaced_reveals import LONGEST_VALUE, SpacedReveals

LONGEST_LOOP = 1_000
"""Values of a loop's iterable that are taken to see if the loop has a first iteration in every state."""


@final
class OpensAgreed(Opening):
    """Opens constructs that take the same path in every state that agrees with the text so far.

    Args:
        make_world: makes a world, which executes commands from any state, at the session's start; called with ``lazy``.
        reveals: draws the reveals.
    """

    def __init__(self, make_world: Callable[[bool], World], reveals: SpacedReveals) -> None:
        self._reveals = reveals
        self._session = SessionSupport(make_world)
        self._questions: tuple[World, Questions] | None = None

    @property
    def failure(self) -> str | None:
        return self._session.failure

    @property
    def loss(self) -> Reason | None:
        return self._session.loss

    @property
    def is_certain(self) -> bool:
        """True if one state alone agrees with the text."""
        return len(self._session.states or ()) == 1

    @property
    def hides(self) -> bool:
        return True

    @property
    def num_uncertain(self) -> int:
        return self._session.num_uncertain

    def beliefs(self, commands: Sequence[tuple[str, str]]) -> SessionBeliefs | None:
        return self._session.beliefs(commands)

    def outlook(self, source: str, mode: Literal["single", "eval"] = "single") -> Outlook:
        return self._session.look(source, mode)

    def _ask(self, question: Callable[[World, States], bool]) -> bool:
        return self._session.ask(question)

    # what may be opened

    def keeps(self, node: ast.stmt, *, is_full: bool) -> Reason | None:
        return past_budget(node, is_full=is_full)

    def opens_test(self, test: str) -> bool:
        """Return True if the test has the same truth in every state."""
        return self._ask(lambda world, states: agreed(world, test, states) is not None)

    def opens_loop(self, node: Loop) -> bool:
        """Return True if every state has a first iteration or none has, and all leave it in the same way."""
        if isinstance(node, ast.While):
            return self.opens_iteration(node, ast.unparse(node.test))
        return self._ask(lambda world, states: _opens_first(world, states, node))

    def opens_iteration(self, node: Loop, step: str) -> bool:
        """Return True if every state has a next iteration or none has, and all leave it in the same way.

        To leave in the same way: by the end of the body, by ``break``, by ``return`` or by an exception.
        """
        return self._ask(lambda world, states: _opens_next(world, states, node, step))

    def opens_block(self, node: Block) -> bool:
        """Return True if there is one state, and no draw in the statement: the statement then has one path.

        Stricter than for ``if`` and loops: where an exception is raised is not followed state by state.
        """

        def question(world: World, states: States) -> bool:
            reached = [world.run(ast.unparse(node), "exec", state) for state in states]
            return len(reached) == 1 and reached[0].num_paths == 1

        return not escapes(node) and self._ask(question)

    def opens_callee(self, function: ast.expr) -> bool:
        """Return True if every state calls the same function."""
        source = expression(function)
        # a function is the same if its module, name and line are: states are other copies of the same objects, so their
        # identities say nothing
        identity = (
            f"print(getattr({source}, '__module__', ''), getattr({source}, '__qualname__', type({source})),"
            f" getattr(getattr({source}, '__code__', None), 'co_firstlineno', 0))"
        )

        def question(world: World, states: States) -> bool:
            return len({r.text for state in states for r in world.run(identity, "exec", state).results}) == 1

        return self.is_certain or self._ask(question)

    def opens_call(self, bindings: Sequence[tuple[str, str | None]], statements: Sequence[ast.stmt]) -> bool:
        """Return True if control leaves the function's body in the same way from every state."""

        def question(world: World, states: States) -> bool:
            interpreter, mass = _interpreter(world), _mass(states)
            for source, _ in bindings:
                bound = interpreter.command(source, mass)
                if bound.raises:
                    return False
                mass = bound.after
            if not any(map(escapes, statements[:-1])) and (
                not statements or isinstance(statements[-1], ast.Return) or not escapes(statements[-1])
            ):
                return True  # there is one way out, but for exceptions, which are shown
            flow = interpreter.block(statements, mass)
            # states that were left unfollowed could leave the body in another way
            return not flow.hidden and flow.num_ways <= 1 and flow.lost < NEGLIGIBLE

        return self._ask(question)

    def opens_comprehension(self, node: Comprehension) -> bool:
        return False  # its tests and the number of its items would have to agree: nothing asks that of the support yet

    def opens_generators(self) -> bool:
        return False  # the interpreter does not run two bodies in turns

    def tells_bound(self, names: Sequence[str]) -> frozenset[str]:
        """Return the variables that every state binds, or none of them."""
        if self.is_certain:
            return frozenset(names)

        decided: set[str] = set()

        def question(world: World, states: States) -> bool:
            bound = [world.bound(state) for state in states]
            decided.update(
                name for name in names if all(name in each for each in bound) or not any(name in each for each in bound)
            )
            return True

        return frozenset(decided) if self._ask(question) else frozenset()

    # what was shown, and what is to be shown

    def emitted(self, source: str, output: str, error: str | None) -> None:
        """Execute the command from every state of the support, and leave out the states that show something else."""
        self._reveals.emitted(source, output, error)
        self._session.push(source, _shown(output, error))

    def rewritten(self, number: int, source: str, output: str, error: str | None) -> None:
        self._session.rewrite(number, source, _shown(output, error))

    def reveal_after(self, source: str, binds: Sequence[str], wrote: Sequence[str], session: Shows) -> None:
        for reveal in self._reveals.due(source, binds, self._may_show, self._uncertain):
            session.show_by_command(reveal)
            for another in self._reveals.another(self._uncertain):  # of what is left when that one was read
                session.show_by_command(another)

    def _may_show(self, name: str) -> bool:
        """Return True if every state can show the variable, showing it tells something in one of them at least, and it
        is no hidden input under this or another name.
        """
        given = self._reveals.given(name)

        def question(world: World, states: States) -> bool:
            asked = self._reveals.asked
            if name in asked or not all(world.showable(name, state, LONGEST_VALUE) for state in states):
                return False
            if given is not None and agreed(world, f"{given[0]} == {given[1]!r}", states):
                return False
            # compared as text: ``==`` could run the snippet's code, and ``1 == True``
            return not any(agreed(world, f'f"{{{name}!r}}" == f"{{{other}!r}}"', states) for other in asked)

        return self._ask(question)

    def _uncertain(self, names: Sequence[str]) -> Mapping[str, float]:
        """The questions over variables whose answers the text doesn't tell, with the bits that are missing.

        Hidden inputs are not asked for, under another name either.
        """
        missing: Mapping[str, float] = {}

        def question(world: World, states: States) -> bool:
            nonlocal missing
            weights = self._session.states
            assert weights is not None
            asked = self._reveals.asked
            same = {
                name
                for name in names
                if any(agreed(world, f'f"{{{name}!r}}" == f"{{{other}!r}}"', states) for other in asked)
            }
            if self._questions is None or self._questions[0] is not world:
                self._questions = (world, Questions(world, self._reveals.style))
            allowed = [name for name in names if name not in asked and name not in same]
            missing = self._questions[1].bits(weights, allowed)
            return True

        return missing if self._ask(question) else {}

    def unshown(self, names: Iterable[str]) -> None:
        pass  # a value that the text gave is compared with the one that is there

    def forget(self, name: str) -> None:
        self._reveals.forget(name)


def _shown(output: str, error: str | None) -> str:
    return doctext.shown(output) if error is None else error


def _opens_first(world: World, states: States, node: ast.For) -> bool:
    """Return True if all states agree on a ``for`` loop's number of values, and on its first iteration.

    Evaluates the iterable in each state, binds its first values to a name of ours, and goes on with the first of them.
    """
    # a loop may be endless: its first values are enough to see whether it has a first iteration everywhere
    first_values = f"[item for item, _ in zip({operand(node.iter)}, range({LONGEST_LOOP}))]"
    begun = _interpreter(world).command(f"{HELD} = {first_values}", _mass(states))
    reached = [world.run(f"print(len({HELD}))", "exec", state) for state, _ in begun.after]
    # the number of values shows by the number of iterations, so it must be no secret
    lengths = {result.text.strip() for reach in reached for result in reach.results}
    if begun.raises or len(lengths) != 1:
        return False
    if lengths == {"0"}:
        return True
    return _opens_next(world, [state for state, _ in begun.after], node, f"{ast.unparse(node.target)} = {HELD}[0]")


def _opens_next(world: World, states: States, node: Loop, step: str) -> bool:
    """Return True if ``step`` begins an iteration in all states or in none, and all leave its body in the same way."""
    interpreter = _interpreter(world)
    mass = _mass(states)
    if isinstance(node, ast.While):
        truth = agreed(world, step, states)
        if not truth:
            return truth is False  # None where the states disagree
    else:
        assigned = interpreter.command(step, mass)
        if assigned.raises:
            return not assigned.after  # the end of the values, if it is the end in every state
        mass = assigned.after
    if not any(map(escapes, node.body)):
        return True  # every iteration comes to its end, but for exceptions, which are shown
    flow = interpreter.block(node.body, mass)
    return not flow.hidden and flow.lost < NEGLIGIBLE


def _interpreter(world: World) -> Interpreter:
    # ``weighs=False``: control flow alone is asked for, so a state counts once, however many draws lead to it
    return Interpreter(world.follow_many, weighs=False)


def _mass(states: Iterable[State]) -> Mass:
    """Return the states with equal weights: only which states are possible matters here."""
    states = list(states)
    return {(state, ""): 1.0 / len(states) for state in states}
