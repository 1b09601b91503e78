"""Finishes work units with an engine: any number at a time, in any order, although workers may die.

When a worker dies, each of the units that were under way is a suspect, and is run again, alone, so that the next death
has one suspect. A unit over which MAX_DEATHS workers died, the first death included, is quarantined: each of its
snippets is a drop ``worker_died``. Not covered: a unit that takes down the whole machine.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.engines import Engine, KeyList, KeySource, WorkersLost
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.rows import MAX_EVIDENCE
from trace_mine.corpus.work import Dropped, Item, Marker, Payload, Traces, entries_of
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

    A record of a path and a function of a module, since engines pickle it.
    """

    out: Path
    traces: Traces

    def __call__(self, key: str) -> Marker:
        """Finish one unit, in a worker process, and return its marker."""
        # A ledger of this process, without the lock: the parent holds it for all its workers.
        ledger = Ledger(self.out)
        ledger.attempt(key)
        payload = ledger.payload(key)
        return ledger.finish(key, _all_items(self.traces, payload), len(entries_of(payload)))


def _all_items(traces: Traces, payload: Payload) -> Iterator[Item]:
    """Yield the items of a unit; what the origin's function raises over one snippet costs that one and those after it.

    Raises:
        CorpusError: nothing can be run here, which is so for all snippets.
        OSError, MemoryError: this machine has no disk or memory left.
    """
    entries = entries_of(payload)
    num_items = 0
    try:
        for item in traces(payload):
            yield item
            num_items += 1
    except (CorpusError, OSError, MemoryError):
        raise
    except Exception as error:  # a mistake of trace-mine; without this, one row would end the run for all repositories
        evidence = "".join(traceback.format_exception(error))[-MAX_EVIDENCE:]
        for entry in entries[num_items:]:
            yield Dropped.at(entry, reason=Reason.INTERNAL_ERROR.value, evidence=evidence)


def run_units(ledger: Ledger, keys: KeySource, traces: Traces, engine: Engine, *, on_done: OnDone) -> None:
    """Finish every unit that is not done.

    Args:
        ledger: the dataset's ledger, with the payloads of the units that are not done.
        keys: the units, each once; more may come while the first ones run.
        traces: the origin's function from a payload to items.
        engine: runs the units in worker processes.
        on_done: called for each unit, at once for those that an earlier run finished.

    Raises:
        KeyboardInterrupt: finished units are kept, and the workers have ended.
        PlanningEnded: the source's.
        Exception: the exception of a worker (a full disk, no sandbox); all finished units are kept.
    """
    task = UnitTask(out=ledger.out, traces=traces)
    unfinished = _Unfinished(keys, ledger, on_done)
    # A death ends the engine's run, so the units that were still to come are run after the suspects.
    # Each round settles at least one suspect, so there are at most as many rounds as units.
    while suspects := _run(engine, task, unfinished, on_done):
        for key in suspects:
            _run_alone(ledger, key, task, engine, on_done)
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


def _run_alone(ledger: Ledger, key: str, task: UnitTask, engine: Engine, on_done: OnDone) -> None:
    """Run a suspect alone until it is finished, or until MAX_DEATHS workers have died over it."""
    while True:
        if ledger.is_done(key):  # the worker died after the marker was written, before it could answer
            on_done(key, ledger.marker(key))
            return
        if ledger.death(key) >= MAX_DEATHS:
            on_done(key, _quarantine(ledger, key))
            return
        if not _run(engine, task, KeyList([key]), on_done):
            return


def _run(engine: Engine, task: UnitTask, keys: KeySource, on_done: OnDone) -> Sequence[str]:
    """Run units until all are done or a worker dies; return the units that were under way at the death, if any."""
    # Closed at once, not when it is collected: after Ctrl-C the workers are to end before the ledger is left.
    with closing(engine.run(task, keys)) as finished:
        try:
            for key, marker in finished:
                on_done(key, marker)
        except WorkersLost as death:
            return death.keys
    return ()


def _quarantine(ledger: Ledger, key: str) -> Marker:
    """Finish a unit with a drop for each of its snippets."""
    snippets = entries_of(ledger.payload(key))
    evidence = f"{MAX_DEATHS} workers died over this unit of {len(snippets)} snippets"
    drops = [Dropped.at(snippet, reason=Reason.WORKER_DIED.value, evidence=evidence) for snippet in snippets]
    return ledger.finish(key, drops, len(snippets))
