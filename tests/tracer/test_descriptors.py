"""Attributes that run functions of the program's own: descriptors, cached properties, and calls of what they give."""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Trace

FIELD = """\
class Field:
    def __init__(self, n):
        self.n = n

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, obj, objtype=None):
        if obj is None:
            return self
        return obj.data.get(self.name, self.n)

    def __set__(self, obj, value):
        obj.data[self.name] = value

class Base:
    b = Field(5)

    def __init__(self):
        self.data = {}

class A(Base):
    a = Field(3)

    def both(self):
        return self.a + self.b

x = A()
"""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source))
    assert isinstance(trace, Trace) and not trace.failed_checks, trace
    return trace


def texts(trace: Trace) -> list[str]:
    return [call.text for call in trace.calls]


def test_descriptors_of_the_program_are_opened(tracer, kit) -> None:
    trace = traced(tracer, kit, FIELD + "x.a = 7\nprint(x.a, x.b, x.both())\n")
    assert texts(trace) == ["A()", "x.a = 7", "x.a", "x.b", "x.both()", "self.a", "self.b"]
    assert "\n7 5 12\n" in trace.text
    # read from the class that they stand in
    assert "self = x.__class__.__dict__['a']" in trace.text
    assert "self = x.__class__.__mro__[1].__dict__['b']" in trace.text


METHOD = """\
class Method:
    def __init__(self, f):
        self.f = f

    def __get__(self, obj, objtype=None):
        def bound(*args):
            return self.f(obj, *args) + 1
        return bound

class A:
    n = 1

    @Method
    def add(self, n):
        return n + self.n

a = A()
order = []

def noted(n):
    order.append(n)
    return n

"""


def test_what_an_attribute_gives_is_looked_up_before_the_arguments_and_called(tracer, kit) -> None:
    trace = traced(tracer, kit, METHOD + "print(a.add(noted(2)), order)\n")
    assert texts(trace) == ["a.add", "noted(2)", "returned_1(n)", "self.f(obj, *args)"]
    assert "\n4 [2]\n" in trace.text
    # an instance's own attribute goes before a descriptor without `__set__`
    trace = traced(tracer, kit, METHOD + "a.add = noted\nprint(a.add(2))\n")
    assert texts(trace) == ["a.add(2)"] and "\n2\n" in trace.text


CACHED = """\
from functools import cached_property

class A:
    def __init__(self, n):
        self.n = n

    @cached_property
    def double(self):
        if self.n < 0:
            raise ValueError(self.n)
        return 2 * self.n

    @cached_property
    def rule(self):
        def inner(m):
            return m + self.n
        return inner

a = A(3)
"""


def test_a_cached_property_is_opened_once_and_kept(tracer, kit) -> None:
    used = "print(a.double, a.double + a.double)\nprint(vars(a))\nprint(a.rule(4), a.rule(5))\n"
    trace = traced(tracer, kit, CACHED + used)
    assert texts(trace)[:2] == ["A(3)", "a.double"]
    assert [call.name.rpartition(".")[2] for call in trace.calls] == ["__init__", "double", "rule", "inner", "inner"]
    assert "{'n': 3, 'double': 6}\n" in trace.text and "\n7 8\n" in trace.text
    failing = "try:\n    A(-1).double\nexcept ValueError as error:\n    print(error)\nprint(A(-1).__dict__)\n"
    trace = traced(tracer, kit, CACHED + failing)
    assert "\n-1\n" in trace.text and "{'n': -1}\n" in trace.text


OTHERS = {
    "a class that asks for attributes itself": (
        "class D:\n    def __get__(self, obj, objtype=None):\n        return 1\n"
        "class A:\n    d = D()\n"
        "    def __getattribute__(self, name):\n        return object.__getattribute__(self, name)\n"
    ),
    "one that answers what raises": (
        "class D:\n    def __get__(self, obj, objtype=None):\n        raise AttributeError\n"
        "class A:\n    d = D()\n    def __getattr__(self, name):\n        return 1\n"
    ),
    "a metaclass with a table of its own": (
        "class D:\n    def __get__(self, obj, objtype=None):\n        return 1\n"
        "class M(type):\n    __dict__ = property(lambda cls: {'d': 5})\nclass A(metaclass=M):\n    d = D()\n"
    ),
    "a cached property under another name": (
        "from functools import cached_property\nclass B:\n    @cached_property\n    def e(self):\n        return 1\n"
        "class A:\n    pass\nA.d = B.__dict__['e']\n"
    ),
    "an instance without a dictionary": (
        "class D:\n    def __get__(self, obj, objtype=None):\n        return 1\n"
        "class A:\n    __slots__ = ()\n    d = D()\n"
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_values_are_those_of_the_program(tracer, kit, name: str) -> None:
    trace = traced(tracer, kit, OTHERS[name] + "a = A()\nx = a.d\ny = a.d\nprint(x, y)\n")
    assert [step.output for step in trace.steps if step.source.startswith("print(")] == ["1 1"]


OWN_PROPERTY = """\
class cached(property):
    def __init__(self, fget):
        super().__init__(fget)
        self.__name__ = fget.__name__

    def __get__(self, obj, cls=None):
        if obj is None:
            return self
        value = obj.__dict__.get(self.__name__)
        if value is None:
            value = self.fget(obj)
            obj.__dict__[self.__name__] = value
        return value

class R:
    def __init__(self, text):
        self.text = text

    @cached
    def parts(self):
        found = []
        for part in self.text.split("&"):
            found.append(part)
        return found

r = R("a&b")
"""


def test_the_function_of_a_property_of_the_program_s_own_kind_is_opened(tracer, kit) -> None:
    """``fget`` is a field of C code, which nothing in the instance's dictionary says."""
    trace = traced(tracer, kit, OWN_PROPERTY + "print(r.parts)\nprint(r.parts, r.parts is r.parts)\n")
    assert texts(trace).count("self.fget(obj)") == 1, "the second time it is kept"
    assert ">>> found = []" in trace.text and "\n['a', 'b'] True\n" in trace.text


def test_a_field_that_holds_nothing_or_no_function_stays_as_it_is(tracer, kit) -> None:
    source = OWN_PROPERTY + "p = cached.__new__(cached)\ntry:\n    p.fget(r)\nexcept TypeError as e:\n    print(e)\n"
    assert "'NoneType' object is not callable" in traced(tracer, kit, source).text
