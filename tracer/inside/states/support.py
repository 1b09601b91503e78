"""A support: the weighted set of states that a session may be in, given everything that it has shown.

``Support.push`` runs one command from every state, under every outcome of the draws that it makes; states that come
out equal are one state again, so that twenty maybe-swaps of three cups are six states and not a million paths. What a
command does to a state is remembered: (command, state) is the kernel of the automaton that the session is.

States are snapshots of a namespace where those can be taken. Where they can't, a state is the way to it: the commands
since the last snapshot with the outcomes of their draws, run again whenever it is needed.

Weights are relative: they sum to 1 after every push. A command that is a whole loop or branch is followed by
``lookahead``. ``log_mass`` is the logarithm of the probability of everything shown, ``lost`` how much mass (relative to
the weights) was not followed and may or may not agree with what was shown.
"""

from __future__ import annotations

import ast
import contextlib
import math
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from types import CodeType
from typing import Any

from trace_mine.tracer.inside.draws.deciders import Guided, using
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.program import Capture, OutputFull
from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
from trace_mine.tracer.inside.states.interpreter import Interpreter, TooMuch
from trace_mine.tracer.inside.states.paths import explore
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot, Snapshots
from trace_mine.tracer.inside.syntax import doctext

State = bytes | tuple[Any, ...]
"""A snapshot, or ``(state, (source, mode, outcomes), ...)``: the way to it."""

LIGHTEST = 1e-15
"""Relative weight below which a state is let go of: its mass is counted as lost."""

NEGLIGIBLE = 1e-9
"""Mass that was not followed and still lets a decision be called everybody's."""

clock = time.perf_counter  # bound before it is pinned or patched


_refused = re.compile(r"LazyReal|\bfloat\b")


class Refused(BaseException):
    """C code would not take a lazy real (json, Decimal, ...): the session has to be followed with plain floats.

    A program's own TypeError that speaks of floats looks the same; following it so costs exactness, not truth.
    """


class Spent(BaseException):
    """The budget of time is used up; BaseException, so that no snippet swallows it."""


class Impossible(Exception):
    """What was shown has no mass: the namespace is not all of the state, or a draw without outcomes was shown.

    ``law`` is that of the text, as it was before.
    """

    def __init__(self, message: str, law: dict[str, float]) -> None:
        super().__init__(message)
        self.law = law


class Result:
    """What one command may do to one state: ``probability`` of ending in ``state`` having shown ``text``.

    ``value`` is a test's truth, ``raised`` whether it ended in an exception (whose traceback is in ``text``).
    """

    __slots__ = ("probability", "raised", "state", "text", "value")

    def __init__(self, probability: float, state: State, text: str, value: bool | None, raised: str | None) -> None:
        self.probability = probability
        self.state = state
        self.text = text
        self.value = value
        self.raised = raised


class Reach:
    """Everything that one command may do to one state: ``results``, whose probabilities and ``unexplored`` sum to 1;
    ``num_paths`` is the number of ways its draws went.
    """

    __slots__ = ("num_paths", "results", "unexplored")

    def __init__(self, results: list[Result], unexplored: float, num_paths: int) -> None:
        self.results = results
        self.unexplored = unexplored
        self.num_paths = num_paths


class World:
    """Runs commands from states in one namespace and remembers what they do. Shared by supports and look-aheads."""

    def __init__(
        self,
        namespace: dict[str, Any],
        flags: int,
        is_own: Callable[[str], bool],
        *,
        output_limit: int,
        max_seconds: float,
        max_paths: int = 2_000,
        laws: Any = None,
        seed: int = 0,
        lazy: bool = True,
        forks: ForkPool | None = None,
        marks: Callable[[], object] = int,
    ) -> None:
        """``marks`` gives what else, beside states, tells whether a run changed something in this process: see
        ``fork_points``.
        """
        self.namespace = namespace
        self.flags = flags
        self.snapshots = Snapshots(namespace, is_own)
        self.output_limit = output_limit
        self.deadline = clock() + max_seconds
        self.max_paths = max_paths
        self.laws = laws
        self.seed = seed
        self.lazy = lazy
        self.sampled = False
        self.num_runs = 0
        self.num_forked = 0
        self._forks = forks
        self._marks = marks
        self._known: dict[tuple[Any, ...], Reach] = {}
        self._showable: dict[tuple[str, State], bool] = {}
        self._codes: dict[tuple[str, str], CodeType] = {}
        self._module = sys.modules.get("__main__")
        self.start = self._save((b"",))

    def _save(self, way: State) -> State:
        try:
            return self.snapshots.save()
        except CannotSnapshot:
            if way == (b"",):
                raise
            return way

    def code(self, source: str, mode: str) -> CodeType:
        """The compiled command; what the console of a replay would run."""
        key = (source, mode)
        if key not in self._codes:
            text = source if mode == "eval" else source + "\n"
            self._codes[key] = compile(text, "<command>", "single" if mode == "part" else mode, self.flags, True)
        return self._codes[key]

    def restore(self, state: State) -> None:
        """Makes the namespace that of the state."""
        if isinstance(state, bytes):
            self.snapshots.restore(state)
            return
        self.restore(state[0])
        for source, mode, outcomes, seed in state[1:]:
            with using(Guided(outcomes, seed=seed, laws=self.laws, lazy=self.lazy)), contextlib.suppress(Exception):
                (eval if mode == "eval" else exec)(self.code(source, mode), self.namespace)

    def run(self, source: str, mode: str, state: State, turn: int = 0) -> Reach:
        """Everything that the command may do to the state.

        Draws that have to be sampled come out differently in another ``turn``: a state that comes back is not bound to
        repeat itself.

        Raises:
            Spent: no time is left. paths.Unstable: runs of one command disagree; something outside the state matters.
        """
        key = (source, mode, state)
        known = self._known.get(key) or self._known.get((*key, turn))
        if known is not None:
            return known
        if mode == "single" and (reach := self._follow(source, state)) is not None:
            self._known[key] = reach
            return reach
        told = state if isinstance(state, bytes) else repr(state).encode("utf-8", "backslashreplace")
        seed = zlib.crc32(told, zlib.crc32(f"{self.seed} {turn} {source}".encode("utf-8", "backslashreplace")))
        left = self.deadline - clock()
        if left <= 0:
            raise Spent
        with self.aside() as capture:
            explored = explore(
                lambda: self._once(source, mode, state, capture),
                seed=seed,
                max_paths=self.max_paths,
                max_seconds=left,
                laws=self.laws,
                lazy=self.lazy,
                forks=self._fork_points(capture),
            )
        self.num_runs += explored.num_runs
        self.num_forked += explored.num_forked
        merged: dict[tuple[Any, ...], float] = {}
        sampled = False
        for path in explored.paths:
            saved, text, value, raised, _ = path.result
            if saved is None:
                base, steps = (state, ()) if isinstance(state, bytes) else (state[0], state[1:])
                saved = (base, *steps, (source, mode, path.outcomes, seed))
            sampled = sampled or path.sampled
            found = (saved, text, value, raised)
            merged[found] = merged.get(found, 0.0) + path.weight
        results = [Result(weight, *found) for found, weight in merged.items()]
        self.sampled = self.sampled or sampled
        reach = Reach(results, explored.unexplored, len(explored.paths))
        self._known[(*key, turn) if sampled else key] = reach
        return reach

    def _fork_points(self, capture: Capture) -> ForkPoints | None:
        if self._forks is None:
            return None

        def accept(told: Any) -> tuple[Any, ...]:
            """A result of ``_once`` that comes from a fork; what it printed counts here too."""
            saved, text, value, raised, size = told
            if not isinstance(saved, bytes | None) or not isinstance(text, str) or not isinstance(value, bool | None):
                raise ValueError(f"expected a state, a text and a truth, got {told!r:.100}; the path is run again")
            capture.count(size)
            return saved, text, value, raised, size

        return ForkPoints(self._forks, lambda: (self.snapshots.learned(), self._marks()), accept)

    def _follow(self, source: str, state: State) -> Reach | None:
        """A command that is a loop or a branch, followed state by state; None for any other command."""
        if not source.startswith(("if ", "while ", "for ")):
            return None
        body = ast.parse(source).body
        try:
            flow = Interpreter(self.run, weighs=True).block(body, {(state, ""): 1.0})
        except TooMuch:
            return None
        results = [Result(mass, end, doctext.shown(text), None, None) for (end, text), mass in flow.after.items()]
        results += [Result(mass, end, text, None, "raised") for (end, text), mass in flow.raises.items()]
        return Reach(results, flow.lost, len(results))

    def showable(self, name: str, state: State, longest: int) -> bool:
        """Whether a variable exists in the state and its ``repr`` is short and runs no code of the snippet."""
        key = (name, state)
        if key not in self._showable:
            with self.aside():
                self.restore(state)
                value = self.namespace.get(name, self)
                self._showable[key] = value is not self and values.stable(value) and len(repr(value)) <= longest
        return self._showable[key]

    def _once(self, source: str, mode: str, state: State, capture: Capture) -> tuple[Any, ...]:
        if clock() > self.deadline:
            raise Spent
        self.restore(state)
        capture.take()
        left = capture.left
        text, value, raised = self.execute(source, mode, capture)
        try:
            saved: State | None = self.snapshots.save()
        except CannotSnapshot:
            saved = None
        return saved, text, value, raised, left - capture.left

    def execute(self, source: str, mode: str, capture: Capture) -> tuple[str, bool | None, str | None]:
        """Runs a command in the namespace as it is; gives its text, a test's truth, and the exception's name."""
        value: bool | None = None
        raised: str | None = None
        error_text = ""
        try:
            if mode == "eval":
                value = bool(eval(self.code(source, mode), self.namespace))
            else:
                exec(self.code(source, mode), self.namespace)
        except (StopIteration, Exception, SystemExit, KeyboardInterrupt) as error:
            raised = type(error).__name__
            if self.lazy and isinstance(error, TypeError) and _refused.search(str(error)):
                raise Refused from None
            error_text = doctext.shown_error(error)
            error.__traceback__ = None
        text = error_text or (capture.take() if mode == "part" else doctext.shown(capture.take()))
        capture.take()
        return text, value, raised

    @contextlib.contextmanager
    def aside(self) -> Iterator[Capture]:
        """Output, displayed values and ``__main__`` are the world's own while it runs."""
        capture = Capture(self.output_limit)
        outside = self.snapshots.outside()
        saved = sys.stdout, sys.displayhook, sys.modules.get("__main__")
        sys.stdout, sys.displayhook = capture, _display
        if self._module is not None:
            sys.modules["__main__"] = self._module
        try:
            yield capture
        except OutputFull:
            raise Spent from None
        finally:
            sys.stdout, sys.displayhook = saved[:2]
            self.snapshots.put_outside(outside)
            if saved[2] is not None:
                sys.modules["__main__"] = saved[2]


def _display(value: Any) -> None:
    if value is not None:
        sys.stdout.write(repr(value) + "\n")


class Support:
    """The states that a session may be in, with their weights."""

    def __init__(self, world: World, max_states: int = 4_096) -> None:
        self.world = world
        self.max_states = max_states
        self.states: dict[State, float] = {world.start: 1.0}
        self.lost = 0.0
        self.log_mass = 0.0
        self._turn = 0

    def push(self, source: str, shown: str) -> dict[str, float]:
        """Runs the command everywhere and keeps what agrees with the text that was shown; gives the law of that text
        as it was before.

        Raises:
            Impossible: nothing agrees. Spent, Unstable: see ``World.run``.
        """
        law: dict[str, float] = {}
        kept: dict[State, float] = {}
        lost = self.lost
        self._turn += 1
        for state, weight in self.states.items():
            reach = self.world.run(source, "single", state, self._turn)
            lost += weight * reach.unexplored
            for result in reach.results:
                mass = weight * result.probability
                law[result.text] = law.get(result.text, 0.0) + mass
                if result.text == shown:
                    kept[result.state] = kept.get(result.state, 0.0) + mass
        total = sum(kept.values())
        if total <= 0:
            raise Impossible(f"{source!r} showed {shown!r}, which no state allows: {sorted(law)[:3]}", law)
        if len(kept) > self.max_states:
            heaviest = sorted(kept.items(), key=lambda item: -item[1])[: self.max_states]
            kept = dict(heaviest)
        kept = {state: mass for state, mass in kept.items() if mass >= LIGHTEST * total}
        held = sum(kept.values())
        self.states = {state: mass / held for state, mass in kept.items()}
        self.lost = (lost + total - held) / held
        self.log_mass += math.log(held)
        return law


def agreed(world: World, source: str, states: Iterable[State]) -> bool | None:
    """The truth of an expression where every state and draw gives the same; None where they don't, or it raises."""
    found: set[bool | None] = set()
    for state in states:
        reach = world.run(source, "eval", state)
        found |= {None if result.raised else result.value for result in reach.results}
        if reach.unexplored > NEGLIGIBLE:
            return None
        if len(found) > 1 or None in found:
            return None
    return found.pop() if found else None
