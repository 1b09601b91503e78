"""What ``trace-eval RUN...`` measures: everything that fits a run, beside its baselines."""

from __future__ import annotations

import logging
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
"""Metrics with many rows, for files rather than terminals."""
GRID = (1, 2, 4)
"""Multiples of the trained commands and of the trained spacing."""
WINDOWS = (4, 8, 16, 32)


def evaluate_run(subject: Subject, *, rows: int, dataset: Path | None = None) -> list[Result]:
    """All that fits the run.

    On a task: accuracy by reveal, over lengths and spacings, and where outcomes are hidden beliefs, drift, retention,
    and both with the calibrated rescale. On a dataset: accuracy by role and step, and beliefs; ``dataset`` names rows
    whose beliefs are asked for instead of the run's own, but for those that it was trained on.

    Raises:
        ValueError: the dataset can't be scored by this run.
    """
    if dataset is not None:
        rows_there = rows_of(dataset)
        batches = subject.batches
        trained_on = batches.trained_on if isinstance(batches, DatasetBatches) else frozenset[str]()
        kept = [row for row in rows_there if row["text"] not in trained_on]
        if len(kept) < len(rows_there):
            log.warning("%d of %d rows of %s are what %s was trained on: left out", len(rows_there) - len(kept),
                        len(rows_there), dataset, subject.run)  # fmt: skip
        return on_beliefs(subject, kept, name=dataset.name)
    if isinstance(subject.batches, DatasetBatches):
        results = by_role(subject, rows=rows)
        kept = subject.batches.with_beliefs[subject.batches.evaluation_split]
        if kept:
            results += on_beliefs(subject, kept, name="held out", max_length=subject.settings.max_length)
        return results
    return on_task(subject, rows=rows)


def on_task(subject: Subject, *, rows: int) -> list[Result]:
    """``evaluate_run`` of a run on a task."""
    commands, spacing = subject.trained
    hidden = subject.task_batches.task.game.is_hidden
    results: list[Result] = []
    for times in (1, 4):
        sessions = sessions_of(subject.task_batches, commands=commands * times, spacing=spacing, rows=rows)
        results += beside_baselines(subject, sessions, float(times), hidden)
    lengths, spacings = ([base * times for times in GRID] for base in (commands, spacing))
    grid = extrapolation(subject, lengths, sorted({1, *spacings}), rows=max(8, rows // 2))
    results += [replace(each, metric=f"{each.metric}, grid") for each in grid]
    return results + (on_hidden_outcomes(subject, rows=rows) if hidden else [])


def beside_baselines(subject: Subject, sessions: Sessions, times: float, hidden: bool) -> list[Result]:
    """Accuracy of the run and of the baselines, and, where outcomes are hidden, beliefs."""
    results: list[Result] = []
    for predictor in (subject.predictor, *baselines()):
        named: dict[str, Where] = subject.named if predictor.name == subject.label else {"model": predictor.name}
        results += accuracy(sessions, predictor, times=times, **named)
        if hidden:
            of_beliefs = beliefs(sessions, predictor, times=times, **named)
            results += [each for each in of_beliefs if each.metric != "accuracy"]  # which ``accuracy`` has told
    return results


def on_hidden_outcomes(subject: Subject, *, rows: int) -> list[Result]:
    """Drift, retention where an old fact can be asked for, and the memory that the task asks for."""
    has_holding = can_be_held(subject.task_batches)
    along = baselines_along(subject, rows=rows)
    results = [replace(each, metric=f"{each.metric}, drift") for each in along]
    if has_holding:
        results += baselines_holding(subject)
    for variant in variants(subject):
        along = drift(subject, rows=rows, variant=variant)
        results += [replace(each, metric=f"{each.metric}, drift") for each in along]
        if has_holding:
            results += holding(subject, variant=variant)
    return results + memory_needed(subject, WINDOWS, rows=rows)


def summary(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """(metric, where, model, value, interval) of the results that a terminal has room for."""
    lines: list[tuple[str, ...]] = []
    for each in results:
        if each.metric in DETAILS:
            continue
        where = []
        if each.commands:
            where.append(f"{each.commands} commands, every {each.spacing}")
        where += [part for part in (each.place, each.variant) if part]
        interval = "" if each.low != each.low else f"[{each.low:.4f}, {each.high:.4f}]"
        lines.append((each.metric, "; ".join(where), each.model, f"{each.value:.4f}", interval))
    return lines
