"""Fork points: the same paths as without them, and fewer runs of what stands before the choices."""

from __future__ import annotations

import random

import pytest
from forking import LAWS, WORKED, alike, forked, program_of, work

from trace_mine.tracer.inside.states import budget, fork_points


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.usefixtures("everywhere")
def test_random_programs_are_followed_as_without_forks(seed: int) -> None:
    found = alike(program_of(seed), forks=2 + seed % 7, laws=LAWS, seed=seed, max_paths=25, max_seconds=60)
    assert found.num_forked > 0 or len(found.paths) == 1


def test_a_long_way_is_gone_once() -> None:
    def run() -> tuple[int, ...]:
        work(0.1)
        return tuple(random.randrange(2) for _ in range(4))

    WORKED[0] = 0
    found = forked(run, forks=2, max_seconds=60)
    assert (len(found.paths), found.num_forked, found.unexplored < 1e-9) == (16, 15, True)
    assert WORKED[0] == 1  # 16 without


def test_long_ways_between_choices_are_seldom_gone_twice() -> None:
    def run() -> tuple[bool, ...]:
        seen = []
        for _ in range(3):
            work(0.06)
            seen.append(random.random() < 0.5)
        return tuple(seen)

    WORKED[0] = 0
    found = forked(run, forks=8, max_seconds=60)
    assert (len(found.paths), found.num_forked) == (8, 7)
    assert 7 <= WORKED[0] <= 12  # 24 without


def test_a_short_way_is_gone_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_points, "clock", lambda: 0.0)  # on a busy machine six throws may take 5 ms
    found = forked(lambda: tuple(random.randrange(2) for _ in range(6)))
    assert (len(found.paths), found.num_forked) == (64, 0)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("forks", [0, 1])
def test_one_process_is_none_to_wait_with(forks: int) -> None:
    assert alike(lambda: tuple(random.randrange(2) for _ in range(3)), forks=forks).num_forked == 0


@pytest.mark.usefixtures("everywhere")
def test_a_budget_of_paths_and_light_siblings() -> None:
    def run() -> tuple[bool, ...]:
        return tuple(random.random() < 0.1 for _ in range(6))

    assert alike(run, max_paths=9).num_forked == 8
    assert alike(run, epsilon=1e-4, max_seconds=60).unexplored > 0


@pytest.mark.usefixtures("everywhere")
def test_a_loop_that_is_left_by_chance() -> None:
    def run() -> int:
        tries = 0
        while random.random() < 0.6:
            tries += 1
        return tries

    alike(run, max_paths=12, max_seconds=60)


def test_what_forks_compute_is_spent_of_the_budget() -> None:
    """Else a budget of processor time would never end where all paths are continued in forks."""

    def compute(seconds: float) -> None:
        until = budget.process_seconds() + seconds
        while budget.process_seconds() < until:
            pass

    def run() -> int:
        compute(0.05)
        outcome = random.randrange(3)
        compute(0.1)
        return outcome

    before, alone = budget.spent_seconds(), budget.process_seconds()
    found = forked(run, max_seconds=60)
    assert (len(found.paths), found.num_forked) == (3, 2)
    forks_seconds = budget.spent_seconds() - before - (budget.process_seconds() - alone)
    assert 0.2 <= forks_seconds < 0.4
    assert forked(run, max_seconds=0.12).unexplored > 0.3, "one path takes more than that"
