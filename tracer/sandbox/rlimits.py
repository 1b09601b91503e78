"""The layer of resource limits: bounds what a process may use, held by the kernel. Runs inside.

Limits are only ever lowered, so that an inherited lower one stays. The zygote gets limits for its imports, each run its
own. Not covered: time spent in one call that can't be interrupted, memory bandwidth, caches.
"""

from __future__ import annotations

import os
import resource
from resource import getrlimit, setrlimit  # bound before they are pinned

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.layer import Confinement, Orders
from trace_mine.tracer.sandbox.working_folder import MAX_BYTES

START_UP_BYTES = 1 << 30
"""Address space of the zygote beyond what it maps at the start and a run's memory limit: room for imports, which
reserve far more than they touch (numpy with one BLAS thread maps about 400 MB)."""
PENDING_SIGNALS = 64
"""Queued signals and timers; Linux gives a user some 60,000, and each takes kernel memory."""
INIT_BYTES = 320 << 20
"""Address space of init beyond what it maps at the start: a message of ``wire.MAX_MESSAGE_BYTES`` four times over (its
parts, the whole, the JSON, the copy that is handed on). What the zygote says is far shorter, so no flood fills it."""
INIT_FILES = 160
"""Descriptors of init, which holds a dozen: sockets and handles of supervisor, zygote and runner, three pipes. And at
level 2 one for each level of the folders that it measures (``disk.MAX_DEPTH``)."""
INIT_FILE_BYTES = MAX_BYTES
"""Init writes the files of a working folder, and what it says on standard error when it fails."""
CPU_FACTOR = 2
"""Init ends a run at its CPU limit by the scheduler's count; RLIMIT_CPU, which counts clock ticks, ends a process with
so many times as much, and those that a run forks."""


def set_limit(which: int, soft: int, hard: int | None = None) -> None:
    """Set the resource limit ``which`` (RLIMIT_*), never above a lower hard limit that is inherited.

    Args:
        which: a constant RLIMIT_* of ``resource``.
        soft: the limit that the kernel applies.
        hard: the most that the process may raise it to; the same as ``soft`` where left out.

    Raises:
        OSError: the kernel refuses.
        ValueError: the kernel does not know the limit.
    """
    inherited = getrlimit(which)[1]
    hard = soft if hard is None else hard
    if inherited != resource.RLIM_INFINITY:
        soft, hard = min(soft, inherited), min(hard, inherited)
    setrlimit(which, (soft, hard))


def address_space(statm: int) -> int:
    """Return the address space in bytes of the process whose ``/proc/PID/statm`` is open as ``statm``."""
    return int(os.pread(statm, 64, 0).split()[0]) * resource.getpagesize()


def at_init(proc: int) -> None:
    """Set init's own limits, once the zygote is forked: what comes from inside must not make init grow. Raises OSError.

    ``proc`` is an open descriptor of /proc.
    """
    statm = os.open("self/statm", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        set_limit(resource.RLIMIT_AS, address_space(statm) + INIT_BYTES)
    finally:
        os.close(statm)
    set_limit(resource.RLIMIT_CORE, 0)
    set_limit(resource.RLIMIT_FSIZE, INIT_FILE_BYTES)
    set_limit(resource.RLIMIT_NOFILE, INIT_FILES)
    set_limit(resource.RLIMIT_NPROC, 1)  # init forks no more


def at_zygote(confinement: Confinement) -> None:
    """Set the limits for the imports, and those that no run changes. Raises OSError."""
    limits = confinement.limits
    set_limit(resource.RLIMIT_AS, address_space(confinement.statm) + limits.memory_bytes + START_UP_BYTES)
    set_limit(resource.RLIMIT_CORE, 0)  # a core file would be written outside the record of the run
    set_limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    # The kernel lets each user have 8 MB of locked memory and 800 KB of message queues, which no other limit counts.
    set_limit(resource.RLIMIT_MEMLOCK, 0)
    set_limit(resource.RLIMIT_MSGQUEUE, 0)
    set_limit(resource.RLIMIT_SIGPENDING, PENDING_SIGNALS)
    set_limit(resource.RLIMIT_NPROC, confinement.tasks + limits.processes)


def limits_of(limits: Limits) -> list[tuple[int, int, int, bool]]:
    """Return the limits of a run as ``Orders.limits`` has them, all but that of tasks."""
    return [
        # beyond what the zygote maps, which a run can't give back: the same job gets as much after large imports
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes, True),
        # SIGXCPU at the soft limit; SIGKILL at the hard one, a second later, for programs that ignore the first
        (resource.RLIMIT_CPU, CPU_FACTOR * limits.cpu_seconds, CPU_FACTOR * limits.cpu_seconds + 1, False),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes, False),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files, False),
    ]


def order_job(confinement: Confinement, limits: Limits, orders: Orders) -> None:
    """Order this run's limits."""
    max_tasks = confinement.tasks + limits.processes
    orders.limits += [*limits_of(limits), (resource.RLIMIT_NPROC, max_tasks, max_tasks, False)]


def at_job(confinement: Confinement, limits: Limits, mapped_bytes: int) -> None:
    """Set this run's limits. Raises OSError."""
    for which, soft, hard, relative in limits_of(limits):
        beyond = mapped_bytes if relative else 0
        set_limit(which, soft + beyond, hard + beyond)
    max_tasks = confinement.tasks + limits.processes
    # a run that may fork is limited by what runs now, so that exactly `forks` more can start
    set_limit(resource.RLIMIT_NPROC, min(max_tasks, tasks_now(max_tasks) + limits.forks) if limits.forks else max_tasks)


def tasks_now(max_tasks: int) -> int:
    """Count the tasks that the kernel counts against this user's RLIMIT_NPROC, this process among them.

    The kernel itself is asked, because what it counts (all of a user's tasks, or those of a namespace) differs by its
    version: the limit is raised by one until a fork succeeds. So it costs one fork, after a few that fail.

    Returns:
        The number of tasks, or ``max_tasks`` where a fork fails even under that limit.
    """
    hard = getrlimit(resource.RLIMIT_NPROC)[1]
    if hard != resource.RLIM_INFINITY:
        max_tasks = min(max_tasks, hard)
    for allowed in range(2, max_tasks + 1):
        setrlimit(resource.RLIMIT_NPROC, (allowed, hard))
        try:
            pid = os.fork()
        except BlockingIOError:  # EAGAIN
            continue
        except OSError:
            return max_tasks  # a C library whose forks the filter doesn't know: there will be none
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return allowed - 1
    return max_tasks
