"""The layer of control groups: bounds what all processes of a jail take together. Runs in the supervisor.

Resource limits are each process's own: an import that forks 35 processes has 35 times the memory. A group counts them
all, init, zygote and runners, with the pages of the scratch file system. The supervisor makes one group for each jail,
puts init in it before init runs any code but ours, and removes it when the jail has ended.

A group is a folder, which outlives a supervisor that is killed. So its name tells the supervisor's process id, the
namespace of that id, and when the supervisor started, and each supervisor removes the empty groups of those of its own
namespace that are gone: when it makes a group, and when it removes one.

Not covered: what a jail's processes took before they were moved (an interpreter that has just started), and the shared
pages of files, which the kernel counts where they were first read.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.hierarchies import LIMITING, Hierarchy, usable_hierarchies
from trace_mine.tracer.sandbox.rlimits import INIT_BYTES, START_UP_BYTES

JAIL_TASKS = 8
"""Tasks of a jail beside those of its run: outer process, init, zygote, the next runner, and as many for short-lived
forks."""
JAIL_PROCESSORS = 2
"""Processors that a jail may use at a time, beside one for each process of a run that may fork: the run's own, and the
preparation of the next one. Generous: runs compute in one thread, and a limit that is met makes a run slower by the
clock."""
CPU_PERIOD = 100_000
"""Microseconds over which the kernel counts processor time; its default."""
END_SECONDS = 5.0
"""How long processes that were killed may take until they are gone."""

_NAME = re.compile(r"trace-mine-([0-9]+)-([0-9]+)-([0-9]+)-[0-9]+")
"""Namespace and number of a supervisor, when it started, and the number of the group among its own."""
_counter = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the processes of a jail may take together.

    Raises:
        ValueError: one of them is not positive.
    """

    memory_bytes: int
    tasks: int
    processors: int

    def __post_init__(self) -> None:
        if min(self.memory_bytes, self.tasks, self.processors) <= 0:
            raise ValueError(f"expected positive Bounds, got {self}")


def bounds_of(limits: Limits) -> Bounds:
    """Return the bounds of a jail whose runs have at most ``limits``.

    A run of one process can't meet them, since its own limits are below: what they stop is the sum of several.
    """
    return Bounds(
        # the run and its forks; the imports; init; the scratch and the one that is still held by an earlier process
        memory_bytes=(1 + limits.forks) * limits.memory_bytes + START_UP_BYTES + INIT_BYTES + 2 * limits.disk_bytes,
        tasks=JAIL_TASKS + max(limits.processes, limits.forks),
        processors=JAIL_PROCESSORS + limits.forks,
    )


class ControlGroup:
    """The group of one jail, made at once: a folder in each hierarchy that offers something.

    ``version`` is that of the interface through which memory is bounded. ``folders`` maps each folder to its hierarchy.

    Raises:
        OSError: the kernel refuses a folder or a limit; nothing is left of it.
    """

    def __init__(self, bounds: Bounds, hierarchies: Iterable[Hierarchy]) -> None:
        name = f"trace-mine-{_pid_namespace()}-{os.getpid()}-{start_time(os.getpid())}-{next(_counter)}"
        self._owner_pid = os.getpid()
        self.folders: dict[str, Hierarchy] = {}
        self.version = 0
        self._events: int | None = None
        self._kills_seen = 0
        try:
            for hierarchy in hierarchies:
                remove_orphans(hierarchy.parent)
                folder = f"{hierarchy.parent}/{name}"
                os.mkdir(folder)
                self.folders[folder] = hierarchy
                for controller in hierarchy.controllers:
                    _LIMIT[controller, hierarchy.version](folder, bounds)
                if "memory" in hierarchy.controllers:
                    self.version = hierarchy.version
                    # kept open: it is read before and after each run
                    self._events = os.open(f"{folder}/{_EVENTS[self.version]}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.remove()
            raise

    def add(self, pid: int) -> None:
        """Move a process into the group; what it forks from then on is born there. Raises OSError."""
        for folder in self.folders:
            _write(f"{folder}/cgroup.procs", str(pid))

    def bound_tasks(self, tasks: int) -> None:
        """Bound the number of processes and threads of the group from now on. Raises OSError."""
        for folder, hierarchy in self.folders.items():
            if "pids" in hierarchy.controllers:
                _write(f"{folder}/pids.max", str(tasks))

    def ran_out_of_memory(self) -> bool:
        """Return True if the kernel has killed a process of the group for memory since the last call."""
        if self._events is None:
            return False
        text = os.pread(self._events, 1 << 12, 0).decode("ascii")
        kills = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)
        is_new = kills > self._kills_seen
        self._kills_seen = kills
        return is_new

    def members(self) -> set[int]:
        """Return the process ids of all members."""
        return {int(pid) for folder in self.folders for pid in _read(f"{folder}/cgroup.procs").split()}

    def remove(self) -> None:
        """Kill what is left of the jail, and remove the group; twice is fine. A fork of its maker lets go of it."""
        if self._events is not None:
            os.close(self._events)
            self._events = None
        if os.getpid() != self._owner_pid:
            return
        deadline = time.monotonic() + END_SECONDS
        while self.folders and time.monotonic() < deadline:
            self._kill()
            for folder in list(self.folders):
                with contextlib.suppress(OSError):  # its last process is ending; or it is gone
                    os.rmdir(folder)
                if not os.path.isdir(folder):
                    remove_orphans(self.folders.pop(folder).parent)
            if self.folders:
                time.sleep(0.002)

    def _kill(self) -> None:
        """Kill all members, at once where the kernel offers that, else one by one."""
        for folder in self.folders:
            with contextlib.suppress(OSError):  # cgroup.kill is new in Linux 5.14
                _write(f"{folder}/cgroup.kill", "1")
        for pid in self.members():
            try:
                handle = os.pidfd_open(pid)
            except OSError:
                continue  # it ended meanwhile
            try:
                if pid in self.members():  # again, now that the handle holds it: the number may be another's by now
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except OSError:
                continue
            finally:
                os.close(handle)


def make_group(limits: Limits) -> ControlGroup | None:
    """Return a new group for a jail with ``limits``; None where this machine offers none.

    Where memory can be bounded and the number of tasks can't, or the other way round, there is none: the layer would
    not keep its promise.
    """
    if start_time(os.getpid()) is None:
        return None  # /proc is of other process ids than ours: names would be wrong
    hierarchies = usable_hierarchies()
    offered = frozenset[str]().union(*(hierarchy.controllers for hierarchy in hierarchies))
    if not set(LIMITING) <= offered:
        return None
    try:
        return ControlGroup(bounds_of(limits), hierarchies)
    except OSError:
        return None  # a container's rules, or systemd's, refuse what the modes of the files allow


def remove_orphans(parent: str) -> None:
    """Remove the empty groups below ``parent`` whose supervisors are gone.

    A group with processes can't be removed: its jail is ending by itself, and it is left to a later call. Those of
    another namespace of process ids are left to supervisors there: their numbers mean nothing here.
    """
    try:
        names = os.listdir(parent)
        here = _pid_namespace()
    except OSError:
        return
    for name in names:
        match = _NAME.fullmatch(name)
        if match and int(match[1]) == here and start_time(int(match[2])) != int(match[3]):
            with contextlib.suppress(OSError):  # not empty yet; or another supervisor was faster
                os.rmdir(f"{parent}/{name}")


def _pid_namespace() -> int:
    """Return the number of this process's namespace of process ids. Raises OSError."""
    return os.stat("/proc/self/ns/pid").st_ino


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the boot; None where there is no such process.

    With its id this names a process for good: a later process of the same id started later.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _limit_memory_2(folder: str, bounds: Bounds) -> None:
    _write(f"{folder}/memory.max", str(bounds.memory_bytes))
    _write_if_there(f"{folder}/memory.swap.max", "0")


def _limit_memory_1(folder: str, bounds: Bounds) -> None:
    _write(f"{folder}/memory.limit_in_bytes", str(bounds.memory_bytes))
    # memory and swap together; the file is there where the kernel counts swap
    _write_if_there(f"{folder}/memory.memsw.limit_in_bytes", str(bounds.memory_bytes))


def _limit_tasks(folder: str, bounds: Bounds) -> None:
    _write(f"{folder}/pids.max", str(bounds.tasks))


def _limit_processors_2(folder: str, bounds: Bounds) -> None:
    _write(f"{folder}/cpu.max", f"{bounds.processors * CPU_PERIOD} {CPU_PERIOD}")


def _limit_processors_1(folder: str, bounds: Bounds) -> None:
    # the file is there where the kernel can bound processor time (CONFIG_CFS_BANDWIDTH)
    _write_if_there(f"{folder}/cpu.cfs_period_us", str(CPU_PERIOD))
    _write_if_there(f"{folder}/cpu.cfs_quota_us", str(bounds.processors * CPU_PERIOD))


_EVENTS = {1: "memory.oom_control", 2: "memory.events"}
"""By version: the file with a line ``oom_kill NUMBER``, the processes that the kernel has killed for memory."""
_LIMIT = {
    ("memory", 1): _limit_memory_1,
    ("memory", 2): _limit_memory_2,
    ("pids", 1): _limit_tasks,
    ("pids", 2): _limit_tasks,
    ("cpu", 1): _limit_processors_1,
    ("cpu", 2): _limit_processors_2,
}
"""By controller and version: the function that writes a group's limits."""


def _read(path: str) -> str:
    """Return the text of a group's file; empty where the group is gone."""
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    """Write a group's file in one call. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


def _write_if_there(path: str, text: str) -> None:
    """Write a group's file where this kernel has it. Raises OSError."""
    if os.path.exists(path):
        _write(path, text)
