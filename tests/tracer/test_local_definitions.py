"""Classes and functions that an opened call defines keep the qualified names that they have in the program; statements
of a function keep their lines.
"""

from __future__ import annotations

import pytest

from trace_mine.tracer.schema import Drop


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


PROGRAMS = {
    "class": (
        "    class Inner:\n        pass\n",
        "print(made.__qualname__, made.__name__, repr(made()).split(' at')[0])\n",
    ),
    "docstring": ("    class Inner:\n        'Says so.'\n", "print(made.__qualname__, made.__doc__)\n"),
    "data class": ("    @dataclass\n    class Inner:\n        x: int = 3\n", "print(made(), made(4))\n"),
    "nested": ("    class Inner:\n        class Deep:\n            pass\n", "print(made.Deep.__qualname__)\n"),
    "in a block": ("    if n:\n        class Inner:\n            pass\n", "print(made.__qualname__)\n"),
    "spelt already": ("    class Inner:\n        __qualname__ = 'mine'\n", "print(made.__qualname__)\n"),
    "function": ("    def Inner(a=1):\n        return a\n", "print(made.__qualname__, repr(made).split(' at')[0])\n"),
    "decorated": (
        "    def keep(f):\n        return f\n    @keep\n    def Inner():\n        return 1\n",
        "print(made.__qualname__)\n",
    ),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_local_definition_keeps_its_qualified_name(kit, tracer, kind):
    """What is printed is compared with the native run; the call is opened."""
    body, shown = PROGRAMS[kind]
    source = f"from dataclasses import dataclass\ndef outer(n):\n{body}    return Inner\nmade = outer(1)\n{shown}"
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop) and trace.opened_calls >= 1 and not trace.kept_whole, trace


def test_functions_are_not_named_where_nothing_reads_it(kit, tracer):
    trace = tracer.trace(
        kit.script("def outer():\n    def inner():\n        return 1\n    return inner\nprint(outer()())\n")
    )
    assert ".__qualname__" not in trace.text


def test_a_statement_of_many_lines_that_a_command_writes_in_one_keeps_its_lines(kit, tracer):
    """The function's command has no blank lines, so that ``return`` is one line of it."""
    source = "def f(n):\n\n    m = n\n\n    if n:\n\n        return m\n\n    return (1,\n\n                2)\n"
    trace = tracer.trace(kit.script(f"{source}print(f(1), f(0))\n"))
    assert not isinstance(trace, Drop) and trace.opened_calls == 2 and not trace.kept_whole, trace.kept_whole


def test_a_statement_that_begins_where_one_of_many_lines_ends_is_another_one(kit, tracer):
    source = "def f(n):\n    a = [\n        n,\n        2]; b = 3\n"
    source += "    if (n and\n            a): c = 4\n    return a, b, c\n"
    trace = tracer.trace(kit.script(f"{source}print(f(1))\n"))
    assert not isinstance(trace, Drop) and trace.opened_calls == 1 and not trace.kept_whole, trace.kept_whole
