"""What a followed call's variables share with the session, and loops that a session can't show.

Each program is shown with its calls open: a session that failed a check and was written again with everything whole
would be true too, and would hide what these tests are about.
"""

from __future__ import annotations

import pytest

from session_commands import without_comments
from trace_mine.tracer.inside.protocol.answers import MustRestart
from trace_mine.tracer.inside.protocol.jobs import Place
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.session import Tracer, TracerConfig

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch", "unfaithful"}


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig()) as made:
        yield made


def traced(kit, tracer, source):
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), trace
    assert not FLAT & trace.kept_whole.keys(), trace.kept_whole
    return trace


def printed(trace) -> list[str]:
    return [step.output for step in trace.steps if without_comments(step.source).startswith("print(")]


CAPTURED = {
    "lambda": "def f(n):\n    g = lambda: n\n    return g\n",
    "function": "def f(n):\n    def g():\n        return n\n    return g\n",
    "generator": "def f(n):\n    g = (n for _ in [0])\n    return lambda: next(g)\n",
    "class": "def f(n):\n    class C:\n        def __call__(self):\n            return n\n    return C()\n",
}


@pytest.mark.parametrize("kind", CAPTURED)
def test_a_captured_parameter_is_a_variable_of_its_own(kit, tracer, kind):
    """The caller's variable of that name is bound anew before the closure is called."""
    trace = traced(kit, tracer, CAPTURED[kind] + "n = 1\ng = f(n)\nn = 2\nprint(g())\nprint(n)\n")
    assert trace.opened_calls >= 1 and printed(trace) == ["1", "2"]


def test_a_rebound_parameter_is_a_variable_of_its_own(kit, tracer):
    trace = traced(kit, tracer, "def f(n):\n    n += 1\n    return n\nn = 1\nprint(f(n))\nprint(n)\n")
    assert trace.opened_calls == 1 and trace.steps[-1].output == "1"


def test_a_parameter_that_only_reads_shares_the_callers_variable(kit, tracer):
    trace = traced(kit, tracer, "def f(n):\n    m = n + 1\n    return m\nn = 1\nx = f(n)\nprint(x)\n")
    assert trace.opened_calls == 1 and [step.source for step in trace.steps if step.kind == "bind"] == ["del m"]


NONLOCAL = """\
def counter():
    n = 0
    def up():
        nonlocal n
        n += 1
        return n
    return up
"""


def test_a_function_that_rebinds_a_closure_variable_by_an_expression_is_not_opened(kit, tracer):
    """A statement that binds it is written for its cell, an expression that does can't be. Where the maker of the
    closure was opened, the variable is the session's, and the function is.
    """
    hidden = "import functools\nup = functools.partial(counter)()\nprint(up())\nprint(up())\n"
    by_expression = NONLOCAL.replace("n += 1\n        return n", "return (n := n + 1)")
    assert by_expression != NONLOCAL
    trace = traced(kit, tracer, by_expression + hidden)
    assert trace.kept_whole == {"closure": 2} and printed(trace) == ["1", "2"]
    written = traced(kit, tracer, NONLOCAL + hidden)
    assert "cell_contents += 1" in written.text and printed(written) == ["1", "2"]
    opened = traced(kit, tracer, NONLOCAL + "up = counter()\nx = up()\nx = up()\nprint(x)\n")
    assert not opened.kept_whole and opened.opened_calls == 3 and printed(opened) == ["2"]


@pytest.mark.parametrize("body", ["pass", "continue", "if 0:\n        x = 1", "while 0:\n        pass"])
def test_a_loop_that_gives_no_command_is_given_up(kit, body):
    """In a jail, whose clock would end it: the driver counts turns, and says before that what has to stay whole."""
    try:
        worker = Worker(Jail(), Limits(wall_seconds=20.0, cpu_seconds=10, commands=20))
    except SandboxUnavailable as error:
        pytest.skip(f"no sandbox on this machine: {error}")
    job = kit.driving(kit.program(f"while True:\n    {body}\n"))
    with worker:
        answers = worker.run(job)
    assert answers.status == "ok", answers
    assert answers.records == (MustRestart(place=Place(path="<piece 0>", line=1, column=0), reason="budget"),)


def test_a_loop_with_a_return_may_overrun_the_budget_and_not_without_end(kit):
    """It can't be cut; past three times the budget its function is kept whole."""
    source = "def f(n):\n    i = 0\n    while True:\n        i += 1\n        if i == n:\n            return i\n"
    source += "x = f({})\nprint(x)\n"
    with Tracer(TracerConfig(limits=Limits(commands=30))) as tight:
        short = traced(kit, tight, source.format(9))
        long = tight.trace(kit.script(source.format(200)))
    assert short.opened_calls == 1 and printed(short) == ["9"]
    assert not isinstance(long, Drop) and long.kept_whole == {"budget": 1, "unfaithful": 1}
    assert long.opened_calls == 0 and printed(long) == ["200"]
    assert len(long.steps) < 3 * 30


def test_a_loop_is_cut_at_the_budget_and_no_turn_later(kit):
    """Three commands a turn: the tenth turn ends at thirty."""
    with Tracer(TracerConfig(limits=Limits(commands=30))) as tight:
        trace = traced(kit, tight, "for i in range(100):\n    x = i * 2\n")
    assert [step.source for step in trace.steps[27:]][:4] == [
        "i = 9",
        "x = i * 2",
        "x",
        "for i in range(10, 100):\n    x = i * 2",
    ]
    assert trace.kept_whole == {"budget": 1} and trace.steps[-1].state["x"] == "198"


@pytest.mark.parametrize("body", ["xs = [9]", "xs = xs + [9]", "xs.append(9) if len(xs) < 5 else None"])
def test_a_loop_goes_over_what_it_began_with(kit, tracer, body):
    """A list that the body binds anew is not the one that is gone through; one that it changes is."""
    source = f"xs = [1, 2, 3]\nfor x in xs:\n    {body}\n    print(x)\n"
    told: list[str] = []
    exec(source, {"print": lambda value: told.append(str(value))})
    assert printed(traced(kit, tracer, source)) == told


@pytest.mark.parametrize(("value", "shown"), [("x > 1", ["returned_1"]), ("x - 1", ["returned_1", "bool(returned_1)"])])
def test_a_test_of_what_a_call_gave_shows_it_once(kit, tracer, value, shown):
    trace = traced(kit, tracer, f"def f(x):\n    return {value}\nif f(2):\n    print('yes')\n")
    sources = [step.source for step in trace.steps if step.output in ("True", "1")]
    assert sources == shown
    assert trace.text.endswith("yes\n")
