"""The support and the beliefs that come from it, against brute force over all paths."""

from __future__ import annotations

import dataclasses
import itertools
import random as real_random
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from trace_mine.tracer.inside import program
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.protocol.jobs import Program
from trace_mine.tracer.inside.states import beliefs
from trace_mine.tracer.inside.states.support import Support
from trace_mine.tracer.inside.states.world import World

SETUP = "from random import random, choice, randint, shuffle, gauss"


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()  # for each test: others seed the global generator, which is then no choice


def make_world(seed: int = 0, seconds: float = 20.0, lazy: bool = True, code: str = SETUP) -> World:
    namespace = program.fresh_namespace(Program(code=code))
    return World(namespace, 0, lambda path: False, output_limit=1 << 20, max_seconds=seconds, seed=seed, lazy=lazy)


def law(commands: Sequence[tuple[str, str]], code: str = SETUP) -> list[dict[str, float]]:
    found = beliefs.beliefs_of(
        commands, lambda seed, seconds, lazy: make_world(seed, seconds, lazy, code), seeds=16, max_seconds=30
    )
    assert found.failure is None
    return [dict(zip(each.outcomes, each.probabilities, strict=True)) for each in found.beliefs]


def swaps(sequence: Sequence[tuple[int, int] | int], p: float, n: int) -> list[str]:
    """Commands of a maybe-swap session; an int asks for that variable."""
    names = "abcdef"[:n]
    commands = [f"{name} = {index}" for index, name in enumerate(names)]
    for each in sequence:
        if isinstance(each, int):
            commands.append(f"print({names[each]})")
        else:
            left, right = names[each[0]], names[each[1]]
            commands.append(f"if random() < {p}:\n    {left}, {right} = {right}, {left}")
    return commands


def brute(sequence: Sequence[tuple[int, int] | int], p: float, n: int, shown: Sequence[int]) -> list[dict[str, float]]:
    """The same beliefs by all 2^k paths, with nothing of the engine."""
    num_swaps = sum(isinstance(each, tuple) for each in sequence)
    laws: list[dict[str, float]] = [{} for each in sequence if isinstance(each, int)]
    for flips in itertools.product((False, True), repeat=num_swaps):
        state, weight, flip, asked = list(range(n)), 1.0, iter(flips), 0
        for each in sequence:
            if isinstance(each, tuple):
                if next(flip):
                    state[each[0]], state[each[1]] = state[each[1]], state[each[0]]
                    weight *= p
                else:
                    weight *= 1 - p
            else:
                text = str(state[each])
                laws[asked][text] = laws[asked].get(text, 0.0) + weight
                if state[each] != shown[asked]:
                    break
                asked += 1
    return [{text: mass / sum(told.values()) for text, mass in told.items()} for told in laws]


@pytest.mark.parametrize("seed", range(12))
def test_maybe_swaps_agree_with_brute_force(seed: int) -> None:
    generator = real_random.Random(seed)
    n, p = generator.choice((2, 3, 4)), generator.choice((0.1, 0.5, 0.3))
    sequence: list[tuple[int, int] | int] = []
    for _ in range(9):
        sequence.append(tuple(generator.sample(range(n), 2)))  # type: ignore[arg-type]
        if generator.random() < 0.5:
            sequence.append(generator.randrange(n))
    sequence.append(0)
    state, shown = list(range(n)), []
    for each in sequence:
        if isinstance(each, tuple):
            if generator.random() < p:
                state[each[0]], state[each[1]] = state[each[1]], state[each[0]]
        else:
            shown.append(state[each])
    outputs = iter(shown)
    commands = [(source, str(next(outputs)) if source.startswith("print") else "") for source in swaps(sequence, p, n)]
    for exact, ours in zip(brute(sequence, p, n, shown), law(commands), strict=True):
        assert ours.keys() == {text for text, mass in exact.items() if mass > 1e-12}
        assert all(abs(ours[text] - exact[text]) < 1e-12 for text in ours)


def test_twenty_maybe_swaps_are_six_states() -> None:
    world = make_world()
    belief = Support(world)
    for source in swaps([(0, 1), (1, 2)] * 10, 0.5, 3):
        belief.push(source, "")
    assert len(belief.states) == 6
    assert world.num_runs < 200


def test_a_reveal_conditions_and_the_exact_half_comes_out() -> None:
    commands = [
        ("cups = ['ball', 'empty']", ""),
        ("if random() < 0.5:\n    cups.reverse()", ""),
        ("print(cups[0])", "empty"),
        ("print(cups[1])", "ball"),
    ]
    assert law(commands) == [{"ball": 0.5, "empty": 0.5}, {"ball": 1.0}]


def test_aliases_are_part_of_the_state() -> None:
    commands = [
        ("a = [0]", ""),
        ("if random() < 0.25:\n    b = a\nelse:\n    b = [0]", ""),
        ("b.append(1)", ""),
        ("print(len(a))", "1"),
        ("print(b is a)", "False"),
    ]
    assert law(commands) == [{"1": 0.75, "2": 0.25}, {"False": 1.0}]


@pytest.mark.parametrize(
    ("define", "act", "ask"),
    [
        ("def f(seen=[]):\n    seen.append(1)\n    return len(seen)", "f()", "print(f())"),
        ("def f():\n    f.n += 1\n    return f.n", "f()", "print(f())"),
        ("class C:\n    n = 0\n    def f(self):\n        C.n += 1\n        return C.n", "C().f()", "print(C().f())"),
        (
            "def make():\n    n = 0\n    def f():\n        nonlocal n\n        n += 1\n        return n\n    return f",
            "f()",
            "print(f())",
        ),
    ],
    ids=["default", "attribute", "class", "closure"],
)
def test_state_outside_the_variables_is_part_of_the_state(define: str, act: str, ask: str) -> None:
    setup = {"f.n": "f.n = 0", "make": "f = make()"}
    first = next((source for key, source in setup.items() if key in define), "pass")
    commands = [(define, ""), (first, ""), (f"if random() < 0.2:\n    _ = {act}", ""), (ask, "1")]
    (found,) = law(commands)
    assert found == pytest.approx({"1": 0.8, "2": 0.2}, abs=1e-12)


MODULE = """
class Mark:
    def __init__(self):
        self.n = 0
    def __reduce__(self):
        return "MARK"
MISSING = object()
PAD = "a text that nobody interns"
MARK = Mark()
def tells(missing=MISSING, pad=PAD, mark=MARK):
    return missing is MISSING, pad is PAD, mark is MARK
def bump():
    MARK.n += 1
    return MARK.n
"""


def test_what_a_module_tells_by_identity_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "told_by_identity.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    commands = [
        ("from told_by_identity import MARK, MISSING, PAD, bump, tells", ""),
        ("held = [MISSING, PAD, MARK]", ""),
        ("x = choice([1, 2])", ""),
        ("if random() < 0.25:\n    _ = bump()", ""),
        ("print(tells(), tells(*held), held[2] is MARK, x > 0)", "(True, True, True) (True, True, True) True True"),
        ("print(MARK.n, held[2].n, bump(), x)", "1 1 2 2"),
    ]

    def world(seed: int, seconds: float, lazy: bool) -> World:
        namespace = program.fresh_namespace(Program(code=SETUP))
        limits = {"output_limit": 1 << 20, "max_seconds": seconds, "seed": seed, "lazy": lazy}
        return World(namespace, 0, lambda path: path.startswith(str(tmp_path)), **limits)

    found = beliefs.beliefs_of(commands, world, seeds=4, max_seconds=20)
    assert found.failure is None
    identity, count = (dict(zip(each.outcomes, each.probabilities, strict=True)) for each in found.beliefs)
    assert identity == {"(True, True, True) (True, True, True) True True": 1.0}
    assert count == pytest.approx({"0 0 1 1": 0.375, "0 0 1 2": 0.375, "1 1 2 1": 0.125, "1 1 2 2": 0.125}, abs=1e-12)


SHARED = """
import random
cups = [1, 0]
class Tally:
    all = []
    number = 0
def turn():
    if random.random() < 0.25:
        cups.reverse()
        Tally.all.append(1)
        Tally.number += 1
"""


def test_what_a_world_restores_is_no_matter_to_a_session_that_shares_its_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared_cups.py").write_text(SHARED)
    monkeypatch.syspath_prepend(tmp_path)
    namespace = program.fresh_namespace(Program(code=SETUP))
    world = World(namespace, 0, lambda path: path.startswith(str(tmp_path)), output_limit=1 << 20, max_seconds=20)
    session: dict[str, object] = {}
    commands = ("from shared_cups import cups, turn, Tally", "tally = Tally.all", "turn()", "turn()")
    state = world.start
    for command in commands:
        exec(command, session)
        held = session["cups"], session.get("tally"), session["Tally"].number  # type: ignore[attr-defined]
        results = world.run(command, "exec", state).results
        state = results[-1].state
        assert sys.modules["shared_cups"].cups is held[0]
        assert session["Tally"].all is (held[1] or session["Tally"].all)  # type: ignore[attr-defined]
        assert session["Tally"].number == held[2]  # type: ignore[attr-defined]
    law: dict[str, float] = {}
    for each in world.run("turn()", "exec", state).results:
        for shown in world.run("print(cups, len(tally), Tally.number)", "exec", each.state).results:
            law[shown.text] = law.get(shown.text, 0.0) + each.probability * shown.probability
    assert len(law) == 2 and sum(law.values()) == pytest.approx(1.0)


def test_a_generator_has_no_snapshot_and_is_run_again() -> None:
    commands = [
        ("g = (n * n for n in range(9))", ""),
        ("if random() < 0.5:\n    _ = next(g)", ""),
        ("print(next(g))", "1"),
        ("print(next(g))", "4"),
    ]
    assert law(commands) == [{"0": 0.5, "1": 0.5}, {"4": 1.0}]


def test_a_class_with_pickling_hooks_of_its_own_is_saved_by_attributes_or_not_at_all() -> None:
    for base in ("", "(list)"):  # without hooks nothing says what a list's subclass holds: the path is run again
        define = f"class C{base}:\n    def __init__(self): self.n = 0\n    def __getstate__(self): return None"
        commands = [(define, ""), ("c = C()", ""), ("if random() < 0.5:\n    c.n = 1", ""), ("print(c.n)", "1")]
        assert law(commands) == [{"0": 0.5, "1": 0.5}]
        world = make_world()
        support = Support(world)
        for source, _ in commands:
            support.push(source, "1" if source.startswith("print") else "")
        assert all(isinstance(state, bytes) for state in support.states) == (not base)


SLOTS = """if True:  # both are one command
    class A:
        __slots__ = ('n', '__m')
        def __init__(self): self.n = 0
    class B(A):
        __slots__ = ('n', 'free')
        def __init__(self):
            super().__init__()
            A.n.__set__(self, 5)
        def __getstate__(self): return None"""
ERROR = """class E(ValueError):
    def __init__(self, text, value, line):
        super().__init__(f'{text} ({line})')
        self.value = value"""


@pytest.mark.parametrize(
    ("define", "make", "act", "ask"),
    [
        (SLOTS, "b = B()\nb.n = 0", "b.n = 1", "b.n"),
        (SLOTS, "b = B()\nb.n = 0", "A.n.__set__(b, 6); b.n = 1", "A.n.__get__(b) - 5"),
        (SLOTS, "b = B()\nb.n = b.free = 0", "del b.free", "int(not hasattr(b, 'free'))"),
        (ERROR, "e = E('wrong', [0], 3)", "e.value[0] = 1", "e.value[0]"),
        (ERROR, "e = E('wrong', [0], 3)", "e.args = ('a',)", "len(e.args) * (e.args == ('a',))"),
        ("import types", "d = {'n': 0}\np = types.MappingProxyType(d)", "d['n'] = 1", "p['n']"),
        ("import codecs", "n, c = 0, codecs.lookup('utf-8')", "n = c is codecs.lookup('utf-8')", "int(n)"),
        ("import encodings.cp437", "n, c = 0, encodings.cp437.encoding_map", "n = 1", "n"),
        ("import codecs", "n, c = 0, codecs.charmap_build(''.join(map(chr, range(256))))", "n = 1", "n"),
    ],
    ids=["slot", "slot of a base", "empty slot", "exception", "its args", "proxy", "codec", "map", "built map"],
)
def test_what_pickle_alone_would_not_restore_is_saved(define: str, make: str, act: str, ask: str) -> None:
    commands = [(define, ""), (f"if True:\n    {make.replace(chr(10), chr(10) + '    ')}", "")]
    commands += [(f"if random() < 0.25:\n    {act}", ""), (f"print({ask})", "1"), (f"print({ask})", "1")]
    assert law(commands) == [{"0": 0.75, "1": 0.25}, {"1": 1.0}]
    support = Support(make_world())
    for source, _ in commands[:-2]:
        support.push(source, "")
    assert all(isinstance(state, bytes) for state in support.states), "saved, and not run again each time"


def test_what_cannot_be_restored_is_run_again() -> None:
    # its pickle is made without an error, and read with one
    define = "import collections\nclass C(collections.namedtuple('C', 'n')):\n    def __new__(cls, a, b):\n"
    define += "        return super().__new__(cls, a + b)"
    commands = [("import collections", ""), (define.partition("\n")[2], ""), ("c = C(0, 0)", "")]
    commands += [("if random() < 0.5:\n    c = C(1, 0)", ""), ("print(c.n)", "1")]
    assert law(commands) == [{"0": 0.5, "1": 0.5}]


@pytest.mark.parametrize(
    ("make", "act", "ask"),
    [
        ("push = [].append", "push(1)", "push.__self__"),
        ("import collections\nd = collections.defaultdict(lambda: [].append)", "d['a'](1)", "d['a'].__self__"),
        ("class C(list):\n    pass\npush = C().append", "push(1)", "push.__self__"),
        (
            "class C(list):\n    def append(self, x): pass\n"
            "    def past(self): return super().append\npush = C().past()",
            "push(1)",
            "push.__self__",
        ),
    ],
)
def test_what_a_bound_method_of_a_built_in_holds_is_part_of_the_state(make: str, act: str, ask: str) -> None:
    commands = [(make + "\n", ""), (f"if random() < 0.25:\n    {act}", ""), (f"if random() < 0.5:\n    {act}", "")]
    if make.startswith("import"):
        commands = [("import collections", ""), (make.partition("\n")[2], ""), *commands[1:]]
    elif make.startswith("class"):
        define, _, bind = make.rpartition("\n")
        commands = [(define, ""), (bind, ""), *commands[1:]]
    (told,) = law([*commands, (f"print(len({ask}))", "1")])
    assert told == pytest.approx({"0": 0.375, "1": 0.5, "2": 0.125}, abs=1e-12)


def test_what_no_state_allows_is_said() -> None:
    commands = [("x = 1 if random() < 0.5 else 2", ""), ("print(x)", "3")]
    found = beliefs.beliefs_of(commands, make_world, seeds=4, max_seconds=10)
    assert "no state allows" in found.failure
    (told,) = found.beliefs
    assert (told.outcomes, told.probabilities) == (("1", "2"), (0.5, 0.5))


def test_an_exception_that_only_some_meet_is_an_outcome() -> None:
    commands = [("x = randint(0, 3)", ""), ("print(1 // x)", "0"), ("print(x)", "2")]
    first, second = law(commands)
    assert first["0"] == pytest.approx(0.5)
    assert sum(mass for text, mass in first.items() if "ZeroDivisionError" in text) == pytest.approx(0.25)
    assert second == pytest.approx({"2": 0.5, "3": 0.5})


def test_a_sampled_draw_has_a_standard_error() -> None:
    commands = [("x = random() * random()", ""), ("print(x < 0.25)", "True")]
    found = beliefs.beliefs_of(commands, make_world, seeds=400, max_seconds=30)
    (told,) = found.beliefs
    assert told.method == "sampled"
    exact = 0.25 * (1 - real_log(0.25))  # P(UV < t) = t (1 - ln t)
    estimate = dict(zip(told.outcomes, told.probabilities, strict=True))["True"]
    error = dict(zip(told.outcomes, told.stderr, strict=True))["True"]
    assert 0 < error < 0.05 and abs(estimate - exact) < 4 * error


def real_log(x: float) -> float:
    import math

    return math.log(x)


def test_past_the_budget_the_belief_is_bounded() -> None:
    def narrow(seed: int, seconds: float, lazy: bool) -> World:
        world = make_world(seed, seconds, lazy)
        world.limits = dataclasses.replace(world.limits, paths=8)
        return world

    commands = [("n = sum(random() < 0.3 for _ in range(6))", ""), ("print(n > 2)", "False")]
    (told,) = beliefs.beliefs_of(commands, narrow, seeds=4, max_seconds=10).beliefs
    exact = sum(w * 0.3**k * 0.7 ** (6 - k) for k, w in ((0, 1), (1, 6), (2, 15)))
    estimate = dict(zip(told.outcomes, told.probabilities, strict=True))["False"]
    assert told.method == "bounded" and abs(estimate - exact) <= told.stderr[0]


def test_c_code_that_refuses_a_lazy_real_is_followed_with_floats() -> None:
    setup = "from random import random; import json"
    commands = [("x = random()", ""), ("y = json.dumps(x < 0.5) + json.dumps(x)[:2]", ""), ("print(y[:4])", "true")]
    (found,) = beliefs.beliefs_of(
        commands, lambda seed, seconds, lazy: make_world(seed, seconds, lazy, setup), seeds=300, max_seconds=30
    ).beliefs
    assert found.method == "sampled"
    law_ = dict(zip(found.outcomes, found.probabilities, strict=True))
    assert law_["true"] == pytest.approx(0.5, abs=0.12) and law_["fals"] == pytest.approx(0.5, abs=0.12)


def test_an_exception_that_is_no_exception_is_an_outcome() -> None:
    """A program may raise what ``except Exception`` does not catch, as pytest's ``skip`` does."""
    commands = [
        ("class Left(BaseException):\n    pass\n", ""),
        ("x = 0", ""),
        ("if random() < 0.25:\n    raise Left", ""),
    ]
    assert law([*commands, ("x", "0")])[-1] == {"0": 1.0}
    (laws,) = law([*commands[:2], (commands[2][0], "Traceback (most recent call last):\n    ...\nLeft")])
    assert laws == {"": 0.75, "Traceback (most recent call last):\n    ...\nLeft": 0.25}
