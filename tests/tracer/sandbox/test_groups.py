"""The processes of a run are ended and waited for; those of others are left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from trace_mine.tracer.sandbox import groups

LEADER = """
import os, signal, sys
os.setsid()
for _ in range(2):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True: signal.pause()
print("ready", flush=True)
if sys.argv[1] == "stay": signal.pause()
"""


def lead(how: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([sys.executable, "-c", LEADER, how], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def members(leader: int) -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and in_session(path, leader)]


def in_session(path: Path, leader: int) -> bool:
    try:
        fields = (path / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in "ZX" and int(fields[3]) == leader


def test_a_session_ends_though_its_leader_is_gone():
    gone, other = lead("leave"), lead("stay")
    gone.wait()
    try:
        assert len(members(gone.pid)) == 2
        groups.end_session(gone.pid)
        assert members(gone.pid) == []
        assert len(members(other.pid)) == 3, "another session's processes are not touched"
    finally:
        groups.end_session(other.pid)
        other.wait()


def test_a_number_that_became_anothers_is_not_killed(monkeypatch):
    """Between looking and holding, a process id may pass to another process."""
    leader = lead("stay")
    victim = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    answers = iter([leader.pid])
    real = groups._session
    monkeypatch.setattr(groups, "_session", lambda pid: next(answers, None) if pid == victim.pid else real(pid))
    try:
        groups.end_session(leader.pid)
        time.sleep(0.05)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
        leader.kill()
        leader.wait()


def test_reap_counts_what_the_group_used_but_not_its_leader():
    """In a process of its own, which orphans come to, as to init."""
    source = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from trace_mine.tracer.sandbox import groups, kernel
kernel.adopt_orphans()
inside, outside = os.pipe()
leader = os.fork()
if leader == 0:
    os.setpgid(0, 0)
    if os.fork() == 0:
        while time.process_time() < 0.1: pass
        os.write(outside, b"x"); os._exit(0)
    os._exit(0)
os.read(inside, 1)
deadline = time.monotonic() + 20
while os.waitid(os.P_PID, leader, os.WEXITED | os.WNOWAIT) is None: pass
first = groups.reap(leader)
used = os.wait4(leader, 0)[2]
rest = groups.reap(leader, until_gone=True)
print(first + rest >= 0.09, first + rest < 5)
try: os.waitpid(-1, 0)
except ChildProcessError: print("nobody left")
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True True\nnobody left\n", done.stderr


def test_killing_a_group_that_is_not_there():
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    assert groups.kill(process.pid) is None
