"""Programs that draw, followed with forks and without."""

from __future__ import annotations

import functools
import math
import mmap
import os
import random
import select
import time
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.draws.deciders import Laws
from trace_mine.tracer.inside.states import fork_points
from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
from trace_mine.tracer.inside.states.paths import Explored, explore

wait = functools.partial(select.select, [], [], [])  # time.sleep waits for nobody while paths are followed
WORKED = mmap.mmap(-1, mmap.PAGESIZE)
"""How often ``work`` was called, in all processes together: its first byte."""

Run = Callable[[], Any]
LAWS = Laws.from_json(
    {
        "inputs": [[["1", 0.25], ["2", 0.75]], [["3", 0.5], ["", 0.5]]],
        "environ": {"MODE": [["fast", 0.5], [None, 0.5]]},
    }
)


def forked(
    run: Run, forks: int = 6, mark: Run = int, accept: Callable[[Any], Any] = lambda x: x, **budget: Any
) -> Explored:
    return explore(run, forks=ForkPoints(ForkPool(forks), mark, accept), **budget)


def alike(run: Run, forks: int = 6, **budget: Any) -> Explored:
    """With forks as without: the same paths in the same order, to the last bit."""
    plain, found = explore(run, **budget), forked(run, forks, **budget)
    assert (found.paths, found.unexplored, found.num_runs) == (plain.paths, plain.unexplored, plain.num_runs)
    assert found.is_lazy == plain.is_lazy
    return found


def work(seconds: float) -> None:
    WORKED[0] += 1
    until = fork_points.clock() + seconds
    while fork_points.clock() < until:
        sum(range(100))


def program_of(seed: int) -> Run:
    """A random program that draws in every way that there is; its result tells all that it saw."""
    shape = random.Random(seed)

    def some(depth: int) -> list[tuple[Any, ...]]:
        kinds = ["below", "real", "shuffle", "sampled", "clock", "gauss", "input", "environ", "seed", "twice", "round"]
        steps: list[tuple[Any, ...]] = []
        for _ in range(shape.randint(1, 3)):
            kind = shape.choice(kinds)
            branch = some(depth + 1) if depth < 2 and shape.random() < 0.4 else []
            steps.append((kind, shape.random(), shape.randint(2, 3), branch))
        return steps

    def follow(steps: list[tuple[Any, ...]], seen: list[Any]) -> None:
        for kind, p, n, branch in steps:
            if kind == "below":
                seen.append(random.randrange(n))
            elif kind == "real":
                seen.append(random.random() < p)
            elif kind == "shuffle":
                order = list(range(n))
                random.shuffle(order)
                seen.append(order)
            elif kind == "sampled":
                seen.append(math.sin(random.random()))
            elif kind == "clock":
                time.sleep(p)
                seen.append(time.time())
            elif kind == "gauss":
                seen.append(random.gauss(0, 1) > p)
            elif kind == "input":
                seen.append(input())
            elif kind == "environ":
                seen.append(os.environ.get("MODE"))
            elif kind == "seed":
                random.seed(n)
                seen.append(random.random())
                random.seed()
            elif kind == "twice":
                drawn = random.random()
                seen.append((drawn < p, drawn < 0.5, drawn > 0.9))
            else:
                seen.append(round(3 * random.random()))
            if branch and seen[-1]:
                follow(branch, seen)

    steps = some(0)

    def run() -> tuple[Any, ...]:
        seen: list[Any] = []
        follow(steps, seen)
        random.seed(3)
        return (repr(seen), random.random())

    return run
