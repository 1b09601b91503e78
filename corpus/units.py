"""Finishes work units with an engine, any number at a time, in any order, any of their workers dying.

A unit whose worker dies is run again, alone, so that a death is held against nobody else; after MAX_DEATHS it is
quarantined, and each of its snippets is a drop ``worker_died``. Not covered: a unit that takes down the whole
machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.engines import Engine, WorkersLost
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.work import Dropped, Marker, Traces, entries_of

MAX_DEATHS = 3

OnDone = Callable[[str, Marker], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTask:
    """An engine's ``Task``: makes the items of a unit and writes them to the ledger of the dataset in ``out``."""

    out: Path
    traces: Traces

    def __call__(self, key: str) -> Marker:
        """One unit, in a worker process."""
        ledger = Ledger(self.out)
        ledger.attempt(key)
        payload = ledger.payload(key)
        return ledger.finish(key, self.traces(payload), len(entries_of(payload)))


def run_units(ledger: Ledger, keys: Sequence[str], traces: Traces, engine: Engine, *, on_done: OnDone) -> None:
    """Finishes every unit of ``keys`` that is not done; ``on_done(key, marker)`` is called for each, also for those
    done before.

    Raises:
        KeyboardInterrupt: as it comes; finished units are kept and the workers are gone.
        Exception: what a worker raised (a full disk, no sandbox); the others' finished units are kept.
    """
    task = UnitTask(out=ledger.out, traces=traces)
    waiting = []
    for key in keys:
        if ledger.is_done(key):
            on_done(key, ledger.marker(key))
        else:
            waiting.append(key)
    suspects = _run(engine, task, waiting, on_done)
    while suspects:
        for key in suspects:
            _run_alone(ledger, key, task, engine, on_done)
        waiting = [key for key in waiting if not ledger.is_done(key)]
        suspects = _run(engine, task, waiting, on_done)


def _run_alone(ledger: Ledger, key: str, task: UnitTask, engine: Engine, on_done: OnDone) -> None:
    """Settles a unit under which a worker died: until it is finished, or MAX_DEATHS workers have died over it."""
    while True:
        if ledger.is_done(key):  # the worker died after the marker was written, before it could answer
            on_done(key, ledger.marker(key))
            return
        if ledger.death(key) >= MAX_DEATHS:
            on_done(key, _quarantine(ledger, key))
            return
        if not _run(engine, task, [key], on_done):
            return


def _run(engine: Engine, task: UnitTask, keys: Sequence[str], on_done: OnDone) -> Sequence[str]:
    """Runs units until all are done or a worker dies; gives the units that were under way then."""
    if not keys:
        return ()
    with closing(engine.run(task, keys)) as finished:
        try:
            for key, marker in finished:
                on_done(key, marker)
        except WorkersLost as death:
            return death.keys
    return ()


def _quarantine(ledger: Ledger, key: str) -> Marker:
    snippets = entries_of(ledger.payload(key))
    evidence = f"{MAX_DEATHS} workers died over this unit of {len(snippets)} snippets"
    drops = [Dropped.at(snippet, reason="worker_died", evidence=evidence) for snippet in snippets]
    return ledger.finish(key, drops, len(snippets))
