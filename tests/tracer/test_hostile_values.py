"""Values that answer questions wrongly, or only by running code, must neither end nor change a session."""

from __future__ import annotations

import dataclasses

import pytest

from trace_mine.tracer.sandbox import SandboxUnavailable
from trace_mine.tracer.schema import Piece, Snippet, Trace
from trace_mine.tracer.session import Tracer, TracerConfig

ARRAY = """class Array:
    asked = 0
    def __eq__(self, other):
        Array.asked += 1
        raise ValueError('the truth value of an array is ambiguous')
    __hash__ = None
    def __bool__(self):
        raise ValueError('ambiguous')
def made():
    result = Array()
    return result
"""

LOOSE = """class Loose:
    def __getattr__(self, name):
        raise LookupError(name)
    def __call__(self, n, scale=[2]):
        result = n * scale[0]
        return result
loose = Loose()
print(loose(4))
"""


def examples(*sources):
    pieces = tuple(Piece(source=source, line=1) for source in sources)
    return Snippet(
        kind="doctest",
        name="d",
        path="d.py",
        line=1,
        end_line=9,
        pieces=pieces,
        code="__name__ = '__main__'",
        continue_on_error=True,
    )


def test_no_value_is_asked_whether_it_equals_none(kit):
    first, second = ARRAY.split("def made")
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        trace = tracer.trace(examples(first, "def made" + second, "made()\n", "Array.asked\n"))
    assert isinstance(trace, Trace) and trace.kept_whole == {} and trace.opened_calls == 1
    assert trace.text.endswith(">>> Array.asked\n0\n")


def test_defaults_of_a_called_object_are_read_from_its_method(kit):
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        trace = tracer.trace(kit.script(LOOSE))
    assert trace.opened_calls == 1 and ">>> scale = loose.__call__.__defaults__[0]\n" in trace.text
    assert ">>> print(result)\n8\n" in trace.text


def test_the_real_tracer_works_at_level_2(tmp_path):
    (tmp_path / "lib.py").write_text("def double(n):\n    result = n * 2\n    return result\n", encoding="utf-8")
    snippet = dataclasses.replace(examples("double(4)\n"), module="lib", path="lib.py")
    config = TracerConfig(repository=tmp_path, sys_path=("",), warm=("lib",), sandbox_level=2)
    try:
        tracer = Tracer(config)
    except SandboxUnavailable as error:
        pytest.skip(f"level 2 does not work here: {error}")
    with tracer:
        trace = tracer.trace(snippet)
    assert isinstance(trace, Trace), trace
    assert (trace.opened_calls, trace.sandbox["level"], trace.steps[0].path) == (1, 2, "lib.py")
    assert str(tmp_path) not in trace.text
