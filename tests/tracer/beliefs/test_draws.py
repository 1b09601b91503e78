"""Draws: the laws of the primitives against closed forms and native draws, and the traps that were met."""

from __future__ import annotations

import json
import math
import os
import random
import secrets
import statistics
import struct
import uuid
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.draws.deciders import DrawMismatch, Guided, Laws, Pinned, Replay, SeededDecider, using
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.states.paths import RunsDisagree, explore


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def law(run: Callable[[], Any], **budget: Any) -> dict[Any, float]:
    explored = explore(run, **budget)
    assert explored.unexplored < 1e-9 and not any(path.sampled for path in explored.paths)
    found: dict[Any, float] = {}
    for path in explored.paths:
        found[path.result] = found.get(path.result, 0.0) + path.weight
    return found


def uniform_law(values: Any) -> dict[Any, float]:
    values = list(values)
    return {value: count / len(values) for value, count in Counter(values).items()}


def shuffled() -> tuple[int, ...]:
    order = [1, 2, 3, 4]
    random.shuffle(order)
    return tuple(order)


def monty_hall() -> bool:
    car, pick = random.randrange(3), 0
    opened = random.choice([door for door in range(3) if door not in (pick, car)])
    switched = next(door for door in range(3) if door not in (pick, opened))
    return switched == car


def walk() -> int:
    place = 2
    while 0 < place < 5:
        place += 1 if random.random() < 0.5 else -1
    return place


def biased_shuffle() -> tuple[int, ...]:
    order = [0, 1, 2]
    for i in range(3):
        j = random.randint(0, 2)
        order[i], order[j] = order[j], order[i]
    return tuple(order)


def two_stage() -> int:
    return sum(random.randint(1, 6) for _ in range(random.randint(1, 2)))


TWO_STAGE = {
    n: sum((a == n) / 12 for a in range(1, 7)) + sum((a + b == n) / 72 for a in range(1, 7) for b in range(1, 7))
    for n in range(1, 13)
}
NORMAL = statistics.NormalDist()
CASES: list[tuple[str, Callable[[], Any], dict[Any, float]]] = [
    ("random <", lambda: random.random() < 0.3, {True: 0.3, False: 0.7}),
    ("> random", lambda: random.random() < 0.3, {True: 0.3, False: 0.7}),
    ("chained", lambda: 0.2 < random.random() <= 0.6, {True: 0.4, False: 0.6}),
    ("affine", lambda: 10 - 4 * random.random() > 7, {True: 0.75, False: 0.25}),
    ("int", lambda: int(random.random() * 5), uniform_law(range(5))),
    ("floor", lambda: math.floor(random.random() * 3 - 1), uniform_law([-1, 0, 1])),
    ("round", lambda: round(random.random() * 2), {0: 0.25, 1: 0.5, 2: 0.25}),
    ("modulo", lambda: (random.random() * 4) % 1 < 0.25, {True: 0.25, False: 0.75}),
    (
        "twice",
        lambda: (lambda r: (r < 0.5, r < 0.25))(random.random()),
        {(True, True): 0.25, (True, False): 0.25, (False, False): 0.5},
    ),
    ("randint", lambda: random.randint(1, 6), uniform_law(range(1, 7))),
    ("randrange", lambda: random.randrange(0, 10, 3), uniform_law([0, 3, 6, 9])),
    ("choice", lambda: random.choice("aab"), {"a": 2 / 3, "b": 1 / 3}),
    ("choices", lambda: random.choices("xyz", weights=[1, 2, 1])[0], {"x": 0.25, "y": 0.5, "z": 0.25}),
    ("choices k", lambda: "".join(random.choices("ab", k=2)), uniform_law(["aa", "ab", "ba", "bb"])),
    (
        "sample",
        lambda: tuple(random.sample(range(3), 2)),
        uniform_law([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
    ),
    ("shuffle", shuffled, {}),
    ("getrandbits", lambda: random.getrandbits(3), uniform_law(range(8))),
    ("uniform", lambda: random.uniform(2, 6) < 3, {True: 0.25, False: 0.75}),
    ("gauss", lambda: random.gauss(10, 2) < 12, {True: NORMAL.cdf(1), False: 1 - NORMAL.cdf(1)}),
    ("expovariate", lambda: random.expovariate(2) < 1, {True: 1 - math.exp(-2), False: math.exp(-2)}),
    ("an instance", lambda: random.Random().random() < 0.25, {True: 0.25, False: 0.75}),
    ("SystemRandom", lambda: random.SystemRandom().randint(1, 4), uniform_law(range(1, 5))),
    ("secrets", lambda: secrets.choice("abcd"), uniform_law("abcd")),
    ("randbelow", lambda: secrets.randbelow(3), uniform_law(range(3))),
    ("urandom", lambda: os.urandom(1)[0] < 64, {True: 0.25, False: 0.75}),
    ("Monty Hall", monty_hall, {True: 2 / 3, False: 1 / 3}),
    ("two stages", two_stage, TWO_STAGE),
    ("biased shuffle", biased_shuffle, {}),
]


@pytest.mark.parametrize(("run", "exact"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_laws_and_native_draws(run: Callable[[], Any], exact: dict[Any, float]) -> None:
    found = law(run, max_paths=100_000, max_seconds=60)
    for outcome, probability in exact.items():
        assert found[outcome] == pytest.approx(probability, abs=1e-9)
    assert not exact or found.keys() == exact.keys()
    random.seed(20)
    native = Counter(run() for _ in range(4_000))  # no decider: CPython's own draws
    assert native.keys() <= found.keys()
    statistic = sum((native[o] - 4_000 * p) ** 2 / (4_000 * p) for o, p in found.items() if p > 1e-9)
    freedom = max(len(found) - 1, 1)
    assert statistic < freedom + 6 * math.sqrt(2 * freedom)


def test_shuffles() -> None:
    assert law(shuffled) == pytest.approx(dict.fromkeys(law(shuffled), 1 / 24)) and len(law(shuffled)) == 24
    biased = law(biased_shuffle)
    assert sorted({round(p, 3) for p in biased.values()}) == [0.148, 0.185]
    assert biased[(0, 2, 1)] == pytest.approx(5 / 27)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-5, 5).filter(lambda a: abs(a) > 1e-3), st.floats(-5, 5), st.floats(-10, 10), st.sampled_from("<>"))
def test_affine_comparisons_have_the_closed_form(a: float, b: float, t: float, sign: str) -> None:
    def run() -> bool:
        install()  # hypothesis seeds the global generator
        x = random.random() * a + b
        return x < t if sign == "<" else x > t

    below = min(max((t - b) / a, 0.0), 1.0)
    exact = below if (sign == "<") == (a > 0) else 1.0 - below
    assert law(run).get(True, 0.0) == pytest.approx(exact, abs=1e-12)


def everything() -> list[Any]:
    told: list[Any] = [
        random.random() < 0.5,
        random.randint(1, 6),
        random.choice("abc"),
        random.choices("ab", weights=[1, 3], k=3),
        random.gauss(0, 1) < 0.3,
        random.expovariate(1.0) < 1,
        random.sample(range(30), 3),
        os.urandom(1),
        secrets.randbits(2),
        str(uuid.uuid4()) != "",
        int(random.uniform(0, 4)),
    ]
    order = list(range(5))
    random.shuffle(order)
    return [*told, order]


@pytest.mark.parametrize("seed", range(20))
def test_a_stream_replays_and_is_pinned(seed: int) -> None:
    stream = SeededDecider(seed)
    with using(stream):
        first = everything()
    logged = json.loads(json.dumps(stream.values))
    with using(Replay(logged)):
        assert everything() == first
    pinned = Pinned(logged)
    with using(pinned):
        assert everything() == first
    for choice in pinned.log:
        assert 0 <= choice.taken < len(choice.outcome_texts()) == len(choice.probabilities)
        assert sum(choice.probabilities) == pytest.approx(1.0) and choice.probabilities[choice.taken] > 0


def test_a_replay_that_draws_otherwise_is_refused() -> None:
    with pytest.raises(DrawMismatch, match="one more"), using(Replay([0.5])):
        random.random()
        random.random()
    with pytest.raises(DrawMismatch, match="fit"), using(Replay([9])):
        random.randint(0, 3)


def test_a_seeded_generator_is_no_choice() -> None:
    def run() -> tuple[float, float]:
        generator = random.Random(5)
        return generator.random(), generator.random()

    assert law(run) == {(0.6229016948897019, 0.7417869892607294): 1.0}

    def reseeded() -> float:
        random.seed(5)
        return random.random()

    assert law(reseeded) == {0.6229016948897019: 1.0}


CONCRETE: list[Callable[[float], Any]] = [
    lambda x: json.dumps(x),
    lambda x: Decimal(x),
    lambda x: statistics.mean([x, x]),
    lambda x: struct.pack("d", x),
    lambda x: "%.2f" % x,  # noqa: UP031  # the C formatter is what is tested
    lambda x: f"{x:.3f}",
    lambda x: math.sqrt(x),
    lambda x: Fraction(x),
    lambda x: {x: 1}[x],
    lambda x: str(x),
    lambda x: x**2,
    lambda x: math.log(x + 1),
    lambda x: sum([x, x]) / 2,
    lambda x: max([x, 0.5]),
    lambda x: sorted([x, 0.5])[0],
    lambda x: __import__("datetime").timedelta(seconds=x),
    lambda x: __import__("array").array("d", [x])[0],
    lambda x: round(x, 3),
    lambda x: complex(x).real,
]


@pytest.mark.parametrize("use", CONCRETE, ids=range(len(CONCRETE)))
def test_what_needs_a_number_gets_one_or_is_run_again(use: Callable[[float], Any]) -> None:
    """No use of a lazy real may change what the program computes: its result is that of some float in [0, 1)."""
    met: list[float] = []

    def run() -> Any:
        x = random.random()
        result = repr(use(x))
        met.append(float(x))
        return result

    try:
        explored = explore(run, max_paths=50, max_seconds=10)
    except TypeError as error:
        assert "float" in str(error) or "LazyReal" in str(error)  # by which ``support`` knows it
        met.clear()
        explored = explore(run, max_paths=50, max_seconds=10, lazy=False)
    assert sum(path.weight for path in explored.paths) + explored.unexplored == pytest.approx(1.0)
    for path, number in zip(explored.paths, met, strict=True):
        assert 0.0 <= number < 1.0 and path.result == repr(use(number))


def test_two_draws_compared_are_sampled_and_said_to_be() -> None:
    assert all(path.sampled for path in explore(lambda: random.random() < random.random()).paths)


def test_a_sampled_value_depends_on_seed_and_outcomes_alone() -> None:
    def run() -> tuple[bool, float]:
        return random.random() < 0.5, random.random() * random.random()

    first, again = (sorted(path.result for path in explore(run, seed=3).paths) for _ in range(2))
    assert first == again and first[0][1] != first[1][1]
    assert first != sorted(path.result for path in explore(run, seed=4).paths)


def test_state_between_paths_is_noticed() -> None:
    calls: list[int] = []

    def run() -> bool:
        calls.append(1)
        return random.random() < (0.5 if len(calls) == 1 else 0.25)

    with pytest.raises(RunsDisagree, match="choice 0"):
        explore(run)


def test_the_running_path_is_never_cut() -> None:
    def run() -> int:
        order = list(range(26))
        random.shuffle(order)
        return order[0]

    explored = explore(run, max_paths=20)
    assert len(explored.paths) == 20 and explored.unexplored == pytest.approx(1.0)


def test_a_walk_without_end_is_bounded() -> None:
    explored = explore(walk, max_paths=5_000)
    reached = sum(path.weight for path in explored.paths if path.result == 5)
    assert 0 < explored.unexplored < 0.1
    assert reached <= 0.4 <= reached + explored.unexplored


def test_a_loop_that_the_likeliest_outcomes_never_leave_ends() -> None:
    def derangement() -> tuple[int, ...]:
        while True:
            order = [0, 1, 2]
            random.shuffle(order)
            if all(place != value for place, value in enumerate(order)):
                return tuple(order)

    explored = explore(derangement, max_paths=300)
    found = Counter(dict.fromkeys(((1, 2, 0), (2, 0, 1)), 0.0))
    for path in explored.paths:
        found[path.result] += path.weight
    assert all(mass <= 0.5 <= mass + explored.unexplored for mass in found.values())


def test_the_likeliest_paths_come_first() -> None:
    explored = explore(lambda: sum(random.random() < 0.1 for _ in range(14)), max_paths=1_000)
    assert explored.unexplored < 0.03


def test_declared_inputs_and_environment() -> None:
    laws = Laws.from_json({"inputs": [[["yes", 0.25], ["no", 0.75]]], "environ": {"MODE": [["a", 0.5], [None, 0.5]]}})

    def run() -> tuple[str, str, bool]:
        install()
        return input(), os.environ.get("MODE", "none"), "MODE" in os.environ

    found = law(run, laws=laws)
    assert found[("yes", "a", True)] == pytest.approx(0.125) and found[("no", "none", False)] == pytest.approx(0.375)
    with pytest.raises(ValueError, match="sum to 1"):
        Laws.from_json({"inputs": [[["yes", 0.5]]]})


def test_a_lazy_real_passes_for_a_float() -> None:
    with using(Guided()):
        assert isinstance(random.random(), float)


def test_what_an_import_draws_is_no_choice(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "draws_at_import.py").write_text("import random\nn = random.randint(1, 6)\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def run() -> bool:
        import draws_at_import  # type: ignore[import-not-found]

        return draws_at_import.n > 0 and random.random() < 0.5

    stream = SeededDecider(0)
    with using(stream):
        run()
    assert len(stream.values) == 1
    assert len(law(run)) == 2
