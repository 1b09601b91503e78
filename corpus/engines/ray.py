"""The engine ``ray``: units as tasks of a Ray cluster, its own or one that is named.

A task is never tried again by Ray: a death is told at once, and ``corpus/units.py`` decides.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Hashable, Sequence
from functools import partial

from trace_mine.corpus.engines.cluster import Answer, ClusterEngine, Death, answer_of, check_engine
from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.visible import one_line

OBJECT_BYTES = 256 << 20
"""Memory for objects of a cluster of our own: results and chunks, a few megabytes each."""
CONNECT_SECONDS = 30.0
"""How long the cluster's machine may take to answer."""
RESULT_SECONDS = 10.0
"""How long the bytes of a finished unit may take to come; then they are asked for again."""


def ray_engine(jobs: int, address: str | None = None) -> ClusterEngine:
    """Make the engine of Ray workers: ``jobs`` processes of this machine, or those of a cluster.

    Where the calling program has a connection to a cluster, that is used, and stays.

    Args:
        jobs: workers of a cluster of its own, which starts with the first unit, in some 10 s.
        address: of a cluster: ``auto`` or ``host:6379`` on a machine of the cluster, ``ray://host:10001`` elsewhere.

    Raises:
        ValueError: there are no jobs.
        CorpusError: Ray is not installed.
    """
    check_engine(jobs, "ray", "ray")
    return ClusterEngine(partial(RayCluster, jobs, address))


class RayCluster:
    """A ``Cluster`` of Ray: see ``ray_engine``."""

    def __init__(self, jobs: int, address: str | None) -> None:
        import ray

        self._folder: str | None = None
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            # A command tells nobody that it ran, unless its user wants that.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            try:
                if address is None:
                    self._folder = tempfile.mkdtemp(prefix="tm-ray-")  # short: sockets below it have 107 bytes
                    ray.init(
                        address="local",
                        num_cpus=jobs,
                        include_dashboard=False,
                        log_to_driver=False,
                        logging_level="ERROR",
                        object_store_memory=OBJECT_BYTES,
                        _temp_dir=self._folder,
                    )
                else:
                    _check_port(address)
                    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (OSError, ValueError, RuntimeError) as error:  # ConnectionError is an OSError
                self._end()
                raise CorpusError(
                    f"expected a Ray cluster at {address or 'this machine'}, got {type(error).__name__}: "
                    f"{one_line(str(error), 300)}; start one, or check --address"
                ) from error
        self._call = ray.remote(num_cpus=1, max_retries=0)(_in_worker)
        self._refs: list[Hashable] = []

    def num_workers(self) -> int:
        """Return how many processors the cluster has."""
        import ray

        return int(ray.cluster_resources().get("CPU", 0))

    def submit(self, call: bytes, near: str) -> Hashable:
        """Start a task: see ``Cluster.submit``."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote = self._call
        if near:
            remote = remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=near, soft=True))
        ref: Hashable = remote.remote(call)
        self._refs.append(ref)
        return ref

    def finished(self, seconds: float) -> Sequence[tuple[Hashable, Answer | Death]]:
        """Wait for tasks that ended: see ``Cluster.finished``."""
        import ray

        if not self._refs:
            return []
        done, _ = ray.wait(self._refs, num_returns=1, timeout=seconds)
        if done:  # all that are done by now
            done, _ = ray.wait(self._refs, num_returns=len(self._refs), timeout=0)
        results: list[tuple[Hashable, Answer | Death]] = []
        for ref in done:
            answer = self._answer(ref)
            if answer is not None:
                self._refs.remove(ref)
                results.append((ref, answer))
        return results

    def _answer(self, ref: Hashable) -> Answer | Death | None:
        """The end of a task; None where its bytes are not here yet."""
        import ray
        from ray.exceptions import GetTimeoutError, NodeDiedError, ObjectLostError, OutOfMemoryError, WorkerCrashedError

        try:
            answer = ray.get(ref, timeout=RESULT_SECONDS)
            assert isinstance(answer, Answer)
            return answer
        except (WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError):
            return Death()
        except GetTimeoutError:
            return None
        except Exception as error:
            raise CorpusError(
                f"the Ray cluster can't run units ({type(error).__name__}: {one_line(str(error), 300)}); every worker "
                "needs the same trace-mine, and the cluster has to stay; finished units are kept"
            ) from error

    def forget(self) -> None:
        """Kill the workers of what is under way."""
        import ray

        refs, self._refs = self._refs, []
        for ref in refs:
            with contextlib.suppress(Exception):  # the cluster may be gone
                ray.cancel(ref, force=True)

    def close(self) -> None:
        """Close the connection, and end the workers that were started here."""
        if self._is_ours:
            self._end()

    def _end(self) -> None:
        import ray

        with contextlib.suppress(Exception):
            ray.shutdown()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _check_port(address: str) -> None:
    """Check that something listens at ``host:port`` or ``ray://host:port``: Ray itself asks for minutes.

    Raises:
        OSError: nothing does.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _in_worker(call: bytes) -> Answer:
    import ray

    return answer_of(call, ray.get_runtime_context().get_node_id())
