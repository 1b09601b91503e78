"""A jail's control group: made, limited, and removed whatever dies. These tests run where this machine lets us make
groups; where it plainly does and our code says it does not, they fail.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, cgroups, hierarchies
from trace_mine.tracer.sandbox.cgroups import Bounds, ControlGroup, bounds_of, make_group, remove_orphans, start_time
from trace_mine.tracer.sandbox.hierarchies import Hierarchy, usable_hierarchies

LIMITS = Limits(memory_bytes=128 << 20, disk_bytes=8 << 20, cpu_seconds=5)


def offered_here() -> bool:
    """Asked without our own code: root may make groups of version 1 that bound memory and tasks."""
    places = [Path("/sys/fs/cgroup", name) for name in ("memory", "pids")]
    return os.geteuid() == 0 and all(os.access(place / "cgroup.procs", os.W_OK) for place in places)


@pytest.fixture(autouse=True)
def offered():
    """Skip where nothing is offered; afterwards no group is left but those of jails that were there before.

    Workers of a session-wide fixture may be there: pytest-xdist sends each process tests of several files.
    """
    names = {name for each in usable_hierarchies() for name in each.controllers}
    if not {"memory", "pids"} <= names:
        assert not offered_here(), "this machine lets us make groups"
        pytest.skip("this user may not make control groups here")
    before = groups_of(os.getpid())
    yield before
    assert groups_of(os.getpid()) == before


def groups_of(*pids: int) -> list[str]:
    """The folders of all groups that these supervisors made."""
    return sorted(
        str(place)
        for hierarchy in usable_hierarchies()
        for pid in pids
        for place in Path(hierarchy.parent).glob(f"trace-mine-*-{pid}-*-*")
    )


def start(level: int = 3, limits: Limits = LIMITS, **options: object) -> Worker:
    try:
        return Worker(Jail(), limits, minimum_level=level, maximum_level=level, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")


def plain(worker: Worker, source: str, **limits: float):
    return worker.run(PlainJob(source=source), dataclasses.replace(worker.limits, **limits))


def test_the_kernel_says_the_limits_back():
    group = make_group(LIMITS)
    bounds = bounds_of(LIMITS)
    told = {}
    for folder in group.folders:
        for name in ("memory.limit_in_bytes", "memory.max", "pids.max", "cpu.cfs_quota_us", "cpu.max"):
            with contextlib.suppress(OSError):
                told[name] = Path(folder, name).read_text().split()[0]
    assert {name: text for name, text in told.items() if name.startswith("memory")} == {
        {1: "memory.limit_in_bytes", 2: "memory.max"}[group.version]: str(bounds.memory_bytes)
    }
    assert told["pids.max"] == str(bounds.tasks) == "40"
    processors = {told[name] for name in ("cpu.cfs_quota_us", "cpu.max") if name in told}
    assert processors <= {"200000"}
    group.bound_tasks(3)
    assert [
        Path(folder, "pids.max").read_text() for folder in group.folders if "pids" in group.folders[folder].controllers
    ] == ["3\n"]
    group.remove()
    group.remove()


@pytest.mark.parametrize("level", [3, 2])
def test_all_of_a_jail_is_inside_from_the_start(level):
    before = children()
    with start(level) as worker:
        group = worker._processes[0]._cgroup
        await_that(lambda: len(children() - before) == (4 if level == 3 else 3))  # the next runner comes last
        jail = children() - before
        for folder in group.folders:
            assert {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()} == jail
        assert "cgroup" in worker.layers
        assert plain(worker, "print(1)").stdout == b"1\n"


def await_that(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60  # only against a test that hangs
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children() -> set[int]:
    """All living descendants of this process."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            state, parent = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(entry)] = int(parent)
    found = {os.getpid()}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {os.getpid()}


def test_without_the_layer_there_is_no_group(offered):
    with start(3, ablate=frozenset({"cgroup"})) as worker:
        assert "cgroup" not in worker.layers
        assert groups_of(os.getpid()) == offered


@pytest.mark.parametrize("missing", ["memory", "pids", None])
def test_a_machine_that_offers_half_has_no_layer(missing, monkeypatch):
    """And nothing is claimed."""
    here = [each for each in usable_hierarchies() if missing and missing not in each.controllers]
    monkeypatch.setattr(cgroups, "usable_hierarchies", lambda: tuple(here))
    assert make_group(LIMITS) is None
    with start(3) as worker:
        assert "cgroup" not in worker.layers
        assert plain(worker, "print(1)").stdout == b"1\n"


def test_a_refused_limit_leaves_nothing(monkeypatch):
    monkeypatch.setitem(cgroups._LIMIT, ("pids", 1), lambda folder, bounds: os.mkdir(folder))
    monkeypatch.setitem(cgroups._LIMIT, ("pids", 2), lambda folder, bounds: os.mkdir(folder))
    assert make_group(LIMITS) is None


def test_twenty_jails_at_once():
    with ThreadPoolExecutor(20) as pool:
        groups = list(pool.map(lambda number: make_group(LIMITS), range(20)))
        assert len({folder for group in groups for folder in group.folders}) == sum(
            len(group.folders) for group in groups
        )
        list(pool.map(ControlGroup.remove, groups))


SUPERVISOR = """
import sys, time
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Worker
from trace_mine.tracer.inside.protocol.jobs import PlainJob
worker = Worker(Jail(), Limits(memory_bytes=128 << 20), minimum_level=int(sys.argv[1]), maximum_level=int(sys.argv[1]))
assert "cgroup" in worker.layers
print("started", flush=True)
worker.run(PlainJob(source="import time\\ntime.sleep(1000)"), Limits(memory_bytes=128 << 20, wall_seconds=1000))
"""


@pytest.mark.parametrize("level", [3, 2])
def test_a_killed_supervisor_leaves_no_group_for_long(level):
    """Its jail ends by itself; the empty group goes with the next supervisor that makes one or removes one."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(level)], stdout=subprocess.PIPE, env=environment
    ) as killed:
        if killed.stdout.readline() != b"started\n":
            pytest.skip(f"level {level} does not work here")
        assert groups_of(killed.pid)
        killed.kill()
        killed.wait()
        await_that(lambda: not any(Path(folder, "cgroup.procs").read_text() for folder in groups_of(killed.pid)))
        make_group(LIMITS).remove()
        assert groups_of(killed.pid) == []


def test_only_groups_of_the_dead_are_removed():
    """A process id that another process has by now is known by its start time; a name of another kind is another's, as
    is one with the id of another container, where it may live.
    """
    parent = usable_hierarchies()[0].parent
    mine = start_time(os.getpid())
    here = os.stat("/proc/self/ns/pid").st_ino
    names = {
        f"trace-mine-{here}-{os.getpid()}-{mine}-900": True,
        f"trace-mine-{here}-{os.getpid()}-{mine + 1}-900": False,
        f"trace-mine-{here}-4194303-5-900": False,
        f"trace-mine-{here + 1}-4194303-5-900": True,
        f"trace-mine-{here + 1}-{os.getpid()}-{mine + 1}-900": True,
        f"trace-mine-{here}-4194303-5-900-x": True,
        f"trace-mine-{here}-x-5-900": True,
    }
    for name in names:
        os.mkdir(f"{parent}/{name}")
    try:
        remove_orphans(parent)
        assert {name: os.path.isdir(f"{parent}/{name}") for name in names} == names
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                os.rmdir(f"{parent}/{name}")
    remove_orphans(f"{parent}/that/is/none")


@pytest.mark.parametrize("with_kill", [True, False], ids=["cgroup.kill", "one by one"])
def test_what_is_left_of_a_jail_is_killed(with_kill, monkeypatch):
    """Also what no longer has a living ancestor in the jail."""
    if not with_kill:
        write = cgroups._write
        monkeypatch.setattr(cgroups, "_write", lambda path, text: None if path.endswith(".kill") else write(path, text))
    group = make_group(LIMITS)
    source = "import os, time\nfor _ in range(3):\n    if os.fork(): break\n    os.setsid()\ntime.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", f"input()\n{source}"], stdin=subprocess.PIPE)
    group.add(process.pid)
    process.stdin.write(b"\n")
    process.stdin.flush()
    await_that(lambda: len(group.members()) == 4)
    members = group.members()
    group.remove()
    assert process.wait(20) == -signal.SIGKILL
    process.stdin.close()
    assert not any(
        start_time(pid) and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        for pid in members
    )


def test_a_fork_of_the_supervisor_does_not_touch_the_group():
    group = make_group(LIMITS)
    pid = os.fork()
    if pid == 0:
        group.remove()
        os._exit(0)
    os.waitpid(pid, 0)
    assert all(map(os.path.isdir, group.folders)) and not group.ran_out_of_memory()
    group.remove()


def test_bounds_are_above_every_single_run():
    """What one run may take alone must not meet the group's limit: then its own limits decide, as without a group."""
    for limits in (Limits(), Limits(forks=6), Limits(processes=2, forks=9), Limits(memory_bytes=1 << 20)):
        bounds = bounds_of(limits)
        assert bounds.memory_bytes > (1 + limits.forks) * limits.memory_bytes + limits.disk_bytes
        assert bounds.tasks > max(limits.processes, limits.forks)
    with pytest.raises(ValueError, match="positive Bounds"):
        Bounds(memory_bytes=0, tasks=1, processors=1)


def test_version_2_is_written_as_its_document_says(tmp_path):
    """On files, since the controllers of this machine may be version 1's."""
    (tmp_path / "parent").mkdir()
    made = []

    real_mkdir, real_rmdir = os.mkdir, os.rmdir

    def rmdir(path: str) -> None:
        """As the kernel's: the files of a group go with it."""
        for name in os.listdir(path):
            os.unlink(f"{path}/{name}")
        real_rmdir(path)

    def mkdir(path: str) -> None:
        real_mkdir(path)
        for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max", "cgroup.procs", "cgroup.kill"):
            Path(path, name).write_text("")
        Path(path, "memory.events").write_text("low 0\nhigh 0\nmax 4\noom 1\noom_kill 0\noom_group_kill 0\n")
        made.append(path)

    hierarchy = Hierarchy(version=2, parent=str(tmp_path / "parent"), controllers=frozenset(hierarchies.CONTROLLERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "mkdir", mkdir)
        patch.setattr(os, "rmdir", rmdir)
        group = ControlGroup(Bounds(memory_bytes=5 << 20, tasks=9, processors=3), [hierarchy])
        (folder,) = made
        told = {
            name: Path(folder, name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max")
        }
        assert told == {"memory.max": "5242880", "memory.swap.max": "0", "pids.max": "9", "cpu.max": "300000 100000"}
        assert group.version == 2 and not group.ran_out_of_memory()
        Path(folder, "memory.events").write_text("low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\noom_group_kill 0\n")
        assert group.ran_out_of_memory() and not group.ran_out_of_memory()
        group.add(os.getpid())
        assert Path(folder, "cgroup.procs").read_text() == str(os.getpid())
        Path(folder, "cgroup.procs").write_text("")
        group.remove()
    assert not os.path.exists(folder)
