"""A world: one namespace in which commands are run from any state, and the memory of their results.

A state is a snapshot of the namespace where one can be taken. Where none can (a generator, an open file), a state is
the last snapshot before it and the commands since, each with the outcomes of its draws; they are run again whenever the
state is needed. A command that is an entire loop or branch is followed state by state by the merging interpreter, any
other one path by path.

One process runs all of it, one command after the other, so that all that is not in a state must be put back by hand:
output, the display hook, ``__main__``, and the state outside namespaces (``aside``).

Over 400 lines because a world and the small one, in which tables are learnt, run commands by the same steps.
"""

from __future__ import annotations

import builtins
import contextlib
import contextvars
import functools
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import CodeType
from typing import TypeVar

from trace_mine.tracer.inside.draws import resting
from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.deciders import Guided, Laws, using
from trace_mine.tracer.inside.draws.logging_settings import caches, put_caches
from trace_mine.tracer.inside.draws.refusals import is_refusal
from trace_mine.tracer.inside.draws.streams import NOWHERE, PrintingTo
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.describe import forget_output, note_output
from trace_mine.tracer.inside.program import Capture, OutputFull
from trace_mine.tracer.inside.states import context_variables
from trace_mine.tracer.inside.states.budget import spent_seconds
from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
from trace_mine.tracer.inside.states.interpreter import Flow, Interpreter, TooMuch, statements_of
from trace_mine.tracer.inside.states.packing import Full, Packing, PlainNamespace
from trace_mine.tracer.inside.states.paths import Explored, RunsDisagree, explore
from trace_mine.tracer.inside.states.raised import some_traceback
from trace_mine.tracer.inside.states.records import (
    LONGEST_ECHO,
    OURS,
    Mode,
    Oddity,
    Reach,
    Refused,
    Result,
    RunAgain,
    Spent,
    State,
    StateResult,
)
from trace_mine.tracer.inside.states.snapshots import CannotSnapshot, Snapshots
from trace_mine.tracer.inside.states.tables import Table, names_of_command
from trace_mine.tracer.inside.syntax import doctext

Ran = tuple[bytes | int | None, str, bool | None, str | None, int]
"""One run of a command: the snapshot after it (None: it has none), the text that it shows, a test's truth, the name of
the exception's class, and the number of characters that it printed. Plain data, as it may come from a fork."""

Key = tuple[str, Mode, State]
_Result = TypeVar("_Result")

_OF_WHOLE: frozenset[Oddity] = frozenset(("cut output", "no message"))
"""Oddities of a statement that the construct around it has, too."""


class World:
    """Runs commands from states in one namespace, and remembers the results.

    Supports share it, and the interpreters that look ahead: what one of them has run costs the other nothing.

    Args:
        namespace: the session's; the world works in it, in place.
        flags: the compiler flags of the session's ``from __future__`` imports.
        is_own: tells by a file's path if it is the repository's.
        output_limit: characters that a run may print.
        max_seconds: of processor time, for all that the world ever runs.
        max_paths: for each command from each state.
        laws: the declared laws of inputs and of environment variables.
        seed: of sampled draws.
        lazy: False makes continuous draws sampled floats.
        forks: the processes that may be forked; None for none.
        marks: gives what else, beside states, tells that a run changed something in this process which the process that
            explores must know: see ``fork_points``.
        texts: of the program and of all that it can call, where they are known: see ``cache_states``.

    Attributes:
        start: the state that the namespace is in when the world is made.
        sampled: True once some run has sampled a draw.
        num_runs: the number of runs, ``num_forked`` of which went on from a fork point.
        packs: states are numbers where they can be. Set by who has many of them.
        oddities: for commands what some outcome has for which it is written in another way, from whatever state.

    Raises:
        CannotSnapshot: the namespace at the start has no snapshot; there is no way to it that could be run again.
    """

    def __init__(
        self,
        namespace: dict[str, object],
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
        texts: Iterable[str] | None = None,
    ) -> None:
        self.namespace = namespace
        self.flags = flags
        self.snapshots = Snapshots(namespace, is_own, texts)
        self.output_limit = output_limit
        self.deadline = spent_seconds() + max_seconds
        self.max_paths = max_paths
        self.laws = laws
        self.seed = seed
        self.lazy = lazy
        self.sampled = False
        self.num_runs = 0
        self.num_forked = 0
        self._forks = forks
        self._marks = marks
        self.packs = False
        self._packing: Packing | None = Packing(self.snapshots)
        self._tables: dict[tuple[str, Mode], Table | None] = {}
        self._small: _SmallWorld | None = None
        self._reaches: dict[Key | tuple[Key, int], Reach] = {}
        self._showable: dict[tuple[str, State], bool] = {}
        self._codes: dict[tuple[str, Mode], CodeType] = {}
        self._bound: dict[State, frozenset[str]] = {}
        self.oddities: dict[str, set[Oddity]] = {}
        self._module = sys.modules.get("__main__")
        self._context = contextvars.copy_context()
        try:
            with PrintingTo(sys.stdout, sys.stderr):
                self.start: State = self.snapshots.save()
        finally:
            self.snapshots.put_back(({}, {}))

    def apart(self, function: Callable[[], _Result]) -> _Result:
        """Call a function that runs commands, in the context of the session's start."""
        return context_variables.apart(self._context, function)

    def code(self, source: str, mode: Mode) -> CodeType:
        """The compiled command, as the console of a replay would run it."""
        key = (source, mode)
        if key not in self._codes:
            # The line break ends a compound statement, as the empty line does that a prompt waits for.
            text = source if mode == "eval" else source + "\n"
            self._codes[key] = compile(text, "<command>", "single" if mode == "part" else mode, self.flags, True)
        return self._codes[key]

    def restore(self, state: State) -> None:
        """Make the namespace that of the state."""
        if isinstance(state, int):
            assert self._packing is not None
            self._packing.restore(state)
            return
        if isinstance(state, bytes):
            self.snapshots.restore(state)
            return
        self.apart(functools.partial(self._go, state))

    def _go(self, state: tuple[bytes, *tuple[RunAgain, ...]]) -> None:
        """Go the way to a state of which there are no bytes."""
        self.snapshots.restore(state[0])
        for source, mode, outcomes, seed in state[1:]:
            with using(Guided(outcomes, seed=seed, laws=self.laws, lazy=self.lazy)), resting.running:
                try:
                    (eval if mode == "eval" else exec)(self.code(source, mode), self.namespace)
                except OURS:
                    raise
                except BaseException:  # part of the way: the run that reached this state met it as well
                    continue

    def run(self, source: str, mode: Mode, state: State, turn: int = 0) -> Reach:
        """All results that the command may have from the state.

        Draws that have to be sampled come out differently in another ``turn``: a state that comes back in a session is
        not bound to repeat itself. So a reach with sampled draws is remembered for its turn, any other one for all.

        Raises:
            Spent: no time is left, or the command printed more than it may.
            Refused: C code of the program does not take a lazy real.
            RunsDisagree: runs of the command disagree (``paths``); something outside the state matters.
        """
        if isinstance(state, int):
            state = self.unpacked(state)
        key = (source, mode, state)
        reach = self._reaches.get(key) or self._reaches.get((key, turn))
        if reach is not None:
            return reach
        if mode == "single" and (reach := self._follow(source, state)) is not None:
            self._reaches[key] = reach
            return reach
        # By the text and not by ``hash``, which is another number in each process: rows would differ from run to run.
        state_bytes = state if isinstance(state, bytes) else repr(state).encode("utf-8", "backslashreplace")
        seed = zlib.crc32(state_bytes, zlib.crc32(f"{self.seed} {turn} {source}".encode("utf-8", "backslashreplace")))
        seconds_left = self.deadline - spent_seconds()
        if seconds_left <= 0:
            raise Spent
        with self.aside() as capture:
            explored = explore(
                lambda: self._run_once(source, mode, state, capture),
                seed=seed,
                max_paths=self.max_paths,
                max_seconds=seconds_left,
                laws=self.laws,
                lazy=self.lazy,
                forks=self._fork_points(capture),
            )
        self.num_runs += explored.num_runs
        self.num_forked += explored.num_forked
        sampled = any(path.sampled for path in explored.paths)
        self.sampled = self.sampled or sampled
        reach = Reach(
            results=_merged(explored, source, mode, state, seed),
            unexplored=explored.unexplored,
            num_paths=len(explored.paths),
        )
        self._reaches[(key, turn) if sampled else key] = reach
        return reach

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

        return ForkPoints(self._forks, lambda: (self.snapshots.learned(), self._marks()), accept)

    def _follow(self, source: str, state: State) -> Reach | None:
        """A command that is a loop or a branch, followed state by state; None for any other command."""
        if not source.startswith(("if ", "while ", "for ")):
            return None
        body = statements_of(source)
        packed = self.packs
        self.packs = packed or (source.startswith(("while ", "for ")) and isinstance(state, bytes))
        try:
            start = self.packed(state) if self.packs else state
            interpreter = Interpreter(self.follow, weighs=True)
            flow = interpreter.block(body, {(start, ""): 1.0})
        except TooMuch:
            return None  # it is run path by path, and the mass that doesn't fit into the budget is counted
        finally:
            self.packs = packed
        self._note_oddities_of_parts(source, interpreter, flow)
        for mass in (flow.after, flow.raises):
            ends = [(self.unpacked(end) if isinstance(end, int) else end, text) for end, text in mass]
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
        of_parts = [oddities for part in interpreter.sources if (oddities := self.oddities.get(part))]
        for oddities in of_parts:
            for oddity in oddities & _OF_WHOLE:
                self._note(source, oddity)
        if interpreter.cuts_output:
            self._note(source, "cut output")
        if not all(doctext.is_showable(text) for _, text in flow.after):
            self._note(source, "no doctest")

    # states as numbers

    def follow(self, source: str, mode: Mode, state: State, turn: int = 0) -> tuple[float, Sequence[Result]]:
        """The mass that isn't followed, and all results that the command may have: ``run`` for many states.

        Where the world ``packs``, states of the results are numbers, if they can be. The state that is given need not
        be one.

        Raises:
            Spent, Refused, RunsDisagree: see ``run``.
        """
        if self.packs:
            state = self.packed(state)
            if isinstance(state, int):
                table = self.table(source, mode)
                moves = None if table is None else table.moves(state)
                if moves is not None:
                    return 0.0, [(p, state + more, text, value, raised) for p, more, text, value, raised in moves]
        elif isinstance(state, int):
            state = self.unpacked(state)
        reach = self.run(source, mode, state, turn)
        return reach.unexplored, [
            (
                each.probability,
                self.packed(each.state) if self.packs else each.state,
                each.text,
                each.value,
                each.raised,
            )
            for each in reach.results
        ]

    def follow_many(self, source: str, mode: Mode, state: State) -> tuple[float, Sequence[Result]]:
        """``follow`` where there may soon be many states, though there are few now."""
        packed, self.packs = self.packs, True
        try:
            return self.follow(source, mode, state)
        finally:
            self.packs = packed

    def table(self, source: str, mode: Mode) -> Table | None:
        """The command's table; None where it has none."""
        key = (source, mode)
        if key not in self._tables:
            names = names_of_command(source, mode, lambda name: hasattr(builtins, name))
            if self._packing is None or names is None:
                self._tables[key] = None
            else:
                self._small = self._small or _SmallWorld(self, self._packing)
                self._tables[key] = Table(source, mode, names, self._packing, self._small)
        return self._tables[key]

    def packed(self, state: State) -> State:
        """The state as a number, where it can be one."""
        if not isinstance(state, bytes) or self._packing is None:
            return state
        known = self._packing.known(state)
        if known is not None:
            return known
        try:
            with self.aside():
                return self.apart(functools.partial(self._packing.pack, state))
        except (CannotSnapshot, Full):
            return state

    def unpacked(self, state: State) -> State:
        """The state as a snapshot where it is a number."""
        if not isinstance(state, int):
            return state
        assert self._packing is not None
        try:
            with self.aside():
                return self.apart(functools.partial(self._packing.unpack, state))
        except CannotSnapshot as error:  # small variables that are too large together
            raise Spent(str(error)) from None

    def part(self, state: State, name: str) -> State:
        """A state that stands for all those in which a variable has the same value."""
        if not isinstance(state, int):
            return state
        assert self._packing is not None
        return state & self._packing.mask(frozenset((name,)))

    def showable(self, name: str, state: State, longest: int) -> bool:
        """Return True if the state has the variable, and its ``repr`` is short and runs no code of the snippet."""
        key = (name, self.part(state, name))
        if key not in self._showable:
            with self.aside():
                self.restore(state)
                value = self.namespace.get(name, self)
                self._showable[key] = value is not self and values.stable(value) and len(repr(value)) <= longest
        return self._showable[key]

    def bound(self, state: State) -> frozenset[str]:
        """The names that a state binds."""
        names = self._bound.get(state)
        if names is None:
            with self.aside():
                self.restore(state)
                names = self._bound[state] = frozenset(self.namespace)
        return names

    def _run_once(self, source: str, mode: Mode, state: State, capture: Capture) -> Ran:
        """Run the command along one path, from the state."""
        if spent_seconds() > self.deadline:
            raise Spent
        return self.apart(functools.partial(self._run_here, source, mode, state, capture))

    def _run_here(self, source: str, mode: Mode, state: State, capture: Capture) -> Ran:
        self.restore(state)
        capture.take()  # commands that lead to the state may have printed
        num_left = capture.left
        text, value, raised = self.execute(source, mode, capture)
        if resting.printing_imports:
            raise RunsDisagree(
                f"importing {_unloaded(resting.printing_imports)} prints, which it does once in a process"
            )
        try:
            saved: bytes | int | None = self.snapshots.save()
        except CannotSnapshot:
            saved = None
        return saved, text, value, raised, num_left - capture.left

    def execute(self, source: str, mode: Mode, capture: Capture) -> tuple[str, bool | None, str | None]:
        """Run a command in the namespace as it is; gives its text, a test's truth, and the exception's name.

        Raises:
            Refused: C code of the program does not take a lazy real.
        """
        with resting.running:
            return self._execute(source, mode, capture)

    def _execute(self, source: str, mode: Mode, capture: Capture) -> tuple[str, bool | None, str | None]:
        value: bool | None = None
        raised: str | None = None
        error_text = ""
        message: str | None = None
        _displayed.clear()
        try:
            if mode == "eval":
                given = eval(self.code(source, mode), self.namespace)
                value = bool(given)
                if type(given) is not bool:
                    self._note(source, "no bool")
            else:
                exec(self.code(source, mode), self.namespace)
        except OURS:
            raise
        except BaseException as error:  # the program may have exceptions below it: pytest's ``skip`` raises one
            raised = type(error).__name__
            if self.lazy and is_refusal(error):
                raise Refused from None
            printed = capture.take()  # by the command, before what ``__str__`` prints
            message = doctext.message_of(error)
            if printed or capture.take():
                self._note(source, "cut output")
            if not doctext.is_showable_message(message or ""):
                self._note(source, "no message")
            error_text = doctext.shown_error(message or "")
            error.__traceback__ = some_traceback()  # its own would keep the locals of its frames alive
        output = capture.take()
        if raised is None and output:
            if not doctext.is_showable(output):
                self._note(source, "no doctest")
            for is_safe, text in _displayed:
                if not is_safe:
                    self._note(source, "echo unsafe")
                if len(text) > LONGEST_ECHO or " at 0x" in text:
                    self._note(source, "echo hidden")
        # of a command that raised a doctest shows the traceback alone
        return error_text or (output if mode == "part" else doctext.shown(output)), value, raised

    def _note(self, source: str, oddity: Oddity) -> None:
        self.oddities.setdefault(source, set()).add(oddity)

    @contextlib.contextmanager
    def aside(self) -> Iterator[Capture]:
        """Give the world output, displayed values and ``__main__`` of its own; put the process's back at the end.

        So are the globals of the repository's modules, which the session's namespace shares.
        """
        capture = Capture(self.output_limit)
        shared = self.snapshots.shared()
        resting.begin()
        ambient, remembered = Ambient.now(), caches()
        saved = sys.stdout, sys.displayhook, sys.modules.get("__main__")
        sys.stdout, sys.displayhook = capture, _display
        errors = sys.stderr
        if errors is sys.__stderr__:  # else one that the program has put there
            sys.stderr = NOWHERE
        # Classes of the session are pickled by their module's name: snapshots look for them there.
        if self._module is not None:
            sys.modules["__main__"] = self._module
        note_output(capture)
        try:
            with self.snapshots.printing_to(capture, NOWHERE), PrintingTo(capture, NOWHERE):
                yield capture
        except OutputFull:
            raise Spent from None
        finally:
            forget_output(capture)
            if sys.stderr is NOWHERE:
                sys.stderr = errors
            sys.stdout, sys.displayhook = saved[:2]
            self.snapshots.put_back(shared)
            ambient.put_back()
            put_caches(remembered)
            resting.end()
            if saved[2] is not None:
                sys.modules["__main__"] = saved[2]


class _SmallWorld(World):
    """A world of a few variables with plain data: commands are learnt in it for tables."""

    def __init__(self, world: World, packing: Packing) -> None:
        # nothing of the world's own start is run again, and its set-up has no place here
        self.namespace = {}
        self.flags = world.flags
        self._plain = PlainNamespace(packing, self.namespace)
        self.snapshots = self._plain  # type: ignore[assignment]  # what of it is used here
        self.output_limit = world.output_limit
        self.deadline = world.deadline
        self.max_paths = world.max_paths
        self._context = world._context
        self.laws = world.laws
        self.seed = world.seed
        self.lazy = world.lazy
        self.sampled = False
        self.num_runs = self.num_forked = 0
        self.packs = False
        self._packing = None
        self._tables = {}
        self._small = None
        self._forks = None
        self._marks = int
        self._reaches = {}
        self._showable = {}
        self._codes = world._codes
        self.oddities = world.oddities
        self._module = world._module
        self._world = world

    def restore(self, state: State) -> None:
        assert isinstance(state, int)
        self._plain.restore(state)

    def unpacked(self, state: State) -> State:
        return state

    def learn(self, source: str, mode: Mode, state: int, names: frozenset[str]) -> Reach | None:
        self._plain.used = names
        self.sampled = False
        self._reaches.clear()  # each table has its own
        before = self.num_runs
        try:
            reach = self.run(source, mode, state)
        except (RunsDisagree, Full):
            return None
        finally:
            self._world.num_runs += self.num_runs - before
        return None if self.sampled or reach.unexplored else reach


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


def _unloaded(names: list[str]) -> str:
    """Have these modules be imported anew by whoever is next, the session among them; gives their names."""
    texts, names[:] = [*names], []
    for name in texts:
        module = sys.modules.pop(name, None)
        parent, _, last = name.rpartition(".")
        members = vars(sys.modules[parent]) if parent in sys.modules else {}
        if module is not None and members.get(last) is module:
            del members[last]
    return ", ".join(texts)


def _display(value: object) -> None:
    # Unlike the prompt's it does not set ``_``: builtins are no part of a state, and it would leak from one to another.
    if value is not None:
        is_safe = values.stable(value)
        text = repr(value)
        _displayed.append((is_safe, text))
        sys.stdout.write(text + "\n")


_displayed: list[tuple[bool, str]] = []
"""The echo of the command that runs: if its ``repr`` is safe and the same in each process, and the text."""
