"""Everything that ``trace-eval RUN...`` measures of a run: all that fits its data, beside the baselines."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trace_mine.eval.drift import baselines_along, baselines_holding, drift, holding, memory_needed, variants
from trace_mine.eval.grid import extrapolation
from trace_mine.eval.measure import accuracy, beliefs
from trace_mine.eval.mined import by_role, on_beliefs, rows_of
from trace_mine.eval.results import Result, Where
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import DatasetBatches
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.retention import can_be_held
from trace_mine.train.measure.sessions import Sessions, sessions_of

log = logging.getLogger("trace-eval")

DETAILS = {
    "accuracy by reveal",
    "reliability",
    "belief KL by entropy",
    "belief KL by reveals",
    "belief KL by commands",
}
"""Metrics with a result for each of many places: they go into files, and are left out of the terminal's summary."""
GRID = (1, 2, 4)
"""Multiples of the trained commands and of the trained spacing."""
WINDOWS = (4, 8, 16, 32)
"""Commands that filters of limited memory look back over."""


def evaluate_run(subject: Subject, *, rows: int, dataset: Path | None = None) -> list[Result]:
    """Measure all that fits the run, on ``rows`` sessions or rows each.

    A run on a task is measured by accuracy (by reveal, over lengths and spacings) and, where outcomes are hidden, by
    beliefs, drift and retention, the last two also with the calibrated rescale. A run on a dataset is measured by
    accuracy by role and step, and by the beliefs of its held-out rows. ``dataset`` is a folder of other rows, whose
    beliefs are asked for instead; rows that the run was trained on are left out, with a warning.

    Raises:
        ValueError: the dataset can't be scored by this run.
    """
    if dataset is not None:
        all_rows = rows_of(dataset)
        batches = subject.batches
        trained_on = batches.trained_on if isinstance(batches, DatasetBatches) else frozenset[str]()
        # by text, not by trace_id: the same session may have been mined twice, from two repositories
        unseen = [row for row in all_rows if row["text"] not in trained_on]
        if len(unseen) < len(all_rows):
            log.warning("%d of %d rows of %s are what %s was trained on: left out", len(all_rows) - len(unseen),
                        len(all_rows), dataset, subject.run)  # fmt: skip
        return on_beliefs(subject, unseen, name=dataset.name)
    if isinstance(subject.batches, DatasetBatches):
        results = by_role(subject, rows=rows)
        with_beliefs = subject.batches.with_beliefs[subject.batches.evaluation_split]
        if with_beliefs:
            results += on_beliefs(subject, with_beliefs, name="held out", max_length=subject.settings.max_length)
        return results
    return on_task(subject, rows=rows)


def on_task(subject: Subject, *, rows: int) -> list[Result]:
    """Measure a run on a task: at 1 and 4 times the trained length, over the grid, and where outcomes are hidden.

    Metrics of the grid are named ``..., grid``, because it takes fewer sessions and would else stand beside the same
    metric of more.
    """
    commands, spacing = subject.trained
    hidden = subject.task_batches.task.game.is_hidden
    results: list[Result] = []
    for times in (1, 4):
        sessions = sessions_of(subject.task_batches, commands=commands * times, spacing=spacing, rows=rows)
        results += beside_baselines(subject, sessions, float(times), hidden)
    # spacing 1 beside the multiples: runs forget small spacings (.52 at 1 once it was left out of the last stages)
    lengths, spacings = ([base * times for times in GRID] for base in (commands, spacing))
    # half the rows: the grid has up to twelve sizes, the largest four times as long as the trained one
    grid = extrapolation(subject, lengths, sorted({1, *spacings}), rows=max(8, rows // 2))
    results += [replace(each, metric=f"{each.metric}, grid") for each in grid]
    return results + (on_hidden_outcomes(subject, rows=rows) if hidden else [])


def beside_baselines(subject: Subject, sessions: Sessions, times: float, hidden: bool) -> list[Result]:
    """Measure accuracy and, where outcomes are ``hidden``, beliefs, of the run and of the baselines on these sessions.

    ``times`` is the length of the sessions over the trained one.
    """
    results: list[Result] = []
    for predictor in (subject.predictor, *baselines()):
        # baselines have no run and no seed
        named: dict[str, Where] = subject.named if predictor.name == subject.label else {"model": predictor.name}
        results += accuracy(sessions, predictor, times=times, **named)
        if hidden:
            of_beliefs = beliefs(sessions, predictor, times=times, **named)
            # ``accuracy`` above has given this one already, and a leaderboard would count its seed twice
            results += [each for each in of_beliefs if each.metric != "accuracy"]
    return results


def on_hidden_outcomes(subject: Subject, *, rows: int) -> list[Result]:
    """Measure drift, retention where the task can leave a fact alone, and the memory that the task asks for.

    Metrics of drift are named ``..., drift``, for they have lengths in common with those of ``on_task``.
    """
    has_retention = can_be_held(subject.task_batches)
    along = baselines_along(subject, rows=rows)
    results = [replace(each, metric=f"{each.metric}, drift") for each in along]
    if has_retention:
        results += baselines_holding(subject)
    for variant in variants(subject):
        along = drift(subject, rows=rows, variant=variant)
        results += [replace(each, metric=f"{each.metric}, drift") for each in along]
        if has_retention:
            results += holding(subject, variant=variant)
    return results + memory_needed(subject, WINDOWS, rows=rows)


def summary(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Give (metric, where, model, value, interval), as text, of the results that a terminal has room for."""
    lines: list[tuple[str, ...]] = []
    for each in results:
        if each.metric in DETAILS:
            continue
        where = []
        if each.commands:
            where.append(f"{each.commands} commands, every {each.spacing}")
        where += [part for part in (each.place, each.variant) if part]
        interval = "" if math.isnan(each.low) else f"[{each.low:.4f}, {each.high:.4f}]"
        lines.append((each.metric, "; ".join(where), each.model, f"{each.value:.4f}", interval))
    return lines
