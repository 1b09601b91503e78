"""Beliefs of a session by brute force: all its commands run once for every outcome of every draw, and Bayes over that.

Nothing of trace-mine is used. The draws are ``random.random() < p``, whose outcomes are two, and those of ``DRAWN``.
THE SESSION'S CODE RUNS HERE, WITHOUT A SANDBOX.
"""

from __future__ import annotations

import collections
import contextlib
import importlib
import io
import json
import random
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

MOST_RUNS = 20_000
DRAWN = ("random", "choice", "choices", "randint", "randrange", "sample", "shuffle")
"""Functions of ``random`` that are replaced while commands run."""


class _Draws:
    """Answers draws by the numbers of their outcomes: those given, then the first one, whose alternatives are noted."""

    def __init__(self, given: Sequence[int]) -> None:
        self._given = list(given)
        self.taken: list[tuple[int, list[float]]] = []

    def decide(self, law: list[float]) -> int:
        place = len(self.taken)
        number = self._given[place] if place < len(self._given) else 0
        self.taken.append((number, law))
        return number

    def choice(self, values: Sequence[Any]) -> Any:
        return values[self.decide([1 / len(values)] * len(values))]

    def randint(self, low: int, high: int) -> int:
        return self.choice(range(low, high + 1))

    def randrange(self, *bounds: int) -> int:
        return self.choice(range(*bounds))

    def choices(self, values: Sequence[Any], weights: Sequence[float] | None = None, *, k: int = 1) -> list[Any]:
        given = [1.0] * len(values) if weights is None else weights
        law = [weight / sum(given) for weight in given]
        return [values[self.decide(law)] for _ in range(k)]

    def sample(self, values: Sequence[Any], k: int) -> list[Any]:
        left = list(values)
        return [left.pop(self.choice(range(len(left)))) for _ in range(k)]

    def shuffle(self, values: list[Any]) -> None:
        values[:] = self.sample(values, len(values))

    def random(self) -> Any:
        decide = self.decide

        class Real:
            def __lt__(self, p: float) -> bool:
                return decide([p, 1 - p]) == 0

        return Real()


def runs_of(row: dict[str, Any], root: Path) -> Iterator[tuple[float, list[str]]]:
    """Yield (probability, what each command shows) of every way in which the session's draws may fall."""
    for weight, shown in runs_with(row, root, lambda namespace: None):
        yield weight, [text for text, _ in shown]


def runs_with(
    row: dict[str, Any], root: Path, look: Callable[[dict[str, Any]], Any]
) -> Iterator[tuple[float, list[tuple[str, Any]]]]:
    """Yield (probability, what each command shows and what ``look`` sees in the namespace after it) of every way."""
    waiting: list[list[int]] = [[]]
    num_runs = 0
    while waiting:
        given = waiting.pop()
        draws = _Draws(given)
        texts = _texts(row, root, draws, look)
        num_runs += 1
        assert num_runs <= MOST_RUNS, "too many ways for brute force"
        for place in range(len(given), len(draws.taken)):
            prefix = [number for number, _ in draws.taken[:place]]
            waiting += [[*prefix, other] for other in range(1, len(draws.taken[place][1]))]
        weight = 1.0
        for number, law in draws.taken:
            weight *= law[number]
        yield weight, texts


def _texts(
    row: dict[str, Any], root: Path, draws: _Draws, look: Callable[[dict[str, Any]], Any]
) -> list[tuple[str, Any]]:
    setup = json.loads(row["setup"])
    paths = [str(root / folder) for folder in setup["sys_path"]]
    before = {name: getattr(random, name) for name in DRAWN}
    sys.path[:0] = paths
    for name in DRAWN:
        setattr(random, name, getattr(draws, name))
    try:
        namespace: dict[str, Any] = {"__name__": "__main__"}
        if setup["module"]:
            sys.modules.pop(setup["module"], None)  # what the last run changed in it
            namespace |= vars(importlib.import_module(setup["module"]))
            namespace["__name__"] = "__main__"
        exec(setup["code"], namespace)
        # one for all commands: a program may keep the ``sys.stdout`` that it finds; and may write files
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
            contextlib.redirect_stdout(io.StringIO()) as output,
        ):
            return [(_shown(step["source"], namespace, output), look(namespace)) for step in row["steps"]]
    finally:
        for name, function in before.items():
            setattr(random, name, function)
        del sys.path[: len(paths)]


def _shown(source: str, namespace: dict[str, Any], output: io.StringIO) -> str:
    output.seek(0)
    output.truncate()
    try:
        exec(compile(f"{source}\n", "<command>", "single"), namespace)
        text = output.getvalue()
    except (Exception, SystemExit) as error:
        last = "".join(traceback.format_exception_only(type(error), error))
        text = f"Traceback (most recent call last):\n    ...\n{last}"  # alone, as a doctest shows it
    lines = text.removesuffix("\n").split("\n")
    return "\n".join(line if line.strip() else "<BLANKLINE>" for line in lines) if text else ""


def variables_of(namespace: dict[str, Any]) -> dict[str, str]:
    """The variables of plain data, by their ``repr``."""
    return {name: repr(value) for name, value in namespace.items() if not name.startswith("__") and _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Tell if a value is made of numbers, texts, lists, tuples and dictionaries, and is short."""
    if type(value) in (list, tuple):
        return all(map(_is_plain, value)) and len(repr(value)) < 300
    if type(value) is dict:
        return _is_plain([*value, *value.values()])
    return type(value) in (int, str, bool, float, type(None)) and len(repr(value)) < 300


def worst_difference_of_states(row: dict[str, Any], root: Path) -> float:
    """The largest difference between a probability of a joint law of states and outputs, and that over all runs.

    Laws with a variable that holds an object or a set, or anything else that is not plain, are passed over.
    """
    runs = [*runs_with(row, root, variables_of)]
    shown = [step["output"] for step in row["steps"]]
    worst = 0.0
    for belief, told in zip(row["beliefs"], row["belief_states"], strict=True):
        if told["absent"]:
            continue
        step = row["segments"][belief["segment"]]["step"]
        law: dict[tuple[str, str], float] = collections.defaultdict(float)
        for weight, seen in runs:
            if [text for text, _ in seen[:step]] == shown[:step]:
                text, variables = seen[step]
                state = {name: variables[name] for name in told["variables"] if name in variables}
                law[json.dumps(state, sort_keys=True), text] += weight
        if {name for state in told["states"] for name in json.loads(state)} - {
            name for state, _ in law for name in json.loads(state)
        }:
            continue  # not plain
        total = sum(law.values())
        ours = {
            (json.dumps(json.loads(state), sort_keys=True), belief["outcomes"][outcome]): probability
            for state, outcome, probability in zip(told["states"], told["outcomes"], told["probabilities"], strict=True)
        }
        for key in {*law, *ours}:
            worst = max(worst, abs(law.get(key, 0.0) / total - ours.get(key, 0.0)))
    return worst


def worst_difference(row: dict[str, Any], root: Path) -> float:
    """The largest difference between a probability of a belief and that of Bayes over all runs."""
    runs = [*runs_of(row, root)]
    assert abs(sum(weight for weight, _ in runs) - 1) < 1e-9
    shown = [step["output"] for step in row["steps"]]
    worst = 0.0
    for belief in row["beliefs"]:
        step = row["segments"][belief["segment"]]["step"]
        law: dict[str, float] = collections.defaultdict(float)
        for weight, texts in runs:
            if texts[:step] == shown[:step]:
                law[texts[step]] += weight
        total = sum(law.values())
        told = dict(zip(belief["outcomes"], belief["probabilities"], strict=True))
        for text in {*law, *told}:
            worst = max(worst, abs(law.get(text, 0.0) / total - told.get(text, 0.0)))
    return worst
