"""Syntax that newer interpreters brought, traced under each interpreter that has it, with its calls open.

What a program prints is compared with what the same interpreter prints of it without us.
"""

from __future__ import annotations

import subprocess

import pytest

import interpreters
from session_commands import without_comments
from trace_mine.tracer.schema import Drop

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch", "unfaithful"}
SINCE: dict[str, dict[str, tuple[int, str]]] = {
    "3.11": {
        "a generator that the library consumes": (
            1,
            "def count(n):\n    k = 0\n    while k < n:\n        yield k\n        k += 1\nprint(sum(count(2)))\n",
        ),
        "a group is caught in parts": (
            1,
            "def broken(n):\n    raise ExceptionGroup('many', [ValueError(n), KeyError(n)])\n"
            "seen = []\n"
            "try:\n    broken(1)\nexcept* ValueError as group:\n    seen.append(len(group.exceptions))\n"
            "except* KeyError:\n    seen.append('key')\nprint(seen)\ndef after(n):\n    return n\nprint(after(2))\n",
        ),
        "an annotation of a local is not evaluated": (
            1,
            "def f(n):\n    total: nowhere = n\n    missing: nowhere\n    return total\nprint(f(3))\n",
        ),
        "annotations may be asked for": (
            1,
            "count: int = 1\ndef f(n: int) -> int:\n    return n + count\nprint(f(2), f.__annotations__)\n",
        ),
        "a comprehension's variable is its own": (
            1,
            "def f(xs):\n    x = 1\n    ys = [x * 2 for x in xs]\n    return x, ys\nx = 7\nprint(f([1, 2]), x)\n",
        ),
        "a comprehension in a class's body": (0, "class C:\n    n = 3\n    xs = [i for i in range(n)]\nprint(C.xs)\n"),
        "locals in a comprehension": (0, "def f(n):\n    return sorted(k for k in locals())\nprint(f(1))\n"),
    },
    "3.12": {
        "a generic function": (
            1,
            "def first[T](xs: list[T]) -> T:\n    y: T = xs[0]\n    return y\nprint(first([1, 2]))\n",
        ),
        "a body that reads its type parameter": (
            1,
            "def f[T](x: T):\n    y = T.__name__\n    return y, x\nprint(f(2))\n",
        ),
        "a generic class": (
            2,
            "class Stack[T]:\n    def __init__(self) -> None:\n        self.items: list[T] = []\n"
            "    def push(self, item: T) -> None:\n        self.items.append(item)\n"
            "s = Stack()\ns.push(1)\nprint(s.items, Stack.__type_params__)\n",
        ),
        "a bound that is a renamed local": (
            2,
            "def f(n, lim):\n    def g[T: lim](x: T) -> T:\n        return x\n    y = g(n)\n"
            "    return y, g.__type_params__[0].__bound__\nlim = 3\nn = 5\nprint(f(1, int), lim, n)\n",
        ),
        "a type parameter hides a renamed local": (
            2,
            "def f(n):\n    def g[n](x: n) -> n:\n        return x\n    y = g(n)\n    return y, g.__annotations__\n"
            "n = 3\nprint(f(1), n)\n",
        ),
        "a generic class in a function": (
            2,
            "def f(n, base):\n    class Box[T](base):\n        def __init__(self, v: T):\n            self.v = v\n"
            "    b = Box(n)\n    return b.v, Box.__bases__[0] is base\nbase = 0\nn = 3\nprint(f(1, dict), base)\n",
        ),
        "an alias whose value is a renamed local": (
            1,
            "def f(n):\n    type P[K] = tuple[K, n]\n    return P.__value__, P.__type_params__\nn = 3\n"
            "print(f(int), n)\n",
        ),
        "an alias is evaluated when it is asked for": (
            1,
            "type Tree = list[Tree] | leaf\ndef f(n):\n    return n\nleaf = int\nprint(Tree.__value__, f(1))\n",
        ),
        "an alias's local is rebound before it is asked for": (
            1,
            "def f(n):\n    type P = n\n    n = str\n    return P.__value__\nn = int\nprint(f(n), n)\n",
        ),
        "an f-string with its own quotes": (
            1,
            'def f(d):\n    s = f"{d["a"]} {f"{d["b"]}"}"\n    return s\nprint(f({\'a\': 1, \'b\': 2}))\n',
        ),
    },
    "3.13": {
        "a default of a type parameter is a renamed local": (
            2,
            "def f(n):\n    def g[T = n](x: T) -> T:\n        return x\n"
            "    return g(2), g.__type_params__[0].__default__\n"
            "n = 3\nprint(f(int), n)\n",
        ),
        "a copy of locals": (0, "def f(n):\n    seen = locals()\n    n += 1\n    return seen['n'], n\nprint(f(1))\n"),
        "a docstring without its indentation": (
            1,
            'def f(n):\n    """One.\n\n        Two.\n    """\n    return n\nprint(repr(f.__doc__), f(1))\n',
        ),
    },
    "3.14": {
        "a template string": (
            1,
            "def show(template):\n    parts = [p if isinstance(p, str) else p.value for p in template]\n"
            "    return parts\n"
            "name = 'x'\nprint(show(t'a {name!r:>4} b'), t'{name}'.interpolations[0].expression)\n",
        ),
        "a template string of a renamed local": (
            0,  # it shows the local's name
            "def f(n):\n    made = t'<{n}>'\n    return made.values, made.strings\nn = 1\nprint(f(5), n)\n",
        ),
        "a template string with calls": (
            2,  # in the string itself they stay
            "def f(n):\n    return n + 1\ndef g(n, t):\n    return n, t.values\n"
            "n = 1\nprint(g(n, t'{f(n)} {n:>{f(n)}}'), f(n))\n",
        ),
        "a template string before a call that rebinds": (
            1,
            "def inc():\n    global n\n    n += 1\n    return n\nn = 1\nprint(t'{n}'.values, inc(), t'{n}'.values)\n",
        ),
        "annotations are evaluated when they are asked for": (
            1,
            "def f(n: Later) -> Later:\n    return n\nclass Later:\n    pass\n"
            "print(f(1), f.__annotations__['n'].__name__)\n",
        ),
        "several exceptions without brackets": (
            1,
            "def f(n):\n    try:\n        return 1 // n\n    except ZeroDivisionError, TypeError:\n"
            "        return 'caught'\n"
            "print(f(0))\n",
        ),
    },
}
PROGRAMS = [
    pytest.param(minor, opened, source, id=name)
    for minor, programs in SINCE.items()
    for name, (opened, source) in programs.items()
]


@pytest.fixture(scope="module")
def tracer(kit, interpreter):
    with kit.PlainTracer(kit.TracerConfig(python=interpreter)) as made:
        yield made


@pytest.mark.parametrize(("since", "opened", "source"), PROGRAMS)
def test_a_program_is_opened_and_prints_what_it_prints(kit, tracer, interpreter, since, opened, source):
    if interpreters.version_of(interpreter) < tuple(map(int, since.split("."))):
        pytest.skip(f"does not apply: syntax of Python {since}")
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), trace
    assert not FLAT & trace.kept_whole.keys(), (trace.kept_whole, trace.text)
    plain = subprocess.run([interpreter, "-I", "-c", source], capture_output=True, text=True, check=True)
    assert (
        "".join(f"{step.output}\n" for step in trace.steps if without_comments(step.source).startswith("print("))
        == plain.stdout
    )
    assert trace.opened_calls == opened, trace.text
    assert trace.own_frames == trace.opened_frames + sum(trace.unopened_frames.values())
