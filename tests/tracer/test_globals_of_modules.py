"""Functions that rebind globals of their module, or variables of a function around them that has returned, are opened:
in the session these are attributes of the module, and what cells of closures hold.
"""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Piece, Snippet, Trace
from trace_mine.tracer.views import parse_view

MODULE = '''
"""Counts."""

total = 0
log = []


def add(n):
    """Adds to what was added before."""
    global total
    total += n
    return total


def reset():
    global total, log
    log.append(total)
    total, log = 0, [*log, "reset"]
    return log


def last(values):
    global total
    for total in values:
        log.append(total)
    text = f"{total} and {total=}"
    return [total for _ in values], text


def nested(n):
    global total

    def inner():
        global total
        total = total + n
        return total

    return inner() + total


def hidden(total):
    return (lambda: total)() + add(total)


def lazily():
    global made
    try:
        return made
    except NameError:
        made = len(log)
        return made


def gone():
    global total
    before = total
    del total
    total = before + 1
    return total


_Counter__ticks = 0


class Counter:
    def tick(self):
        global _Counter__ticks
        _Counter__ticks = 5
        return self.tock()

    def tock(self):
        global __ticks
        __ticks += 1
        return __ticks


def imports():
    global sqrt
    from math import sqrt
    return sqrt(4)


def comprehends():
    global total
    total = 7
    return [total for total in range(3)], total


def walrus():
    global total
    if (total := 3) > 2:
        return total


def counter():
    n = 0

    def tick(by):
        nonlocal n
        n += by
        return n

    def look():
        return n

    def ticks(number):
        nonlocal n
        for _ in range(number):
            n += 1
            yield n

    def through(by):
        nonlocal n

        def inner():
            nonlocal n
            n = n * by
            return n

        return inner() + n

    def step():
        nonlocal n
        while (n := n + 1) < 3:
            pass
        return n

    return tick, look, ticks, through, step


tick, look, ticks, through, step = counter()


def counted(function):
    calls = 0

    def wrapper(*values):
        nonlocal calls
        calls = calls + 1
        return function(*values) + calls

    return wrapper


@counted
def larger(n):
    return n + 1


def handles():
    global total
    try:
        raise ValueError("x")
    except ValueError as total:
        return str(total)
'''


def traced(kit, folder, *sources: str) -> Trace:
    (folder / "counting.py").write_text(MODULE)
    pieces = tuple(Piece(source=f"{source}\n", line=number) for number, source in enumerate(sources, 1))
    snippet = Snippet(
        path="counting.py", name="m", kind="doctest", line=1, end_line=9, pieces=pieces, module="counting"
    )
    with kit.PlainTracer(kit.TracerConfig(follow=3, repository=folder, sys_path=(".",), own=("",))) as tracer:
        trace = tracer.trace(snippet)
    assert isinstance(trace, Trace), trace
    return trace


COMMANDS = {
    "add(2)": ["counting.total += n", "returned_1 = counting.total"],
    "reset()": ["counting.log.append(counting.total)", 'counting.total, counting.log = 0, [*counting.log, "reset"]'],
    "nested(3)": ["    counting.total = counting.total + n", "counting.total = counting.total + n"],
    "hidden(2)": ["counting.total += n"],
    "gone()": ["del counting.total", "counting.total = before + 1"],
    "last([1, 2])": ["counting.total = values[1]", "returned_1 = [counting.total for _ in values], text"],
    "Counter().tick()": ["counting._Counter__ticks += 1"],
}
"""Calls, and some of the commands that they become."""


@pytest.mark.parametrize("call", [*COMMANDS])
def test_what_rebinds_a_global_is_opened(kit, tmp_path, call) -> None:
    trace = traced(kit, tmp_path, call, call, "total, log")
    assert trace.kept_whole == {}, trace.text
    assert trace.opened_calls >= 2
    lines = [line for step in trace.steps for line in step.source.split("\n")]
    assert all(command in lines for command in COMMANDS[call]), trace.text
    assert "counting" in str(trace.setup["code"])
    assert trace.text.endswith("(0, [])\n") or call in ("reset()", "last([1, 2])"), "the session's own name is another"


@pytest.mark.parametrize("call", ["imports()", "comprehends()", "walrus()", "handles()", "lazily()"])
def test_what_no_attribute_can_be_bound_by_stays_one_command(kit, tmp_path, call) -> None:
    trace = traced(kit, tmp_path, call)
    assert trace.kept_whole == {"global": 1}, trace.text
    assert trace.opened_calls == 0


def test_a_script_that_imports_the_module_names_it_by_a_command(kit, tmp_path) -> None:
    (tmp_path / "counting.py").write_text(MODULE)
    source = (
        "from counting import add\ncounting = 3\nx = add(counting)\ny = add(x)\nimport counting as m\nz = m.total\n"
    )
    with kit.PlainTracer(kit.TracerConfig(follow=3, repository=tmp_path, sys_path=(".",), own=("",))) as tracer:
        trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace) and trace.kept_whole == {} and trace.opened_calls == 2, trace
    assert "import counting as counting_1" in [step.source for step in trace.steps], trace.text
    assert trace.steps[-1].state["z"] == "6"


def test_hidden_outcomes_keep_it_one_command(kit, tmp_path) -> None:
    """A state that outcomes lead to has no module of its own."""
    (tmp_path / "counting.py").write_text(MODULE)
    source = "import random\nfrom counting import add\nx = add(2)\nif random.random() < 0.5:\n    x += 1\nprint(x)\n"
    config = kit.TracerConfig(follow=3, repository=tmp_path, sys_path=(".",), own=("",), view=parse_view("branch"))
    with kit.PlainTracer(config) as tracer:
        trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace) and trace.kept_whole.get("global") == 1, trace


@pytest.mark.parametrize(
    ("call", "commands"),
    [
        (
            "tick(2)",
            ["n_cell = tick.__closure__[0]", "n_cell.cell_contents += by"],
        ),
        ("list(ticks(2))", ["n_cell.cell_contents += 1"]),
        ("through(4)", ["n_cell.cell_contents = n_cell.cell_contents * by"]),
        ("larger(3)", ["calls_cell.cell_contents = calls_cell.cell_contents + 1"]),
    ],
)
def test_what_rebinds_a_variable_of_a_closure_is_opened(kit, tmp_path, call, commands) -> None:
    trace = traced(kit, tmp_path, call, "look()", call, "look()")
    assert trace.kept_whole == {}, trace.text
    lines = [line for step in trace.steps for line in step.source.split("\n")]
    assert all(command in lines for command in commands), trace.text
    assert not any("0x" in value for step in trace.steps for value in step.state.values())


def test_a_closure_s_variable_that_no_attribute_can_stand_for(kit, tmp_path) -> None:
    trace = traced(kit, tmp_path, "step()", "look()")
    assert trace.kept_whole == {"closure": 1} and trace.text.startswith(">>> step()\n3\n"), trace.text
