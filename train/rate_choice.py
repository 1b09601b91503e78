"""The learning rate of a sweep that did best on validation, chosen without a look at the test split.

The runs of such a sweep have ``final_split=validation``, so that nothing of theirs has seen the test. They compare by
the KL to the exact belief where outcomes are hidden, elsewhere by the loss of reveals: accuracies tie at 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from trace_mine.train.summary import Evaluation

METRICS = {"kl": "KL to the exact belief", "loss_reveal": "loss of reveals", "loss": "loss of all tokens"}
"""Measurement that runs are compared by, the first that they have -> its name for people; all in nats, the less the
better."""


class ChosenRate(TypedDict):
    """A line of ``chosen.jsonl``: the rate, why, and what was left out.

    ``means`` are over the runs of ``runs`` at each rate, as it was written; ``left_out`` are rates that failed, or
    whose loss is no number. ``at_edge`` is "smallest" or "largest" if no rate on that side was tried, else "".
    """

    name: str
    learning_rate: float
    metric: str
    split: str
    means: dict[str, float]
    left_out: list[str]
    at_edge: str
    runs: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChoice:
    """The rates to choose from: ``runs`` has the names of the runs at each rate, which differ in their seeds alone."""

    name: str
    runs: Mapping[str, Sequence[str]]


def choose(choice: RateChoice, evaluations: Mapping[str, Sequence[Evaluation]]) -> ChosenRate:
    """Choose the rate whose mean over its runs is least at the training length.

    Args:
        choice: the rates and their runs.
        evaluations: name of a finished run -> its final evaluations, of validation; failed runs are absent.

    Raises:
        ValueError: no rate has runs that all finished with a number, or a run was evaluated on another split.
    """
    measured = {run: evaluations[run][0] for runs in choice.runs.values() for run in runs if run in evaluations}
    for run, evaluation in measured.items():
        if evaluation.get("split") == "test":
            raise ValueError(f"expected runs that were evaluated on validation, got {run} on test; train it again")
    metric = next((each for each in METRICS if all(_value(one, each) is not None for one in measured.values())), "loss")
    means: dict[str, float] = {}
    for rate, runs in choice.runs.items():
        values = [_value(measured[run], metric) for run in runs if run in measured]
        numbers = [value for value in values if value is not None and math.isfinite(value)]
        if len(numbers) == len(runs):
            means[rate] = sum(numbers) / len(numbers)
    if not means:
        raise ValueError(f"expected a rate of {choice.name} whose runs all finished, got none; see their logs")
    best = min(means, key=lambda rate: means[rate])
    rates = sorted(map(float, choice.runs))
    at_edge = {rates[0]: "smallest", rates[-1]: "largest"}.get(float(best), "") if len(rates) > 1 else ""
    return {
        "name": choice.name,
        "learning_rate": float(best),
        "metric": metric,
        "split": measured[choice.runs[best][0]].get("split", "validation"),
        "means": means,
        "left_out": [rate for rate in choice.runs if rate not in means],
        "at_edge": at_edge,
        "runs": list(choice.runs[best]),
    }


def _value(evaluation: Evaluation, metric: str) -> float | None:
    """Return a measurement of an evaluation, None if it has none; on a dataset KL is that of its rows' beliefs."""
    if metric == "kl" and "beliefs" in evaluation:
        return evaluation["beliefs"].get("kl")
    if metric == "loss":
        parts = evaluation.get("by_role", {}).values()
        tokens = sum(part["tokens"] for part in parts)
        return sum(part["loss"] * part["tokens"] for part in parts) / tokens if tokens else None
    value = evaluation.get(metric)
    return value if isinstance(value, int | float) else None


def sentences(chosen: ChosenRate) -> Iterable[str]:
    """Yield what was chosen, for the terminal."""
    means = ", ".join(f"{rate}: {mean:.4f}" for rate, mean in chosen["means"].items())
    yield (
        f"{chosen['name']}: best learning rate {chosen['learning_rate']:g}, by {METRICS[chosen['metric']]} on "
        f"{chosen['split']}, mean of {len(chosen['runs'])} run(s) a rate ({means})"
    )
    if chosen["left_out"]:
        yield f"  left out, since a run failed or has no number: {', '.join(chosen['left_out'])}"
    if chosen["at_edge"]:
        yield f"  it is the {chosen['at_edge']} rate that was tried: a wider sweep may find a better one"
