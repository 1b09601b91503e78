"""Jails that one Tracer leaves and the next one takes: to start one takes 0.3 s of CPU, and a Tracer has two or more.

Each run is a fork of its own, so that a snippet finds the same in a jail that was used before; a Tracer of many
snippets rests on that too. Only jails that show nothing of the host are kept: the files of a repository may change
between two tests. Jails that are started anew are tested in tests/tracer/sandbox and by all other tests of a Tracer.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from trace_mine.tracer import session
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.replays import jails
from trace_mine.tracer.sandbox import Jail, Worker

MOST = 6
"""How many jails may wait: each has four processes."""


class KeptWorker(Worker):
    """A ``Worker`` whose ``close`` hands it on; ``end`` closes it."""

    idle: dict[Hashable, KeptWorker]
    key: Hashable = None

    def close(self) -> None:
        if self.key is not None and self.idle.get(self.key) is self:
            return  # a second call
        if self.key is None or not self._processes or self.key in self.idle or len(self.idle) >= MOST:
            self.end()
        else:
            self.idle[self.key] = self

    def end(self) -> None:
        super().close()


@contextmanager
def kept_jails() -> Iterator[None]:
    """A context in which Tracers take the jails that others of this process have left."""
    idle: dict[Hashable, KeptWorker] = {}

    def give(jail: Jail, limits: Limits, **levels: Any) -> Worker:
        if jail.mounts or jail.warm:
            return Worker(jail, limits, **levels)
        key = (jail, limits, *levels.items())
        worker = idle.pop(key, None)
        if worker is None:
            worker = KeptWorker(jail, limits, **levels)
            worker.idle, worker.key = idle, key
        worker.lost_runs = worker.restarts = 0
        worker.cpu_of_jobs = worker.cpu_of_replays = 0.0
        return worker

    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        stack.callback(lambda: [worker.end() for worker in idle.values()])
        patch.setattr(session, "Worker", give)
        patch.setattr(jails, "Worker", give)
        yield
