"""The engine ``dask``: units as tasks of a Dask cluster, its own or a given one, through the client of ``distributed``.

Workers need one thread each: a worker process keeps one tracer, and a thread beside it would wait for the same one.
Dask itself runs a task again whose worker died, as often as ``distributed.scheduler.allowed-failures`` says. On a
cluster of our own that is never, so that a death is told at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import tempfile
import time
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from trace_mine.corpus.engines.cluster import Answer, ClusterEngine, Death, answer_of, check_engine
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.visible import one_line

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

CONNECT_SECONDS = 30.0
"""How long a scheduler may take to answer."""
COUNT_SECONDS = 2.0
"""How long a count of the workers holds."""
RESULT_SECONDS = 10.0
"""How long the bytes of a finished unit may take to come; then they are asked for again."""


def dask_engine(jobs: int, address: str | None = None) -> ClusterEngine:
    """Make the engine of Dask workers: ``jobs`` processes of this machine, or those of a cluster.

    Args:
        jobs: workers of a cluster of its own, which starts with the first unit, in some 3 s.
        address: of a scheduler (``tcp://host:8786``), or the path of the ``.json`` file in which it wrote its address.

    Raises:
        ValueError: there are no jobs.
        CorpusError: Dask is not installed.
    """
    check_engine(jobs, "distributed", "dask")
    return ClusterEngine(partial(DaskCluster, jobs, address))


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that was submitted, with the address of the worker that it was wished for, or none."""

    ticket: Hashable
    call: bytes
    near: str
    future: Future


class DaskCluster:
    """A ``Cluster`` of Dask: see ``dask_engine``."""

    def __init__(self, jobs: int, address: str | None) -> None:
        import distributed

        self._folder: str | None = None
        self._own: LocalCluster | None = None
        self._settings = contextlib.ExitStack()
        try:
            if address is None:
                self._own = self._start(jobs)
                self._client: Client = distributed.Client(self._own, set_as_default=False)
                self._client.register_plugin(_interrupt_plugin(), name="trace-mine-interrupts")
            elif address.endswith(".json"):
                self._client = distributed.Client(scheduler_file=address, timeout=CONNECT_SECONDS, set_as_default=False)
            else:
                self._client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            self._end_own()
            raise CorpusError(
                f"expected a Dask scheduler at {address or 'this machine'}, got {type(error).__name__}: "
                f"{one_line(str(error), 300)}; start one, or check --address"
            ) from error
        self._calls: dict[str, _Call] = {}  # by the key of the future
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._num_workers, self._counted = 0, float("-inf")

    def _start(self, jobs: int) -> LocalCluster:
        import dask
        import distributed

        self._folder = tempfile.mkdtemp(prefix="trace-mine-dask-")
        settings = {
            "distributed.scheduler.allowed-failures": 0,
            # no pages: whoever is on this machine could read them, and their port may be another cluster's
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.admin.tick.limit": "1h",  # planning in this process may hold the loop for a second
        }
        # Held while the cluster is there: so long after a death (15 s, as Dask has it) it looks for a worker in the
        # dead one's place, and gives the place up for good where one still starts or has just died again.
        self._settings.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "1d"}))
        security = None
        with contextlib.suppress(ImportError):
            # Else whoever has an account on this machine could have the workers run something.
            security = distributed.Security.temporary()
        with dask.config.set(settings):
            return distributed.LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                processes=True,
                memory_limit=None,
                dashboard_address="127.0.0.1:0",
                silence_logs=50,
                security=security,
                local_directory=self._folder,
            )

    def num_workers(self) -> int:
        """Return how many workers the scheduler knew a moment ago."""
        now = time.monotonic()
        if now - self._counted > COUNT_SECONDS:
            try:
                workers = self._client.nthreads()
                self._free_from_wishes(workers)
            except Exception as error:
                raise self._gone(error) from error
            self._num_workers = len(workers)
            self._counted = now
        return self._num_workers

    def _free_from_wishes(self, workers: Collection[str]) -> None:
        """Submit without a wish what waits for a worker that is gone.

        A call that is submitted while the cluster has no worker is later given to workers that its wish names, and to
        no other, though others are allowed: https://github.com/dask/distributed/issues/7346.
        """
        waiting = [call for call in self._calls.values() if call.near and call.near not in workers]
        if not waiting:
            return
        running = {key for keys in self._client.processing().values() for key in keys}
        for call in waiting:
            if call.future.key not in running and call.future.status == "pending":
                del self._calls[call.future.key]
                call.future.cancel(force=True)
                self._submit(call.call, "", call.ticket)

    def submit(self, call: bytes, near: str) -> Hashable:
        """Hand a call to the scheduler: see ``Cluster.submit``."""
        ticket = object()
        self._submit(call, near, ticket)
        return ticket

    def _submit(self, call: bytes, near: str, ticket: Hashable) -> None:
        wish = {"workers": [near], "allow_other_workers": True} if near else {}
        future = self._client.submit(_in_worker, call, pure=False, **wish)
        self._calls[future.key] = _Call(ticket, call, near, future)
        future.add_done_callback(lambda done: self._done.put(done.key))

    def finished(self, seconds: float) -> Sequence[tuple[Hashable, Answer | Death]]:
        """Wait for calls that ended: see ``Cluster.finished``."""
        results: list[tuple[Hashable, Answer | Death]] = []
        with contextlib.suppress(queue.Empty):
            key = self._done.get(timeout=seconds)
            while True:
                if (call := self._calls.get(key)) is not None and (answer := self._answer(call.future)) is not None:
                    del self._calls[key]
                    results.append((call.ticket, answer))
                key = self._done.get_nowait()
        return results

    def _answer(self, future: Future) -> Answer | Death | None:
        """The end of a call; None where its bytes are not here yet."""
        from distributed import KilledWorker

        try:
            answer = future.result(timeout=RESULT_SECONDS)
            assert isinstance(answer, Answer)
            return answer
        except KilledWorker as error:
            return Death(deaths=error.allowed_failures + 1)
        except TimeoutError:  # the worker that had them died, and the unit runs again
            future.add_done_callback(lambda done: self._done.put(done.key))
            return None
        except CorpusError:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise self._gone(error) from error

    def _gone(self, error: BaseException) -> CorpusError:
        return CorpusError(
            f"the Dask cluster can't run units ({type(error).__name__}: {one_line(str(error), 300)}); every worker "
            "needs the same trace-mine, and the scheduler has to stay; finished units are kept"
        )

    def forget(self) -> None:
        """Cancel what is under way."""
        futures, self._calls = [call.future for call in self._calls.values()], {}
        with contextlib.suppress(Exception):  # the scheduler may be gone
            self._client.cancel(futures, force=True)

    def close(self) -> None:
        """Close the connection, and end the workers that were started here."""
        with contextlib.suppress(Exception):  # the scheduler may be gone, and nothing more is asked of it
            self._client.close(timeout=5)
        self._end_own()

    def _end_own(self) -> None:
        if self._own is not None:
            # Ending the workers' processes first: they may be in a unit, whose end takes minutes.
            with contextlib.suppress(Exception):
                for nanny in self._own.workers.values():
                    if nanny.process is not None and nanny.process.pid:
                        os.kill(nanny.process.pid, signal.SIGKILL)
            with contextlib.suppress(Exception):
                self._own.close(timeout=30)
        self._settings.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _in_worker(call: bytes) -> Answer:
    from distributed import get_worker

    worker = get_worker()
    if worker.state.nthreads > 1:
        error = CorpusError(
            f"expected Dask workers of one thread each, got {worker.state.nthreads} at {worker.address}; start them "
            "with dask worker --nworkers N --nthreads 1"
        )
        return Answer(where=worker.address, error=error)
    return answer_of(call, worker.address)


def _interrupt_plugin() -> object:
    from distributed import WorkerPlugin

    class IgnoresInterrupts(WorkerPlugin):  # type: ignore[misc]  # mypy does not read distributed
        """Ctrl-C reaches all processes of a terminal: the command ends its workers itself."""

        def setup(self, worker: object) -> None:
            """Ignore the signal, in the worker's main thread."""
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return IgnoresInterrupts()
