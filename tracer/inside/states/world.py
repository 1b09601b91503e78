"""A world: one namespace in which commands are run from any state, and the memory of their results.

A state is a snapshot of the namespace where one can be taken, and a number where there may be many (``packing``). One
process runs all of it, one command after the other, so that all that is not in a state must be put back by hand
(``aside``). How commands are run from states is in ``state_runs``; here are the states of a session, as numbers too,
and what is asked of them.
"""

from __future__ import annotations

import builtins
import contextvars
import functools
import sys
from collections.abc import Callable, Iterable, Sequence

from trace_mine.tracer.inside.draws.deciders import Laws
from trace_mine.tracer.inside.draws.streams import PrintingTo
from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.states.budget import spent_seconds
from trace_mine.tracer.inside.states.command_runner import CommandRunner
from trace_mine.tracer.inside.states.fork_points import ForkPool
from trace_mine.tracer.inside.states.packing import Full, Packing
from trace_mine.tracer.inside.states.records import CannotSnapshot, Mode, Reach, Result, Spent, State
from trace_mine.tracer.inside.states.small_world import SmallWorld
from trace_mine.tracer.inside.states.snapshots import Snapshots
from trace_mine.tracer.inside.states.state_runs import RunLimits, StateRuns
from trace_mine.tracer.inside.states.tables import Table, names_of_command


class World(StateRuns):
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
        packs: states are numbers where they can be. Set by who has many of them.

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
        self.snapshots = Snapshots(namespace, is_own, texts)
        limits = RunLimits(
            output=output_limit,
            deadline=spent_seconds() + max_seconds,
            paths=max_paths,
            laws=laws,
            seed=seed,
            lazy=lazy,
        )
        main, context = sys.modules.get("__main__"), contextvars.copy_context()
        runner = CommandRunner(flags, lazy)
        super().__init__(
            namespace, self.snapshots, runner, limits, main=main, context=context, forks=forks, marks=marks
        )
        self.packs = False
        self._packing = Packing(self.snapshots)
        self._small = SmallWorld(self._packing, runner, limits, main=main, context=context)
        self._tables: dict[tuple[str, Mode], Table | None] = {}
        self._showable: dict[tuple[str, State], bool] = {}
        self._bound: dict[State, frozenset[str]] = {}
        try:
            with PrintingTo(sys.stdout, sys.stderr):
                self.start: State = self.snapshots.save()
        finally:
            self.snapshots.put_back(({}, {}))

    @property
    def num_runs(self) -> int:
        """The number of runs, with those by which commands were learnt for tables."""
        return self._num_runs + self._small.num_runs

    def restore(self, state: State) -> None:
        """Make the namespace that of the state."""
        if isinstance(state, int):
            self._packing.restore(state)
        else:
            super().restore(state)

    def _run_state_by_state(self, source: str, state: State) -> Reach | None:
        packed = self.packs
        self.packs = packed or (source.startswith(("while ", "for ")) and isinstance(state, bytes))
        try:
            return super()._run_state_by_state(source, self.packed(state) if self.packs else state)
        finally:
            self.packs = packed

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
        unexplored, results = super().follow(source, mode, state, turn)
        if self.packs:
            results = [(p, self.packed(end), text, value, raised) for p, end, text, value, raised in results]
        return unexplored, results

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
            self._tables[key] = None if names is None else Table(source, mode, names, self._packing, self._small)
        return self._tables[key]

    def packed(self, state: State) -> State:
        """The state as a number, where it can be one."""
        if not isinstance(state, bytes):
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
        try:
            with self.aside():
                return self.apart(functools.partial(self._packing.unpack, state))
        except CannotSnapshot as error:  # small variables that are too large together
            raise Spent(str(error)) from None

    def part(self, state: State, name: str) -> State:
        """A state that stands for all those in which a variable has the same value."""
        if not isinstance(state, int):
            return state
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
