"""What the processes of imports may take together where no control group counts them: init looks, and ends the jail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


HOLDERS = """
import os, subprocess, sys
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import import_limits
source = "held = bytearray(b'x') * (80 << 20)\\nprint(1, flush=True)\\ninput()"
pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
processes = [subprocess.Popen([sys.executable, "-c", source], **pipes) for _ in range(2)]
for process in processes:
    process.stdout.readline()
import_limits.START_UP_BYTES = 0
proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
for megabytes in (100, 400):
    print(import_limits.limit_passed(proc, Limits(memory_bytes=megabytes << 20))[:11])
for process in processes:
    process.communicate(b"\\n")
"""


def test_the_memory_of_all_counts():
    """In a process of its own, which has no other children."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", HOLDERS], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout == "MemoryError\n\n", done.stderr
