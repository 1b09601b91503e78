"""Instances of classes with a metaclass: their ``__init__`` is opened where calling the class runs nothing else."""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Trace

PLAIN = {
    "abstract": "from abc import ABC\nclass A(ABC):\n    def __init__(self, n):\n        self.n = n\n",
    "collection": (
        "from collections.abc import Sized\nclass A(Sized):\n    def __init__(self, n):\n        self.n = n\n"
        "    def __len__(self):\n        return self.n\n"
    ),
    "generic": (
        "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass A(Generic[T]):\n"
        "    def __init__(self, n: T):\n        self.n = n\n"
    ),
    "metaclass that makes classes only": (
        "class M(type):\n    pass\nclass A(metaclass=M):\n    def __init__(self, n):\n        self.n = n\n"
    ),
}
"""Classes ``A`` whose instances are made by ``object.__new__`` and ``__init__`` alone."""

OWN = {
    "calls": (
        "class M(type):\n    def __call__(cls, n):\n        return super().__call__(n + 1)\n"
        "class A(metaclass=M):\n    def __init__(self, n):\n        self.n = n\n"
    ),
    "registers": (
        "class A:\n    made = []\n    def __new__(cls, n):\n        cls.made.append(n)\n"
        "        return super().__new__(cls)\n    def __init__(self, n):\n        self.n = n + 1\n"
    ),
}
"""Classes ``A`` of which a call does something more: ``A(3).n`` is 4."""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace) and not trace.failed_checks, trace
    return trace


@pytest.mark.parametrize("name", PLAIN)
def test_an_instance_is_made_by_commands(tracer, kit, name: str) -> None:
    trace = traced(tracer, kit, PLAIN[name] + "a = A(3)\nprint(a.n)\n")
    assert "self = A.__new__(A)" in trace.text and ">>> self.n = n\n" in trace.text
    assert [step.output for step in trace.steps if step.source == "print(a.n)"] == ["3"]


def test_a_method_above_is_opened_for_a_class(tracer, kit) -> None:
    source = (
        "from abc import ABC\nclass A(ABC):\n    @classmethod\n    def of(cls, n):\n        return n + 1\n"
        "class B(A):\n    @classmethod\n    def of(cls, n):\n        return super().of(n) * 2\nprint(B.of(3))\n"
    )
    trace = traced(tracer, kit, source)
    assert trace.opened_calls == 2 and "\n8\n" in trace.text


@pytest.mark.parametrize("name", OWN)
def test_a_class_that_does_more_is_called(tracer, kit, name: str) -> None:
    trace = traced(tracer, kit, OWN[name] + "a = A(3)\nprint(a.n)\n")
    assert [step.output for step in trace.steps if step.source == "print(a.n)"] == ["4"]
    assert "self = A.__new__(A)" not in trace.text
