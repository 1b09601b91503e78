"""What ``trace-eval RUN...`` measures: everything that fits a run, beside its baselines."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trace_mine.eval.drift import baselines_along, baselines_holding, drift, holding, memory_needed, variants
from trace_mine.eval.grid import extrapolation
from trace_mine.eval.measure import accuracy, beliefs
from trace_mine.eval.mined import by_role, on_beliefs, rows_of
from trace_mine.eval.predictors import baselines
from trace_mine.eval.results import Result
from trace_mine.eval.sessions import sessions_of
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import DatasetSource

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
        trained_on: frozenset[str] = getattr(subject.source, "trained_on", frozenset())
        kept = [row for row in rows_there if row["text"] not in trained_on]
        if len(kept) < len(rows_there):
            log.warning("%d of %d rows of %s are what %s was trained on: left out", len(rows_there) - len(kept),
                        len(rows_there), dataset, subject.run)  # fmt: skip
        return on_beliefs(subject, kept, name=dataset.name)
    if isinstance(subject.source, DatasetSource):
        found = by_role(subject, rows=rows)
        kept = subject.source.with_beliefs[subject.source.evaluation_split]
        if kept:
            found += on_beliefs(subject, kept, name="held out", max_length=subject.settings.max_length)
        return found
    return on_task(subject, rows=rows)


def on_task(subject: Subject, *, rows: int) -> list[Result]:
    """``evaluate_run`` of a run on a task."""
    commands, spacing = subject.trained
    hidden = subject.source.task.game.is_hidden
    found: list[Result] = []
    for times in (1, 4):
        sessions = sessions_of(subject.source, commands=commands * times, spacing=spacing, rows=rows)
        for predictor in [subject.predictor, *baselines()]:
            named: dict[str, Any] = subject.named if predictor.name == subject.label else {"model": predictor.name}
            found += accuracy(sessions, predictor, times=float(times), **named)
            if hidden:
                told = beliefs(sessions, predictor, times=float(times), **named)
                found += [each for each in told if each.metric != "accuracy"]
    lengths, spacings = ([base * times for times in GRID] for base in (commands, spacing))
    grid = extrapolation(subject, lengths, sorted({1, *spacings}), rows=max(8, rows // 2))
    found += [replace(each, metric=f"{each.metric}, grid") for each in grid]
    if hidden:
        along = baselines_along(subject, rows=rows)
        found += [replace(each, metric=f"{each.metric}, drift") for each in along]
        if has_holding(subject):
            found += baselines_holding(subject)
        for variant in variants(subject):
            told = drift(subject, rows=rows, variant=variant)
            found += [replace(each, metric=f"{each.metric}, drift") for each in told]
            if has_holding(subject):
                found += holding(subject, variant=variant)
        found += memory_needed(subject, WINDOWS, rows=rows)
    return found


def has_holding(subject: Subject) -> bool:
    """Whether the task has maybe-swaps of three or more distinct values, so that an old fact can be asked for."""
    from trace_mine.train.retention import swap_of

    game = subject.source.task.game
    whole = game.is_hidden and game.num_labels is None and len(game.variables) > 2 and not game.shows_all
    return whole and swap_of(subject.source, 0, 1) is not None


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
