"""What is told of a run and its values at the limits of what is told: the last event, the middle of a long value."""

from __future__ import annotations

import ast
import contextvars
import functools
import operator
import re
import sys

import pytest

from trace_mine.tracer.inside.observe import values
from trace_mine.tracer.inside.observe.record import EventsFull, Recorder
from trace_mine.tracer.inside.syntax import text

FILE = "<recorded>"


def record(source: str, *, events: int, depth: int = 50) -> list[str]:
    """The functions whose frames were recorded."""
    code = compile(source, FILE, "exec")
    recorder = Recorder(lambda name: name == FILE, max_depth=depth, max_events=events, module_names=frozenset())
    before = sys.gettrace()
    recorder.start()
    try:
        exec(code, {"__name__": "recorded"})
    finally:
        recorder.stop()
        sys.settrace(before)
    return [frame.code.co_name for frame in recorder.frames]


def test_as_many_lines_as_may_be_are_recorded() -> None:
    source = "x = 1\n" * 9
    assert record(source, events=9) == ["<module>"]
    with pytest.raises(EventsFull):
        record(source, events=8)


@pytest.mark.parametrize(("depth", "names"), [(0, ["<module>"]), (1, ["<module>", "f"]), (2, ["<module>", "f", "g"])])
def test_frames_are_recorded_down_to_the_depth(depth: int, names: list[str]) -> None:
    assert record("def g(): return 1\ndef f(): return g()\nf()\n", events=100, depth=depth) == names


LONG = {
    "list": lambda middle: [*range(2_000), middle, *range(2_000)],
    "text": lambda middle: "x" * 9_000 + str(middle) + "x" * 9_000,
    "tuple of lists": lambda middle: tuple([n, middle if n == 50 else n] for n in range(100)),
    "dictionary": lambda middle: {n: middle if n == 500 else n for n in range(1_000)},
    "set": lambda middle: set(range(1_000)) | {10_000 + middle},
    "list past what bytes are kept of": lambda middle: [*range(20_000), middle, *range(20_000)],
}


@pytest.mark.parametrize("kind", LONG)
def test_long_values_that_differ_in_the_middle_differ(kind: str) -> None:
    one, same, other = (values.snapshot(LONG[kind](middle)) for middle in (7, 7, 8))
    assert one == same != other
    assert values.text(one) == values.text(same) != values.text(other) and len(values.text(one)) < 500


@pytest.mark.parametrize(
    "source",
    [
        's = """a\n\n"""',
        's = """\n\n\na"""',
        's = """a\n\n\n"""\n\nt = 1',
        'f("""\n\n""",\n\n  """\n\n""")',
        "def f():\n    s = '''a\n\n    '''\n\n    return s",
        'x = 1 + \\\n  len("""\n\n""")',
    ],
)
def test_blank_lines_of_a_string_stay_up_to_its_last_line(source: str) -> None:
    cleaned = text.without_blank_lines(source)
    assert ast.dump(ast.parse(cleaned)) == ast.dump(ast.parse(source))


def test_no_value_shows_an_address_of_the_process() -> None:
    # C classes have members by which they say where something lies in their objects: functools.partial's is an address
    shown = values.text(values.snapshot(functools.partial(int, base=2)))
    assert shown == "partial(func=<class int>, args=(), keywords={'base': 2})"
    for value in (operator.itemgetter(1), functools.partial(print, 1), re.compile("a"), contextvars.ContextVar("x")):
        assert "offset__" not in values.text(values.snapshot(value))
