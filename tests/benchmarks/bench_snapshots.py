"""Microseconds to save and to restore a state, for states of several kinds.

    PYTHONPATH=. python tests/benchmarks/bench_snapshots.py [OTHER_FILE]

A run of a command from a state restores that state and saves the one that it ends in, so that both are most of the time
of a belief. A state is saved twice where it is met for the first time (``new``), and once where it is known (``save``).

With the path of another version of ``snapshots.py``, which needs no other files than those that are here, the two take
turns, and ratios of medians are printed.
"""

from __future__ import annotations

import importlib.util
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from trace_mine.tracer.inside.states.snapshots import Snapshots

ROUNDS, RUNS = 25, 100

MODULES = "import calendar, collections, decimal, heapq, itertools, json, math, random, statistics, string\n"
STATES = {
    "few variables, ten modules": (MODULES + "n, name, items = 3, 'a', [1, 2]", "n = {}"),
    "lists of 24 items": ("one, two, three = ([*range(k, k + 24)] for k in (0, 100, 200))", "one[{} % 24] = {}"),
    "an instance of a class": (
        "class Box:\n    kind = 'box'\n    def __init__(self):\n        self.n, self.items = 0, [1]\nbox = Box()",
        "box.n = {}",
    ),
    "functions, a cache, a handler": (
        "import functools, io, logging\ndef f(x, y=[]): return x\n@functools.cache\ndef g(x): return print(x) or x\n"
        "handler, n = logging.StreamHandler(io.StringIO()), 0",
        "n = {}",
    ),
}
"""By a name, statements that make a state, and one that changes it, with a number."""
Calls = dict[str, Callable[[], object]]
"""The measurements, by name."""


def calls_of(kind: Any, source: str, change: str) -> Calls:
    """The measurements of a version in one state."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec(source, namespace)
    snapshots = kind(namespace, lambda path: False)
    saved = snapshots.save()
    numbers = itertools.count(1)

    def new() -> None:
        exec(change.replace("{}", str(next(numbers))), namespace)
        snapshots.save()

    return {"save": snapshots.save, "new": new, "restore": lambda: snapshots.restore(saved)}


def timed(call: Callable[[], object]) -> float:
    """Microseconds of processor time that a call takes."""
    start = time.process_time()
    for _ in range(RUNS):
        call()
    return 1e6 * (time.process_time() - start) / RUNS


def versions() -> Iterator[tuple[str, Any]]:
    """The classes that are compared, by a name each."""
    if len(sys.argv) > 1:
        spec = importlib.util.spec_from_file_location("other_snapshots", sys.argv[1])
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield "other", module.Snapshots
    yield "this", Snapshots


def main() -> None:
    kinds = dict(versions())
    for state, (source, change) in STATES.items():
        calls = {name: calls_of(kind, source, change) for name, kind in kinds.items()}
        for measure in calls["this"]:
            times: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(ROUNDS):
                for name in kinds:
                    times[name].append(timed(calls[name][measure]))
            medians = {name: statistics.median(each) for name, each in times.items()}
            texts = [f"{name} {median:7.1f} us" for name, median in medians.items()]
            if "other" in medians:
                texts.append(f"ratio {medians['this'] / medians['other']:.3f}")
            print(f"{state:32}{measure:9}", *texts)


if __name__ == "__main__":
    main()
