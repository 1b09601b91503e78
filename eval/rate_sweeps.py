"""The learning rate of a group of planned runs: a small sweep on validation, before its seeds are trained.

Each rate is tried in one short run, with a share of the group's tokens and steps, on data and weights of a seed that
none of its runs has. The choice is read from the trials' folders whenever it is asked for, so that it can't be one of
other settings. The best rate of a short run need not be that of a long one (docs/log.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from trace_mine.eval.plan import PlannedRun
from trace_mine.eval.results import Result, number
from trace_mine.train import run_folder
from trace_mine.train.rate_choice import ChosenRate, RateChoice, choose

SHARE = 0.2
"""Share of a run's tokens and steps that a trial has."""

SEED = 99
"""Seed of the trials' weights and data; runs count theirs from 0."""

START_SECONDS = 6.0
"""Seconds on one core that a trial takes beside its share of a run's, measured: starting a process is most of it."""

METRIC = "validation loss by learning rate"
"""Metric of the results that a sweep leaves: of each rate the loss or KL by which it was compared."""


def trials(run: PlannedRun) -> dict[str, PlannedRun]:
    """Give the short run at each of a run's rates; none where its rate is not to be chosen.

    A trial's stages all end by steps, so that it comes to the longest sessions, on which rates are compared.
    """
    if not run.rates:
        return {}
    settings = run.settings()
    stages = [{**asdict(stage), "advance_at": 0.0, "steps": shorter(stage.steps)} for stage in settings.stages]
    overrides = {
        **run.overrides,
        "stages": json.dumps(stages),
        "warmup": str(shorter(settings.warmup)),
        "final_split": "validation",
        "evaluate_every": "0",
        "evaluate_at": "[1]",
    }
    for name in ("max_steps", "max_tokens"):
        if getattr(settings, name):
            overrides[name] = str(shorter(getattr(settings, name)))
    short = replace(run, seed=SEED, overrides=overrides, expected=START_SECONDS + SHARE * run.expected, rates=run.rates)
    return {rate: replace(short.at_rate(rate), group=f"{run.group}-lr{rate}") for rate in run.rates}


def shorter(count: int) -> int:
    """Return a trial's share of a number of steps or tokens, rounded up."""
    return math.ceil(SHARE * count)


def is_finished(folder: Path, run: PlannedRun) -> bool:
    """Tell if the folder holds this very run, finished; False if its rate is still to be chosen.

    Raises:
        ValueError: the folder, or that of a trial beside it, holds a run of other settings.
    """
    if run.rates:
        choice = chosen(folder.parent, run)
        return choice is not None and is_finished(folder, run.at_rate(rate_of(choice, run)))
    if not (folder / "run.json").is_file():
        return False
    if run_folder.settings_of(folder) != run.settings():
        raise ValueError(f"expected {folder} to be a run of the plan's settings, got others; give another --out")
    # the weights are written before the last measurement: a run that died between the two has no final.json yet
    return (folder / "final.json").is_file() and (folder / "model.safetensors").is_file()


def chosen(runs: Path, run: PlannedRun) -> ChosenRate | None:
    """Return what the trials under ``runs`` say of a run's rate; None if it has none to choose, or one isn't finished.

    Raises:
        ValueError: a trial's folder holds a run of other settings, or no trial's loss is a number.
    """
    short = trials(run)
    if not short or not all(is_finished(runs / trial.name, trial) for trial in short.values()):
        return None
    evaluations = {trial.name: run_folder.read_final(runs / trial.name)["evaluations"] for trial in short.values()}
    names = {rate: [trial.name] for rate, trial in short.items()}
    return choose(RateChoice(name=run.group, runs=names), evaluations)


def rate_of(choice: ChosenRate, run: PlannedRun) -> str:
    """Return the chosen rate as the run's plan spells it."""
    return next(rate for rate in run.rates if float(rate) == choice["learning_rate"])


def choices(runs: Path, plan: Sequence[PlannedRun]) -> dict[str, ChosenRate]:
    """Return group -> what its trials under ``runs`` say, of the groups whose trials are finished."""
    first = {run.group: run for run in reversed(plan)}
    choices_made = {group: chosen(runs, run) for group, run in first.items()}
    return {group: choice for group, choice in choices_made.items() if choice is not None}


def as_results(made: dict[str, ChosenRate]) -> list[Result]:
    """Return the losses of all rates as results: ``at`` is the rate, ``place`` says which one was chosen."""
    return [
        number(
            METRIC,
            loss,
            unit="nats",
            count=1,
            model=group,
            variant=choice["metric"],
            seed=SEED,
            split=choice["split"],
            place="chosen" if float(rate) == choice["learning_rate"] else "",
            at=float(rate),
        )
        for group, choice in made.items()
        for rate, loss in choice["means"].items()
    ]
