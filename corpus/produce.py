"""From an origin to a dataset: plans the units, runs the unfinished ones meanwhile, merges all.

``trace-mine``, ``trace-synth`` and ``trace_mine.mine`` call ``open_ledger`` and ``produce``; they differ in the origin
alone.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from trace_mine.corpus.engines import Engine
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.finished import forget_finished, recall_finished, remember_finished
from trace_mine.corpus.ledger import FOLDER, Ledger
from trace_mine.corpus.merge import Merged, merge
from trace_mine.corpus.origin import Origin
from trace_mine.corpus.plan import DatasetPlan, PlannedUnit
from trace_mine.corpus.resuming import resumed
from trace_mine.corpus.rows_so_far import RowsSoFar
from trace_mine.corpus.tally import Counts
from trace_mine.corpus.unit_run import UnitRun
from trace_mine.corpus.work import Marker


class Watcher(Protocol):
    """Receives the progress of a run, in the process that started it.

    ``finished`` and ``tell`` are called in other threads than the others, at the same time as ``planned``.
    """

    def tell(self, line: str) -> None:
        """Called with a line for people."""

    def begun(self, done: frozenset[str]) -> None:
        """Called at first, with the keys of the units that earlier runs had finished."""

    def planned(self, num_units: int, num_snippets: int, share: float) -> None:
        """Called after each planned unit, with the totals so far, and the share of the inputs that was planned: 1.0
        once all are.
        """

    def finished(self, key: str, marker: Marker) -> None:
        """Called once for each unit: when it is finished, or at once where an earlier run had finished it."""

    def merged(self, counts: Counts) -> None:
        """Called after each row of the merge, with the counts so far."""


@contextmanager
def open_ledger(out: Path, *, overwrite: bool) -> Iterator[Ledger]:
    """Open the ledger of the dataset in ``out``, and hold its lock while the context lasts.

    Args:
        out: a new or empty folder, or a dataset made here.
        overwrite: forget what an earlier run finished there.

    Raises:
        CorpusError: ``out`` is something else, is in use by another process, can't be written to, or has no space
            left. The last two are also raised for what the caller does within the context.
    """
    if out.exists() and not out.is_dir():
        raise CorpusError(f"expected --out to be a folder, got {out}, which is a file; give another", exit_code=2)
    # A folder with other files may be somebody's work: the merge would put a README.md there, over the one that stands.
    if out.is_dir() and any(out.iterdir()) and not (out / FOLDER).is_dir():
        raise CorpusError(
            f"expected --out to be new, empty or a dataset made here, got {out}, which holds other files; give another",
            exit_code=2,
        )
    try:
        ledger = Ledger(out)
        with ledger.locked():
            if overwrite:
                ledger.clear()
            yield ledger
    except OSError as error:
        # The two causes that a person can do something about get a sentence; any other is shown as it is.
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CorpusError(
                f"no space left for {out}; finished units are kept: free some space and start the same command again"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise CorpusError(f"can't write to {out} ({error.strerror}); give another --out") from error
        raise


def produce(
    ledger: Ledger, origin: Origin, config: Mapping[str, object], *, engine: Engine, watcher: Watcher
) -> Merged:
    """Make the dataset of an origin, or complete the one that an earlier run began.

    Args:
        ledger: the dataset's ledger, locked (``open_ledger``).
        origin: the units, and the function that makes their rows.
        config: JSON, all that two runs into one dataset must have in common.
        engine: runs the units.
        watcher: receives the progress.

    Raises:
        CorpusError: the dataset was begun with another configuration, or nothing can be run here.
    """
    # Before any unit: a dataset of two configurations could not be told apart from one of a single one.
    ledger.check_config(config)
    signature = origin.signature()
    if (finished := recall_finished(ledger, signature)) is not None:
        ledger.clear_sources()  # scripts and modules are copied to see what they are
        return finished
    forget_finished(ledger)
    ledger.forget_interrupted()
    line, done = resumed(ledger, origin.fingerprint)
    if line:
        watcher.tell(line)
    watcher.begun(done)
    planned: set[str] = set()
    units: list[PlannedUnit] = []
    places: set[int] = set()
    num_snippets = 0
    # The first units run while the inputs behind them are still opened, read and run for their calls.
    with (
        RowsSoFar(ledger.out, origin, config, units, watcher.tell),
        UnitRun(ledger, origin.traces, engine, on_done=watcher.finished, inputs=origin.inputs) as run,
    ):
        for unit in origin.units():
            run.check()
            ledger.add(unit)
            units.append(PlannedUnit(place=unit.place, key=unit.key))
            num_snippets += unit.num_snippets
            places.add(unit.place)
            watcher.planned(len(units), num_snippets, len(places) / max(1, origin.num_inputs))
            # Two inputs may hold the same files, and so give the same unit twice: it is run once and merged in both
            # places; the second time its rows are counted as duplicates.
            if unit.key not in planned:
                planned.add(unit.key)
                run.put(unit.key)
        watcher.planned(len(units), num_snippets, 1.0)
        by_place, overall = origin.plan_notes()
        plan = DatasetPlan(units=units, by_place=by_place, overall=overall)
        ledger.write_plan(plan)
    merged = merge(
        ledger,
        plan.keys,
        notes=origin.notes(),
        config=config,
        rule=origin.split_rule,
        keeps_copies=origin.keeps_copies,
        on_row=watcher.merged,
    )
    # Last: until the new files stand in place, a killed run needs all of the ledger.
    ledger.tidy(plan.keys)
    if origin.is_settled:
        remember_finished(ledger, signature, merged)
    return merged
