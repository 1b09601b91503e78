"""Finishes work units with an engine: any number at a time, in any order, although workers may die.

When a worker dies, each of the units that were under way is a suspect, and is run again, alone, so that the next death
has one suspect. A unit over which MAX_DEATHS workers died, the first death included, is quarantined: each of its
snippets is a drop ``worker_died``. Not covered: a unit that takes down the whole machine.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.engines import Engine, KeyList, KeySource, WorkersLost
from trace_mine.corpus.hashing import code_hash
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.sending.unit import NO_INPUTS, SentUnit, UnitInputs, UnitResult, machine_kind
from trace_mine.corpus.unit_items import all_items
from trace_mine.corpus.work import Dropped, Marker, Traces, entries_of
from trace_mine.tracer.inside.reasons import Reason

MAX_DEATHS = 3
"""Deaths of workers over a unit after which the unit is given up. Another unit may be the cause of the first death, and
a machine that is short of memory for a moment the cause of the second.
"""

OnDone = Callable[[str, Marker], None]
"""Called with the key and the marker of each finished unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTask:
    """The ``UnitCall`` that an engine runs: makes the items of a unit, and writes them to the ledger of ``out``.

    A record of a path and functions of modules, since engines pickle it.
    """

    out: Path
    traces: Traces
    inputs: UnitInputs = NO_INPUTS

    def __call__(self, key: str) -> Marker:
        """Finish one unit, in a worker process, and return its marker."""
        # A ledger of this process, without the lock: the parent holds it for all its workers.
        ledger = Ledger(self.out)
        ledger.attempt(key)
        payload = ledger.payload(key)
        return ledger.finish(key, all_items(self.traces, payload), len(entries_of(payload)))

    def sent(self, key: str, name_of: Callable[[Path], str]) -> SentUnit:
        """Return the unit for a worker that sees nothing of this disk."""
        ledger = Ledger(self.out)
        ledger.attempt(key)
        payload = ledger.payload(key)
        return SentUnit(
            payload=json.dumps(payload).encode("ascii"),
            traces=self.traces,
            inputs=self.inputs,
            bundles={path: name_of(path) for path in self.inputs.paths(payload)},
            code=code_hash(),
            machine=machine_kind(),
        )

    def received(self, key: str, result: UnitResult) -> Marker:
        """Write a result that came back to the ledger."""
        Ledger(self.out).receive(key, result.marker, result.result)
        return result.marker


def run_units(
    ledger: Ledger,
    keys: KeySource,
    traces: Traces,
    engine: Engine,
    *,
    on_done: OnDone,
    inputs: UnitInputs = NO_INPUTS,
) -> None:
    """Finish every unit that is not done.

    Args:
        ledger: the dataset's ledger, with the payloads of the units that are not done.
        keys: the units, each once; more may come while the first ones run.
        traces: the origin's function from a payload to items.
        engine: runs the units in worker processes.
        on_done: called for each unit, at once for those that an earlier run finished.
        inputs: what the units read, for workers that don't see this disk.

    Raises:
        KeyboardInterrupt: finished units are kept, and the workers have ended.
        PlanningEnded: the source's.
        Exception: the exception of a worker (a full disk, no sandbox); all finished units are kept.
    """
    task = UnitTask(out=ledger.out, traces=traces, inputs=inputs)
    unfinished = _Unfinished(keys, ledger, on_done)
    # A death ends the engine's run, so the units that were still to come are run after the suspects.
    # Each round settles at least one suspect, so there are at most as many rounds as units.
    while lost := _run(engine, task, unfinished, on_done):
        for key in lost.keys:
            _run_alone(ledger, key, lost.deaths, task, engine, on_done)
        unfinished.give_again()


class _Unfinished:
    """The source of those units that are not done; the others are reported where they are met."""

    def __init__(self, keys: KeySource, ledger: Ledger, on_done: OnDone) -> None:
        self._keys, self._ledger, self._on_done = keys, ledger, on_done
        self._next: deque[str] = deque()  # known not to be done
        self._given: list[str] = []

    def take(self) -> str | None:
        self._skip_done()
        if not self._next:
            return None
        self._given.append(self._next[0])
        return self._next.popleft()

    def left(self) -> int | None:
        self._skip_done()  # so that 0 says that nothing is to be run
        left = self._keys.left()
        return None if left is None else left + len(self._next)

    def wait(self, number: int, seconds: float) -> bool:
        return len(self._next) >= number or self._keys.wait(number - len(self._next), seconds)

    def give_again(self) -> None:
        """Give the units that were given and are not done once more, before the others."""
        given = [key for key in self._given if not self._ledger.is_done(key)]
        self._next.extendleft(reversed(given))
        self._given = []

    def _skip_done(self) -> None:
        while not self._next and (key := self._keys.take()) is not None:
            if self._ledger.is_done(key):
                self._on_done(key, self._ledger.marker(key))
            else:
                self._next.append(key)


def _run_alone(ledger: Ledger, key: str, deaths: int, task: UnitTask, engine: Engine, on_done: OnDone) -> None:
    """Run a suspect alone until it is finished, or until MAX_DEATHS workers have died over it."""
    while True:
        if ledger.is_done(key):  # the worker died after the marker was written, before it could answer
            on_done(key, ledger.marker(key))
            return
        if ledger.death(key, deaths) >= MAX_DEATHS:
            on_done(key, _quarantine(ledger, key))
            return
        lost = _run(engine, task, KeyList([key]), on_done)
        if lost is None:
            return
        deaths = lost.deaths


def _run(engine: Engine, task: UnitTask, keys: KeySource, on_done: OnDone) -> WorkersLost | None:
    """Run units until all are done or a worker dies; return the units that were under way at the death, if any."""
    # Closed at once, not when it is collected: after Ctrl-C the workers are to end before the ledger is left.
    with closing(engine.run(task, keys)) as finished:
        try:
            for key, marker in finished:
                on_done(key, marker)
        except WorkersLost as death:
            return death
    return None


def _quarantine(ledger: Ledger, key: str) -> Marker:
    """Finish a unit with a drop for each of its snippets."""
    snippets = entries_of(ledger.payload(key))
    evidence = f"{MAX_DEATHS} workers died over this unit of {len(snippets)} snippets"
    drops = [Dropped.at(snippet, reason=Reason.WORKER_DIED.value, evidence=evidence) for snippet in snippets]
    return ledger.finish(key, drops, len(snippets))
