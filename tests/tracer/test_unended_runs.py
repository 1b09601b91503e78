"""A program that comes to a limit: to a person its session so far, to a dataset a drop."""

from __future__ import annotations

import dataclasses

import pytest

from trace_mine.tracer.inside.protocol.answers import DriveSummary
from trace_mine.tracer.inside.protocol.jobs import DriveJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Drop, Outcome, Trace
from trace_mine.tracer.session import Tracer, TracerConfig

BEGINNING = "def f(n):\n    return n * 2\nx = f(3)\nprint('hello', x)\n"
SO_FAR = ">>> print('hello', x)\nhello 6\n"
ENDLESS = {
    "cpu": "n = 0\nwhile True:\n    n += 1\n",
    "wall": "import time\ntime.sleep(60)\nprint('never')\n",
    "no_end": "import os\ndef main():\n    print('in main')\n    os._exit(3)\nmain()\n",
    "output_limit": "while True:\n    print('x' * 1000)\n",
    # in C code, which no signal handler of Python's leaves
    "cpu in C": "import itertools\ndef total():\n    return sum(itertools.count())\ntotal()\nprint('never')\n",
    "signal:9": "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGKILL)\nmain()\nprint('never')\n",
    "signal:11": "import faulthandler\nfaulthandler._sigsegv()\nprint('never')\n",
}


@pytest.fixture(scope="module")
def tracer():
    limits = Limits(cpu_seconds=1, wall_seconds=2.0, output_bytes=20_000)
    try:
        made = Tracer(TracerConfig(limits=limits))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    yield made
    made.close()


@pytest.mark.parametrize("reason", ENDLESS)
def test_what_a_program_did_before_it_came_to_a_limit(kit, tracer, reason):
    made = tracer.trace(kit.script(BEGINNING + ENDLESS[reason]), lenient=True)
    assert isinstance(made, Trace) and made.failed_checks == {} and "doc" in made.verification.printed, made
    assert made.outcome == reason.split()[0].replace("_", "-") and SO_FAR in made.text and "never" not in made.text
    if reason == "no_end":
        assert made.text.endswith("in main\n")


def test_a_session_before_a_kill_has_the_commands_of_the_function_that_was_killed(kit, tracer):
    source = "from os import abort\ndef main():\n    x = 5\n    abort()\nmain()\n"
    made = tracer.trace(kit.script(source), lenient=True)
    assert isinstance(made, Trace) and made.outcome == "signal:6", made
    assert made.text.endswith(">>> # main()\n... x = 5\n")


def test_a_program_whose_memory_is_used_up(kit):
    limits = Limits(cpu_seconds=5, wall_seconds=10.0, memory_bytes=256 << 20)
    source = BEGINNING + "held = []\nwhile True:\n    held.append(bytes(1 << 20))\n"
    try:
        with Tracer(TracerConfig(limits=limits)) as small:
            made = small.trace(kit.script(source), lenient=True)
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    # where a control group ends the run, or where an address space does, by an exception that Python raises
    assert isinstance(made, Trace) and made.failed_checks == {} and SO_FAR in made.text, made
    assert made.outcome in ("memory", "exception")


def test_nobody_who_watches_waits_for_more_than_about_twice_the_time(kit):
    """By the limits of the runs that are asked for: what they take is the machine's affair."""
    limits = Limits(cpu_seconds=10, wall_seconds=10.0)
    asked: list[float] = []
    with kit.PlainTracer(kit.TracerConfig(limits=limits)) as plain:
        recorder = plain._recorder

        def endless(job, limits=None):
            asked.append((limits or recorder.limits).wall_seconds)
            return Outcome(status="cpu", integrity="truncated")

        recorder.run, recorder.limits = endless, limits
        made = plain.trace(kit.script("while True:\n    pass\n"), lenient=True)
    assert isinstance(made, Drop) and made.reason == "cpu" and sum(asked) <= 2.2 * limits.wall_seconds, asked


@pytest.mark.parametrize("reason", ["cpu", "no_end"])
def test_a_dataset_drops_it(kit, tracer, reason):
    made = tracer.trace(kit.script(BEGINNING + ENDLESS[reason]))
    assert isinstance(made, Drop) and made.reason == reason, made


def test_a_run_that_says_by_itself_that_it_has_no_end_is_not_believed(kit):
    with kit.PlainTracer(kit.TracerConfig()) as plain:
        run = plain._recorder.run

        def forged(job, *rest):
            outcome = run(job, *rest)
            if not isinstance(job, DriveJob):
                return outcome
            records = [
                dataclasses.replace(each, ended="cpu") if isinstance(each, DriveSummary) else each
                for each in outcome.records
            ]
            return dataclasses.replace(outcome, records=tuple(records))

        plain._recorder.run = forged
        for lenient in (False, True):
            made = plain.trace(kit.script("print(1)\n"), lenient=lenient)
            assert isinstance(made, Drop) and made.reason == "integrity_forged", made
