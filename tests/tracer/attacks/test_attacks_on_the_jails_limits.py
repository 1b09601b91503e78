"""Several processes together: what each may take alone, all of them may not. Only a control group counts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.cgroups import JAIL_TASKS, bounds_of
from trace_mine.tracer.sandbox.jail_process import IMPORT_TASKS

LIMITS = Limits(memory_bytes=256 << 20, disk_bytes=64 << 20, file_bytes=64 << 20, cpu_seconds=8, wall_seconds=10.0)
FILL = """
import os
def fill(megabytes):
    return [bytearray(b"x" * (1 << 20)) for _ in range(megabytes)]
"""
MANY = (
    FILL
    + """
# each below its own limit, of 256 MiB and what imports may take; together far above the jail's
held = []
for _ in range(24):
    pid = os.fork()
    if pid == 0:
        held = fill(200)
        import time
        time.sleep(1000)
time.sleep(8)
""".replace("time.sleep(8)", "import time\ntime.sleep(8)")
)


def start(level: int, jail: Jail = Jail(), **options: object) -> Worker:  # noqa: B008  # Jail is frozen
    try:
        worker = Worker(jail, LIMITS, minimum_level=level, maximum_level=level, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    if "cgroup" not in worker.layers:
        worker.close()
        pytest.skip("this user may not make control groups here")
    return worker


def serves(worker: Worker) -> None:
    after = worker.run(PlainJob(source="print('still here')"))
    assert (after.status, after.integrity, after.stdout) == ("ok", "clean", b"still here\n"), after


@pytest.mark.parametrize("level", [3, pytest.param(2, marks=pytest.mark.slow)])  # of the same control group
def test_memory_over_several_processes(level):
    """Without the filter that refuses forks, so that it is this layer that holds."""
    with start(level, ablate=frozenset({"seccomp"})) as worker:
        outcome = worker.run(PlainJob(source=MANY))
        assert (outcome.status, outcome.integrity) == ("memory", "truncated"), outcome
        peak = peak_of(worker)
        assert peak is None or peak <= bounds_of(LIMITS).memory_bytes
        serves(worker)


def peak_of(worker: Worker) -> int | None:
    """The most memory that the jail's group ever had; None where another jail has taken its place."""
    group = worker._processes[-1]._cgroup
    for folder in group.folders:
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if Path(folder, name).exists():
                return int(Path(folder, name).read_text())
    return None


def test_the_scratch_counts():
    """A tmpfs is memory: what lies there is the jail's, too. Two jails' limits of it fit, beside a run's memory."""
    with start(3) as worker:
        before = used_by(worker)
        outcome = worker.run(PlainJob(source="open('big', 'wb').write(bytes(48 << 20))\nprint(1)"))
        assert outcome.status == "ok"
        assert peak_of(worker) - before > 40 << 20


def used_by(worker: Worker) -> int:
    for folder in worker._processes[-1]._cgroup.folders:
        for name in ("memory.usage_in_bytes", "memory.current"):
            if Path(folder, name).exists():
                return int(Path(folder, name).read_text())
    raise AssertionError("no file tells")


FORK_BOMB = (
    FILL
    + """
children = []
while len(children) < 35:
    try:
        pid = os.fork()
    except OSError:
        break
    if pid == 0:
        held = fill(1000)
        import time
        time.sleep(1000)
    children.append(pid)
"""
)


@pytest.mark.parametrize("level", [3, 2])
def test_an_import_that_forks_processes_of_a_gigabyte(level, tmp_path):
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "bomb.py").write_text(FORK_BOMB)
    jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("bomb",))
    with start(level, jail, warm_seconds=5.0) as worker:
        assert peak_of(worker) <= bounds_of(LIMITS).memory_bytes
        serves(worker)
        assert len(worker._processes[-1]._cgroup.members()) <= JAIL_TASKS + IMPORT_TASKS + 1  # one is the next runner


def test_threads_of_imports_work(tmp_path):
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "pooled.py").write_text("""
from concurrent.futures import ThreadPoolExecutor
import threading
barrier = threading.Barrier(4, timeout=20)
with ThreadPoolExecutor(4) as pool:
    results = list(pool.map(lambda n: barrier.wait() >= 0 and n, range(4)))
""")
    jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("pooled",))
    with start(3, jail) as worker:
        assert worker.warm_failures == {}
        assert worker.run(PlainJob(source="import pooled\nprint(pooled.results)")).stdout == b"[0, 1, 2, 3]\n"
