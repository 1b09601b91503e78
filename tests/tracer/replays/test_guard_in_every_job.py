"""The guard is armed while the program's code runs, in each kind of job that keeps one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from trace_mine.tracer.inside.protocol.jobs import (
    AutomatonJob,
    BeliefsJob,
    DriveJob,
    NativeJob,
    PathJob,
    Piece,
    PlainJob,
    Program,
    ReplayJob,
    SamplesJob,
)
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker

SOURCE = "import gc\nx = len(gc.get_objects())\n"
LINES = ("import gc", "x = len(gc.get_objects())")
PROGRAM = Program(pieces=(Piece(source=SOURCE, line=1),))
FOLLOWED = {"program": Program(), "max_seconds": 3.0}
JOBS = {
    "native": NativeJob(program=PROGRAM, max_depth=1),
    "drive": DriveJob(program=PROGRAM, follow=0),
    "replay": ReplayJob(program=Program(), commands=LINES),
    "beliefs": BeliefsJob(
        commands=tuple((line, "") for line in LINES), outcomes=(), laws=None, num_seeds=1, **FOLLOWED
    ),
    "samples": SamplesJob(commands=LINES, first_seed=0, num_samples=1, **FOLLOWED),
    "path": PathJob(commands=LINES, prefix=(), **FOLLOWED),
    "automaton": AutomatonJob(commands=LINES, variables=(), **FOLLOWED),
    "plain": PlainJob(source=SOURCE),
}


@pytest.fixture(scope="module")
def worker():
    try:
        made = Worker(Jail(), Limits())
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    with made:
        yield made


@pytest.mark.parametrize("kind", JOBS)
def test_a_walk_over_the_heap_is_noticed(worker, kind):
    outcome = worker.run(JOBS[kind])
    assert outcome.integrity == "suspect" and "gc.get_objects" in outcome.tripped, outcome


def test_there_is_a_case_for_each_kind_of_job():
    from trace_mine.tracer.inside.jobs.registry import KINDS

    assert {type(job) for job in JOBS.values()} == set(KINDS)


def test_a_frame_of_a_traceback_is_noticed():
    """It is read without ``sys._getframe``; what the standard library reads of one is nothing of the program's."""
    code = """
import sys, traceback
from trace_mine.tracer.inside.observe.guard import Guard
guard = Guard(print)
def walk(read):
    guard.arm()
    try: 1 / 0
    except ZeroDivisionError as error: read(error)
    guard.disarm()
    print("object.__getattr__" in guard.noticed)
walk(lambda error: traceback.format_exception(error))
walk(lambda error: error.__traceback__.tb_frame)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines() == ["False", "True"]
