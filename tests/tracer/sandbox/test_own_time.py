"""A process's own time: what it computes and what it sleeps count, what it waits for a processor does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from trace_mine.tracer.sandbox import own_time
from trace_mine.tracer.sandbox.own_time import OwnTime

BUSY = "while True: pass"
THREADS = """
import hashlib, threading
def work():
    while True: hashlib.sha256(bytes(1 << 20))
threading.Thread(target=work).start()
threading.Event().wait()
"""
FORKS = "import os\nif os.fork() == 0:\n    while True: pass\nos.wait()"


class Watched(NamedTuple):
    process: subprocess.Popen[bytes]
    handle: int
    proc: int

    def clock(self, limit_seconds: float, **options: object) -> OwnTime:
        return OwnTime(self.process.pid, self.handle, options.pop("proc", self.proc), limit_seconds, **options)


@contextmanager
def running(source: str, processors: set[int] | None = None) -> Iterator[Watched]:
    source = (
        f"import os\nos.sched_setaffinity(0, {processors or os.sched_getaffinity(0)})\nprint(1, flush=True)\n{source}"
    )
    # a group of its own: a source that forks leaves a busy child, which has to end with it. No session of its own: the
    # scheduler shares the processors between sessions, not between their processes
    process = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, process_group=0)
    process.stdout.readline()
    handle, proc = os.pidfd_open(process.pid), os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    try:
        yield Watched(process, handle, proc)
    finally:
        if process.returncode is None:  # else its number may be another group's by now
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        os.close(handle)
        os.close(proc)


def until_over(clock: OwnTime) -> float:
    """Look until the limit is passed; returns how long that took by the clock."""
    began = time.monotonic()
    while not clock.over():
        assert time.monotonic() < began + 60, "only against a clock that stands still"
        time.sleep(clock.wait_seconds(0.05))
    return time.monotonic() - began


@pytest.mark.parametrize("proc", [True, None], ids=["run_delay", "processor time alone"])
def test_a_sleep_is_own_time(proc):
    with running("import time\ntime.sleep(100)") as watched:
        clock = watched.clock(0.4, **({} if proc else {"proc": None}))
        assert until_over(clock) >= 0.39
        assert not clock.mostly_computed
        assert clock.cpu_seconds < 0.2


@pytest.mark.parametrize("source", [BUSY, THREADS], ids=["one thread", "a thread beside"])
@pytest.mark.parametrize("proc", [True, None], ids=["run_delay", "processor time alone"])
def test_processor_time_is_own_time(source, proc):
    with running(source) as watched:
        clock = watched.clock(0.4, **({} if proc else {"proc": None}))
        until_over(clock)
        assert clock.mostly_computed


@pytest.mark.parametrize("proc", [True, None], ids=["run_delay", "processor time alone"])
def test_the_wait_for_a_processor_is_not(proc):
    """Four processes on one processor: each has a quarter of it."""
    one = {min(os.sched_getaffinity(0))}
    source = f"import os\nos.sched_setaffinity(0, {one})\nprint(flush=True)\n{BUSY}"
    others = [subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) for _ in range(3)]
    for other in others:
        other.stdout.readline()  # not sooner: while it starts it leaves the processor to the others
    try:
        with running(BUSY, one) as watched:
            clock = watched.clock(0.3, **({} if proc else {"proc": None}))
            seconds = until_over(clock)
            # half of the wait that is expected, since the scheduler may favour a process for a while
            assert seconds > 0.6, (seconds, clock.own_seconds, clock.cpu_seconds)
            assert clock.own_seconds < 0.3 + own_time.LOOK_SECONDS + 0.2
            assert clock.mostly_computed
    finally:
        for process in others:
            process.kill()
            process.wait()


def test_what_forks_compute_counts_where_it_is_asked_for():
    with running(FORKS) as watched:
        alone, together = watched.clock(0.4), watched.clock(0.4, forks=True)
        until_over(together)
        alone.look()
        assert not alone.mostly_computed and together.mostly_computed


def test_the_guard_is_by_the_clock(monkeypatch):
    """What never gets a processor comes to an end too."""
    with running(BUSY) as watched:
        clock = watched.clock(0.05)
        monkeypatch.setattr(clock, "_of_threads", lambda pid: (1e9, 0.0, 0.0))
        assert until_over(clock) >= 0.5
        assert clock.own_seconds == 0.0


def test_a_process_that_has_ended_is_no_error():
    with running("") as watched:
        clock = watched.clock(0.2)
        watched.process.wait()
        clock.look()
        assert clock.own_seconds < 10


@pytest.mark.parametrize("told", ["", "Pid:\t0\n", "Pid:\t-1\n", "Pid:\n"])
def test_numbers_that_the_host_does_not_tell(told, monkeypatch):
    """Then processor time decides alone."""
    with running("import time\ntime.sleep(100)") as watched:
        monkeypatch.setattr(own_time, "read", lambda path, folder: told)
        clock = watched.clock(0.2)
        assert until_over(clock) >= 0.19
