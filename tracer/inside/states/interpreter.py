"""Statements run from a set of states at once: the merging interpreter.

``if``, ``while`` and ``for`` split the set by their tests and join it again; everything else is a command that runs
from each state. Two uses. A command that is an entire loop or branch is followed state by state and not path by path,
so that twenty hidden swaps in a loop are a few states and a bounded walk has an exact end. And a piece of a program is
looked at before it is opened: would its control flow tell something hidden? That is asked of the support as it is,
without conditioning on anything that the piece would show, so that the shape of the text is the same for every session
that looks the same so far. A construct whose tests come out differently is kept as one command; where a
``return``, ``break`` or ``continue`` stands in it, so is the construct that it leaves.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable

from trace_mine.tracer.inside.states.records import Reach, State
from trace_mine.tracer.inside.syntax.jumps import escapes

Mass = dict[tuple[State, str], float]
"""Weights of (state, what was printed so far)."""

MOST_STATES = 4_096
MOST_TURNS = 20_000
FAINT = 1e-13
"""Mass below which a loop is no longer followed: it is counted as lost."""
HELD = "held_back"
"""A name that no program has: where returned values and iterators are kept meanwhile."""

_AS_COMMAND = (ast.Try, ast.TryStar, ast.With, ast.Match, ast.AsyncFor, ast.AsyncWith)


class TooMuch(Exception):
    """More than is followed, or a construct that can't be: the caller takes the statement as one command instead."""


class Flow:
    """Where statements take a set of states.

    Attributes:
        after: the states that go on with the next statement.
        breaks, continues, returns, raises: those that leave by these ways.
        lost: mass that was not followed.
        hidden: states differ in the way that they take, or an exception ends the statement for some of them only.
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
        """Takes over what leaves another flow, but not what goes on after it."""
        for name in ("breaks", "continues", "returns", "raises"):
            merge(getattr(self, name), getattr(other, name))
        self.lost += other.lost
        self.hidden = self.hidden or other.hidden

    @property
    def num_exits(self) -> int:
        """How many ways of leaving (going on among them) some state takes."""
        return sum(map(bool, (self.after, self.breaks, self.continues, self.returns, self.raises)))


def merge(into: Mass, other: Mass) -> None:
    """Adds a set's weights to another's."""
    for key, weight in other.items():
        into[key] = into.get(key, 0.0) + weight


class Interpreter:
    """Runs statements, whose names are the session's, from sets.

    ``run(source, mode, state)`` is the world's. ``weighs``: weights and printed text matter (beliefs); otherwise a
    state counts once, however it is reached (look-ahead).
    """

    def __init__(self, run: Callable[[str, str, State], Reach], *, weighs: bool) -> None:
        self._run = run
        self._weighs = weighs
        self._mode = "part" if weighs else "exec"
        self._iterators = 0
        self._turns = 0

    def block(self, body: Iterable[ast.stmt], mass: Mass) -> Flow:
        """Statements in order."""
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

    def command(self, source: str, mass: Mass, mode: str = "") -> Flow:
        """One command from each state."""
        flow = Flow()
        for (state, text), weight in mass.items():
            reach = self._run(source, mode or self._mode, state)
            flow.lost += weight * reach.unexplored
            for result in reach.results:
                into = flow.raises if result.raised else flow.after
                shown = result.text if result.raised else text + result.text
                self._add(into, result.state, shown, weight * result.probability)
        return flow

    def _add(self, mass: Mass, state: State, text: str, weight: float) -> None:
        key = (state, text if self._weighs else "")
        mass[key] = mass.get(key, 0.0) + weight

    def statement(self, node: ast.stmt, mass: Mass) -> Flow:
        """Runs one statement. The flow is marked ``hidden`` where states differ in how control leaves the statement, so
        that opening it would tell which of them is the real one.
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
            value = "None" if node.value is None else ast.unparse(node.value)
            done = self.command(f"{HELD} = {value}", mass)
            flow.leave(done)
            flow.returns = done.after
        elif isinstance(node, (ast.Pass, ast.Global, ast.Nonlocal)):
            flow.after = mass
        elif isinstance(node, _AS_COMMAND) and escapes(node):
            raise TooMuch
        else:
            flow = self.command(ast.unparse(node), mass)
        # an exception that only some meet ends what stands around it
        flow.hidden = bool(flow.raises) and bool(flow.after or flow.returns)
        return flow

    def _test(self, test: ast.expr, mass: Mass) -> tuple[Mass, Mass, Flow]:
        flow = Flow()
        true: Mass = {}
        false: Mass = {}
        source = ast.unparse(test)
        for (state, text), weight in mass.items():
            reach = self._run(source, "eval", state)
            flow.lost += weight * reach.unexplored
            for result in reach.results:
                into = flow.raises if result.raised else true if result.value else false
                shown = result.text if result.raised else text + result.text
                self._add(into, result.state, shown, weight * result.probability)
        flow.hidden = bool(flow.raises) and bool(true or false)
        return true, false, flow

    def _if(self, node: ast.If, mass: Mass) -> Flow:
        true, false, flow = self._test(node.test, mass)
        for body, some in ((node.body, true), (node.orelse, false)):
            if some:
                branch = self.block(body, some)
                flow.leave(branch)
                merge(flow.after, branch.after)
        if true and false:
            flow.hidden = escapes(node) or (bool(flow.raises) and flow.num_exits > 1)
        return flow

    def _while(self, node: ast.While, mass: Mass) -> Flow:
        def turn(mass: Mass) -> tuple[Mass, Mass, Flow]:
            return self._test(node.test, mass)

        return self._loop(node, Flow(), mass, turn)

    def _for(self, node: ast.For, mass: Mass) -> Flow:
        self._iterators += 1
        name = f"{HELD}_{self._iterators}"
        target = ast.unparse(node.target)
        begun = self.command(f"{name} = iter({ast.unparse(node.iter)})", mass)
        flow = Flow()
        flow.leave(begun)

        def turn(mass: Mass) -> tuple[Mass, Mass, Flow]:
            going: Mass = {}
            done: Mass = {}
            met = Flow()
            for (state, text), weight in mass.items():
                reach = self._run(f"{target} = next({name})", self._mode, state)
                met.lost += weight * reach.unexplored
                for result in reach.results:
                    into = done if result.raised == "StopIteration" else met.raises if result.raised else going
                    shown = result.text if into is met.raises else text if result.raised else text + result.text
                    self._add(into, result.state, shown, weight * result.probability)
            met.hidden = bool(met.raises) and bool(going or done)
            return going, done, met

        flow = self._loop(node, flow, begun.after, turn)
        if flow.after:
            ended = self.command(f"del {name}", flow.after)  # an iterator that is let go of is no state
            flow.after = ended.after
        return flow

    def _loop(
        self, node: ast.While | ast.For, flow: Flow, mass: Mass, turn: Callable[[Mass], tuple[Mass, Mass, Flow]]
    ) -> Flow:
        """Iterates until no state is left in the loop.

        ``turn`` gives the states that go on with an iteration, those whose loop ended, and how others left; ``flow``
        is how states left before the first iteration.

        Where weights matter, mass that stays in the loop for ever gets fainter at each turn and is given up at last.
        Where they do not, a state that was in the loop before has nothing new to show: the states of a loop are finite
        or too many.
        """
        done: Mass = {}
        seen: set[object] = set()
        disagreed = flow.hidden
        while mass:
            self._turns += 1
            if self._turns > MOST_TURNS or len(mass) > MOST_STATES or len(done) > MOST_STATES:
                raise TooMuch
            going, ended, met = turn(mass)
            inside = self.block(node.body, going)
            disagreed = disagreed or met.hidden or inside.hidden or bool(going and ended)
            merge(done, ended)
            merge(flow.after, inside.breaks)
            merge(flow.returns, inside.returns)
            for step in (met, inside):
                merge(flow.raises, step.raises)
                flow.lost += step.lost
            before = mass
            mass = inside.after
            merge(mass, inside.continues)
            if self._weighs:
                if 0 < sum(mass.values()) < FAINT:
                    flow.lost += sum(mass.values())
                    mass = {}
            else:
                # a state that comes back has been looked at; else a loop that may go on for ever would never end
                seen.update(before)
                mass = {key: weight for key, weight in mass.items() if key not in seen}
        ended_flow = self.block(node.orelse, done)
        merge(flow.after, ended_flow.after)
        flow.leave(ended_flow)
        flow.hidden = (disagreed or flow.num_exits > 1) and (escapes(node) or bool(flow.raises))
        return flow
