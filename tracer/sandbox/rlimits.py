"""The layer of resource limits: what a process may use, held by the kernel. Runs inside.

Limits are only ever lowered, so that an inherited lower one stays. The zygote gets limits for its imports, each run its
own. Not covered: time spent in one call that can't be interrupted, memory bandwidth, caches.
"""

from __future__ import annotations

import os
import resource

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.layer import Confinement

START_UP_BYTES = 1 << 30
"""Address space of the zygote beyond what it maps at the start and a run's memory limit: room for imports, which
reserve far more than they touch (numpy with one BLAS thread maps about 400 MB)."""
PENDING_SIGNALS = 64
"""Queued signals and timers; Linux gives a user some 60,000, and each takes kernel memory."""


def limit(which: int, soft: int, hard: int | None = None) -> None:
    """Sets a resource limit, never above an inherited lower hard limit. Raises OSError or ValueError."""
    inherited = resource.getrlimit(which)[1]
    hard = soft if hard is None else hard
    if inherited != resource.RLIM_INFINITY:
        soft, hard = min(soft, inherited), min(hard, inherited)
    resource.setrlimit(which, (soft, hard))


def address_space(statm: int) -> int:
    """Address space of the process whose ``/proc/PID/statm`` is open as ``statm``."""
    return int(os.pread(statm, 64, 0).split()[0]) * resource.getpagesize()


def at_zygote(confinement: Confinement) -> None:
    """Limits for the imports, and those that no run changes."""
    limits = confinement.limits
    limit(resource.RLIMIT_AS, address_space(confinement.statm) + limits.memory_bytes + START_UP_BYTES)
    limit(resource.RLIMIT_CORE, 0)  # a core file would be written outside the record of the run
    limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    limit(resource.RLIMIT_MEMLOCK, 0)
    limit(resource.RLIMIT_MSGQUEUE, 0)
    limit(resource.RLIMIT_SIGPENDING, PENDING_SIGNALS)
    limit(resource.RLIMIT_NPROC, confinement.tasks + limits.processes)


def at_job(confinement: Confinement, limits: Limits, mapped_bytes: int) -> None:
    """This run's limits."""
    limit(resource.RLIMIT_AS, mapped_bytes + limits.memory_bytes)
    # SIGXCPU at the limit; SIGKILL a second later for those that ignore it
    limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)
    limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    limit(resource.RLIMIT_NOFILE, limits.open_files)
    most = confinement.tasks + limits.processes
    # a run that may fork is limited by what runs now, so that exactly `forks` more can start
    limit(resource.RLIMIT_NPROC, min(most, tasks_now(most) + limits.forks) if limits.forks else most)


def tasks_now(most: int) -> int:
    """How many tasks the kernel holds against this user's RLIMIT_NPROC, this process among them; ``most`` where a fork
    fails even so.

    Asked of the kernel, because what it counts (all of a user's tasks, or those of a namespace) differs by version. One
    fork, after a few that fail.
    """
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    for allowed in range(2, most + 1):
        resource.setrlimit(resource.RLIMIT_NPROC, (allowed, hard))
        try:
            pid = os.fork()
        except BlockingIOError:  # EAGAIN
            continue
        except OSError:
            return most  # a C library whose forks the filter doesn't know: there will be none
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return allowed - 1
    return most
