"""Beliefs that the process which writes a session hands on, against those of a job that gets its text alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import pytest

from trace_mine.tracer import attempt
from trace_mine.tracer.hiding import Believed, believe
from trace_mine.tracer.schema import Piece, Snippet, Trace
from trace_mine.tracer.session import TracerConfig
from trace_mine.tracer.views import parse_view

SWAPS = """
from random import random, choice, shuffle
cups = ['ball', 'empty', 'empty']
for i in range(3):
    if random() < .3:
        cups[0], cups[1] = cups[1], cups[0]
    if random() < .5:
        cups[1], cups[2] = cups[2], cups[1]
    print(cups[0])
def draw(values):
    total = 0
    for value in values:
        if random() < .25:
            total += value
    return total
x = draw([1, 2, 3])
print(x % 2)
if x > 1:
    x = -1
y = draw([x, choice([1, 5])])
print(y)
print(x)
"""
RAISING = """
from random import random
def f(x):
    if random() < .5:
        raise ValueError(x)
    return x + 1
values = []
for i in range(3):
    try:
        values.append(f(i))
    except ValueError as error:
        values.append(str(error))
print(len(values), values[-1])
f(values[0])
print(values)
"""
REAL = """
from random import random, gauss
x = random()
y = gauss(0, 1) > .5
print(x < .5, y)
print(x < .25)
"""
SAMPLED = "from random import random\nx = random()\nprint(round(x * x, 1))\nprint(x < .5)\n"
PROGRAMS = {"swaps": SWAPS, "exceptions": RAISING, "real numbers": REAL, "sampled": SAMPLED}


def script(source: str) -> Snippet:
    return Snippet(
        kind="script",
        name="game",
        path="game.py",
        line=1,
        end_line=source.count("\n") + 1,
        pieces=(Piece(source=source, line=1),),
        code="__name__ = '__main__'",
    )


@pytest.fixture(scope="module", params=["branch+every:0", "branch+every:2+full", "branch+every:2+uncertain"])
def tracer(kit: SimpleNamespace, request: pytest.FixtureRequest) -> Iterator[Any]:
    with kit.PlainTracer(TracerConfig(view=parse_view(request.param))) as made:
        yield made


def both(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Believed | None, Believed]]:
    """Have each session's beliefs found in both ways; gives those that were handed on, and those of the job."""
    found: list[tuple[Believed | None, Believed]] = []

    def twice(*arguments: Any, first_only: bool) -> Believed:
        *others, report = arguments
        handed = None if report is None else believe(*others, report)
        found.append((handed, believe(*others, None)))
        return handed or found[-1][1]

    monkeypatch.setattr(attempt, "believe", twice)
    return found


def same(one: Any, other: Any) -> bool:
    """Equal records, with numbers up to 1e-12."""
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=0, abs_tol=1e-12)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(
            same(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)
        )
    return bool(one == other)


@pytest.mark.parametrize("name", PROGRAMS)
def test_beliefs_are_those_of_a_job_of_their_own(name: str, tracer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = both(monkeypatch)
    for session in range(3):
        trace = tracer.trace(replace(script(PROGRAMS[name]), session=session))
        assert isinstance(trace, Trace), trace
        if tracer.config.view.hides:
            assert bool(trace.choices) == (name != "sampled") and bool(trace.beliefs)
    for handed, own in found:
        assert (handed is None) == (name == "sampled" or bool(own.failure)), "draws that are sampled take many passes"
        assert handed is None or same(handed, own)
    assert bool(found) == tracer.config.view.hides


def test_beliefs_with_windows_are_a_job_of_their_own(kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    found = both(monkeypatch)
    with kit.PlainTracer(TracerConfig(view=parse_view("branch+every:0"), windows=(1, 2))) as tracer:
        trace = tracer.trace(script(SWAPS))
    assert isinstance(trace, Trace) and trace.windows
    assert [handed for handed, _ in found] == [None]
