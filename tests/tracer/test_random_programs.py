"""Random small programs through the tracer: whatever they do, the session passes every check, nearly always
without the last resort.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from trace_mine.tracer.schema import Drop

NUMBERS = ("a", "b", "c")
LISTS = ("xs", "ys")
FLAT = {"closed", "result_differs", "path_differs", "replay_differs", "unstable", "replay_mismatch"}


class Grammar:
    """Writes one program: functions first, then statements that call them. Every loop is bounded, every number
    small.
    """

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.functions: list[tuple[str, int, str]] = []
        self.counter = 0

    def program(self) -> str:
        lines = ["seen = []"]
        for _ in range(self.draw.randrange(1, 4)):
            lines += self.function()
        lines += ["a, b, c = 1, 2, 3", "xs = [3, 1, 2]", "ys = xs" if self.chance(3) else "ys = [0]"]
        for _ in range(self.draw.randrange(2, 7)):
            lines += self.statement(0, loop=False, function=False)
        return "\n".join([*lines, "print(a, b, c, xs, ys, xs is ys, seen)", ""])

    def chance(self, one_in: int) -> bool:
        return self.draw.randrange(one_in) == 0

    def pick(self, *choices):
        return self.draw.choice(choices)

    def function(self) -> list[str]:
        name = f"f{len(self.functions)}"
        kind = self.pick("plain", "plain", "list", "generator", "method")
        lists = kind == "list"
        parameters = ["xs", "a=5"] if lists else ["a", "b=2"]
        if self.chance(3):
            parameters.append("*rest")
        if self.chance(4):
            parameters.append("c=[]" if self.chance(2) else "c=7")
        lines = [f"def {name}({', '.join(parameters)}):"]
        setup = ["b = a", "c = a + 1", "ys = xs"] if lists else ["c = a - b", "xs = [a, b]", "ys = xs[:]"]
        body = list(setup)
        for _ in range(self.draw.randrange(1, 4)):
            body += self.statement(1, loop=False, function=kind != "generator", generator=kind == "generator")
        body.append("yield c" if kind == "generator" else f"return {self.number(1)}")
        lines += ["    " + line for line in body]
        if kind == "method":
            lines = [f"class C{name}:", "    def __init__(self, a=1):", "        self.n = a"]
            lines += [f"    def {name}(self, a, b=2):", "        self.n += a"]
            lines += ["        " + line for line in [*setup, "c = self.n", *body[len(setup) :]]]
            lines += [f"o{name} = C{name}(2)"]
        self.functions.append((f"o{name}.{name}" if kind == "method" else name, len(parameters), kind))
        return lines

    def call(self, depth: int) -> str:
        if not self.functions or depth > 3:
            return self.pick(*NUMBERS)
        name, _, kind = self.pick(*self.functions)
        if kind == "generator":
            return f"{self.pick('sum', 'max')}({name}({self.number(depth + 1)}))"
        if kind == "list":
            return f"{name}({self.pick(*LISTS)})"
        form = self.pick("({0})", "({0}, {1})", "({0}, b={1})", "(b={1}, a={0})", "(*[{0}])")
        return name + form.format(self.number(depth + 1), self.number(depth + 1))

    def number(self, depth: int) -> str:
        if depth > 3 or self.chance(2):
            return self.pick(*NUMBERS, "1", "0", "-2", f"len({self.pick(*LISTS)})")
        kind = self.draw.randrange(9)
        if kind == 0:
            return self.generator_call(depth)
        if kind < 4:
            return self.call(depth)
        if kind == 4:
            return f"({self.number(depth + 1)} if {self.test(depth + 1)} else {self.number(depth + 1)})"
        if kind == 5:
            return f"{self.pick(*LISTS)}[{self.number(depth + 1)} % 2]"
        if kind == 6:
            return f"sum([{self.pick('k', 'k * a', 'k - 1')} for k in {self.pick(*LISTS)} if k != 1])"
        operation = self.pick("+", "-", "*")
        return f"({self.number(depth + 1)} {operation} {self.number(depth + 1)}) % 17"

    def generator_call(self, depth: int) -> str:
        generators = [name for name, _, kind in self.functions if kind == "generator"]
        if not generators:
            return self.pick(*NUMBERS)
        return f"{self.pick('sum', 'max')}({self.pick(*generators)}({self.number(depth + 1)}))"

    def test(self, depth: int) -> str:
        kind = self.draw.randrange(6)
        if kind == 0:
            return self.pick(*NUMBERS, *LISTS)
        if kind == 1:
            return f"not {self.number(depth + 1)}"
        if kind == 2:
            return f"{self.number(depth + 1)} > 0 {self.pick('and', 'or')} {self.number(depth + 1)}"
        if kind == 3:
            return f"0 < {self.number(depth + 1)} < {self.number(depth + 1)}"
        return f"{self.number(depth + 1)} {self.pick('<', '==', '!=', '>=')} {self.number(depth + 1)}"

    def block(self, depth: int, **where: bool) -> list[str]:
        lines: list[str] = []
        for _ in range(self.draw.randrange(1, 4)):
            lines += self.statement(depth, **where)
        return ["    " + line for line in lines]

    def statement(self, depth: int, *, loop: bool, function: bool, generator: bool = False) -> list[str]:
        where = {"loop": loop, "function": function, "generator": generator}
        simple = depth > 3 or self.chance(2)
        kind = self.draw.randrange(10) if simple else self.draw.randrange(10, 17)
        target, items = self.pick(*NUMBERS), self.pick(*LISTS)
        if kind == 0 and loop:
            return [self.pick("break", "continue")]
        if kind == 1 and function:
            return [f"return {self.number(depth)}"]
        if kind == 2 and generator:
            return [f"yield {self.number(depth)}"]
        if kind == 3:
            return [f"{items}.append({self.number(depth)})"]
        if kind == 4:
            return [f"{items}[0] {self.pick('=', '+=')} {self.number(depth)}"]
        if kind == 5:
            return [f"seen.append({self.number(depth)})"]
        if kind == 6:
            return [f"{target} += {self.number(depth)}", f"{target} %= 31"]
        if kind == 7:
            return [f"raise {self.pick('ValueError', 'KeyError')}({target})"] if depth > 1 else [f"print({target})"]
        if kind == 8:
            return [f"{target}, {self.pick('b', 'c')} = {self.number(depth)}, {self.number(depth)}"]
        if kind == 10:
            lines = [f"if {self.test(depth)}:", *self.block(depth + 1, **where)]
            if self.chance(2):
                lines += [f"elif {self.test(depth)}:", *self.block(depth + 1, **where)]
            return lines + (["else:", *self.block(depth + 1, **where)] if self.chance(2) else [])
        if kind in (11, 12):
            source = self.pick(f"{items}[:3]", "range(3)", f"enumerate({items}[:2])", f"list({items})", "(4, 5)")
            generators = [name for name, _, each in self.functions if each == "generator"]
            if generators and self.chance(2):
                source = f"{self.pick(*generators)}({self.number(depth)})"
            head = f"{target}, {self.pick('b', 'c')}" if source.startswith("enumerate") else target
            lines = [f"for {head} in {source}:", *self.block(depth + 1, **{**where, "loop": True})]
            return lines + (["else:", *self.block(depth + 1, **where)] if self.chance(3) else [])
        if kind == 13:
            self.counter += 1
            name = f"n{self.counter}"
            body = self.block(depth + 1, **{**where, "loop": True})
            return [f"{name} = {self.pick('1', '3')}", f"while {name}:", f"    {name} -= 1", *body]
        if kind in (14, 15):
            lines = ["try:", *self.block(depth + 1, **where)]
            handled = self.pick("except ValueError as error", "except (KeyError, IndexError)", "except Exception")
            lines += [handled + ":", *self.block(depth + 1, **where)]
            if self.chance(3):
                lines += ["else:", *self.block(depth + 1, **where)]
            return lines + (["finally:", *self.block(depth + 1, **where)] if self.chance(3) else [])
        if kind == 16 and not generator:
            return [f"with context({target}) as {self.pick('b', 'c')}:", *self.block(depth + 1, **where)]
        return [f"{target} = {self.number(depth)}"]


CONTEXT = """class context:
    def __init__(self, n):
        self.n = n
    def __enter__(self):
        return self.n
    def __exit__(self, kind, error, trace):
        return kind is KeyError
"""


@pytest.fixture(scope="module")
def tracer(kit):
    with kit.PlainTracer(kit.TracerConfig(follow=2)) as made:
        yield made


def check(tracer, kit, draw: random.Random) -> None:
    source = CONTEXT + Grammar(draw).program()
    compile(source, "<generated>", "exec")
    trace = tracer.trace(kit.script(source))
    assert not isinstance(trace, Drop), f"{trace}\n{source}"
    assert not trace.failed_checks
    assert not FLAT & trace.kept_whole.keys(), f"{dict(trace.kept_whole)}\n{source}"


@pytest.mark.parametrize(
    "first", [*range(0, 40, 10), *(pytest.param(n, marks=pytest.mark.slow) for n in range(40, 150, 10))]
)
def test_typical_program_is_told_truly_and_opened(tracer, kit, first):
    for number in range(first, first + 10):
        check(tracer, kit, random.Random(number))


# no shrinking: it takes minutes, and the programs are small enough to read
@pytest.mark.slow
@seed(20_240_601)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
@given(st.randoms(use_true_random=False))
def test_extreme_program_is_told_truly_and_opened(tracer, kit, draw):
    check(tracer, kit, draw)
