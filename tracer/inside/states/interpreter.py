"""Statements run from a set of states at once: the merging interpreter.

``if``, ``while`` and ``for`` split the set by their tests and join it again; everything else is a command that runs
from each state. It has two uses.

*Beliefs*: a command that is an entire loop or branch is followed state by state and not path by path, so that twenty
hidden swaps in a loop are a few states, and a bounded random walk has an exact end.

*Look-ahead*: before the driver opens a construct, it asks if the control flow inside would tell a hidden outcome. That
"a draw happens in it" is no answer: ``x = random() < 0.3; if x: ...`` has none in the ``if``. So the construct is run
from the states of the support, and is opened only if all of them go the same way. The support is not conditioned on
anything that the construct would show: the decision is then a function of the visible text, and is the same for every
session that looks the same so far. Where a hidden test decides over a ``return``, ``break`` or ``continue``, the
construct that the jump leaves is kept as one command, too.

Example: from two states with ``x`` 0 and 1, ``if x: y = 1`` gives a flow with two states in ``after``. With a ``break``
in the branch it gives one state in ``after``, one in ``breaks``, and is ``hidden``.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable, Sequence

from trace_mine.tracer.inside.states.records import Mode, Result, State
from trace_mine.tracer.inside.syntax.jumps import escapes

Mass = dict[tuple[State, str], float]
"""Weights of (state, text printed so far). Where weights do not matter the texts are ""."""
Follow = Callable[[str, Mode, State], tuple[float, Sequence[Result]]]
Split = tuple[Mass, Mass, "Flow"]
"""The states that go on into a body, those that go past it, and how others left meanwhile."""

MOST_STATES = 4_096
"""As many as a support keeps (``Support.max_states``)."""
MOST_TURNS = 20_000
"""Turns of all loops in one statement together: 10 s where each runs one command on a new state (2,000 a second)."""
MOST_STEPS = {True: 40_000, False: 8_000}
"""Steps of a statement by several states at a time, where weights matter (the paths that are followed instead explain
less) and where they don't: each is a command that is run from a state, 3,000 to 8,000 of them a second, or TABLE_STEP
where a table has it. A look ahead once took all the time that a session has, and the states were lost for good."""
TABLE_STEP = 0.01
FAINT = 1e-13
"""Mass below which a loop is no longer followed: it is counted as lost."""
HELD = "held_back"
"""A name that no program has: where returned values and iterators are kept meanwhile."""

_AS_COMMAND = (ast.Try, ast.TryStar, ast.With, ast.Match, ast.AsyncFor, ast.AsyncWith)
"""Compound statements that are run as one command, which a jump out of them can't be part of."""


@functools.lru_cache(maxsize=1_000)
def statements_of(source: str) -> tuple[ast.stmt, ...]:
    """The statements of a command, the same nodes each time: as many states may begin it."""
    return tuple(ast.parse(source).body)


@functools.lru_cache(maxsize=4_000)
def _source_of(node: ast.AST) -> str:
    return ast.unparse(node)


class TooMuch(Exception):
    """More than is followed, or a construct that can't be: the caller takes the statement as one command instead."""


class Flow:
    """The sets of states that statements lead to, one for each way of leaving them.

    Attributes:
        after: the states that go on with the next statement.
        breaks, continues, returns, raises: those that leave by these ways.
        lost: mass that was not followed.
        hidden: states differ in the way that they take, and nothing that is shown tells it. An exception is shown.
    """

    __slots__ = ("after", "breaks", "continues", "hidden", "lost", "raises", "returns")

    def __init__(self) -> None:
        self.after: Mass = {}
        self.breaks: Mass = {}
        self.continues: Mass = {}
        self.returns: Mass = {}
        self.raises: Mass = {}
        self.lost = 0.0
        self.hidden = False

    def leave(self, other: Flow) -> None:
        """Add the states that leave another flow, but not those that go on after it."""
        for name in ("breaks", "continues", "returns", "raises"):
            merge(getattr(self, name), getattr(other, name))
        self.lost += other.lost
        self.hidden = self.hidden or other.hidden

    @property
    def num_ways(self) -> int:
        """The number of ways of leaving, going on among them, that some state takes. An exception is none of them: the
        command that raises it shows its traceback, so that what follows it tells nothing more.
        """
        return sum(map(bool, (self.after, self.breaks, self.continues, self.returns)))


def merge(into: Mass, other: Mass) -> None:
    """Add a set's weights to another's."""
    for key, weight in other.items():
        into[key] = into.get(key, 0.0) + weight


class Interpreter:
    """Runs statements from sets of states. The statements' names are those of the session.

    Args:
        follow: ``World.follow``; called with source, mode and state, it gives the mass that isn't followed and results.
        weighs: True if weights and printed text matter (beliefs). Otherwise a state counts once, however it is reached
            and whatever was printed on the way (look-ahead), so that there are fewer.

    Attributes:
        sources: the commands that were run.
        cuts_output: some states printed something and raised then, which shows the traceback alone.

    Raises:
        TooMuch: by each method, where there is more to follow than the limits above allow.
    """

    def __init__(self, follow: Follow, *, weighs: bool) -> None:
        self._follow = follow
        self._weighs = weighs
        # ``part`` echoes expression statements, as a prompt does inside of a compound statement; look-ahead shows none
        self._mode: Mode = "part" if weighs else "exec"
        self.sources: set[str] = set()
        self.cuts_output = False
        self._num_iterators = 0
        self._steps_left: float = MOST_STEPS[weighs]
        self._num_turns = 0

    def block(self, body: Iterable[ast.stmt], mass: Mass) -> Flow:
        """Run statements in order."""
        flow = Flow()
        flow.after = mass
        for node in body:
            if not flow.after:
                break
            if len(flow.after) > MOST_STATES:
                raise TooMuch
            step = self.statement(node, flow.after)
            flow.leave(step)
            flow.after = step.after
        return flow

    def command(self, source: str, mass: Mass) -> Flow:
        """Run one command from each state."""
        flow = Flow()
        self.sources.add(source)
        self._count(mass)
        for (state, text), weight in mass.items():
            unexplored, results = self._follow(source, self._mode, state)
            flow.lost += weight * unexplored
            for probability, end, more, _, raised in results:
                into = flow.raises if raised else flow.after
                self.cuts_output = self.cuts_output or bool(raised and text)
                # A doctest shows of a command that raises the traceback alone, and not what it printed before.
                self._add(into, end, more if raised else text + more, weight * probability)
        return flow

    def _count(self, mass: Mass) -> None:
        """Count a step of each state. One state alone has as many as it needs: it is no more than the program's run."""
        if len(mass) < 2:
            return
        self._steps_left -= sum(TABLE_STEP if isinstance(state, int) else 1.0 for state, _ in mass)
        if self._steps_left < 0:
            raise TooMuch

    def _add(self, mass: Mass, state: State, text: str, weight: float) -> None:
        key = (state, text if self._weighs else "")
        mass[key] = mass.get(key, 0.0) + weight

    def statement(self, node: ast.stmt, mass: Mass) -> Flow:
        """Run one statement.

        The flow is ``hidden`` where states differ in how control leaves the statement, so that opening it would tell
        which of them is the real one.
        """
        if isinstance(node, ast.If):
            return self._if(node, mass)
        if isinstance(node, ast.While):
            return self._while(node, mass)
        if isinstance(node, ast.For):
            return self._for(node, mass)
        flow = Flow()
        if isinstance(node, ast.Break):
            flow.breaks = mass
        elif isinstance(node, ast.Continue):
            flow.continues = mass
        elif isinstance(node, ast.Return):
            # Run for what it may raise, and since a call in it may change the state; the value itself is not needed.
            value = "None" if node.value is None else _source_of(node.value)
            evaluated = self.command(f"{HELD} = {value}", mass)
            flow.leave(evaluated)
            flow.returns = evaluated.after
        elif isinstance(node, (ast.Pass, ast.Global, ast.Nonlocal)):
            flow.after = mass
        elif isinstance(node, _AS_COMMAND) and escapes(node):
            raise TooMuch
        else:
            flow = self.command(_source_of(node), mass)
        return flow

    def _test(self, test: ast.expr, mass: Mass) -> Split:
        """The states for which a test is true, those for which it is false, and those in which it raises."""
        flow = Flow()
        true: Mass = {}
        false: Mass = {}
        source = _source_of(test)
        self.sources.add(source)
        self._count(mass)
        for (state, text), weight in mass.items():
            unexplored, results = self._follow(source, "eval", state)
            flow.lost += weight * unexplored
            for probability, end, more, value, raised in results:
                into = flow.raises if raised else true if value else false
                self.cuts_output = self.cuts_output or bool(raised and text)
                self._add(into, end, more if raised else text + more, weight * probability)
        return true, false, flow

    def _if(self, node: ast.If, mass: Mass) -> Flow:
        true, false, flow = self._test(node.test, mass)
        for body, some in ((node.body, true), (node.orelse, false)):
            if some:
                branch = self.block(body, some)
                flow.leave(branch)
                merge(flow.after, branch.after)
        if true and false:
            # States that take different branches and meet again may be told apart by nothing: the ``if`` is then one
            # command. Only if a jump stands in it must what surrounds it be kept whole, too.
            flow.hidden = escapes(node)
        return flow

    def _while(self, node: ast.While, mass: Mass) -> Flow:
        def turn(mass: Mass) -> Split:
            return self._test(node.test, mass)

        return self._loop(node, Flow(), mass, turn)

    def _for(self, node: ast.For, mass: Mass) -> Flow:
        self._num_iterators += 1
        name = f"{HELD}_{self._num_iterators}"  # loops nest: each needs a name of its own
        target = _source_of(node.target)
        # The iterator is a variable of the session meanwhile, so that how far each state has come is part of the state.
        begun = self.command(f"{name} = iter({_source_of(node.iter)})", mass)
        flow = Flow()
        flow.leave(begun)

        def turn(mass: Mass) -> Split:
            going: Mass = {}
            ended: Mass = {}
            left = Flow()
            step = f"{target} = next({name})"
            self.sources.add(step)
            self._count(mass)
            for (state, text), weight in mass.items():
                unexplored, results = self._follow(step, self._mode, state)
                left.lost += weight * unexplored
                for probability, end, more, _, raised in results:
                    into = ended if raised == "StopIteration" else left.raises if raised else going
                    self.cuts_output = self.cuts_output or bool(text and into is left.raises)
                    shown = more if into is left.raises else text if raised else text + more
                    self._add(into, end, shown, weight * probability)
            return going, ended, left

        flow = self._loop(node, flow, begun.after, turn)
        if flow.after:
            # Left there, iterators that came to different ends would keep states apart that are equal otherwise.
            flow.after = self.command(f"del {name}", flow.after).after
        return flow

    def _loop(self, node: ast.While | ast.For, flow: Flow, mass: Mass, turn: Callable[[Mass], Split]) -> Flow:
        """Iterate until no state is left in the loop.

        The set of states goes through the loop together, one iteration at a time. At each of them some states go on
        into the body, some end the loop and wait in ``ended`` for its ``else``, and some leave it by a jump; those that
        come to the body's end, or to a ``continue``, are the set of the next iteration. States that are equal then are
        one again, however they went: this is what keeps a loop over draws from having as many states as paths.

        It ends in two ways. Where weights matter, mass that stays in the loop gets fainter at each turn, and is given
        up below FAINT (``while random() < 0.5`` has 44 turns). Where they don't, a state that was in the loop before
        has nothing new to show, so that the loop ends when no new one comes: its states are finite, or too many.

        Args:
            node: the loop.
            flow: how states left before the first iteration; it is added to.
            mass: the states that begin the loop.
            turn: runs the loop's test, or takes the iterator's next value.
        """
        ended: Mass = {}
        seen: set[object] = set()
        disagreed = flow.hidden
        while mass:
            self._num_turns += 1
            if self._num_turns > MOST_TURNS or len(mass) > MOST_STATES or len(ended) > MOST_STATES:
                raise TooMuch
            going, ending, left = turn(mass)
            inside = self.block(node.body, going)
            disagreed = disagreed or inside.hidden or bool(going and ending)
            merge(ended, ending)
            merge(flow.after, inside.breaks)
            merge(flow.returns, inside.returns)
            for step in (left, inside):
                merge(flow.raises, step.raises)
                flow.lost += step.lost
            remaining = inside.after
            merge(remaining, inside.continues)
            mass = self._of_another_turn(remaining, mass, seen, flow)
        # After a ``break`` the ``else`` is not run: states in ``breaks`` are in ``flow.after`` already.
        otherwise = self.block(node.orelse, ended)
        merge(flow.after, otherwise.after)
        flow.leave(otherwise)
        flow.hidden = (disagreed or flow.num_ways > 1) and escapes(node)
        return flow

    def _of_another_turn(self, mass: Mass, before: Mass, seen: set[object], flow: Flow) -> Mass:
        """The states that begin another turn of a loop: all, or the new ones; see ``_loop``."""
        if not self._weighs:
            seen.update(before)
            return {key: weight for key, weight in mass.items() if key not in seen}
        total = sum(mass.values())
        if 0 < total < FAINT:
            flow.lost += total
            return {}
        return mass
