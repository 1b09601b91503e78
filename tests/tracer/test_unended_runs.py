"""A program that comes to a limit: to a person its session so far, to a dataset a drop."""

from __future__ import annotations

import dataclasses

import pytest

from trace_mine.tracer.inside.protocol.answers import DriveSummary
from trace_mine.tracer.inside.protocol.jobs import DriveJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Drop, Trace
from trace_mine.tracer.session import Tracer, TracerConfig

BEGINNING = "def f(n):\n    return n * 2\nx = f(3)\nprint('hello', x)\n"
SO_FAR = ">>> print('hello', x)\nhello 6\n"
ENDLESS = {
    "cpu": "n = 0\nwhile True:\n    n += 1\n",
    "wall": "import time\ntime.sleep(60)\nprint('never')\n",
    "no_end": "import os\ndef main():\n    print('in main')\n    os._exit(3)\nmain()\n",
    "output_limit": "while True:\n    print('x' * 1000)\n",
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
    assert made.outcome == reason.replace("_", "-") and SO_FAR in made.text and "never" not in made.text
    if reason == "no_end":
        assert made.text.endswith("in main\n")


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
