"""What the kernel says of a jail's processes, and that nothing grows from run to run."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker, start_up
from trace_mine.tracer.sandbox.jail import DEVICES
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers
from trace_mine.tracer.sandbox.view import RANDOM_DEVICES


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
    """Processes below this one, parents first, siblings by age.

    A process id says nothing of age: the kernel begins again at the bottom when its range is used up.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parent, started = int(fields[1]), int(fields[19])
            children.setdefault(parent, []).append((started, int(entry.name)))
    found = [os.getpid()]
    for pid in found:
        found += [child for _, child in sorted(children.get(pid, []))]
    return found[1:]


def blocked_call(pid: int) -> int:
    """The number of the system call that a process waits in, -1 where it is not in one."""
    text = Path(f"/proc/{pid}/syscall").read_text()
    return -1 if text.startswith("running") else int(text.split()[0])


def waiting_jail(worker: Worker) -> dict[str, int]:
    """Process ids by role, once init waits for the supervisor, the zygote for init, and the next runner for its job.

    That a process sleeps is not enough: a runner sleeps too while it waits for its parent, before it is confined.
    Zygote and runner receive descriptors (recvmsg) only where they wait for a message of init.
    """
    numbers = syscall_numbers(machine_of_this_process())
    polls, receives = {numbers.get("poll"), numbers["ppoll"]}, {numbers["recvmsg"]}
    waits_in = {"init": polls, "zygote": receives, "runner": receives}
    roles = ("outer", "init", "zygote", "runner") if worker.level == 3 else ("init", "zygote", "runner")
    deadline = time.monotonic() + 60  # only against a test that hangs
    while True:
        pids = [pid for pid in descendants() if pid not in worker.strangers]
        if len(pids) == len(roles):
            # the runner is a sibling of the zygote and younger, so it comes after it
            jail = dict(zip(roles, pids, strict=True))
            try:
                if all(blocked_call(jail[role]) in calls for role, calls in waits_in.items()):
                    return jail
            except PermissionError:
                pytest.skip("this user may not look into the jail's processes")
            except (FileNotFoundError, ProcessLookupError):
                pass  # the runner before has just ended
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
        assert worker.run(PlainJob(source="open('f', 'w').write('x')")).status == "ok"

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
    # root's jail keeps CAP_DAC_READ_SEARCH where it could not read its interpreter otherwise; Landlock bounds it
    hidden = not all(map(start_up._readable_by_all, worker._interpreter.paths))
    capability = 1 << 2 if worker.level == 2 and os.geteuid() == 0 and hidden else 0
    for role in ("zygote", "runner"):
        kernel_says = status(jail[role])
        assert (kernel_says["NoNewPrivs"], kernel_says["Seccomp"]) == ("1", "2"), role
        assert kernel_says["CapPrm"] == kernel_says["CapEff"] == f"{capability:016x}", role
        assert int(kernel_says["CapInh"], 16) == int(kernel_says["CapAmb"], 16) == 0, role
        assert set(kernel_says["Uid"].split()) != {"0"}, role
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


def test_every_mount_but_the_scratch_is_read_only(worker):
    if worker.level < 3:
        pytest.skip("does not apply: level 2 has the host's mounts")
    lines = Path(f"/proc/{waiting_jail(worker)['zygote']}/mountinfo").read_text().splitlines()
    options = {line.split()[4]: set(line.split()[5].split(",")) for line in lines}
    writable = {place for place, given in options.items() if "ro" not in given}
    # in a recording jail files of the view stand for the random ones
    devices = {device for device in DEVICES if os.path.exists(device)} - set(RANDOM_DEVICES)
    assert writable == {"/scratch", *devices}
    assert {"nosuid", "nodev", "noexec"} <= options["/scratch"]
    assert "nosuid" in options["/"] and "nodev" in options["/"]


def test_the_host_sees_no_mount(worker):
    """The jail's mounts are its own: none is propagated to the host."""
    assert "/scratch" not in Path("/proc/self/mountinfo").read_text()
