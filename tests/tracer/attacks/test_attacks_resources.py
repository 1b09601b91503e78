"""Memory, time, output, recursion: the run ends, with the status that says why."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "source",
    ["x = bytearray(1 << 30)", "x = []\nwhile True:\n    x.append(bytes(1 << 20))", "x = 'ab' * (1 << 30)"],
    ids=["at once", "bit by bit", "string"],
)
def test_memory(target, source):
    outcome = target.run(source, events=10**9)
    assert (outcome.status, outcome.exception) == ("memory", "MemoryError")
    assert outcome.peak_memory_bytes < 400 << 20


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.match('(a+)+$', 'a' * 64 + 'b')",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nsum(range(10**12))",
    ],
    ids=["regular expression", "SIGXCPU ignored"],
)
def test_endless_loop_in_c(target, source):
    outcome = target.run(source, wall_seconds=30.0)
    assert (outcome.status, outcome.integrity) == ("cpu", "truncated"), outcome
    # CPU time, which other load does not lengthen: the limit is 1 s, and a second later nothing can ignore it
    assert 0.6 < outcome.cpu_seconds < 10


@pytest.mark.parametrize(
    "source",
    [
        "import time\nwhile True:\n    time.sleep(100)",
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(100)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\nimport time\ntime.sleep(100)",
        "import threading\nthreading.Lock().acquire()\nlock = threading.Lock(); lock.acquire(); lock.acquire()",
        "class Sticky:\n    def __del__(self):\n        import time; time.sleep(100)\nraise ValueError(Sticky())\n",
    ],
    ids=["sleep", "signals ignored", "stopped", "deadlock", "sleep at the end"],
)
def test_waiting_ends_at_the_wall(target, source):
    outcome = target.run(source, wall_seconds=0.4)
    assert outcome.status in ("wall", "exception"), outcome
    assert outcome.status == "wall" or "ValueError" in source
    assert outcome.wall_seconds < 60, "only against a limit that does not work: the program waits for 100 s"


def test_endless_python_loop_ends_at_the_event_limit(target):
    outcome = target.run("while True:\n    pass", events=1000)
    assert (outcome.status, outcome.integrity) == ("trace-limit", "clean")


def test_output(target):
    outcome = target.run("import sys\nwhile True:\n    sys.stdout.write('x' * 10000)", events=10**9)
    assert outcome.status == "output-limit"
    assert len(outcome.stdout) == 1 << 18
    errors = target.run("import os\nwhile True:\n    os.write(2, b'x' * 10000)", events=10**9)
    assert errors.status == "output-limit"


def test_a_flood_on_the_record_pipe(target):
    outcome = target.run("""
import os
for fd in range(3, 1024):
    try:
        while True: os.write(fd, bytes(10000))
    except OSError:
        pass
""", events=10**9, record_bytes=1 << 20)  # fmt: skip
    assert (outcome.status, outcome.integrity, outcome.records) == ("trace-limit", "forged", ())


def test_recursion(target):
    plain = target.run("def f(n):\n    return f(n + 1)\nf(0)")
    assert (plain.status, plain.exception) == ("exception", "RecursionError")
    deep = target.run(
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self): return repr(self)\nrepr(A())"
    )
    assert deep.status in ("signal:11", "memory", "trace-limit") or deep.exception == "RecursionError", deep
    nested = target.run("eval('(' * 100000 + ')' * 100000)")
    assert nested.status in ("exception", "memory"), nested
