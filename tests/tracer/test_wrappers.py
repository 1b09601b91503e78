"""Decorators' wrappers count as no level of depth, for the recorder as for the driver: both stop at the same calls."""

from __future__ import annotations

import pytest

from trace_mine.tracer.config import TracerConfig
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer

ANY_ARGUMENTS = """\
from functools import wraps


def decorator(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

"""
ONE_ARGUMENT = ANY_ARGUMENTS.replace("*args, **kwargs", "x")


def chain(levels: int, decorators: int) -> str:
    """Functions that call each other, the last by a function of its own body; each has so many decorators."""
    lines = []
    for level in range(levels):
        called = f"f{level + 1}(x)" if level < levels - 1 else "inner(x)"
        lines += ["@decorator"] * decorators
        lines += [f"def f{level}(x):"]
        lines += ["    def inner(y):", "        return y * k", "    k = 2"] if level == levels - 1 else []
        lines += [f"    return {called} + 1", ""]
    return "\n".join([*lines, "print(f0(1))", ""])


@pytest.mark.parametrize("follow", [1, 2, 3])
@pytest.mark.parametrize("decorators", [1, 2])
@pytest.mark.parametrize("wrapper", [ANY_ARGUMENTS, ONE_ARGUMENT], ids=["any arguments", "one argument"])
def test_calls_under_decorators_are_opened_as_deep_as_they_are_recorded(
    wrapper: str, decorators: int, follow: int
) -> None:
    source = wrapper + chain(5, decorators)
    with Tracer(TracerConfig(follow=follow)) as tracer:
        trace = tracer.trace(script_snippet(source, "a.py", []))
    assert isinstance(trace, Trace), trace
    assert not {"path_differs", "unfaithful"} & set(trace.kept_whole), trace.kept_whole
    assert trace.text.endswith("7\n")
    opened = {call.name.rpartition(".")[2] for call in trace.calls}
    if wrapper is ANY_ARGUMENTS:
        assert {f"f{level}" for level in range(follow)} <= opened, "each level is a function that a reader means"
    assert f"f{follow}" not in opened
