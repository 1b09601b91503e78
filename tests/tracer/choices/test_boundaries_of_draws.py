"""Draws at the edges of what is followed, forced and declared."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from trace_mine.tracer.inside.draws.deciders import (
    MOST_OUTCOMES,
    DrawMismatch,
    Guided,
    Laws,
    Pinned,
    Replay,
    SeededDecider,
    using,
)
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.states.paths import RunsDisagree, explore


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


@pytest.mark.parametrize(("n", "paths"), [(2, 2), (MOST_OUTCOMES, MOST_OUTCOMES), (MOST_OUTCOMES + 1, 1)])
def test_a_draw_is_followed_up_to_a_number_of_outcomes(n: int, paths: int) -> None:
    found = explore(lambda: random.randrange(n))
    assert len(found.paths) == paths and found.unexplored < 1e-9
    assert [path.sampled for path in found.paths] == [n > MOST_OUTCOMES] * paths
    if paths == n:
        assert sorted(path.result for path in found.paths) == [*range(n)]


@pytest.mark.parametrize(("n", "choices"), [(1, 0), (2, 1), (MOST_OUTCOMES, 1), (MOST_OUTCOMES + 1, 0)])
def test_a_recorded_draw_is_a_choice_where_an_explored_one_is(n: int, choices: int) -> None:
    decider = Pinned([n - 1])
    with using(decider):
        assert decider.below(n, "randbelow") == n - 1
    assert len(decider.log) == choices and all(choice.taken == n - 1 for choice in decider.log)


@pytest.mark.parametrize("value", [3, -1, True, 1.0, "1", None])
def test_a_recorded_draw_out_of_range_is_refused(value: Any) -> None:
    assert Replay([2]).below(3, "randbelow") == 2
    with pytest.raises(DrawMismatch, match="expected draw 1 to fit randbelow below 3"):
        Replay([value]).below(3, "randbelow")


@pytest.mark.parametrize("law", [[["a", 0.5], ["b", 0.4]], [["a", 1.5], ["b", -0.5]], [["a", 0.0]], []])
def test_a_declared_law_has_to_sum_to_one(law: list[Any]) -> None:
    for declared in ({"inputs": [law]}, {"environ": {"HOME": law}}):
        with pytest.raises(ValueError, match=r"expected (probabilities that sum to 1|Laws\.\w+ to be from 0)"):
            Laws.from_json(declared)
    assert Laws.from_json({"inputs": [[["a", 0.25], ["b", 0.75]]]}).inputs == ((("a", 0.25), ("b", 0.75)),)


def test_time_is_never_slept_backwards() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        Guided().sleep(-1.0, lambda seconds: None)
    for lazy in (True, False):
        decider = Guided(lazy=lazy)
        with using(decider):
            before = decider.clock("monotonic", 0.0)
            decider.sleep(3_600.0, lambda seconds: pytest.fail("waited"))
            assert decider.clock("monotonic", 0.0) - before >= 3_600.0


def test_streams_of_two_seeds_differ_and_of_one_agree() -> None:
    def drawn(seed: int) -> list[Any]:
        stream = SeededDecider(seed)
        return [stream.real("uniform"), stream.real("normal"), stream.below(1 << 40, "randbelow"), stream.octets(4)]

    assert drawn(1) == drawn(1)
    assert all(one != other for one, other in zip(drawn(1), drawn(2), strict=True))


def test_a_sampled_number_depends_on_seed_outcomes_and_its_place() -> None:
    def sampled(seed: int, *outcomes: int) -> list[float]:
        decider = Guided(outcomes, seed=seed)
        for _ in outcomes:
            decider.choose("coin", lambda: "ab", (0.5, 0.5))
        return [decider.sample("product"), decider.sample("product")]

    assert sampled(0, 1) == sampled(0, 1)
    numbers = [number for case in ((0,), (1,), (0, 0), (0, 1), (0, 0, 1), (0, 1, 0)) for number in sampled(*case)]
    assert len(set(numbers)) == len(numbers) and all(0 <= number < 1 for number in numbers)


def test_another_kind_of_choice_along_a_prefix_is_noticed() -> None:
    """The same probabilities and another question: what an earlier path left behind decides which is asked."""
    asked: list[Callable[[], Any]] = [lambda: random.random() < 0.5, lambda: random.choice([False, True])]
    runs: list[int] = []

    def run() -> tuple[Any, bool]:
        runs.append(len(runs))
        first = asked[min(runs[-1], 1)]()
        return first, random.random() < 0.25

    with pytest.raises(RunsDisagree, match="expected choice 0 to be"):
        explore(run)
