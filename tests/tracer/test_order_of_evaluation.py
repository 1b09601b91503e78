"""Expressions from all positions of the grammar, with calls that rebind, change, raise and print: whatever is opened,
the session does what Python does, in Python's order.
"""

from __future__ import annotations

import contextlib
import io
import random

import pytest

from session_commands import without_comments
from trace_mine.tracer.schema import Drop

FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch"}

WORLD = """\
import functools
n, m = 1, 2
xs, ys = [3, 1, 2], [5]
d = {1: 10, 2: 20}
log = []
def bump(k=1):
    global n
    n += k
    log.append(n)
    return n
def swap():
    global n, m
    n, m = m, n
    return m
def grow(k):
    xs.append(k)
    return len(xs)
def fresh(k):
    global xs
    xs = [k, *xs[:3]]
    return xs
def say(k):
    print("say", k)
    return k
def fail(k):
    if k % 3 == 0:
        raise ValueError(k)
    return k
def label(k):
    if k % 2:
        return "odd"
    return ""
def nothing(k=0):
    log.append(k)
def other(a, b=2, *rest, c=3, **more):
    return [a, b, c, len(rest), sorted(more.items())]
def turn():
    global pick
    pick = other
    return 4
def pick(a, b=7, c=8):
    return (a, b, c)
class Box:
    def __init__(self, v, w=5):
        self.v = v
        self.w = w
    def add(self, k):
        self.v += k
        return self.v
    def turn(self, k):
        self.add = lambda k: ("other", k)
        return k
    @classmethod
    def make(cls, k):
        return cls(k, w=k + 1)
    def __repr__(self):
        return f"Box({self.v}, {self.w})"
class Sub(Box):
    def __init__(self, v, w=1):
        super().__init__(v + 1, w)
    def add(self, k):
        return super().add(k) * 2
def tagged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
@tagged
def wrapped(a, b=1):
    log.append(a)
    return a + b
def steps(k):
    global m
    for i in range(k % 4):
        m += 1
        yield i + n
    log.append("end")
box, sub, stored = Box(1), Sub(2), steps(3)
"""

SHOWN = "print(n, m, xs, ys, d, log, box, sub, pick(1))"


class Grammar:
    """Writes statements of one program. Every expression is small, and gives an int where ``number`` says so."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.in_lambda = False

    def pick(self, *choices):
        return self.draw.choice(choices)

    def program(self) -> str:
        lines = [WORLD]
        for _ in range(self.draw.randrange(1, 4)):
            lines += ["try:", f"    {self.statement()}", "except Exception as error:", "    print(repr(error))"]
        if self.draw.randrange(2):
            lines += ["def inside(p, q):", "    z = zs = 1", f"    {self.statement()}", f"    return {self.value(0)}"]
            lines += ["try:", "    print(inside(n, bump()))", "except Exception as error:", "    print(repr(error))"]
        return "\n".join([*lines, SHOWN, ""])

    def statement(self) -> str:
        value, number = self.value, self.number
        return self.pick(
            lambda: f"print({value(0)}, {value(0)}, {value(1)})",
            lambda: f"z = {value(0)}",
            lambda: f"zs = [{value(1)}, {value(1)}, {value(1)}]",
            lambda: f"xs[{number(0)} % 2] = {value(0)}",
            lambda: f"xs[{number(1)} % 2] += {number(1)}",
            lambda: f"box.v += {number(0)}",
            lambda: f"box.v = d[{number(1)}] = {value(1)}",
            lambda: f"log += [{value(1)}, {value(1)}]" if not self.in_function else f"z += {number(1)}",
            lambda: f"del xs[{number(1)} % 2]",
            lambda: f"raise ValueError({value(1)}) from KeyError({value(1)})",
            lambda: f"assert {value(0)}, {value(1)}",
            lambda: f"z: int = {value(0)}",
            lambda: f"z, zs = {value(1)}, {value(1)}",
            lambda: f"({self.test()}) and print({value(1)})",
            lambda: f"print([w for w in [{value(1)}, n]], {value(1)})",
        )()

    in_function = True

    def number(self, depth: int) -> str:
        if depth > 2 or self.draw.randrange(4) == 0:
            return self.pick("n", "m", "xs[0]", "box.v", "2", "len(xs)", "d[1]")
        deeper = depth + 1
        number = self.number
        return self.pick(
            lambda: "bump()",
            lambda: f"bump({number(deeper)})",
            lambda: "swap()",
            lambda: f"grow({number(deeper)})",
            lambda: f"say({number(deeper)})",
            lambda: f"fail({number(deeper)})",
            lambda: f"({number(deeper)} {self.pick('+', '-', '*')} {number(deeper)})",
            lambda: f"box.add({number(deeper)})",
            lambda: f"sub.add({number(deeper)})",
            lambda: f"wrapped({number(deeper)}, b={number(deeper)})",
            lambda: f"-{number(deeper)}",
            lambda: f"(n := {number(deeper)})",
            lambda: f"({number(deeper)} if {self.test(deeper)} else {number(deeper)})",
            lambda: f"({number(deeper)} or {number(deeper)})",
            lambda: "turn()",
            lambda: f"box.turn({number(deeper)})",
            lambda: f"max({number(deeper)}, {number(deeper)})",
            lambda: f"fresh({number(deeper)})[0]",
            lambda: f"Box.make({number(deeper)}).v",
            lambda: f"(lambda k={number(deeper)}: k)()",
            lambda: f"sum({self.comprehension(deeper)})",
            lambda: f"next(({self.comprehension(deeper)}), {number(deeper)})",
            lambda: f"next(steps({number(deeper)}))",
            lambda: "next(stored, n)",
            lambda: f"max(steps({number(deeper)}))",
        )()

    def comprehension(self, depth: int) -> str:
        """An element, a loop and a condition, with a variable whose name is in use."""
        number, deeper = self.number, depth + 1
        calls = (
            "bump()",
            "swap()",
            "grow(n)",
            "say(m)",
            "fail(n)",
            "box.add(2)",
        )  # no ``:=``, which Python refuses there
        source = self.pick(
            "xs[:3]", "(1, 2, 3)", f"[{self.pick(*calls)}, {self.pick(*calls)}]", f"steps({self.pick(*calls)})"
        )
        inner = self.pick("", "", f" for u in (1, {self.pick(*calls)})")
        test = self.pick("", "", f" if say(w) < {number(deeper)}")
        return f"w + {number(deeper)} for w in {source}{inner}{test}"

    def test(self, depth: int = 1) -> str:
        number, deeper = self.number, depth + 1
        return self.pick(
            lambda: f"{number(deeper)} < {number(deeper)}",
            lambda: f"{number(deeper)} < {number(deeper)} <= {number(deeper)}",
            lambda: f"not {number(deeper)}",
            lambda: f"label({number(deeper)})",
            lambda: f"({self.test(deeper)}) and ({self.test(deeper)})" if depth < 3 else "n",
            lambda: f"not ({number(deeper)} or {number(deeper)})",
            lambda: f"{number(deeper)} in xs",
            lambda: f"any({self.comprehension(deeper)})",
            lambda: f"all({self.comprehension(deeper)})",
        )()

    def value(self, depth: int) -> str:
        if depth > 2:
            return self.number(depth)
        number, value, deeper = self.number, self.value, depth + 1
        return self.pick(
            lambda: number(depth),
            lambda: self.pick("xs", "n", "d", "box"),
            lambda: f"[{value(deeper)}, *fresh({number(deeper)}), {value(deeper)}]",
            lambda: f"[*xs, {value(deeper)}]",
            lambda: f"({value(deeper)}, n, {value(deeper)})",
            lambda: f"{{{number(deeper)}: {value(deeper)}, {number(deeper)}: {value(deeper)}}}",
            lambda: f"{{**d, 'k': {value(deeper)}, **{{1: {value(deeper)}}}}}",
            lambda: f"sorted({{{number(deeper)}, {number(deeper)}}})",
            lambda: f"f'{{n}}-{{{number(deeper)}}}-{{xs}}-{{{number(deeper)}!r:>4}}'".replace("''", "'"),
            lambda: f"other({number(deeper)}, {value(deeper)}, c={value(deeper)})",
            lambda: f"other(c={number(deeper)}, a={value(deeper)}, k={value(deeper)})",
            lambda: f"other({number(deeper)}, *xs, {number(deeper)})",
            lambda: f"other(*ys, c={number(deeper)}, **{{'k': {value(deeper)}}})",
            lambda: f"pick({number(deeper)}, {value(deeper)})",
            lambda: f"pick({number(deeper)}, c=turn())",
            lambda: f"xs[{number(deeper)} % 2:{number(deeper)}]",
            lambda: f"(label({number(deeper)}) or {value(deeper)})",
            lambda: f"({value(deeper)} and {value(deeper)})",
            lambda: f"({value(deeper)} if {self.test(deeper)} else {value(deeper)})",
            lambda: f"nothing({number(deeper)})",
            lambda: f"Box({number(deeper)}, w={value(deeper)})",
            lambda: f"({self.test(deeper)})",
            lambda: f"box.make({number(deeper)})",
            lambda: f"xs.index({number(deeper)})",
            lambda: f"[{self.comprehension(deeper)}]",
            lambda: f"sorted({{{self.comprehension(deeper)}}})",
            lambda: f"{{say({number(deeper)}): {self.comprehension(deeper)}}}",
            lambda: f"list(steps({number(deeper)}))",
            lambda: "[*stored]",
        )()


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=3)) as made:
        yield made


def natively(source: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "<generated>", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def check(tracer, kit, number: int) -> None:
    source = Grammar(random.Random(number)).program()
    try:
        wanted = natively(source)
    except SyntaxError:  # ``:=`` in the iterable of a comprehension
        return
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), f"{number}: {trace.reason} {trace.evidence}\n{source}"
    # ``:=`` makes a local of a name that the function reads before: its calls stay calls
    assert "unbound_local" in trace.kept_whole or "unfaithful" not in trace.kept_whole, f"{number}\n{source}"
    assert not FLAT & trace.kept_whole.keys(), f"{number}: {dict(trace.kept_whole)}\n{source}"
    last = next(step for step in reversed(trace.steps) if without_comments(step.source).startswith("print("))
    assert last.output == wanted.splitlines()[-1], source


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # ``assert (a, b)`` is always true
@pytest.mark.parametrize(
    "first", [*range(0, 40, 10), *(pytest.param(n, marks=pytest.mark.slow) for n in range(40, 100, 10))]
)
def test_session_does_what_python_does_in_its_order(tracer, kit, first):
    for number in range(first, first + 10):
        check(tracer, kit, number)
