"""Beliefs of a session whose way to its choices is long, in a real jail: the same with forks as without."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from trace_mine.tracer.inside.protocol.jobs import BeliefsJob, Program
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.views import parse_view

LIMITS = Limits(wall_seconds=60.0, cpu_seconds=50, forks=4)
SETUP = "from random import random, randrange\ndef work(): return len([0 for _ in range(3_000_000)])"
COMMANDS = (("x = [work() and randrange(2) for _ in range(1)]; y = randrange(3), random() < 0.25", ""),)
COMMANDS += (("print(x, y)", "[0] (1, False)"), ("z = work(); print(randrange(4))", "2"))


@pytest.mark.parametrize("level", [3, 2])
def test_the_same_beliefs(level: int) -> None:
    try:
        worker = Worker(Jail(choices=True), LIMITS, minimum_level=level, maximum_level=level)
    except SandboxUnavailable as error:
        pytest.skip(f"level {level} does not work here: {error}")
    job = BeliefsJob(program=Program(code=SETUP), commands=COMMANDS, outcomes=None, num_seeds=2, max_seconds=50.0)
    with worker:
        plain = worker.run(job, dataclasses.replace(LIMITS, forks=0))
        forked = worker.run(job)
    for outcome in (plain, forked):
        assert (outcome.status, outcome.integrity, outcome.stderr) == ("ok", "clean", b""), outcome
    told, found = plain.records[0], forked.records[0]
    assert told.num_forked == 0 and found.num_forked >= 11
    assert told == dataclasses.replace(found, num_forked=0) and found.failure is None
    assert len(found.beliefs) == 2


def test_the_same_automaton() -> None:
    source = "from random import random\nx = 0\n"
    commands = [
        "x = (x + (len([0 for _ in range(600_000)]) and random() < 0.25) + 2 * (random() < 0.5)) % 3",
        "print(x)",
    ]
    found = []
    for forks in (0, 3):
        try:
            with Tracer(
                TracerConfig(limits=dataclasses.replace(LIMITS, forks=forks), view=parse_view("branch"))
            ) as tracer:
                found.append(tracer.automaton(commands, source))
        except SandboxUnavailable as error:
            pytest.skip(f"no sandbox here: {error}")
    assert found[0] == found[1] and not isinstance(found[0], str), found


CATCHES = {
    "memory": (
        "def pick():\n    try:\n        return 0.5 * bool(bytearray(300 << 20))\n    except MemoryError:\n"
        "        return 0.9\np = pick()\n"
    ),
    "threads": (
        "import threading\nthreading.stack_size(1 << 16)\nstop, p = threading.Event(), 0.5\ntry:\n"
        "    many = [threading.Thread(target=stop.wait) for _ in range(6)]\n"
        "    for each in many:\n        each.start()\n"
        "except RuntimeError:\n    p = 0.9\nstop.set()\nfor each in many:\n    if each.ident:\n        each.join()\n"
        "del many, stop\n"
    ),
}


@pytest.mark.parametrize("what", CATCHES)
def test_a_program_that_catches_what_it_may_not_have_goes_the_recorded_way(what: str) -> None:
    source = f"from random import random\n{CATCHES[what]}x = random() < p\nprint(x)\n"
    told = []
    for forks in (0, 4):
        limits = Limits(forks=forks, memory_bytes=512 << 20)
        try:
            with Tracer(TracerConfig(limits=limits, view=parse_view("branch+every:0"), follow=0)) as tracer:
                made = tracer.trace(script_snippet(source, "a.py", ()))
        except SandboxUnavailable as error:
            pytest.skip(f"no sandbox here: {error}")
        assert isinstance(made, Trace), made
        told.append([(each.outcomes, each.probabilities, each.method) for each in made.beliefs])
        # the size of a thread's stack is state of C code, and no belief is called exact beside it
        assert ("support_lost" in made.kept_whole) == (what == "threads")
    assert told[0] == told[1], told
    assert told[0][-1:] == ([] if what == "threads" else [(("False", "True"), (0.5, 0.5), "exact")]), told


@pytest.mark.parametrize("forks", [0, 3])
def test_a_run_that_needs_what_forks_give_up_has_its_beliefs(forks: int) -> None:
    """More memory than a share: what fails with forks is asked again without."""
    source = "from random import randrange\nheld = len(bytearray(300 << 20))\nx = randrange(2)\nprint(x)\n"
    limits = Limits(forks=forks, memory_bytes=512 << 20)
    try:
        with Tracer(TracerConfig(limits=limits, view=parse_view("branch"))) as tracer:
            made = tracer.trace(script_snippet(source, Path("a.py").name, ()))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox here: {error}")
    assert isinstance(made, Trace), made
    assert [belief.method for belief in made.beliefs][-1] == "exact"
    assert "beliefs_end_early" not in made.kept_whole
