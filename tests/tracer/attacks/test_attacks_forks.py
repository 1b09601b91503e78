"""Runs that may fork: how many, how they end, and that nothing else is allowed with it.

A run of beliefs is attacked, because no other kind may fork; where a plain run stands, it is to be refused.
"""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import (
    DriveJob,
    NativeJob,
    PathJob,
    Piece,
    Program,
    ReplayJob,
    SamplesJob,
)
from trace_mine.tracer.limits import Limits

BEGIN = """
import ctypes, os, select, signal
library = ctypes.PyDLL(None, use_errno=True)
def say(*told): os.write(1, (" ".join(map(str, told)) + "\\n").encode())
def fork():  # past the interpreter's own, which asks whether it may
    pid = library.fork()
    if pid < 0: raise OSError(ctypes.get_errno(), "fork")
    return pid
def wait(seconds): select.select([], [], [], seconds)  # time.sleep waits for nobody while paths are followed
"""


SHOWING = {
    "native": lambda program, whole: NativeJob(program=program, max_depth=0),
    "drive": lambda program, whole: DriveJob(program=program, follow=0, open_statements=False),
    "replay": lambda program, whole: ReplayJob(program=program, commands=(whole,)),
    "samples": lambda program, whole: SamplesJob(
        program=program, commands=(whole,), first_seed=0, num_samples=1, max_seconds=3.0
    ),
    "path": lambda program, whole: PathJob(program=program, commands=(whole,), prefix=(), max_seconds=3.0),
}


@pytest.mark.parametrize("kind", SHOWING)
def test_what_shows_how_a_program_runs_may_not_fork(forking_target, kind):
    source = BEGIN + "try: fork(); say('forked')\nexcept PermissionError: say('refused')"
    whole = f"exec({source!r})\n"
    program = Program(pieces=(Piece(source=whole, line=1),))
    outcome = forking_target.run_job(SHOWING[kind](program, whole))
    assert outcome.stdout.startswith(b"refused\n") and b"forked" not in outcome.stdout, outcome


def test_plain_runs_may_not_fork(forking_target):
    outcome = forking_target.run("import os\ntry: os.fork(); print('forked')\nexcept OSError: print('refused')")
    assert outcome.stdout == b"refused\n", outcome


def test_a_fork_bomb_is_bounded_and_gone(forking_target):
    outcome = forking_target.believe(
        BEGIN
        + """
forked = 0
while True:
    try:
        if fork() == 0:
            say("born")
            while True:
                try:
                    if fork() == 0: say("born")
                except OSError: wait(0.01)
        forked += 1
    except OSError as error:
        say(forked, error.errno)
        break
wait(0.2)
"""
    )
    lines = outcome.stdout.decode().splitlines()
    assert 1 <= lines.count("born") <= 4 and len(lines) == lines.count("born") + 1, outcome
    assert max(lines).endswith(f" {errno.EAGAIN}") or min(lines).endswith(f" {errno.EAGAIN}"), outcome


def test_threads_count_too(forking_target):
    outcome = forking_target.believe(
        BEGIN
        + """
import threading
threading.stack_size(1 << 16)
started = 0
try:
    for _ in range(100):
        threading.Thread(target=wait, args=(5,), daemon=True).start(); started += 1
except RuntimeError: pass
try: fork(); say("forked")
except OSError: say(started)
"""
    )
    assert outcome.stdout == b"4\n", outcome


ORPHAN = (
    BEGIN
    + """
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
if fork() == 0:
    if fork() == 0:
        while True: wait(0.01)
    while True: wait(0.01)
"""
)


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("", "ok"),
        ("os._exit(0)", "no-end"),
        ("wait(100)", "wall"),
        ("while True: pass", "cpu"),
        ("while True: os.write(1, bytes(10000))", "output-limit"),
        ("os.abort()", "signal:6"),
        ("ctypes.string_at(0)", "signal:11"),
    ],
)
def test_orphans_that_ignore_signals_are_gone(forking_target, end, status):
    outcome = forking_target.believe(ORPHAN + end, wall_seconds=1.0 if status == "wall" else 30.0)
    assert outcome.status in (status, "signal:11"), outcome
    assert len(forking_target.processes()) <= forking_target.num_processes, "at once, not after a while"


def test_a_child_that_outlives_its_run_writes_nothing(forking_target):
    outcome = forking_target.believe(
        BEGIN
        + """
if fork() == 0:
    wait(0.5)
    open("late", "w").write("x"); say("late")
    os._exit(0)
"""
    )
    assert outcome.status == "ok" and outcome.stdout == b"", outcome
    later = forking_target.run("import os, time\ntime.sleep(0.7)\nprint(os.listdir('.'))")
    assert later.stdout == b"[]\n", later


def test_a_fork_of_the_interpreter_has_no_record_pipe(forking_target):
    """What forks as the interpreter does (fork points do) has closed it before anything else runs there."""
    outcome = forking_target.believe(
        BEGIN
        + """
python = ctypes.pythonapi
python.PyOS_BeforeFork()
pid = fork()
if pid == 0:
    python.PyOS_AfterFork_Child()
    for fd in range(3, 1024):
        try: os.write(fd, b"{}" * 40)
        except OSError: pass
    os._exit(0)
python.PyOS_AfterFork_Parent()
say(os.waitpid(pid, 0)[1])
"""
    )
    assert (outcome.status, outcome.stdout, len(outcome.records)) == ("ok", b"0\n", 1), outcome
    assert outcome.integrity != "forged"


def test_the_time_of_orphans_counts(forking_target):
    """What the run forked and left to init has used the run's CPU time all the same."""
    outcome = forking_target.believe(
        BEGIN
        + """
import ctypes
used = ctypes.CDLL(None).clock  # in microseconds; the pinned ones move on by each reading
inside, outside = os.pipe()
if fork() == 0:
    if fork() == 0:
        while used() < 350_000: pass
        os.write(outside, b"x")
    os._exit(0)
os.read(inside, 1)
say(used() < 250_000)
""",
        wall_seconds=30.0,
    )
    assert outcome.stdout == b"True\n", outcome
    assert outcome.cpu_seconds > 0.3


def test_what_a_fork_may_not_do(forking_target):
    outcome = forking_target.believe(
        BEGIN
        + """
import fcntl, resource
parent = os.getpid()
def attempt(name, call):
    try: call(); say(name)
    except OSError as error: refused.append(error.errno)
refused = []
inside, outside = os.pipe()
if fork() == 0:
    while True: wait(1)
other = fork()
if other == 0:
    me = library.getpid()
    calls = {
        "exec": lambda: os.execv("/bin/true", ["true"]), "setsid": os.setsid, "setpgid": lambda: os.setpgid(0, 0),
        "setpgid of the parent": lambda: os.setpgid(parent, parent), "kill all": lambda: os.kill(-1, 0),
        "kill group": lambda: os.killpg(0, 0), "kill init": lambda: os.kill(1, 0), "kill own": lambda: os.kill(me, 0),
        "kill sibling": lambda: os.kill(me - 1, 0), "limit": lambda: resource.prlimit(parent, resource.RLIMIT_CPU),
        "owner": lambda: fcntl.fcntl(inside, fcntl.F_SETOWN, parent), "reaper": lambda: prctl(36, 1),
        "death signal": lambda: prctl(1, 0),
    }
    for name, call in calls.items(): attempt(name, call)
    os.write(outside, bytes([len(calls) - len(refused)]))
    os._exit(0)
""".replace("def attempt", "def prctl(*given):\n    if library.prctl(*given): raise OSError(1, 'prctl')\ndef attempt")
        + "say(os.waitpid(other, 0)[1], os.read(inside, 1)[0])"
    )
    assert outcome.stdout == b"0 0\n", outcome


def test_other_clones_are_refused(forking_target):
    outcome = forking_target.believe(
        BEGIN
        + """
import platform
number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
call = library.syscall
plain = 0x01200011
for flags in (17, 0, plain | 0x8000, plain | 0x100, plain | 0x4000, plain | 0x10000000, plain | 0x20000000, plain - 1,
              plain | 0x80000000, 0x01000011, 0x00200011):
    result = call(ctypes.c_long(number), *map(ctypes.c_long, (flags, 0, 0, 0, 0)))
    if result == 0: os._exit(0)
    say(result, ctypes.get_errno())
for name, other in (("vfork", 58), ("fork", 57), ("clone3", 435)):
    if platform.machine() == "x86_64" or name == "clone3":
        result = call(ctypes.c_long(other), ctypes.c_long(0), ctypes.c_long(0))
        if result == 0: os._exit(0)
        say(result, ctypes.get_errno())
"""
    )
    lines = outcome.stdout.decode().splitlines()
    assert len(lines) >= 12 and set(lines) <= {f"-1 {errno.EPERM}", f"-1 {errno.ENOSYS}"}, outcome


@pytest.mark.parametrize("how", ["fork()", "os.fork()", "garbage"])
def test_a_child_can_not_forge_the_record(forking_target, how):
    """It may spoil the run that it belongs to; what is accepted is what the runner sent."""
    body = "for fd in range(3, 1024):\n        try: os.write(fd, b'{}' * 40)\n        except OSError: pass"
    if how == "garbage":
        source = f"if fork() == 0:\n    {body}\n    os._exit(0)\nwait(0.2)"
    else:
        # the child returns into our code, which must not speak for the run
        source = f"try: pid = {how}\nexcept PermissionError: pid = -1\nif pid > 0: wait(0.3); os._exit(0)"
    outcome = forking_target.believe(BEGIN + source)
    if how == "os.fork()":  # refused by the interpreter's own hook, as natively
        assert (outcome.status, len(outcome.records)) == ("ok", 1), outcome
    else:
        assert outcome.status == "no-end" or outcome.integrity in ("forged", "suspect"), outcome
        assert outcome.records == () or how == "garbage"


def test_each_process_has_the_memory_of_a_run(forking_target):
    outcome = forking_target.believe(
        BEGIN
        + """
import mmap
for size in (128, 256):
    try: mmap.mmap(-1, size << 20); say(size)
    except (OSError, MemoryError): say("refused")
"""
    )
    assert outcome.stdout == b"128\nrefused\n", outcome


def test_the_next_run_may_fork_again(forking_target):
    for _ in range(3):
        outcome = forking_target.believe(BEGIN + "if fork() == 0:\n    while True: wait(1)\nsay('forked')")
        assert (outcome.status, outcome.stdout) == ("ok", b"forked\n"), outcome


def test_a_killed_init_takes_the_forked_along(forking_target):
    """At level 2 no namespace does it: the supervisor ends what init can't any more."""
    if forking_target.supervisor != os.getpid():
        pytest.skip("does not apply: the processes of the other user's supervisor are the same")
    before = forking_target.processes()
    found = []
    thread = threading.Thread(target=lambda: found.append(forking_target.believe(ORPHAN + "wait(100)")))
    thread.start()
    deadline = time.monotonic() + 3
    while len(forking_target.processes()) < len(before) + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    during = forking_target.processes()
    assert len(during) >= len(before) + 2
    parents = {pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in during}
    top = next(pid for pid, parent in parents.items() if parent == forking_target.supervisor)
    os.kill(int(top), signal.SIGKILL)
    thread.join()
    assert found[0].status != "ok"
    deadline = time.monotonic() + 5
    while left := [pid for pid in during if _runs(pid)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_no_negative_number():
    assert Limits().forks == 0 and Limits(forks=3).forks == 3
    with pytest.raises(ValueError, match="forks > 0"):
        Limits(forks=-1)
