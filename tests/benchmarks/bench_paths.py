"""What following choices costs: paths a second, proxied draws, draws that nobody decides, and fork points.

Run ``PYTHONPATH=. python tests/benchmarks/bench_paths.py [ROUNDS]``. Baselines are taken in the same rounds, in turn: a
snippet run unpatched as often as it has paths, and CPython's own draws, in a process that is not patched. A figure is
the median over the rounds. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

ROUNDS = 7
LEAST_PATHS_A_SECOND = 10_000
MOST_PROXIED_MICROSECONDS = 3.0
MOST_NATIVE_RATIO = 1.5
MOST_BARE_RATIO = 2.0
"""For ``random()`` itself: 30 ns of C, to which a Python frame adds 20."""
PROXIED_DRAWS = 20
"""A path's length: past a weight of 1e-13 it goes by chance, which costs more and no budget gets there."""
LEAST_FORKING_RATIO = 3.0
DEAR_SECONDS = 0.02
FORKS = 4


def monty_hall() -> bool:
    car, pick = random.randrange(3), 0
    opened = random.choice([door for door in range(3) if door not in (pick, car)])
    return next(door for door in range(3) if door not in (pick, opened)) == car


def shell_game() -> tuple[str, ...]:
    cups = ["ball", "", ""]
    for _ in range(6):
        if random.random() < 0.5:
            cups[0], cups[1] = cups[1], cups[0]
        else:
            cups[1], cups[2] = cups[2], cups[1]
    return tuple(cups)


def dice() -> int:
    return sum(random.randint(1, 6) for _ in range(4))


def shuffled() -> list[int]:
    order = [1, 2, 3, 4, 5]
    random.shuffle(order)
    return order


def walk() -> int:
    place = 5
    for _ in range(9):
        place += 1 if random.random() < 0.4 else -1
    return place


def dear() -> tuple[int, ...]:
    """Work before six draws of two outcomes: 64 paths, each of which does it again unless a fork point waits."""
    until = time.process_time() + DEAR_SECONDS
    while time.process_time() < until:
        sum(range(1_000))
    return tuple(random.randrange(2) for _ in range(6))


SNIPPETS: dict[str, Callable[[], Any]] = {
    function.__name__: function for function in (monty_hall, shell_game, dice, shuffled, walk)
}
DRAWS: dict[str, Callable[[], Any]] = {
    "random()": lambda: random.random(),
    "randint(1, 6)": lambda: random.randint(1, 6),
    "gauss(0, 1)": lambda: random.gauss(0, 1),
    "choice('abc')": lambda: random.choice("abc"),
    "shuffle of 5": shuffled,
}


def seconds(run: Callable[[], Any], times: int) -> float:
    """For one call; the least of five turns, which a busy machine disturbs least."""
    turns = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(times):
            run()
        turns.append((time.perf_counter() - start) / times)
    return min(turns)


def natively() -> dict[str, float]:
    """Seconds of each draw, and of each snippet."""
    times = {name: seconds(draw, 20_000) for name, draw in DRAWS.items()}
    return times | {name: seconds(run, 2_000) for name, run in SNIPPETS.items()}


def main() -> int:
    if sys.argv[1:] == ["natively"]:
        print(json.dumps(natively()))
        return 0
    from trace_mine.tracer.inside.draws.deciders import Guided, using
    from trace_mine.tracer.inside.draws.patches import install
    from trace_mine.tracer.inside.states.fork_points import ForkPoints, ForkPool
    from trace_mine.tracer.inside.states.paths import explore

    plain_clock = time.perf_counter
    rates: dict[str, list[float]] = {name: [] for name in SNIPPETS}
    shares: dict[str, list[float]] = {name: [] for name in SNIPPETS}
    ratios: dict[str, list[float]] = {name: [] for name in DRAWS}
    proxied: list[float] = []
    dear_rates: dict[bool, list[float]] = {False: [], True: []}

    def draws() -> None:
        for _ in range(PROXIED_DRAWS):
            random.random() < 0.3  # noqa: B015  # what is timed

    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS):
        told = subprocess.run([sys.executable, __file__, "natively"], capture_output=True, text=True, check=True)
        native = json.loads(told.stdout)
        install()
        for name, draw in DRAWS.items():
            ratios[name].append(seconds(draw, 20_000) / native[name])
        for name, run in SNIPPETS.items():
            start, num_paths = plain_clock(), 0
            while plain_clock() - start < 0.1:
                num_paths += len(explore(run, max_paths=2_000).paths)
            rate = num_paths / (plain_clock() - start)
            rates[name].append(rate)
            shares[name].append(rate * native[name])
        start = plain_clock()
        for _ in range(500):
            with using(Guided()):
                draws()
        proxied.append((plain_clock() - start) / 500 / PROXIED_DRAWS * 1e6)
        for forking, rates_of_dear in dear_rates.items():
            start = plain_clock()
            forks = ForkPoints(ForkPool(FORKS), int, lambda told: told) if forking else None
            found = explore(dear, max_seconds=60, forks=forks)
            rates_of_dear.append(len(found.paths) / (plain_clock() - start))

    kept = True
    for name, found in rates.items():
        rate = statistics.median(found)
        kept = kept and rate >= LEAST_PATHS_A_SECOND
        print(f"{name:16} {rate:10,.0f} paths a second, {1 / statistics.median(shares[name]):5.1f} unpatched runs each")
    micro = statistics.median(proxied)
    kept = kept and micro <= MOST_PROXIED_MICROSECONDS
    print(f"proxied draw     {micro:10.2f} us with its comparison")
    for name, found in ratios.items():
        ratio = statistics.median(found)
        kept = kept and ratio <= (MOST_BARE_RATIO if name == "random()" else MOST_NATIVE_RATIO)
        print(f"{name:16} {ratio:10.2f} times CPython's, nobody deciding")
    again, forked = (statistics.median(dear_rates[forking]) for forking in (False, True))
    ratio = statistics.median(b / a for a, b in zip(dear_rates[False], dear_rates[True], strict=True))
    kept = kept and ratio >= LEAST_FORKING_RATIO
    told = f"{again:,.0f} paths a second run again, {forked:,.0f} from fork points"
    print(f"20 ms, 6 draws   {told}: {ratio:.1f} times")
    print("targets met" if kept else "a target is missed")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
