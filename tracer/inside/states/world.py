"""A world: one namespace in which commands are run from any state, and the memory of what they do.

A state is a snapshot of the namespace where that can be taken. Where it cannot, a state is the way to it: the commands
since the last snapshot with the outcomes of their draws, which are run again whenever the state is needed. A command
that is an entire loop or branch is followed state by state by the merging interpreter, any other one path by path.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.deciders import Guided, Laws, using
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.program import Capture, OutputFull
from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
from trace_mine.tracer.inside.states.interpreter import Interpreter, TooMuch
from trace_mine.tracer.inside.states.paths import explore
from trace_mine.tracer.inside.states.records import Reach, Refused, Result, Spent, State
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot, Snapshots
from trace_mine.tracer.inside.syntax import doctext

clock = time.perf_counter  # bound before it is pinned or patched

_REFUSED = re.compile(r"LazyReal|\bfloat\b")
"""In the text of a TypeError: what C code says that wanted a float and got a lazy real."""


class World:
    """Runs commands from states in one namespace and remembers what they do. Shared by supports and the
    interpreters that look ahead."""

    def __init__(
        self,
        namespace: dict[str, Any],
        flags: int,
        is_own: Callable[[str], bool],
        *,
        output_limit: int,
        max_seconds: float,
        max_paths: int = 2_000,
        laws: Laws | None = None,
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
        state_bytes = state if isinstance(state, bytes) else repr(state).encode("utf-8", "backslashreplace")
        seed = zlib.crc32(state_bytes, zlib.crc32(f"{self.seed} {turn} {source}".encode("utf-8", "backslashreplace")))
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
            end = (saved, text, value, raised)
            merged[end] = merged.get(end, 0.0) + path.weight
        results = [
            Result(probability=weight, state=end, text=text, value=value, raised=raised)
            for (end, text, value, raised), weight in merged.items()
        ]
        self.sampled = self.sampled or sampled
        reach = Reach(results=results, unexplored=explored.unexplored, num_paths=len(explored.paths))
        self._known[(*key, turn) if sampled else key] = reach
        return reach

    def _fork_points(self, capture: Capture) -> ForkPoints | None:
        if self._forks is None:
            return None

        def accept(answer: Any) -> tuple[Any, ...]:
            """A result of ``_once`` that comes from a fork; what it printed counts here too."""
            saved, text, value, raised, size = answer
            if not isinstance(saved, bytes | None) or not isinstance(text, str) or not isinstance(value, bool | None):
                raise ValueError(f"expected a state, a text and a truth, got {answer!r:.100}; the path is run again")
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
        results = [
            Result(probability=mass, state=end, text=doctext.shown(text), value=None, raised=None)
            for (end, text), mass in flow.after.items()
        ]
        results += [
            Result(probability=mass, state=end, text=text, value=None, raised="raised")
            for (end, text), mass in flow.raises.items()
        ]
        return Reach(results=results, unexplored=flow.lost, num_paths=len(results))

    def showable(self, name: str, state: State, longest: int) -> bool:
        """True if the variable exists in the state, and its ``repr`` is short and runs no code of the snippet."""
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
            if self.lazy and isinstance(error, TypeError) and _REFUSED.search(str(error)):
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
        ambient = Ambient.now()
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
            ambient.put_back()
            if saved[2] is not None:
                sys.modules["__main__"] = saved[2]


def _display(value: Any) -> None:
    if value is not None:
        sys.stdout.write(repr(value) + "\n")
