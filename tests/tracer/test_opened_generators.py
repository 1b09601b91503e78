"""Generators, comprehensions, lambdas and callbacks are opened, however they are resumed or called: the session prints
what Python prints, and every frame is opened or counted.
"""

from __future__ import annotations

import contextlib
import io

import pytest

from session_commands import without_comments
from trace_mine.tracer.schema import Trace

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch"}

COUNT = """\
def count(n):
    k = 0
    while k < n:
        yield k
        k += 1
    return "done"
"""
BAG = """\
class Bag:
    def __init__(self, *items):
        self.items = list(items)
    def __iter__(self):
        print("iter")
        return iter(self.items)
    def __len__(self):
        print("len")
        return len(self.items)
bag = Bag(3, 1, 2)
"""
KEY = "def key(x):\n    print('key', x)\n    return x * 7 % 5\n"

OPENED = {
    "next": COUNT + "g = count(2)\nprint(next(g) + next(g), next(g, 7), list(g))",
    "end": COUNT + "g = count(1)\nnext(g)\ntry:\n    next(g)\nexcept StopIteration as e:\n    print(e.value)",
    "send": "def echo():\n    got = yield 0\n    while got:\n        got = yield got * 2\n"
    "e = echo()\nnext(e)\nprint(e.send(3), e.send(4))\ne.close()\nprint(list(e))",
    "throw": COUNT + "g = count(3)\nnext(g)\ntry:\n    g.throw(KeyError('no'))\nexcept KeyError as error:\n"
    "    print(error)\nprint(list(g))",
    "twice": COUNT + "g = count(5)\nfor x in g:\n    if x == 1:\n        break\nprint(x, next(g), list(g), list(g))",
    "two": COUNT + "a, b = count(3), count(2)\nprint(next(a), next(b), next(a), next(b), [*a], [*b])",
    "given": COUNT + "def made(n):\n    g = count(n)\n    return g\nprint(tuple(made(2)), sum(made(3)))",
    "joined": "def words(n):\n    for i in range(n):\n        yield str(i)\ndef made(n):\n    g = words(n)\n"
    "    return g\nsep = ','\nprint('-'.join(words(2)), sep.join(made(3)))",
    "errors alone": "def g(n):\n    try:\n        for i in range(n):\n            yield 6 // (2 - i)\n"
    "    except (ZeroDivisionError, RecursionError) as error:\n        print('caught', error)\n"
    "def made(n):\n    held = g(n)\n    return held\nprint(tuple(made(2)))\nfor x in made(3):\n    break\n"
    "for x in g(2):\n    break\nprint(x)",
    "passed on": COUNT + "def take(g):\n    return next(g)\ng = count(3)\nprint(take(g), take(g), sum(g))",
    "held": COUNT + "class A:\n    def __init__(self):\n        self.g = count(3)\n    def take(self):\n"
    "        return next(self.g)\na = A()\nprint(a.take(), a.take())\nd = {'g': count(2)}\nprint(next(d['g']))",
    "delegated": COUNT
    + "def outer():\n    got = yield from count(2)\n    print(got)\n    x = yield from [7]\n    print(x)\n"
    "print(list(outer()))",
    "finally": "def g():\n    try:\n        yield 1\n        yield 2\n    finally:\n        print('end')\n"
    "for x in g():\n    print(x)\n    break\nprint('after')\nprint(list(g()))",
    "in a function": COUNT
    + "def f():\n    g = count(3)\n    first = next(g)\n    for x in g:\n        return first, x\nprint(f())",
    "raises": "def g():\n    yield 1\n    raise KeyError('no')\nx = g()\nprint(next(x))\ntry:\n    next(x)\n"
    "except KeyError as error:\n    print(error)\nprint(list(x))",
    "rebound": COUNT + "g = count(2)\nh = g\ng = None\nprint(next(h))\nfor h in h:\n    print(h)",
    "generator expression": KEY + "g = (key(x) for x in (1, 2, 3) if x != 2)\nprint(next(g), list(g))",
    "used up": KEY
    + "print(sum(key(x) for x in (1, 2)), any(key(x) == 4 for x in (1, 2, 3)), all(key(x) for x in (5, 1)))",
    "first": KEY + "print(next((x for x in (5, 1) if key(x)), None), next((x for x in (5,) if key(x)), None))",
    "comprehensions": KEY
    + "k = 9\nprint([key(k) for k in (1, 2)], {key(x): k for x in (1, 2)}, {key(x) for x in (1,)}, k)",
    "nested": KEY + "print([[key(x + y) for y in (1, 2)] for x in (10, 20) if key(x) is not None])",
    "items of a class": "class A:\n    def area(self):\n        return 2\nxs = [A(), A()]\n"
    "print([x.area() for x in xs])",
    "lambda": KEY + "f = lambda x, y=2: key(x) + y\nprint(f(1))\nd = {'a': lambda x: x}\nprint(d['a'](4))",
    "late variable": "fs = []\nfor k in range(2):\n    fs.append(lambda: k)\nprint([f() for f in fs])",
    "two on a line": "f, g = lambda x: x + 1, lambda x: x * 2\nprint(f(3), g(3))",
    "map": KEY + COUNT + "print(list(map(key, (1, 2))), sum(map(lambda a, b: a * b, [1, 2], count(5))))",
    "zip": COUNT
    + BAG
    + "print(list(zip(count(2), 'abc')))\nfor i, (a, b) in enumerate(zip(bag, count(2))):\n    print(i, a, b)",
    "filter": BAG + "print(list(filter(lambda x: x > 1, bag)), [x for x in filter(None, bag)])",
    "built-ins": BAG + "print(tuple(bag), sorted(bag), max(bag), sum(bag), set(bag), ','.join(map(str, bag)))",
    "unpacked": BAG + COUNT + "a, *b = bag\nx, y = count(2)\nprint(a, b, x, y, [*bag, *count(2)])",
    "keys": KEY
    + "xs = [3, 1, 2]\nprint(sorted(xs, key=key, reverse=True), max(xs, key=key), min(3, 4, key=lambda x: -x))",
    "reduce": "import functools\nfrom functools import reduce\nadd = lambda a, b: a * 2 + b\n"
    "print(reduce(add, [1, 2, 3]), functools.reduce(lambda a, b: a + b, (1,), 5), reduce(add, [4]))",
    "truth": "class B:\n    def __init__(self, n):\n        self.n = n\n    def __bool__(self):\n"
    "        print('bool', self.n)\n        return self.n > 1\np, q = B(1), B(2)\nr = p or q\nprint(r.n, (p and q).n)\n"
    "if q and p:\n    print('both')\nelif not p:\n    print('not p')",
    "item in place": "class A:\n    def __init__(self):\n        self.d = {}\n    def __getitem__(self, k):\n"
    "        return self.d.get(k, 0)\n    def __setitem__(self, k, v):\n        print('set', k, v)\n"
    "        self.d[k] = v\n"
    "    @property\n    def size(self):\n        return len(self.d)\n    @size.setter\n    def size(self, v):\n"
    "        print('size', v)\na = A()\na[1] += 5\na[1] *= 2\na.size += 1\nprint(a[1])",
}
"""Programs in which every frame is opened, but for those of class bodies."""

LEFT = {
    "used by a library": (COUNT + "from collections import deque\ng = count(3)\nprint(next(g), deque(g))", "generator"),
    "too many": (COUNT + "try:\n    x, y = count(3)\nexcept ValueError:\n    print('too many')", "generator"),
    "with": ("import io\ndef g():\n    with io.StringIO('a'):\n        yield 1\nfor x in g():\n    x", "generator"),
    "end is caught": (
        "def g():\n    try:\n        yield 1\n    except BaseException as e:\n        print(type(e).__name__)\n"
        "def made():\n    held = g()\n    return held\nprint(tuple(made()))", "generator",
    ),
    "part": ("def g():\n    print((yield 1))\nprint(list(g()))", "generator"),
    "compared keys": ("class K:\n    def __init__(self, n):\n        self.n = n\n    def __lt__(self, o):\n"
    "        print('lt')\n        return self.n < o.n\n    __gt__ = __lt__\n"
    "print(max([2, 1], key=lambda n: K(n)))", "lambda"),
}  # fmt: skip
"""Programs with frames that stay, and the way in which these were entered."""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def natively(source: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<generated>", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def traced(tracer, kit, source: str) -> Trace:
    trace = tracer.trace(kit.script(source + "\n"))
    assert isinstance(trace, Trace), f"{trace}\n{source}"
    assert not FLAT & trace.kept_whole.keys(), trace.kept_whole
    return trace


@pytest.mark.parametrize("kind", OPENED)
def test_every_frame_is_opened(tracer, kit, kind: str) -> None:
    trace = traced(tracer, kit, OPENED[kind])
    printed = [step.output for step in trace.steps if without_comments(step.source).startswith("print(")]
    assert "\n".join(printed) == natively(OPENED[kind]).rstrip("\n"), trace.text
    left = {reason: number for reason, number in trace.unopened_frames.items() if reason != "class_body"}
    assert not left, f"{trace.kept_whole}\n{trace.text}"
    assert not trace.kept_whole


def test_what_a_held_generator_catches_is_printed(tracer, kit) -> None:
    source = OPENED["errors alone"] + "\nprint(list(made(3)))"
    trace = tracer.trace(kit.script(source + "\n"))
    assert isinstance(trace, Trace)
    printed = [step.output for step in trace.steps if without_comments(step.source).startswith("print(")]
    assert "\n".join(printed) == natively(source).rstrip("\n"), trace.text


@pytest.mark.parametrize("kind", LEFT)
def test_what_is_not_certain_stays(tracer, kit, kind: str) -> None:
    source, reason = LEFT[kind]
    assert traced(tracer, kit, source).unopened_frames.get(reason)


def test_the_object_of_an_opened_generator_stays_one(tracer, kit) -> None:
    """It is of its type, its name and its own: what does not resume it sees no difference."""
    source = COUNT + "g = count(2)\nprint(next(g), type(g).__name__, g.__name__, iter(g) is g, list(g))"
    trace = traced(tracer, kit, source)
    assert not trace.kept_whole and ">>> g.close()" in trace.text
    assert [step.output for step in trace.steps if without_comments(step.source).startswith("print(")] == [
        "0 generator count True [1]"
    ]


def test_other_comprehensions_are_opened_on_request(kit) -> None:
    source = "xs = [1, 2]\nprint([x for x in xs], {x: 1 for x in xs}, any(x > 1 for x in xs))\n"
    for asked in (False, True):
        with kit.PlainTracer(kit.TracerConfig(comprehensions=asked)) as tracer:
            trace = traced(tracer, kit, source)
        assert ("collected_1.append(x)" in trace.text) is asked
