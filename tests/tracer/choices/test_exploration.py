"""Paths: mass, order, budgets, what is put back between them; every trap that was met, once."""

from __future__ import annotations

import functools
import json
import math
import os
import random
import statistics
from collections import Counter
from collections.abc import Callable

import pytest

from trace_mine.tracer.inside.draws.ambient import is_seeded
from trace_mine.tracer.inside.draws.deciders import Guided, Laws, SeededDecider, using
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.states.paths import RunsDisagree, explore


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def coins(n: int, p: float = 0.5) -> Callable[[], tuple[bool, ...]]:
    return lambda: tuple(random.random() < p for _ in range(n))


def test_masses_are_the_products_of_the_outcomes() -> None:
    explored = explore(coins(5, 0.3))
    assert len(explored.paths) == 32 and explored.unexplored == pytest.approx(0.0, abs=1e-12)
    for path in explored.paths:
        assert path.weight == pytest.approx(0.3 ** sum(path.result) * 0.7 ** (5 - sum(path.result)), rel=1e-12)
    assert len({path.outcomes for path in explored.paths}) == 32


def test_the_mass_that_is_left_bounds_the_error() -> None:
    exact = sum(math.comb(12, k) * 0.3**k * 0.7 ** (12 - k) for k in range(3))
    for max_paths in (1, 10, 100, 1_000):
        explored = explore(coins(12, 0.3), max_paths=max_paths)
        found = sum(path.weight for path in explored.paths if sum(path.result) < 3)
        assert len(explored.paths) == max_paths and explored.unexplored >= 1e-9
        assert found - 1e-12 <= exact <= found + explored.unexplored + 1e-12


def test_heavier_prefixes_first() -> None:
    """The best k paths weigh at least as much as any other k: what best-first is for."""
    whole = sorted((path.weight for path in explore(coins(8, 0.2)).paths), reverse=True)
    part = explore(coins(8, 0.2), max_paths=30)
    assert sum(path.weight for path in part.paths) >= 0.9 * sum(whole[:30])


def test_of_equal_masses_the_first_that_was_met_goes_first() -> None:
    """After the likelier first outcome there are six ways, after the other one two: each has an eighth of all mass.

    A budget that ends among them must end on the same paths in every process, or rows would differ.
    """

    def run() -> tuple[bool, int]:
        below = random.random() < 0.25
        return below, random.randrange(2 if below else 6)

    explored = explore(run, max_paths=5)
    assert {path.weight for path in explored.paths} == {0.125}
    # the siblings of the first path, in the order of their outcomes, before those of the second one
    assert [path.result for path in explored.paths] == [(False, 0), (True, 0), (False, 1), (False, 2), (False, 3)]


def test_light_siblings_are_cut_and_counted() -> None:
    explored = explore(coins(6, 0.01), epsilon=1e-5)
    assert 0 < explored.unexplored < 6 * 1e-3 and all(sum(path.result) <= 2 for path in explored.paths)
    assert sum(path.weight for path in explored.paths) + explored.unexplored == pytest.approx(1.0, abs=1e-12)


def test_time_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("trace_mine.tracer.inside.states.paths.spent_seconds", lambda: now[0])

    def slow() -> bool:
        now[0] += 1.0
        return random.getrandbits(5) > 3

    explored = explore(slow, max_seconds=4.5)
    assert len(explored.paths) == 5 and explored.unexplored == pytest.approx(27 / 32)
    assert len(explore(slow, max_seconds=0.0).paths) == 1, "one path is always followed"


def test_what_a_program_seeds_is_put_back() -> None:
    """Otherwise the second path would meet a seeded generator, and no choice."""

    def run() -> tuple[bool, float]:
        first = random.random() < 0.5
        random.seed(7)
        return first, random.random()

    explored = explore(run)
    assert {path.result for path in explored.paths} == {(True, 0.32383276483316237), (False, 0.32383276483316237)}
    assert not is_seeded(random._inst)  # type: ignore[attr-defined]


def test_a_generator_seeded_before_starts_each_path_alike() -> None:
    random.seed(7)

    def run() -> tuple[float, bool]:
        return random.random(), random.SystemRandom().random() < 0.5

    assert {path.result[0] for path in explore(run).paths} == {0.32383276483316237}
    assert random.random() == 0.32383276483316237


def test_inputs_and_variables_begin_anew() -> None:
    laws = Laws.from_json(
        {"inputs": [[["1", 0.5], ["2", 0.5]], [["3", 1.0]]], "environ": {"A": [["x", 0.5], ["y", 0.5]]}}
    )
    found = Counter(path.result for path in explore(lambda: (input(), input(), os.environ["A"]), laws=laws).paths)
    assert found == Counter([("1", "3", "x"), ("1", "3", "y"), ("2", "3", "x"), ("2", "3", "y")])


def test_a_refused_real_is_explored_again() -> None:
    explored = explore(lambda: (random.randint(1, 2), json.dumps(random.random())))
    assert not explored.is_lazy and len(explored.paths) == 2
    for path in explored.paths:
        assert path.sampled and 0 <= float(path.result[1]) < 1


def test_an_error_of_the_programs_own_is_its_own() -> None:
    def run() -> None:
        raise TypeError("no such thing")

    with pytest.raises(TypeError, match="no such thing"):
        explore(run)


def test_a_cache_that_hides_a_choice_is_noticed() -> None:
    @functools.lru_cache
    def cached() -> bool:
        return random.random() < 0.5

    with pytest.raises(RunsDisagree):
        explore(lambda: (cached(), random.random() < 0.25))


def test_a_longer_way_along_a_prefix_is_noticed() -> None:
    seen: list[int] = []

    def run() -> int:
        seen.append(1)
        return random.randrange(3) if len(seen) < 2 else random.randrange(2)

    with pytest.raises(RunsDisagree):
        explore(run)


def test_a_stop_that_the_program_can_not_swallow_ends_it() -> None:
    class Stop(BaseException):
        pass

    def run() -> None:
        try:
            random.random()
            raise Stop
        except Exception:
            return

    with pytest.raises(Stop):
        explore(run)


def test_a_loop_that_likely_outcomes_never_leave_is_left() -> None:
    def until_six() -> int:
        tries = 1
        while random.random() < 0.9:
            tries += 1
        return tries

    explored = explore(until_six, max_paths=300)
    found = {path.result: path.weight for path in explored.paths}
    for tries in range(1, 50):
        assert found[tries] == pytest.approx(0.1 * 0.9 ** (tries - 1), rel=1e-9)


def test_sampled_values_are_the_same_however_a_path_is_reached() -> None:
    """Seeding them by the forced prefix once made weights sum to 1.21."""

    def run() -> tuple[bool, float, bool, float]:
        return random.random() < 0.5, math.sin(random.random()), random.random() < 0.5, math.sin(random.random())

    explored = explore(run, seed=5)
    assert len(explored.paths) == 4
    for path in explored.paths:
        with using(Guided(path.outcomes, seed=5)):
            assert run() == path.result
    by_first = {path.result[0]: set() for path in explored.paths}
    for path in explored.paths:
        by_first[path.result[0]].add(path.result[1])
    assert all(len(values) == 1 for values in by_first.values())


def test_a_forced_outcome_that_is_none_is_refused() -> None:
    from trace_mine.tracer.inside.draws.deciders import DrawMismatch

    with pytest.raises(DrawMismatch, match="outcome 7"), using(Guided((7,))):
        random.randrange(3)


def test_drawn_runs_agree_with_the_paths() -> None:
    """Runs with every draw drawn, which know nothing of paths, have the mean that the paths' weights give."""

    def run() -> int:
        return sum(random.sample(range(6), 2))

    exact = sum(path.weight * path.result for path in explore(run).paths)
    results = []
    for seed in range(3_000):
        with using(SeededDecider(seed)):
            results.append(run())
    error = statistics.stdev(results) / math.sqrt(len(results))
    assert exact == pytest.approx(5.0) and abs(statistics.fmean(results) - exact) < 4 * error
