"""numpy's draws: exact laws, native draws against them, replays, seeded generators left alone."""

from __future__ import annotations

import json
import math
import pickle
import random
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trace_mine.tracer.inside.draws.deciders import Guided, Pinned, Replay, SeededDecider, using
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.states.paths import explore
from trace_mine.tracer.inside.states.snapshots import Snapshots

ROOT = Path(__file__).parents[3]
CDF = statistics.NormalDist().cdf


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def law(run: Callable[[], Any], *, tail: float = 1e-9) -> dict[Any, float]:
    explored = explore(run, max_paths=20_000, max_seconds=30)
    assert explored.unexplored < tail and not any(path.sampled for path in explored.paths)
    found: dict[Any, float] = {}
    for path in explored.paths:
        found[path.result] = found.get(path.result, 0.0) + path.weight
    return found


def even(values: Any) -> dict[Any, float]:
    values = list(values)
    return {value: 1 / len(values) for value in values}


def shuffled(shuffle: Callable[[Any], None], values: Any) -> tuple[int, ...]:
    shuffle(values)
    return tuple(int(each) for each in values)


BINOMIAL = {k: math.comb(4, k) * 0.3**k * 0.7 ** (4 - k) for k in range(5)}
ORDERS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
r = np.random
CASES: dict[str, tuple[Callable[[], Any], dict[Any, float] | None]] = {
    "rand": (lambda: r.rand() < 0.3, {True: 0.3, False: 0.7}),
    "random_sample": (lambda: r.random_sample() < 0.3, {True: 0.3, False: 0.7}),
    "generator random": (lambda: r.default_rng().random() < 0.3, {True: 0.3, False: 0.7}),
    "numpy threshold": (lambda: bool(r.random() < np.float64(0.25)), {True: 0.25, False: 0.75}),
    "numpy left": (lambda: bool(np.float64(0.25) > r.random()), {True: 0.25, False: 0.75}),
    "randint": (lambda: r.randint(2, 5), even([2, 3, 4])),
    "randint one bound": (lambda: r.randint(3), even([0, 1, 2])),
    "randint shape": (lambda: int(r.randint(0, 2, size=(2, 2)).sum()), {k: math.comb(4, k) / 16 for k in range(5)}),
    "integers": (lambda: int(r.default_rng().integers(3)), even([0, 1, 2])),
    "integers endpoint": (lambda: int(r.default_rng().integers(1, 3, endpoint=True)), even([1, 2, 3])),
    "choice": (lambda: str(r.choice(["a", "b"])), even("ab")),
    "choice of n": (lambda: r.choice(4), even(range(4))),
    "choice p": (lambda: str(r.choice(list("abc"), p=[0.5, 0.2, 0.3])), {"a": 0.5, "b": 0.2, "c": 0.3}),
    "choice without replacement": (
        lambda: tuple(int(each) for each in r.default_rng().choice(3, size=2, replace=False)),
        even([(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
    ),
    "shuffle": (lambda: shuffled(r.shuffle, [0, 1, 2]), even(ORDERS)),
    "shuffle an array": (lambda: shuffled(r.default_rng().shuffle, np.arange(3)), even(ORDERS)),
    "permutation": (lambda: tuple(int(each) for each in r.permutation(3)), even(ORDERS)),
    "uniform": (lambda: r.uniform(2, 6) < 3, {True: 0.25, False: 0.75}),
    "normal": (lambda: r.normal(10, 2) < 12, {True: CDF(1), False: 1 - CDF(1)}),
    "randn": (lambda: r.randn() < -1, {True: CDF(-1), False: CDF(1)}),
    "exponential": (lambda: r.exponential(2) < 1, {True: 1 - math.exp(-0.5), False: math.exp(-0.5)}),
    "binomial": (lambda: r.binomial(4, 0.3), BINOMIAL),
    "poisson": (lambda: min(r.poisson(0.7), 3), None),
}


@pytest.mark.parametrize("name", CASES)
def test_laws_and_native_draws(name: str) -> None:
    run, exact = CASES[name]
    found = law(run)
    if exact is not None:
        assert found == pytest.approx(exact, abs=1e-9)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-9)
    r.seed(8)
    native = Counter(run() for _ in range(3_000))  # no decider; unseeded generators draw from the system
    statistic = sum((native[each] - 3_000 * p) ** 2 / (3_000 * p) for each, p in found.items())
    freedom = len(found) - 1
    assert native.keys() <= found.keys() and statistic < freedom + 7 * math.sqrt(2 * freedom)


def test_poisson_has_its_closed_form() -> None:
    found = law(lambda: r.poisson(0.7))
    for k in range(6):
        assert found[k] == pytest.approx(math.exp(-0.7) * 0.7**k / math.factorial(k), abs=1e-12)


SCALARS: dict[str, Callable[[], Any]] = {
    "random": lambda: r.random(),
    "randint": lambda: r.randint(3),
    "integers": lambda: r.default_rng().integers(3),
    "choice": lambda: r.choice([1, 2]),
    "choice n": lambda: r.choice(5),
    "choices": lambda: r.choice(["a", "b"], 3),
    "binomial": lambda: r.binomial(3, 0.5),
    "binomials": lambda: r.default_rng().binomial(3, 0.5, size=2),
    "poisson": lambda: r.default_rng().poisson(2),
    "normals": lambda: r.normal(size=(2, 3)),
    "uniform": lambda: r.uniform(1, 2),
    "permutation": lambda: r.permutation([[1, 2], [3, 4]]),
    "gamma": lambda: r.gamma(2.0),
    "many": lambda: r.rand(30),
    "arrays as parameters": lambda: r.normal([0.0, 1.0], 1.0),
    "float32": lambda: r.default_rng().random(3, dtype=np.float32),
    "bytes": lambda: r.bytes(3),
    "dirichlet": lambda: r.default_rng().dirichlet([1, 1]),
}


@pytest.mark.parametrize("name", SCALARS)
def test_types_and_shapes_are_numpys(name: str) -> None:
    native = SCALARS[name]()
    for decider in (SeededDecider(1), Guided()):
        with using(decider):
            drawn = SCALARS[name]()
            assert isinstance(drawn, type(native)) and np.shape(drawn) == np.shape(native)
            if not isinstance(native, float):
                assert type(drawn) is type(native)
                assert getattr(drawn, "dtype", None) == getattr(native, "dtype", None)


def test_errors_are_numpys() -> None:
    with using(Guided()):
        for wrong in (
            lambda: r.randint(5, 2),
            lambda: r.choice([]),
            lambda: r.normal(0, -1),
            lambda: r.choice(2, 3, False),
        ):
            with pytest.raises(ValueError):
                wrong()


def everything() -> str:
    generator = r.default_rng()
    values = [
        generator.random(),
        generator.integers(5),
        generator.normal(size=2),
        generator.choice([1, 2, 3]),
        generator.permutation(4),
        generator.gamma(2.0),
        generator.multivariate_normal([0, 0], [[1, 0], [0, 1]]),
        r.rand(2),
        r.rand(40),
        r.binomial(3, 0.3),
        r.beta(1, 2),
        r.get_state()[1][:3],
        r.rand(),
    ]
    r.seed()
    return repr(values)


@pytest.mark.parametrize("seed", range(5))
def test_numpy_replays_and_is_pinned(seed: int) -> None:
    with using(SeededDecider(seed)) as stream:
        native = everything()
    logged = json.loads(json.dumps(stream.values))
    for decider in (Replay(logged), Pinned(logged)):
        install()
        with using(decider):
            assert everything() == native


def test_what_the_program_seeds_is_no_choice() -> None:
    expected = (np.random.RandomState(3).rand(), float(np.random.Generator(np.random.PCG64(3)).random()))

    def run() -> tuple[bool, float, float]:
        coin = random.random() < 0.5
        r.seed(3)
        return coin, r.rand(), r.default_rng(3).random()

    assert {path.result for path in explore(run).paths} == {(True, *expected), (False, *expected)}


def test_arrays_are_arrays_of_numbers() -> None:
    """An array of lazy reals would be one of objects, and print and compute as such."""

    def run() -> list[Any]:
        x = r.random()
        return [np.array([x, 1.0]), np.arange(3) * x, x * np.arange(3), np.sin(x), np.maximum(x, 0.5), [float(x)]]

    for path in explore(run).paths:
        *arrays, (number,) = path.result
        native = [np.array([number, 1.0]), np.arange(3) * number, number * np.arange(3), np.sin(number)]
        assert path.sampled and all(np.array_equal(a, b) for a, b in zip(arrays, native, strict=False))
        assert all(np.asarray(each).dtype == np.float64 for each in arrays)


def test_a_seeded_generator_is_part_of_a_snapshot() -> None:
    namespace: dict[str, Any] = {"__builtins__": {}}
    snapshots = Snapshots(namespace, lambda name: False)
    r.seed(3)
    saved = snapshots.save()
    first = r.rand()
    assert r.rand() != first
    snapshots.restore(saved)
    assert r.rand() == first


def test_an_unseeded_generator_stays_one_when_copied() -> None:
    generator = pickle.loads(pickle.dumps(r.default_rng()))
    assert law(lambda: generator.random() < 0.5) == {True: 0.5, False: 0.5}
    assert isinstance(generator, r.Generator)


def test_numpy_imported_later_is_patched() -> None:
    program = """
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.draws.deciders import SeededDecider, using
install()
with using(SeededDecider(1)) as stream:
    from numpy.random import rand, default_rng
    rand(), default_rng().integers(3)
print(len(stream.values))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "2\n", done.stderr
