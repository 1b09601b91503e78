"""What ends in the program ends in the session, at the same moment and by a command that stands there."""

from __future__ import annotations

import pytest

from session_commands import without_comments
from trace_mine.tracer.schema import Drop

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch", "unfaithful"}


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def traced(kit, tracer, source: str):
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), trace
    assert not FLAT & trace.kept_whole.keys(), (trace.kept_whole, trace.text)
    return trace


def commands(trace) -> list[str]:
    return [without_comments(step.source) for step in trace.steps if step.kind != "reveal"]


LOUD = """class Loud:
    def __init__(self, name):
        self.name = name
    def __del__(self):
        print("end of", self.name)
    def me(self):
        return self
    def __add__(self, other):
        return Loud(self.name + other.name)
"""

ENDS = {
    "local": "def f(n):\n    held = Loud(n)\n    return len(n)\nprint(f('ab'))\nprint('after')\n",
    "order of locals": "def f(n):\n    z = Loud('z')\n    a = Loud(n)\n    c = Loud('c')\nf('a')\nprint('after')\n",
    "unused result": "Loud('a')\nprint('after')\n",
    "unused result of a call": "def f():\n    return Loud('a')\nf()\nprint('after')\n",
    "operator": "x = Loud('a') + Loud('b')\nprint('after', x.name)\n",
    "loop": "def f(n):\n    return [Loud(n), Loud(n + n)]\nfor each in f('a'):\n    print(each.name)\nprint('after')\n",
    "rebound": "x = Loud('a')\nx = Loud('b')\nprint('after')\ndel x\nprint('end')\n",
    "handled exception": (
        "def f(n):\n    held = Loud(n)\n    raise ValueError(n)\n"
        "try:\n    f('a')\nexcept ValueError as error:\n    print('caught', error)\nprint('after')\n"
    ),
    "exception of a whole function": (
        "def f(n):\n    held = Loud(n)\n    exec('1 / 0')\n"
        "try:\n    list(map(f, 'a'))\nexcept ZeroDivisionError as error:\n    print('caught', error)\nprint('after')\n"
    ),
    "closure": "def f(n):\n    a = Loud('a')\n    b = Loud(n)\n    return lambda: b.name\ng = f('b')\nprint(g())\n",
    "nested calls": (
        "def g(x):\n    y = Loud('y')\n    return x\n"
        "def f(n):\n    return g(Loud(n)).name\nprint(f('a'))\nprint('after')\n"
    ),
    "generator left early": (
        "def f():\n    held = Loud('held')\n    yield 1\n    yield 2\n"
        "for x in f():\n    print(x)\n    break\nprint('after')\n"
    ),
    "weak reference": (
        "import weakref\ndef f(n):\n    held = Loud(n)\n    return weakref.ref(held)\n"
        "print(f('a')())\nr = weakref.ref(Loud('b'))\nprint(r())\n"
    ),
    "with": (
        "from contextlib import contextmanager\n@contextmanager\ndef m():\n    held = Loud('held')\n    yield held\n"
        "with m() as x:\n    print(x.name)\ndel x\nprint('after')\n"
    ),
}


@pytest.mark.parametrize("kind", ENDS)
def test_objects_end_when_they_do_in_the_program(kit, tracer, kind):
    """The result check compares what is printed with the native run; nothing was kept whole to pass it."""
    trace = traced(kit, tracer, LOUD + ENDS[kind])
    assert any("end of" in step.output for step in trace.steps), trace.text
    assert trace.opened_calls >= (kind != "exception of a whole function")


# objects that end in the middle of an expression: a variable of the session would hold them to its end
WITHIN = {
    "result in an expression": "def f(n):\n    return Loud(n)\nprint(f('a').me().name, f('b').name)\nprint('after')\n",
    "method of a dying object": "print(Loud('a').me().me().name)\nprint('after')\n",
}


@pytest.mark.parametrize("kind", WITHIN)
def test_a_statement_in_which_objects_end_is_kept_whole(kit, tracer, kind):
    trace = tracer.trace(kit.script(LOUD + WITHIN[kind]))
    assert not isinstance(trace, Drop) and trace.kept_whole == {"result_differs": 1}, trace
    assert trace.steps[-1].source == "print('after')"


LISTS = """def g(x):
    y = x + 1
    return y
def f(n):
    m = g(n)
    return [m, n]
for i in range(8):
    z = f(i)
    w = g(i) + i
"""
HARMLESS = {
    "dir": "print(dir())\n",
    "globals": "print(sorted(globals()))\n",
    "public": "print([name for name in globals() if not name.startswith('_')])\n",
    "vars": "print({name: value for name, value in vars().items() if isinstance(value, int)})\n",
    "locals": "print(len(locals()))\n",
    "loop": "for name, value in list(globals().items()):\n    if isinstance(value, int):\n        print(name, value)\n",
    "own function": "def show():\n    return sorted(n for n in globals() if n[0] != '_')\nprint(show())\n",
    "module": "import sys\nprint(sorted(vars(sys.modules['__main__'])))\n",
    "dictionary": "import __main__\nprint(list(__main__.__dict__))\n",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_a_line_that_lists_names_keeps_the_rest(kit, tracer, kind):
    """More than 80% of the commands that the program has without it."""
    plain = traced(kit, tracer, LISTS)
    trace = traced(kit, tracer, LISTS + HARMLESS[kind])
    assert len(commands(trace)) > 0.8 * len(commands(plain)) and trace.opened_calls >= plain.opened_calls


def test_variables_of_a_call_end_by_one_command(kit, tracer):
    trace = traced(kit, tracer, "def f(a, b):\n    c = a + b\n    return c * 2\nx = f(1, 2)\ny = f(3, 4)\n")
    first = ["a = 1", "b = 2", "c = a + b", "returned_1 = c * 2", "del a, b, c", "x = returned_1"]
    # the same names are free again for the next call
    second = ["a = 3", "b = 4", "c = a + b", "returned_1 = c * 2", "del a, b, c", "y = returned_1"]
    assert commands(trace)[1:] == [*first, *second]


def test_a_returned_local_ends_with_the_statement_that_used_it(kit, tracer):
    trace = traced(kit, tracer, "def f(a):\n    c = a + 1\n    return c\nx = f(1)\n")
    assert commands(trace)[1:] == ["a = 1", "c = a + 1", "del a", "x = c", "del c"]


def test_a_temporary_variable_ends_at_once_where_the_program_lists_names(kit, tracer):
    trace = traced(kit, tracer, "def f(a):\n    return a + 1\nx = f(1)\nprint(sorted(vars()))\n")
    assert commands(trace)[1:6] == ["a = 1", "returned_1 = a + 1", "del a", "x = returned_1", "del returned_1"]


UNBOUND = {
    "returned": "    return value\n",
    "operand": "    return value + 1\n",
    "argument": "    print(value)\n",
    "called": "    return value()\n",
    "augmented": "    value += 1\n",
    "deleted": "    del value\n",
    "method": "    return value.bit_length()\n",
    "in a callee's argument": "    return abs(value)\n",
    "raised": "    raise value\n",
    "asserted": "    assert value\n",
    "tested": "    if value:\n        pass\n",
    "looped": "    for item in value:\n        pass\n",
    "unpacked": "    a, b = value\n",
}


@pytest.mark.parametrize("kind", UNBOUND)
def test_a_local_that_is_not_bound_raises_what_it_does_in_the_program(kit, tracer, kind):
    """The calls are opened, that which raises too, and what an earlier call bound is gone."""
    source = f"def f(flag):\n    if flag:\n        value = 1\n        return value\n{UNBOUND[kind]}print(f(1))\n"
    source += "try:\n    f(0)\nexcept NameError as error:\n    print(type(error).__name__, error, error.name)\n"
    trace = traced(kit, tracer, source)
    shown = "UnboundLocalError cannot access local variable 'value' where it is not associated with a value None"
    assert trace.opened_calls == 2 and shown in trace.text


def test_a_function_that_ran_something_before_it_read_its_variable_is_kept(kit, tracer):
    source = "def f():\n    print(print('ran'), value)\n    value = 1\n"
    trace = tracer.trace(kit.script(f"{source}try:\n    f()\nexcept NameError as error:\n    print(error)\n"))
    assert not isinstance(trace, Drop) and "unbound_local" in trace.kept_whole and "not associated" in trace.text


def test_exceptions_hold_the_variables_of_the_calls_that_they_left(kit, tracer):
    source = "def g(a):\n    raise ValueError(a)\ndef f(b):\n    c = b\n    g(c)\n"
    trace = traced(kit, tracer, f"{source}try:\n    f(1)\nexcept ValueError:\n    d = 1\ne = 2\n")
    assert commands(trace)[-4:] == ["raise ValueError(a)", "d = 1", "del a, b, c", "e = 2"]


def test_an_uncaught_exception_is_the_end_of_the_session(kit, tracer):
    trace = traced(kit, tracer, "def f(a):\n    raise ValueError(a)\nf(1)\n")
    assert trace.steps[-1].source == "raise ValueError(a)"
