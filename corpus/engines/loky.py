"""The engine ``loky``: worker processes on this machine, by joblib's executor.

loky notices that a worker died and raises ``BrokenProcessPool``; ``multiprocessing.Pool`` would wait for ever.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool

from trace_mine.corpus.engines.contract import UnitCall, WorkersLost
from trace_mine.corpus.engines.keys import KeySource
from trace_mine.corpus.work import Marker
from trace_mine.tracer.sandbox.kernel import die_with_parent

ASK_SECONDS = 0.2
"""Seconds after which the source of keys is asked again, though no unit has finished."""
FIRST_SECONDS = 0.5
"""Seconds that a run waits, once it has a unit, to know whether there are fewer than it has processes."""
WATCH_SECONDS = 0.5
"""Seconds between two looks of a worker at its parent."""


class LokyEngine:
    """An ``Engine`` of ``jobs`` processes. They start with ``run``, which takes 0.2 to 0.6 s, and end with it.

    Raises:
        ValueError: there are no jobs, or an address is given.
    """

    def __init__(self, jobs: int, address: str | None = None) -> None:
        if jobs < 1:
            raise ValueError(f"expected jobs >= 1, got {jobs}; one worker is the least")
        if address is not None:
            raise ValueError(f"expected --address with the engine dask or ray, got {address!r} with loky; name one")
        self.jobs = jobs

    def close(self) -> None:
        """Do nothing: the workers end with each run."""

    def run(self, task: UnitCall, keys: KeySource) -> Generator[tuple[str, Marker], None, None]:
        """Yield (key, marker) of each unit when it is finished: see ``Engine.run``."""
        while (first := keys.take()) is None:
            if keys.left() == 0:
                return  # a run that goes on with everything done starts no process
            keys.wait(1, ASK_SECONDS)
        # Units of one repository come together: with the first one it is soon known whether they are fewer than jobs.
        keys.wait(self.jobs - 1, FIRST_SECONDS)
        left = keys.left()
        from joblib.externals.loky import ProcessPoolExecutor

        jobs = self.jobs if left is None else min(self.jobs, 1 + left)
        # An executor of our own, not `get_reusable_executor`, whose workers outlive the call: a run after a death must
        # start with fresh ones.
        pool = ProcessPoolExecutor(max_workers=jobs, initializer=_begin_worker, initargs=(os.getpid(),))
        under_way: dict[Future[Marker], str] = {}
        order: list[str] = []
        lost: list[str] = []
        next_key: str | None = first
        finished = False
        try:
            while not lost:
                # Two for each worker: one runs, one waits, so that no worker idles while the answer travels. More would
                # be more suspects when a worker dies.
                while len(under_way) < 2 * jobs and (key := next_key or keys.take()) is not None:
                    next_key = None
                    order.append(key)
                    under_way[pool.submit(task, key)] = key
                if not under_way:
                    if keys.left() == 0:
                        break
                    keys.wait(1, ASK_SECONDS)
                    continue
                done, _ = wait(under_way, timeout=ASK_SECONDS, return_when=FIRST_COMPLETED)
                for future in done:
                    key = under_way.pop(future)
                    try:
                        marker = future.result()
                    except BrokenProcessPool:
                        # Every unfinished future gets this error, so all that were under way are suspects.
                        lost.append(key)
                    else:
                        yield key, marker
            finished = not lost
        finally:
            # Reached by an exception and by `close` too. Workers that are in a unit are killed: waiting for a unit can
            # take minutes after Ctrl-C.
            pool.shutdown(wait=True, kill_workers=not finished)
        if lost:
            raise WorkersLost(sorted([*lost, *under_way.values()], key=order.index))


def _begin_worker(parent: int) -> None:
    """Tie a worker's life to its parent's: it neither stops earlier nor lives on.

    Ctrl-C reaches all processes of the terminal's group, so a worker ignores it and the parent ends the workers. A
    parent that was killed (``kill -9``) can't: Linux kills the worker for it, and a thread looks for that elsewhere.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # The thread stands still in a worker that was stopped (SIGSTOP), which would then stay for ever.
        die_with_parent()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)  # the sandboxes see the hang-up and clean up
