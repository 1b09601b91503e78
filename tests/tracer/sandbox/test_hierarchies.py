"""Where control groups may be made, on machines that are files here: what systemd, Docker and old kernels show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trace_mine.tracer.sandbox.hierarchies import Hierarchy, usable_hierarchies


class Machine:
    """A folder for /sys/fs/cgroup, and what /proc/self tells of it."""

    def __init__(self, place: Path) -> None:
        self.top = place / "cgroup"
        self.proc = place / "proc"
        self.proc.mkdir()
        self.mounts: list[str] = ["22 1 0:21 / /proc rw - proc proc rw"]
        self.groups: list[str] = []

    def mount(self, name: str, kind: str, options: str, root: str = "/") -> Path:
        folder = self.top / name if name else self.top
        folder.mkdir(parents=True, exist_ok=True)
        shown = str(folder).replace(" ", "\\040")
        self.mounts.append(f"30 22 0:30 {root} {shown} rw,nosuid shared:9 - {kind} cgroup rw,{options}")
        return folder

    def group(self, folder: Path, handed_on: str = "", **files: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("")
        (folder / "cgroup.subtree_control").write_text(handed_on)
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        return folder

    def usable(self) -> list[tuple[int, str, set[str]]]:
        (self.proc / "mountinfo").write_text("\n".join(self.mounts))
        (self.proc / "cgroup").write_text("\n".join(self.groups))
        found = usable_hierarchies(str(self.proc))
        return [(each.version, os.path.relpath(each.parent, self.top), set(each.controllers)) for each in found]


@pytest.fixture(params=["plain", "with a space"])
def machine(tmp_path, request):
    place = tmp_path / request.param
    place.mkdir()
    return Machine(place)


ALL = "cpu io memory pids"


def systemd(machine: Machine) -> Path:
    """A user's session: the user's service is the user's, and hands controllers on, as the slices above do."""
    top = machine.group(machine.mount("", "cgroup2", "nsdelegate"), ALL, cgroup_controllers=ALL)
    machine.group(top / "user.slice", "memory pids")
    return machine.group(top / "user.slice/user@7.service", "memory pids")


def test_a_users_terminal(machine):
    service = systemd(machine)
    machine.group(service / "app.slice", "memory pids")
    machine.group(service / "app.slice/terminal.scope", memory_max="max\n", cpu_max="max 100000\n")
    machine.groups = ["0::/user.slice/user@7.service/app.slice/terminal.scope"]
    assert machine.usable() == [(2, "user.slice/user@7.service/app.slice", {"memory", "pids"})]


def test_a_group_with_a_limit_is_not_escaped(machine):
    service = systemd(machine)
    scope = machine.group(service / "limited.scope")
    machine.groups = ["0::/user.slice/user@7.service/limited.scope"]
    for name, limits, none in (
        ("memory.max", ["4294967296\n", "100000\n", "0\n"], "max\n"),
        ("memory.high", ["5\n"], "max\n"),
        # one processor is a limit too: its quota is the period
        ("cpu.max", ["50000 100000\n", "100000 100000\n", "100000 50000\n"], "max 100000\n"),
        ("cpuset.cpus", ["0\n", "0-3,5\n"], "\n"),
        ("cpuset.mems", ["0\n"], "\n"),
        ("io.max", ["8:16 rbps=2097152 wbps=max riops=max wiops=120\n"], ""),
    ):
        for limit in limits:
            (scope / name).write_text(limit)
            assert machine.usable() == [], (name, limit)
        (scope / name).write_text(none)
        assert machine.usable() != [], name
    # in a limited group that hands controllers on, the limit holds for what is made below
    (scope / "memory.max").write_text("5\n")
    (scope / "cgroup.subtree_control").write_text(ALL)
    assert machine.usable() == [(2, "user.slice/user@7.service/limited.scope", {"memory", "pids", "cpu"})]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_are_not_ours(machine):
    service = systemd(machine)
    machine.group(service / "terminal.scope")
    machine.groups = ["0::/user.slice/user@7.service/terminal.scope"]
    for folder in (service, service.parent, machine.top):
        folder.chmod(0o555)
    try:
        assert machine.usable() == []
    finally:
        for folder in (machine.top, service.parent, service):
            folder.chmod(0o755)


def test_no_group_above_hands_on_what_is_needed(machine):
    top = machine.group(machine.mount("", "cgroup2", "rw"), "cpu memory", cgroup_controllers=ALL)
    machine.group(top / "a/b", "pids")
    machine.groups = ["0::/a/b"]
    assert machine.usable() == []


def test_version_1_beside_an_empty_version_2(machine):
    """As on machines where systemd runs in hybrid mode; cpu and cpuacct are one hierarchy there."""
    for name, options in (
        ("memory", "memory"),
        ("cpu,cpuacct", "cpu,cpuacct"),
        ("pids", "pids"),
        ("devices", "devices"),
    ):
        folder = machine.mount(name, "cgroup", options)
        machine.group(folder / "jobs/1")
        machine.groups.append(f"4:{options}:/jobs/1")
    unified = machine.group(machine.mount("unified", "cgroup2", "rw"), cgroup_controllers="")
    machine.group(unified / "jobs/1")
    machine.groups.append("0::/jobs/1")
    assert machine.usable() == [
        (1, "memory/jobs/1", {"memory"}),
        (1, "cpu,cpuacct/jobs/1", {"cpu"}),
        (1, "pids/jobs/1", {"pids"}),
        (2, "unified/jobs/1", set()),
    ]


def test_a_container_sees_a_part_of_the_tree(machine):
    """A bind of the container's group without a namespace: the path is the host's, the mount shows what is below."""
    folder = machine.mount("memory", "cgroup", "memory", root="/docker/1")
    machine.group(folder)
    machine.group(folder / "inner")
    machine.groups = ["4:memory:/docker/1"]
    assert machine.usable() == [(1, "memory", {"memory"})]
    machine.groups = ["4:memory:/docker/1/inner"]
    assert machine.usable() == [(1, "memory/inner", {"memory"})]
    for outside in ("/docker/2", "/", "/../other"):
        machine.groups = [f"4:memory:{outside}"]
        assert machine.usable() == [], outside


def test_nothing_is_told(tmp_path):
    assert usable_hierarchies(str(tmp_path)) == ()


def test_there_are_two_versions():
    with pytest.raises(ValueError, match="version 1 or 2, got 3"):
        Hierarchy(version=3, parent="/", controllers=frozenset())
