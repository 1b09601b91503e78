"""Runs units while others are still being planned: the engine in a thread, the planning in the caller's."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType

from trace_mine.corpus.engines import Engine, KeyFeed, PlanningEnded
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.sending.unit import NO_INPUTS, UnitInputs
from trace_mine.corpus.units import OnDone, run_units
from trace_mine.corpus.work import Traces

JOIN_SECONDS = 0.5
"""A wait for a thread without an end can't be interrupted by Ctrl-C on every system."""


class UnitRun:
    """A context in which units are put one after the other, and run meanwhile; it ends when all of them are finished.

    Planning stays in the thread that entered the context, where Ctrl-C arrives: an exception there ends the workers,
    and then the context. What the engine raises (a full disk, no sandbox) is raised by ``check``, or at the end.

    Args:
        ledger: the dataset's ledger, locked; the payload of each unit stands there before the unit is put.
        traces: the origin's function from a payload to items.
        engine: runs the units in worker processes.
        on_done: called for each unit, in the thread of the engine.
        inputs: what the units read, for workers that don't see this disk.
    """

    def __init__(
        self, ledger: Ledger, traces: Traces, engine: Engine, *, on_done: OnDone, inputs: UnitInputs = NO_INPUTS
    ) -> None:
        self._ledger, self._traces, self._engine, self._on_done = ledger, traces, engine, on_done
        self._inputs = inputs
        self._feed = KeyFeed()
        self._error: BaseException | None = None
        # not a daemon: workers are ended by this thread, and would outlive the process without it
        self._thread = threading.Thread(target=self._run, name="units")

    def put(self, key: str) -> None:
        """Have a unit run."""
        self._feed.put(key)

    def check(self) -> None:
        """Raise what the engine has raised, if it has ended with an exception."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            # the exception that ended the planning is raised where it was met
            with contextlib.closing(self._engine), contextlib.suppress(PlanningEnded):
                run_units(
                    self._ledger, self._feed, self._traces, self._engine, on_done=self._on_done, inputs=self._inputs
                )
        except BaseException as error:  # of any kind: it is the caller's, in another thread
            self._error = error

    def __enter__(self) -> UnitRun:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._feed.end()
            try:
                self._join()
            except BaseException:  # Ctrl-C while the last units run
                self._feed.stop()
                self._join()
                raise
            self.check()
        else:
            self._feed.stop()
            self._join()

    def _join(self) -> None:
        while self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)
