"""What the kernel says of a jail's processes, and that nothing grows from run to run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker


@pytest.fixture(params=[3, 2])
def worker(request):
    strangers = set(descendants())
    try:
        made = Worker(Jail(), Limits(), minimum_level=request.param, maximum_level=request.param)
    except SandboxUnavailable as error:
        pytest.skip(f"level {request.param} does not work here: {error}")
    made.strangers = strangers
    with made:
        yield made


def descendants() -> list[int]:
    """Processes below this one, parents first."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                parent = int(Path(entry.path, "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def waiting_jail(worker: Worker) -> dict[str, int]:
    """Process ids by role, once the next runner is waiting for its job."""
    roles = ("outer", "init", "zygote", "runner") if worker.level == 3 else ("init", "zygote", "runner")
    deadline = time.monotonic() + 10
    while True:
        pids = [pid for pid in descendants() if pid not in worker.strangers]
        # the runner is a sibling of the zygote and younger, so it comes after it
        if len(pids) == len(roles):
            try:
                waits = Path(f"/proc/{pids[-1]}/wchan").read_text()
                asleep = Path(f"/proc/{pids[-1]}/stat").read_text().rpartition(")")[2].split()[0] == "S"
            except OSError:
                asleep, waits = False, ""
            if asleep or waits:
                return dict(zip(roles, sorted(pids[:-2]) + sorted(pids[-2:]), strict=True))
        assert time.monotonic() < deadline, pids
        time.sleep(0.01)


def counted(worker: Worker) -> dict[str, tuple[int, int]]:
    """Open descriptors and mounts of each process that lives on."""
    jail = waiting_jail(worker)
    jail.pop("runner")
    counts = {}
    for role, pid in jail.items():
        try:
            fds = len(os.listdir(f"/proc/{pid}/fd"))
            mounts = len(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())
        except PermissionError:
            pytest.skip("this user may not look into the jail's processes")
        counts[role] = (fds, mounts)
    return counts


def test_nothing_grows_from_run_to_run(worker):
    def run() -> None:
        assert worker.run({"kind": "plain", "source": "open('f', 'w').write('x')"}).status == "ok"

    run()
    before = counted(worker)
    for _ in range(4):
        run()
    assert counted(worker) == before


def status(pid: int) -> dict[str, str]:
    pairs = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in pairs}


def test_what_the_kernel_says(worker):
    jail = waiting_jail(worker)
    for role in ("zygote", "runner"):
        told = status(jail[role])
        assert (told["NoNewPrivs"], told["Seccomp"]) == ("1", "2"), role
        allowed = {"0000000000000000"} if worker.level == 3 else {"0000000000000000", "0000000000000004"}
        assert told["CapEff"] in allowed and told["CapPrm"] == told["CapEff"], role
        assert int(told["CapInh"], 16) == int(told["CapAmb"], 16) == 0, role
        assert set(told["Uid"].split()) != {"0"}, role
    assert int(status(jail["runner"])["Seccomp_filters"]) == int(status(jail["zygote"])["Seccomp_filters"]) + 1
    if worker.level == 3:
        assert status(jail["init"])["NoNewPrivs"] == "1"
        for name in ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user"):
            place = f"/proc/{jail['zygote']}/ns/{name}"
            try:
                inside = os.readlink(place)
            except PermissionError:
                pytest.skip("this user may not look into the jail's processes")
            assert inside != os.readlink(f"/proc/self/ns/{name}"), name


def test_the_host_sees_no_mount(worker):
    """The jail's mounts are its own: none is propagated to the host."""
    assert "/scratch" not in Path("/proc/self/mountinfo").read_text()
