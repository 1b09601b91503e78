"""Worker processes on this machine: the executor of joblib, which notices that a worker died (unlike
``multiprocessing``'s pool, which then waits for ever).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from trace_mine.corpus.engines.contract import Task, WorkersLost
from trace_mine.corpus.work import Marker

WATCH_SECONDS = 0.5


class LokyEngine:
    """An ``Engine``. The processes start with ``run`` and end with it: starting costs 0.2 to 0.6 s."""

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"expected jobs >= 1, got {jobs}; one worker is the least")
        self.jobs = jobs

    def run(self, task: Task, keys: Sequence[str]) -> Generator[tuple[str, Marker], None, None]:
        """See ``Engine``."""
        if not keys:
            return
        from joblib.externals.loky import ProcessPoolExecutor

        jobs = min(self.jobs, len(keys))
        pool = ProcessPoolExecutor(max_workers=jobs, initializer=_begin_worker, initargs=(os.getpid(),))
        under_way: dict[Future[Marker], str] = {}
        lost: list[str] = []
        pending = iter(keys)
        finished = False
        try:
            while not lost:
                # Two for each worker: one runs, one waits for it.
                while len(under_way) < 2 * jobs and (key := next(pending, None)) is not None:
                    under_way[pool.submit(task, key)] = key
                if not under_way:
                    break
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    key = under_way.pop(future)
                    try:
                        marker = future.result()
                    except BrokenProcessPool:
                        lost.append(key)
                    else:
                        yield key, marker
            finished = not lost
        finally:
            pool.shutdown(wait=True, kill_workers=not finished)
        if lost:
            raise WorkersLost(sorted([*lost, *under_way.values()], key=list(keys).index))


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
