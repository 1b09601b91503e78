"""Runs of commands from states, in one namespace: all results that a command may have, and the memory of them.

A command that is an entire loop or branch is followed state by state by the merging interpreter, any other one path by
path. A state is restored before each path. One of which there are no bytes is the last snapshot before it and the
commands since, each with the outcomes of its draws; they are run again whenever it is needed.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any, Protocol, TypeVar

from trace_mine.tracer.inside.draws import resting
from trace_mine.tracer.inside.draws.deciders import Guided, Laws, using
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.states import context_variables
from trace_mine.tracer.inside.states.aside import SharedState, aside, unloaded
from trace_mine.tracer.inside.states.budget import spent_seconds
from trace_mine.tracer.inside.states.command_runner import CommandRunner
from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
from trace_mine.tracer.inside.states.interpreter import Flow, Interpreter, TooMuch, statements_of
from trace_mine.tracer.inside.states.paths import Explored, RunsDisagree, explore
from trace_mine.tracer.inside.states.records import (
    CannotSnapshot,
    Mode,
    Oddity,
    Reach,
    Result,
    RunAgain,
    Spent,
    State,
    StateResult,
)
from trace_mine.tracer.inside.syntax import doctext

Ran = tuple[bytes | int | None, str, bool | None, str | None, int]
"""One run of a command: the snapshot after it (None: it has none), the text that it shows, a test's truth, the name of
the exception's class, and the number of characters that it printed. Plain data, as it may come from a fork."""

Key = tuple[str, Mode, State]
_Result = TypeVar("_Result")

_OF_WHOLE: frozenset[Oddity] = frozenset(("cut output", "no message"))
"""Oddities of a statement that the construct around it has, too."""


class SavesStates(SharedState, Protocol):
    """Saves the states of a namespace and restores them: ``Snapshots``, or ``PlainNamespace``."""

    def save(self) -> bytes | int: ...

    def restore(self, state: Any) -> None: ...

    def learned(self) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """The limits of runs, and the laws that they draw from.

    Attributes:
        output: characters that a run may print.
        deadline: of processor time, for all runs.
        paths: that a command may take from a state.
        laws: the declared laws of inputs and of environment variables.
        seed: of sampled draws.
        lazy: False makes continuous draws sampled floats.
    """

    output: int
    deadline: float
    paths: int
    laws: Laws | None
    seed: int
    lazy: bool


class StateRuns:
    """Runs commands from states in one namespace, and remembers the results.

    Args:
        states: saves the states of the namespace.
        runner: of single commands.
        main: the module ``__main__`` of the session.
        context: that of the session's start, in which context variables are unbound still.
        forks: the processes that may be forked; None for none.
        marks: gives what else, beside states, tells that a run changed something in this process which the process that
            explores must know: see ``fork_points``.

    Attributes:
        sampled: True once some run has sampled a draw.
        num_forked: the number of runs that went on from a fork point.
    """

    def __init__(
        self,
        namespace: dict[str, object],
        states: SavesStates,
        runner: CommandRunner,
        limits: RunLimits,
        *,
        main: ModuleType | None,
        context: contextvars.Context,
        forks: ForkPool | None = None,
        marks: Callable[[], object] = int,
    ) -> None:
        self.namespace = namespace
        self.limits = limits
        self.sampled = False
        self._num_runs = 0
        self.num_forked = 0
        self._states = states
        self._runner = runner
        self._main = main
        self._context = context
        self._forks = forks
        self._marks = marks
        self._reaches: dict[Key | tuple[Key, int], Reach] = {}

    @property
    def num_runs(self) -> int:
        """The number of runs."""
        return self._num_runs

    @property
    def oddities(self) -> dict[str, set[Oddity]]:
        """For commands what some outcome has for which it is written in another way, from whatever state."""
        return self._runner.oddities

    def apart(self, function: Callable[[], _Result]) -> _Result:
        """Call a function that runs commands, in the context of the session's start."""
        return context_variables.apart(self._context, function)

    def aside(self) -> contextlib.AbstractContextManager[Capture]:
        """Around runs: see ``aside``."""
        return aside(self._states, self.limits.output, self._main)

    def code(self, source: str, mode: Mode) -> CodeType:
        """The compiled command, as the console of a replay would run it."""
        return self._runner.code(source, mode)

    def execute(self, source: str, mode: Mode, capture: Capture) -> tuple[str, bool | None, str | None]:
        """Run a command in the namespace as it is: see ``CommandRunner``."""
        return self._runner.execute(source, mode, self.namespace, capture)

    def restore(self, state: State) -> None:
        """Make the namespace that of the state."""
        if isinstance(state, tuple):
            self.apart(functools.partial(self._go, state))
        else:
            self._states.restore(state)

    def _go(self, state: tuple[bytes, *tuple[RunAgain, ...]]) -> None:
        """Go the way to a state of which there are no bytes."""
        self._states.restore(state[0])
        limits = self.limits
        for source, mode, outcomes, seed in state[1:]:
            with using(Guided(outcomes, seed=seed, laws=limits.laws, lazy=limits.lazy)):
                self._runner.run_again(source, mode, self.namespace)

    def unpacked(self, state: State) -> State:
        """The state as one that is restored by the runs themselves: see ``World``."""
        return state

    def run(self, source: str, mode: Mode, state: State, turn: int = 0) -> Reach:
        """All results that the command may have from the state.

        Draws that have to be sampled come out differently in another ``turn``: a state that comes back in a session is
        not bound to repeat itself. So a reach with sampled draws is remembered for its turn, any other one for all.

        Raises:
            Spent: no time is left, or the command printed more than it may.
            Refused: C code of the program does not take a lazy real.
            RunsDisagree: runs of the command disagree (``paths``); something outside the state matters.
        """
        state = self.unpacked(state)
        key = (source, mode, state)
        reach = self._reaches.get(key) or self._reaches.get((key, turn))
        if reach is not None:
            return reach
        if mode == "single" and source.startswith(("if ", "while ", "for ")):
            reach = self._run_state_by_state(source, state)
            if reach is not None:
                self._reaches[key] = reach
                return reach
        reach, sampled = self._run_path_by_path(source, mode, state, turn)
        self._reaches[(key, turn) if sampled else key] = reach
        return reach

    def follow(self, source: str, mode: Mode, state: State, turn: int = 0) -> tuple[float, Sequence[Result]]:
        """The mass that isn't followed, and all results that the command may have: ``run`` for many states.

        Raises:
            Spent, Refused, RunsDisagree: see ``run``.
        """
        reach = self.run(source, mode, state, turn)
        return reach.unexplored, [
            (each.probability, each.state, each.text, each.value, each.raised) for each in reach.results
        ]

    # path by path

    def _run_path_by_path(self, source: str, mode: Mode, state: State, turn: int) -> tuple[Reach, bool]:
        """All results, and if draws were sampled for them."""
        limits = self.limits
        # By the text and not by ``hash``, which is another number in each process: rows would differ from run to run.
        state_bytes = state if isinstance(state, bytes) else repr(state).encode("utf-8", "backslashreplace")
        seed = zlib.crc32(state_bytes, zlib.crc32(f"{limits.seed} {turn} {source}".encode("utf-8", "backslashreplace")))
        seconds_left = limits.deadline - spent_seconds()
        if seconds_left <= 0:
            raise Spent
        with self.aside() as capture:
            explored = explore(
                lambda: self._run_once(source, mode, state, capture),
                seed=seed,
                max_paths=limits.paths,
                max_seconds=seconds_left,
                laws=limits.laws,
                lazy=limits.lazy,
                forks=self._fork_points(capture),
            )
        self._num_runs += explored.num_runs
        self.num_forked += explored.num_forked
        sampled = any(path.sampled for path in explored.paths)
        self.sampled = self.sampled or sampled
        reach = Reach(
            results=_merged(explored, source, mode, state, seed),
            unexplored=explored.unexplored,
            num_paths=len(explored.paths),
        )
        return reach, sampled

    def _run_once(self, source: str, mode: Mode, state: State, capture: Capture) -> Ran:
        """Run the command along one path, from the state."""
        if spent_seconds() > self.limits.deadline:
            raise Spent
        return self.apart(functools.partial(self._run_here, source, mode, state, capture))

    def _run_here(self, source: str, mode: Mode, state: State, capture: Capture) -> Ran:
        self.restore(state)
        capture.take()  # commands that lead to the state may have printed
        num_left = capture.left
        text, value, raised = self.execute(source, mode, capture)
        if resting.printing_imports:
            raise RunsDisagree(
                f"importing {unloaded(resting.printing_imports)} prints, which it does once in a process"
            )
        try:
            saved: bytes | int | None = self._states.save()
        except CannotSnapshot:
            saved = None
        return saved, text, value, raised, num_left - capture.left

    def _fork_points(self, capture: Capture) -> ForkPoints[Ran] | None:
        if self._forks is None:
            return None

        def accept(answer: object) -> Ran:
            """A result of ``_run_once`` that comes from a fork; the characters that it printed count here too."""
            match answer:
                case (bytes() | None as saved, str(text), bool() | None as value, str() | None as raised, int(size)):
                    capture.count(size)
                    return saved, text, value, raised, size
            raise ValueError(f"expected a state, a text and a truth, got {answer!r:.100}; the path is run again")

        return ForkPoints(self._forks, lambda: (self._states.learned(), self._marks()), accept)

    # state by state

    def _run_state_by_state(self, source: str, state: State) -> Reach | None:
        """A command that is a loop or a branch; None where its states are too many."""
        try:
            interpreter = Interpreter(self.follow, weighs=True)
            flow = interpreter.block(statements_of(source), {(state, ""): 1.0})
        except TooMuch:
            return None  # it is run path by path, and the mass that doesn't fit into the budget is counted
        self._note_oddities_of_parts(source, interpreter, flow)
        for mass in (flow.after, flow.raises):
            ends = [(self.unpacked(end), text) for end, text in mass]
            weights = [*mass.values()]
            mass.clear()
            for key, weight in zip(ends, weights, strict=True):
                mass[key] = mass.get(key, 0.0) + weight
        results = [
            StateResult(probability=mass, state=end, text=doctext.shown(text), value=None, raised=None)
            for (end, text), mass in flow.after.items()
        ]
        results += [
            StateResult(probability=mass, state=end, text=text, value=None, raised="raised")
            for (end, text), mass in flow.raises.items()
        ]
        return Reach(results=results, unexplored=flow.lost, num_paths=len(results))

    def _note_oddities_of_parts(self, source: str, interpreter: Interpreter, flow: Flow) -> None:
        """Note of a command what its statements have, and what they printed together."""
        note = self._runner.note
        of_parts = [oddities for part in interpreter.sources if (oddities := self.oddities.get(part))]
        for oddities in of_parts:
            for oddity in oddities & _OF_WHOLE:
                note(source, oddity)
        if interpreter.cuts_output:
            note(source, "cut output")
        if not all(doctext.is_showable(text) for _, text in flow.after):
            note(source, "no doctest")


def _merged(explored: Explored[Ran], source: str, mode: Mode, state: State, seed: int) -> list[StateResult]:
    """The results of a command's paths; those that are equal in all are one, with the sum of their weights."""
    weights: dict[tuple[State, str, bool | None, str | None], float] = {}
    for path in explored.paths:
        saved, text, value, raised, _ = path.result
        end: State
        if saved is None:
            again: RunAgain = (source, mode, path.outcomes, seed)
            # of a number, which only the small world begins with, no way is run again: its table has no row then
            end = (*state, again) if isinstance(state, tuple) else (state if isinstance(state, bytes) else b"", again)
        else:
            end = saved
        key = (end, text, value, raised)
        weights[key] = weights.get(key, 0.0) + path.weight
    return [
        StateResult(probability=weight, state=end, text=text, value=value, raised=raised)
        for (end, text, value, raised), weight in weights.items()
    ]
