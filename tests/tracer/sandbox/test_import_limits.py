"""What the processes of imports may take together where no control group counts them: init looks, and ends the jail."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Mount, SandboxUnavailable, Worker
from trace_mine.tracer.sandbox.import_limits import MAX_PROCESSES, descendants, limit_passed

LIMITS = Limits(memory_bytes=128 << 20)
BOMBS = {
    "one after the other": """
import os, time
while True:
    try:
        if os.fork() == 0: time.sleep(1000)
    except OSError:
        time.sleep(1)
""",
    "each by the one before, and orphaned": """
import os, time
for _ in range(20):
    try:
        pid = os.fork()
    except OSError:
        break
    if pid:
        if _: os._exit(0)
        time.sleep(1000)
    os.setsid()
time.sleep(1000)
""",
    "few with much": """
import os, time
for _ in range(3):
    if os.fork() == 0:
        held = bytearray(b"x") * (700 << 20)
        time.sleep(1000)
time.sleep(1000)
""",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("level", [3, 2])
def test_a_fork_bomb_at_import(level, bomb, tmp_path):
    repository = tmp_path / "repo"
    repository.mkdir()
    (repository / "bomb.py").write_text(BOMBS[bomb])
    jail = Jail(mounts=(Mount(source=repository, target="/repo"),), sys_path=("/repo",), warm=("bomb",))
    options = {"minimum_level": level, "maximum_level": level, "ablate": frozenset({"cgroup"})}
    try:
        worker = Worker(jail, LIMITS, warm_seconds=60.0, **options)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    with worker:
        assert "processes" in worker.warm_failures["bomb"], worker.warm_failures
        assert worker.run(PlainJob(source="print(1)")).stdout == b"1\n"


def test_descendants_are_found_at_any_distance():
    source = "import os, time\nfor _ in range(3):\n    if os.fork(): break\nprint(1, flush=True)\ntime.sleep(1000)"
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    before = set(descendants(proc))
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, start_new_session=True)
    try:
        for _ in range(4):
            process.stdout.readline()
        found = set(descendants(proc)) - before
        assert len(found) == 4 and str(process.pid) in found
        assert "processes" in limit_passed(proc, LIMITS) if len(found | before) > 1 + MAX_PROCESSES else True
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()
        os.close(proc)


def test_the_memory_of_all_counts():
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    if len(descendants(proc)) > MAX_PROCESSES - 1:
        pytest.skip("other tests of this process keep workers")
    source = "held = bytearray(b'x') * (80 << 20)\nprint(1, flush=True)\ninput()"
    processes = [
        subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for process in processes:
            process.stdout.readline()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trace_mine.tracer.sandbox.import_limits.START_UP_BYTES", 0)
            assert limit_passed(proc, Limits(memory_bytes=100 << 20)).startswith("MemoryError")
            assert limit_passed(proc, Limits(memory_bytes=400 << 20)) == ""
    finally:
        for process in processes:
            process.kill()
            process.communicate()
        os.close(proc)
