"""From an origin to a dataset: plans the units, runs those that are not done, merges. What both commands, mined and
synthetic, call.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from trace_mine.corpus.engines import Engine
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.ledger import FOLDER, Ledger
from trace_mine.corpus.merge import Merged, merge
from trace_mine.corpus.origin import Origin
from trace_mine.corpus.tally import Counts
from trace_mine.corpus.units import run_units
from trace_mine.corpus.work import Marker


class Watcher(Protocol):
    """Is told how a run gets on."""

    def planned(self, num_units: int, num_snippets: int) -> None:
        """So many units are known by now."""

    def finished(self, key: str, marker: Marker) -> None:
        """A unit is done, or was."""

    def merged(self, counts: Counts) -> None:
        """A row went through the merge."""


@contextmanager
def open_ledger(out: Path, *, overwrite: bool) -> Iterator[Ledger]:
    """The ledger of the dataset in ``out``, held for this process.

    Raises:
        CorpusError: ``out`` is something else than a dataset or an empty folder, or is in use.
    """
    if out.exists() and not out.is_dir():
        raise CorpusError(f"expected --out to be a folder, got {out}, which is a file; give another", exit_code=2)
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
    """Makes or completes the dataset. ``config`` is JSON: all that two runs into one dataset must have in common.

    Raises:
        CorpusError: the dataset was begun with another configuration, or nothing can be run here.
    """
    ledger.check_config(config)
    keys, num_snippets = [], 0
    for unit in origin.units():
        ledger.add(unit)
        keys.append(unit.key)
        num_snippets += unit.num_snippets
        watcher.planned(len(keys), num_snippets)
    run_units(ledger, list(dict.fromkeys(keys)), origin.traces, engine, on_done=watcher.finished)
    merged = merge(ledger, keys, notes=origin.notes(), config=config, splits=origin.splits, on_row=watcher.merged)
    ledger.tidy(keys)
    return merged
