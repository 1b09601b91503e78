"""Bounds the processes that imports make, where no control group does. Runs inside, in init.

A zygote must be able to fork, or there would be no runners, and no limit that the kernel holds for one process bounds
what its forks take together. So init looks at them as it looks at the clock, five times a second: their number, and the
memory that they hold. A fork bomb of an import ends with its jail within that time; the module is reported.

Not covered: what is taken between two looks, and for longer where the machine gives init no processor. A control group
has no such gap.
"""

from __future__ import annotations

import resource

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.own_time import listed, read
from trace_mine.tracer.sandbox.rlimits import START_UP_BYTES

MAX_PROCESSES = 4
"""Processes beside the zygote: the next runner does not exist during imports, so all are the imports'. What modules do
with a process at import (ask git for a version, say) is refused anyway: nothing can be executed."""


def limit_passed(proc: int, limits: Limits) -> str:
    """Return what the imports have passed: the number of their processes, or the memory of all; empty for nothing.

    Args:
        proc: an open descriptor of the host's /proc.
        limits: the worker's; imports have ``memory_bytes`` and START_UP_BYTES, as their address space has.
    """
    pids = descendants(proc)
    if len(pids) > 1 + MAX_PROCESSES:  # one is the zygote
        return f"imports made {len(pids) - 1} processes, and may have {MAX_PROCESSES}"
    held = sum(_anonymous_bytes(proc, pid) for pid in pids)
    allowed = limits.memory_bytes + START_UP_BYTES
    return f"MemoryError: the processes of imports hold {held} bytes, and may hold {allowed}" if held > allowed else ""


def descendants(proc: int) -> list[str]:
    """Return the process ids, as the host's /proc has them, of all that descend from this process; at most 1,000."""
    pids: list[str] = []
    waiting = _children("self", proc)
    while waiting and len(pids) < 1_000:
        pid = waiting.pop()
        pids.append(pid)
        waiting += _children(pid, proc)
    return pids


def _children(pid: str, proc: int) -> list[str]:
    """Return the process ids of a process's children, of all its threads."""
    children: list[str] = []
    for thread in listed(f"{pid}/task", proc):
        try:
            children += read(f"{pid}/task/{thread}/children", proc).split()
        except OSError:
            continue  # it ended meanwhile
    return children


def _anonymous_bytes(proc: int, pid: str) -> int:
    """Return how much memory a process holds that no file backs; pages that it shares with its parent count again."""
    try:
        _, resident, shared = map(int, read(f"{pid}/statm", proc).split()[:3])
    except (OSError, ValueError):
        return 0  # it ended meanwhile
    return (resident - shared) * resource.getpagesize()
