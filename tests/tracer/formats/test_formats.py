"""A contract over all formats: texts and segments agree, and a trace gives the same text each time."""

from __future__ import annotations

import dataclasses

import pytest

from trace_mine.tracer.formats.registry import FORMATS
from trace_mine.tracer.formats.rendered import Pieces, Rendered
from trace_mine.tracer.schema import ROLES, Choice, Segment, Trace

SOURCE = """def double(n):
    total = n * 2
    return total
x = 0
for i in range(2):
    x += double(i)
text = 'a\\nb'
print(x)
"""


@pytest.fixture(scope="module")
def trace(kit):
    with kit.PlainTracer(kit.TracerConfig()) as tracer:
        made = tracer.trace(kit.script(SOURCE))
    assert isinstance(made, Trace), made
    return made


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_keeps_the_contract(name, trace):
    made = FORMATS[name].render(trace)
    assert FORMATS[name].name == name and FORMATS[name].description
    assert made.text.endswith("\n") and made == FORMATS[name].render(trace)
    assert "".join(made.text[s.start : s.end] for s in made.segments) == made.text
    assert {segment.role for segment in made.segments} <= set(ROLES)
    steps = [segment.step for segment in made.segments]
    assert steps == sorted(steps) and set(steps) == set(range(max(steps) + 1))


def test_the_session_is_the_trace_s_own(trace):
    made = FORMATS["repl"].render(trace)
    assert (made.text, made.segments) == (trace.text, trace.segments)


def test_lines_are_those_that_ran(trace):
    assert [frame.code[2] for frame in trace.frames] == ["<module>", "double", "double"]
    text = FORMATS["lines"].render(trace).text
    assert text.endswith("double:2 n=0\ndouble:3 total=0\ndouble:2 n=1\ndouble:3 total=2\n")
    assert text.count("<module>:") == len(trace.frames[0].lines)
    assert "<module>:8 text='a\\nb'" in text.replace("\\\\n", "\\n")


def test_lines_can_not_be_written_of_what_is_hidden(trace):
    choice = Choice(step=0, kind="random", outcomes=("a",), probabilities=(1.0,), taken=0)
    for other in (dataclasses.replace(trace, frames=()), dataclasses.replace(trace, choices=(choice,))):
        with pytest.raises(ValueError, match="expected a trace with frames"):
            FORMATS["lines"].render(other)


@pytest.mark.parametrize("cut", [(0, 1), (1, 3), (0, 4), (0, 0)])
def test_segments_that_do_not_cover_are_refused(cut):
    start, end = cut
    with pytest.raises(ValueError, match="cover"):
        Rendered(text="abc", segments=(Segment(start=start, end=end, role="command", step=0),))


def test_equal_neighbours_are_one_segment():
    pieces = Pieces()
    for piece, role, step in (("a", "command", 0), ("", "value", 0), ("b", "command", 0), ("c", "command", 1)):
        pieces.add(piece, role, step)
    assert [(s.start, s.end, s.step) for s in pieces.rendered().segments] == [(0, 2, 0), (2, 3, 1)]
