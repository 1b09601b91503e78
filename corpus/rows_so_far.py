"""The rows of a dataset that is still being made, written again and again where ``datasets.load_dataset`` reads them.

A thread merges the units that are finished, each time a while after the last: rows can be looked at, and trained on,
while the run goes on and after it was stopped. ``stats.json`` then has ``unfinished`` and the card says so. A dataset
that was finished before is never replaced by a part of its next version.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.merge import Merged, merge
from trace_mine.corpus.origin import Origin
from trace_mine.corpus.plan import PlannedUnit
from trace_mine.corpus.stats import Notes
from trace_mine.corpus.tally import Counts

FIRST_SECONDS = 60.0
"""The first rows are written after so long: a run that is shorter has no need of them."""
SHARE_OF_TIME = 20
"""Between two merges so many times the last one's duration: at most a twentieth of the run's time goes into them."""


class _Stopped(Exception):
    """The run is over, and the merge that goes on is not wanted any more."""


class RowsSoFar:
    """A context in which the finished units are merged now and then.

    It ends before the run's own merge begins, and takes no part in it. When the run is stopped by Ctrl-C, the rows so
    far are written once more.

    Args:
        out: the dataset's folder, whose ledger the caller has locked.
        origin: says in which split a row stands.
        config: the dataset's configuration, JSON.
        units: the units that are planned, in order; the caller appends while the context lasts.
        tell: called with a line for people when rows were written.
        first_seconds: how long after the beginning rows are written first.
    """

    def __init__(
        self,
        out: Path,
        origin: Origin,
        config: Mapping[str, object],
        units: Sequence[PlannedUnit],
        tell: Callable[[str], None],
        *,
        first_seconds: float = FIRST_SECONDS,
    ) -> None:
        self._out, self._origin, self._config, self._units, self._tell = out, origin, config, units, tell
        self._first_seconds = first_seconds
        self._is_over = threading.Event()
        self._num_merged = 0
        # a ledger remembers which results it has verified, and is not made for two threads
        self._ledger = Ledger(out)
        # not a daemon: a process that ends within a merge would leave half of the files of the last one
        self._thread = threading.Thread(target=self._write_now_and_then, name="rows so far")

    def write(self) -> Merged | None:
        """Merge the units that are finished, and return what became of them.

        Returns:
            None where a finished dataset stands there, and where no unit was finished since the last time.

        Raises:
            OSError: the disk is full, or can't be written to.
        """
        planned = list(self._units)  # the caller goes on appending
        keys = [unit.key for unit in planned if self._ledger.is_done(unit.key)]
        if len(keys) == self._num_merged or is_finished(self._out):
            return None
        # Of the inputs it is said only what is known before they are read: the rest is being put together.
        _, overall = self._origin.plan_notes()
        notes: Notes = {**overall, "unfinished": {"units": len(keys), "planned": len(planned)}}
        merged = merge(
            self._ledger,
            keys,
            notes=notes,
            config=self._config,
            rule=self._origin.split_rule,
            keeps_copies=self._origin.keeps_copies,
            on_row=self._check,
        )
        self._num_merged = len(keys)
        self._tell(f"{merged.stats['rows']} rows so far stand in {self._out}, where load_dataset reads them")
        return merged

    def _check(self, counts: Counts) -> None:
        if self._is_over.is_set() and threading.current_thread() is self._thread:
            raise _Stopped

    def _write_now_and_then(self) -> None:
        seconds = self._first_seconds
        while not self._is_over.wait(seconds):
            began = time.monotonic()
            try:
                self.write()
            except _Stopped:
                return
            except OSError as error:
                # No reason to end the run here: its own writing meets the same disk, and says what to do.
                self._tell(f"rows so far can't be written to {self._out}: {error}")
                return
            seconds = max(self._first_seconds, SHARE_OF_TIME * (time.monotonic() - began))

    def __enter__(self) -> RowsSoFar:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join()
        if isinstance(error, KeyboardInterrupt):
            self.write()


def is_finished(out: Path) -> bool:
    """Tell if a folder holds a dataset whose making came to its end."""
    file = out / "stats.json"
    try:
        stats = json.loads(file.read_bytes())
    except FileNotFoundError:
        return False
    except (ValueError, RecursionError):
        return True  # somebody's damaged file: it may belong to rows that are all there is
    return not (isinstance(stats, dict) and "unfinished" in stats)
