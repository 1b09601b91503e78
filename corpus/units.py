"""Runs work units in worker processes (joblib's loky), any number of them, each unit in any order, any of them dying.

A unit whose worker dies is run again, alone, so that a death is held against nobody else; after MAX_DEATHS it is
quarantined, and each of its snippets is a drop ``worker_died``. Not covered: a unit that takes down the whole
machine.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from trace_mine.corpus.ledger import Ledger
from trace_mine.corpus.source import Dropped, Item

MAX_DEATHS = 3
WATCH_SECONDS = 0.5

Traces = Callable[[Mapping[str, Any]], Iterator[Item]]


def run_units(
    ledger: Ledger,
    keys: Sequence[str],
    traces: Traces,
    *,
    jobs: int,
    on_done: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """Finishes every unit of ``keys`` that is not done; ``on_done(key, marker)`` is called for each, also for those
    done before.

    Raises:
        KeyboardInterrupt: as it comes; finished units are kept and the workers are gone.
        Exception: what a worker raised (a full disk, no sandbox); the others' finished units are kept.
    """
    waiting = []
    for key in keys:
        if ledger.is_done(key):
            on_done(key, ledger.marker(key))
        else:
            waiting.append(key)
    suspects = _run_pool(ledger, waiting, traces, jobs, on_done)
    while suspects:
        unfinished: list[str] = []
        for key in suspects:
            if ledger.is_done(key):
                on_done(key, ledger.marker(key))
            elif ledger.death(key) >= MAX_DEATHS:
                on_done(key, _quarantine(ledger, key))
            else:
                unfinished += _run_pool(ledger, [key], traces, 1, on_done)
        waiting = [key for key in waiting if key not in set(suspects) and not ledger.is_done(key)]
        suspects = unfinished or _run_pool(ledger, waiting, traces, jobs, on_done)


def _run_pool(
    ledger: Ledger, keys: Sequence[str], traces: Traces, jobs: int, on_done: Callable[[str, Mapping[str, Any]], None]
) -> list[str]:
    """Runs units until all are done or a worker dies; gives the units that were under way then."""
    from joblib.externals.loky import ProcessPoolExecutor

    if not keys:
        return []
    pool = ProcessPoolExecutor(max_workers=jobs, initializer=_begin_worker, initargs=(os.getpid(),))
    under_way: dict[Future[Mapping[str, Any]], str] = {}
    lost: list[str] = []
    pending = iter(keys)
    finished = False
    try:
        while not lost:
            # Two for each worker: one runs, one waits for it.
            while len(under_way) < 2 * jobs and (key := next(pending, None)) is not None:
                under_way[pool.submit(_work, ledger.out, key, traces)] = key
            if not under_way:
                break
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                key = under_way.pop(future)
                try:
                    on_done(key, future.result())
                except BrokenProcessPool:
                    lost.append(key)
        finished = not lost
    finally:
        pool.shutdown(wait=True, kill_workers=not finished)
    return sorted([*lost, *under_way.values()], key=list(keys).index)


def _begin_worker(parent: int) -> None:
    """Makes a worker follow its parent: not stop before it (Ctrl-C reaches the whole group), and not outlive it
    (``kill -9``).
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)  # the sandboxes see the hang-up and clean up


def _work(out: Path, key: str, traces: Traces) -> Mapping[str, Any]:
    """One unit, in a worker process."""
    ledger = Ledger(out)
    ledger.attempt(key)
    payload = ledger.payload(key)
    return ledger.finish(key, traces(payload), len(payload["snippets"]))


def _quarantine(ledger: Ledger, key: str) -> Mapping[str, Any]:
    snippets = ledger.payload(key)["snippets"]
    evidence = f"{MAX_DEATHS} workers died over this unit of {len(snippets)} snippets"
    drops = [
        Dropped(
            reason="worker_died",
            path=snippet["path"],
            name=snippet["name"],
            repository=snippet["repository"],
            entry=snippet["entry"],
            line=snippet["line"],
            evidence=evidence,
        )
        for snippet in snippets
    ]
    return ledger.finish(key, drops, len(snippets))
