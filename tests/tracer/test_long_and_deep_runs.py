"""Programs that run into a limit of the recording, or that have the standard library take the recording off."""

from __future__ import annotations

import pytest

from trace_mine.tracer.inside.protocol.answers import NativeFrames, NativePieceResult, NativeSummary
from trace_mine.tracer.native_runs import run_within_limits
from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Outcome, Trace
from trace_mine.tracer.session import Tracer, TracerConfig


@pytest.fixture(scope="module")
def traced(kit):
    """Traces a script in the sandbox, whose guard is there, by the strict rounds."""
    try:
        tracer = Tracer(TracerConfig())
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")

    def trace(source: str) -> Trace:
        made = tracer.trace(kit.script(source))
        assert isinstance(made, Trace) and made.failed_checks == {} and made.integrity == "clean", made
        return made

    yield trace
    tracer.close()


def test_a_loop_of_half_a_million_turns_has_its_right_effect(traced):
    trace = traced(
        "def double(n):\n    return 2 * n\nprint(double(2))\ntotal = 0\n"
        "for i in range(500_000):\n    total += i % 7\n"
        "print(total, double(3))\n"
    )
    assert trace.steps[-1].output == f"{sum(i % 7 for i in range(500_000))} 6"
    assert trace.opened_calls >= 1 and trace.kept_whole["trace_limit"] == 1
    whole = [step for step in trace.steps if step.source.startswith("for i in range(")]
    assert len(whole) == 1 and whole[0].state["i"] == "499999"


def test_a_run_whose_values_grow_takes_no_longer_for_its_record_than_that_may_take(kit, monkeypatch):
    """Its session is that of a run that is not recorded, as where the time of a run is over."""
    jobs = []

    class Stub:
        library = ("", "")

        def run(self, job, limits=None):
            jobs.append(job)
            if job.traces:
                return Outcome(status="trace-limit", exception="values", integrity="clean")
            summary = NativeSummary(pieces=(NativePieceResult(exception=None),), passed=True, variables={}, outcomes=())
            return Outcome(status="ok", integrity="clean", records=(summary, NativeFrames(frames=())))

    native = run_within_limits(TracerConfig(), kit.script("x = 1\n"), Stub())
    assert [job.traces for job in jobs] == [True, False]
    assert (native.limit, native.follow) == ("cpu", -1)


def test_a_function_that_is_called_after_the_record_ended_stays_whole(traced):
    trace = traced(
        "def late(n):\n    m = n + 1\n    return m\n"
        "def busy():\n    n = 0\n    while n < 150_000:\n        n += 1\n    return n\nx = [busy()]\nprint(late(1))\n"
    )
    assert trace.steps[-1].output == "2" and trace.kept_whole["trace_limit"] == 1


def test_doctests_that_a_program_runs_on_itself(traced):
    trace = traced(
        'def double(n):\n    """\n    >>> double(2)\n    4\n    >>> double("a")\n    \'aa\'\n    """\n'
        "    return n * 2\n"
        "def main():\n    import doctest\n    print(doctest.testmod())\n    return double(5)\n"
        'if __name__ == "__main__":\n    print(main())\n    print(double(6))\n'
    )
    assert ">>> print(doctest.testmod())\nTestResults(failed=0, attempted=2)\n" in trace.text
    assert trace.text.endswith("12\n") and trace.opened_calls == 3


@pytest.mark.parametrize(
    "library",
    [
        "import trace\nprint(trace.Trace(count=1, trace=0).runfunc(f, 1))\n",
        "import bdb\ndebugger = bdb.Bdb()\ndebugger.reset()\ndebugger.set_continue()\nprint(debugger.runcall(f, 1))\n",
        "import threading\nthreads = [threading.Thread(target=f, args=(1,))]\nthreads[0].start()\nthreads[0].join()\n",
    ],
)
def test_the_librarys_debuggers_cost_no_session(traced, library):
    trace = traced("def f(n):\n    return n + 1\n" + library + "print(f(2))\n")
    assert trace.steps[-1].output == "3"


def test_a_caught_recursion_error_and_how_deep_it_was(traced):
    trace = traced(
        "import sys\ndef deep(n):\n    try:\n        return deep(n + 1)\n    except RecursionError:\n        return n\n"
        "d = deep(0)\nprint(d > 800, d < 1000)\n"
        "def count(n):\n    return 0 if n == 0 else 1 + count(n - 1)\nprint(count(700))\n"
        "sys.setrecursionlimit(3000)\nprint(count(2500))\n"
    )
    outputs = [step.output for step in trace.steps if step.source.startswith("print")]
    assert outputs == ["True True", "700", "2500"]
    # how deep it was is another number in each world, so that no state has it
    assert all(step.state.get("d", "<differs from run to run>") == "<differs from run to run>" for step in trace.steps)
