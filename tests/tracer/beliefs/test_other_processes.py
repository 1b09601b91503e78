"""Outputs that could have been others in another process: which programs are asked again, and what is believed then."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest

from trace_mine.tracer.inside.protocol.choice_answers import BeliefsReport, CommandBelief
from trace_mine.tracer.inside.states.process_facts import hangs_on
from trace_mine.tracer.other_processes import differing, may_hang_on
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.session import TracerConfig
from trace_mine.tracer.views import parse_view

MODULE = """
import math, os, time
from functools import partial, wraps
WORDS = {"a", "b"}
def plain(x): return x + 1
def member(x): return x in WORDS or x in {"c", "d"}
def ordered(x): return [*{"c", "d"}]
def iterates(x):
    for word in WORDS:
        x += word
    return x
def displayed(x): return {x, "y"}
def built(x): return list(set(x))
def comprehended(x): return {y for y in x}
def views(x, y): return x.keys() & y.keys()
def subtracted(x, y): return x - y
def identity(x): return id(x)
def stamp(): return time.monotonic()
def calls(x): return built(x)
def deep(x): return [calls(y) for y in x]
def wrapped(function):
    @wraps(function)
    def inner(x): return function(x)
    return inner
@wrapped
def decorated(x): return built(x)
half = partial(built, "ab")
class Plain:
    def __init__(self, x): self.x = x
    def total(self): return self.x
    def __hash__(self): return hash(self.x)
    def __eq__(self, other): return self.x == other.x
class Makes(Plain):
    def total(self): return sorted(set(self.x))
    @property
    def first(self): return next(iter(frozenset(self.x)))
class Adds(Plain):
    def __add__(self, other): return list({self.x, other.x})
class Holds:
    names = frozenset(("a", "b"))
    def has(self, x): return x in self.names
class Shows(Holds):
    def all(self): return list(self.names)
adds = Adds("a")
table = {"built": built, "plain": plain}
"""


@pytest.fixture
def shop(tmp_path: object) -> Iterator[types.ModuleType]:
    module = types.ModuleType("shop_of_sets")
    module.__file__ = "/own/shop_of_sets.py"
    exec(compile(MODULE, module.__file__, "exec"), vars(module))
    sys.modules["shop_of_sets"] = module
    yield module
    del sys.modules["shop_of_sets"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("plain(1)", ""),
        ("member('a')", ""),
        ("Plain(1).total()", ""),
        ("Holds().has('a')", ""),
        ("subtracted(2, 1)", ""),
        ("math.floor(1.5)", ""),
        ("x = {'a': 1}\nx['a']", ""),
        ("ordered(1)", "order"),
        ("iterates('')", "order"),
        ("displayed(1)", "order"),
        ("built('ab')", "order"),
        ("comprehended('ab')", "order"),
        ("views({}, {})", "order"),
        ("calls('ab')", "order"),
        ("deep(['ab'])", "order"),
        ("decorated('ab')", "order"),
        ("half()", "order"),
        ("Makes('ab').total()", "order"),
        ("Makes('ab').first", "order"),
        ("adds + adds", "order"),
        ("Shows().all()", "order"),
        ("table['plain'](1)", "order"),  # what a table holds is not told apart
        ("import shop_of_sets\nshop_of_sets.built('ab')", "order"),
        ("from shop_of_sets import plain as p\np(1)", ""),
        ("f = lambda x: {*x}", "order"),
        ("def f(x): return {*x}", "order"),  # it is not bound in the namespace that is looked at
        ("x = {1, 2}", "order"),
        ("identity(1)", "process"),
        ("stamp()", "process"),
        ("os.getpid()", "process"),
        ("import pytest", "process"),
    ],
)
def test_what_a_command_leads_to(command: str, expected: str, shop: types.ModuleType) -> None:
    code = compile(command + "\n", "<command>", "exec")
    namespace = dict(vars(shop)) if not command.startswith(("import shop", "from shop")) else {}
    assert hangs_on([code], namespace, lambda file: file.startswith("/own/")) == expected


def test_what_is_defined_and_never_named_does_not_count() -> None:
    commands = [
        "def f(x):\n    return {*x}\n",
        "class A:\n    def f(self):\n        return {1}\n",
        "def g():\n    pass\n",
    ]
    namespace: dict[str, object] = {"__name__": "__main__"}
    for command in commands:
        exec(command, namespace)

    def asked(*more: str) -> str:
        codes = [compile(command + "\n", "<command>", "single") for command in (*commands, *more)]
        return hangs_on(codes, namespace, lambda file: False)

    assert asked() == asked("g()") == asked("A()") == asked("del f") == ""
    assert asked("f([])") == asked("A().f()") == asked("g(f)") == "order"
    assert asked("def f(x):\n    return x\n") == "order", "which of two functions runs is not told"


def test_code_of_the_program_is_not_run(shop: types.ModuleType) -> None:
    # names that no module has: a test's own `names.py` would be a foreign package
    source = """
class Meta(type):
    def __getattribute__(cls, name): raise RuntimeError(name)
class Hostile(metaclass=Meta):
    def __getattribute__(self, name): raise RuntimeError(name)
    def __eq__(self, other): raise RuntimeError
    def __len__(self): raise RuntimeError
class Counted(dict):
    def values(self): raise RuntimeError
class Names(set):
    def __len__(self): raise RuntimeError
an_odd_one, a_counted_one, some_odd_names = Hostile(), Counted(a=1), Names("ab")
an_odd_table = {1: an_odd_one}
"""
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(source, namespace)
    code = compile("an_odd_one, a_counted_one, some_odd_names, an_odd_table, Hostile", "<command>", "exec")
    assert hangs_on([code], namespace, lambda file: False) == ""


def report(*laws: dict[str, float], method: str = "exact", stderr: float = 0.0, hangs: str = "") -> BeliefsReport:
    beliefs = tuple(
        CommandBelief(
            command=number,
            outcomes=tuple(law),
            probabilities=tuple(law.values()),
            method=method,
            stderr=(stderr,) * len(law),
        )
        for number, law in enumerate(laws)
    )
    return BeliefsReport(beliefs=beliefs, failure=None, choices=(), mismatch=None, num_forked=0, hangs_on=hangs)


def test_texts_tell_too() -> None:
    assert may_hang_on(report({"1": 0.5, "<object at 0x7f12ab34cd56>": 0.5})) == "process"
    assert may_hang_on(report({"1": 0.5, "x {'a', 'b'}": 0.5})) == "order"
    assert may_hang_on(report({"{1, 2}": 0.5, "{'a'}": 0.25, "{'a': 0x7}": 0.25})) == ""
    assert may_hang_on(report({"1": 1.0}, hangs="process")) == "process"
    assert may_hang_on(report({"<object at 0x7f12ab34cd56>": 1.0}, hangs="order")) == "order"


def test_laws_are_one_up_to_rounding_and_to_what_was_not_followed() -> None:
    def told(one: BeliefsReport, *others: BeliefsReport) -> set[int]:
        asks: list[Callable[[int], BeliefsReport]] = [lambda number, other=other: other for other in others]
        return set(differing(one, asks))

    one = report({"a": 0.25, "b": 0.75}, {"c": 1.0})
    assert told(one) == set() and told(one, one) == set()
    assert told(one, report({"b": 0.75 + 1e-12, "a": 0.25}, {"c": 1.0})) == set()
    assert told(one, report({"a": 0.26, "b": 0.74}, {"c": 1.0})) == {0}
    assert told(one, report({"a": 0.25, "0x1": 0.75}, {"c": 1.0})) == {0}
    assert told(one, report({"a": 0.25, "b": 0.75})) == {1}, "a law that is not found is not the same one"
    assert told(one, one, report({"a": 0.25, "b": 0.75}, {"d": 1.0})) == {1}
    rare = report({"a": 1.0 - 1e-12, "x": 1e-12}, {"c": 1.0})
    assert told(rare, report({"a": 1.0 - 1e-12, "y": 1e-12}, {"c": 1.0})) == {0}
    bounded = report({"a": 0.3, "b": 0.7}, method="bounded", stderr=0.06)
    assert told(bounded, report({"a": 0.25, "b": 0.75})) == set()
    assert told(bounded, report({"a": 0.1, "b": 0.9})) == {0}
    assert told(report({"a": 1.0}, method="sampled"), report()) == set()


def test_no_more_is_followed_than_is_wanted() -> None:
    asked: list[int] = []

    def other(*laws: dict[str, float]) -> Callable[[int], BeliefsReport]:
        def follow(number: int) -> BeliefsReport:
            asked.append(number)
            return report(*laws[:number])

        return follow

    a, b, c = {"a": 1.0}, {"b": 1.0}, {"c": 1.0}
    found = differing(report(a, b, c), [other(a, b, b), other(a, c, c), other(a, b, c)], first_only=True)
    assert found == {1} and asked == [3, 2, 1]
    asked.clear()
    assert differing(report(a, b), [other(b, b), other(a, b)], first_only=True) == {0} and asked == [2]
    asked.clear()
    assert differing(report(a, b), [other(b, b), other(a, c)]) == {0, 1} and asked == [2, 2]


PROGRAM = """
from random import random
class A:
    pass
def address(x):
    return A() if random() < 0.001 else x
def order(words):
    return list(set(words)) if random() < 0.001 else words
def plain(x):
    return x + 1 if random() < 0.5 else x
print(plain(3))
print(address(1))
print(order(["a", "b"]))
print(order(["d", "a", "c", "b"]))
print(plain(3))
"""


def test_no_belief_where_another_process_would_show_something_else(kit: SimpleNamespace) -> None:
    tracer = kit.PlainTracer(TracerConfig(view=parse_view("branch+every:0")))
    with tracer:
        trace = tracer.trace(kit.script(PROGRAM))
    assert isinstance(trace, Trace)
    shown = {trace.steps[trace.segments[belief.segment].step].source: belief for belief in trace.beliefs}
    assert all(belief.method == "exact" for belief in trace.beliefs)
    assert not any("address" in source or "order" in source for source in shown)
    assert [len(belief.outcomes) for belief in trace.beliefs] == [2, 2]
    assert len(trace.belief_states) == len(trace.beliefs)
    assert trace.kept_whole["outcomes_differ"] == 3


def test_a_program_without_such_outcomes_asks_no_other_process(kit: SimpleNamespace) -> None:
    source = PROGRAM.split("print(address")[0]
    with kit.PlainTracer(TracerConfig(view=parse_view("branch+every:0"))) as tracer:
        trace = tracer.trace(kit.script(source))
        assert isinstance(trace, Trace) and trace.beliefs
        started = set(tracer._replays._workers)
    assert not started & {"third world", "fourth world"}
    assert replace(trace, kept_whole={}) and "outcomes_differ" not in trace.kept_whole
