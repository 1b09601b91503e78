"""Drift against retention: does a model's belief stay true over time, and does it still know an old fact?

Drift: KL(exact || model) at reveals, at multiples of the trained length. Retention: KL where a variable is asked for
that nothing has touched for ``hold`` commands. What forgets does well at the first and badly at the second; what keeps
everything, the other way round. Beside both: how much memory the task asks for at all (the exact filter restarted W
commands ago), the state's norm over time, and the same lengths where nothing is hidden.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.corpus.synthetic.stream import Batch
from trace_mine.corpus.synthetic.tasks import told as told_task
from trace_mine.eval.measure import score
from trace_mine.eval.predictors import ModelPredictor, WindowFilter, baselines
from trace_mine.eval.results import Result, measured
from trace_mine.eval.sessions import Sessions, sessions_of
from trace_mine.eval.subjects import Subject
from trace_mine.train.hooks import states_along
from trace_mine.train.rescaling import FROM_STEP, calibrate, matrix_mixers, rescaled
from trace_mine.train.retention import retention

TIMES = (1, 4, 8, 16)
HOLDS = (4, 16, 64, 256)
CALIBRATION_ROWS = 64
RESCALED = "calibrated rescale"


@contextlib.contextmanager
def variant_of(subject: Subject, variant: str) -> Iterator[None]:
    """While inside, the model is the variant: "" as it is, or with the calibrated rescale.

    Raises:
        ValueError: another variant, or a model without a matrix state.
    """
    if variant not in ("", RESCALED):
        raise ValueError(f"expected variant '' or {RESCALED!r}, got {variant!r}")
    if not variant:
        yield
        return
    if not subject.model.config.state_norms:
        stream = subject.source.stream(*subject.trained, "train")
        batch = stream.batch(range(CALIBRATION_ROWS))
        calibrate(subject.model, on_device(subject, batch))
    with rescaled(subject.model):
        yield


def variants(subject: Subject) -> tuple[str, ...]:
    """The variants that the model has."""
    stream = subject.source.stream(*subject.trained, "train")
    long_enough = int(stream.batch(range(1)).lengths.min()) >= FROM_STEP
    return ("", RESCALED) if matrix_mixers(subject.model) and long_enough else ("",)


def drift(subject: Subject, *, times: Sequence[int] = TIMES, rows: int, variant: str = "") -> list[Result]:
    """Belief KL (where nothing is hidden: loss of reveals) over all reveals and in their last quarter, at each multiple
    of the trained length, with the trained spacing.
    """
    trained, spacing = subject.trained
    found = []
    for multiple in times:
        sessions = sessions_of(subject.source, commands=trained * multiple, spacing=spacing, rows=rows)
        with variant_of(subject, variant):
            found += at_length(sessions, subject.predictor, multiple, **subject.named, variant=variant)
    return found


def baselines_along(subject: Subject, *, times: Sequence[int] = TIMES, rows: int) -> list[Result]:
    """``drift`` of the baselines, on the same sessions."""
    trained, spacing = subject.trained
    found = []
    for multiple in times:
        sessions = sessions_of(subject.source, commands=trained * multiple, spacing=spacing, rows=rows)
        for baseline in baselines():
            found += at_length(sessions, baseline, multiple, model=baseline.name)
    return found


def at_length(sessions: Sessions, predictor: Any, times: float, **named: Any) -> list[Result]:
    """``drift`` on these sessions."""
    if isinstance(predictor, ModelPredictor):
        logs = predictor.log_laws(sessions.stream, sessions.batch)
        law = np.exp(logs)
        told_loss = -np.take_along_axis(logs, sessions.shown[..., None], axis=2)[..., 0]
    else:
        law = sessions.laws_of(predictor)
        told_loss = score(sessions.exact, law, sessions.shown).told_loss
    scores = score(sessions.exact, law, sessions.shown)
    spacing, stream = sessions.plays.spacing, sessions.stream
    where = {"commands": sessions.commands, "spacing": spacing, "split": stream.split, "task": told_task(stream.task)}
    where |= {"times": float(times), **named}
    late = scores.kl[:, -max(1, scores.kl.shape[1] // 4) :]
    return [
        measured("belief KL", scores.kl, unit="nats", **where),
        measured("belief KL, last quarter", late, unit="nats", **where),
        measured("loss of reveals", told_loss, unit="nats", **where),
        measured("accuracy", scores.hits, unit="share", **where),
    ]


def memory_needed(subject: Subject, windows: Sequence[int], *, rows: int) -> list[Result]:
    """KL of exact filters restarted ``at`` commands ago, on the trained length."""
    commands, spacing = subject.trained
    sessions = sessions_of(subject.source, commands=commands, spacing=spacing, rows=rows)
    found = []
    for window in windows:
        filtered = WindowFilter(window=window)
        result = at_length(sessions, filtered, 1.0, model=filtered.name)[0]
        found.append(replace(result, metric="belief KL, window", at=float(window)))
    return found


def holding(subject: Subject, *, holds: Sequence[int] = HOLDS, variant: str = "") -> list[Result]:
    """Retention: KL where an untouched variable is asked for after ``at`` commands; no interval, one session for each
    choice of variables.
    """
    spacing = subject.trained[1]
    found = []
    for hold in holds:
        if hold % spacing:
            continue
        with variant_of(subject, variant):
            told = retention(subject.model, subject.source, hold=hold, spacing=spacing)
        where: dict[str, Any] = {"commands": hold, "spacing": spacing, "at": float(hold)}
        where["task"] = told_task(subject.source.task)
        found.append(
            Result(metric="retention KL", value=told["kl"], unit="nats", variant=variant, **where, **subject.named)
        )
    return found


def baselines_holding(subject: Subject, *, holds: Sequence[int] = HOLDS) -> list[Result]:
    """``holding`` of the exact filter, which is certain, and of what remembers nothing: all items are alike to it."""
    spacing, found = subject.trained[1], []
    where: dict[str, Any] = {"unit": "nats", "spacing": spacing, "task": told_task(subject.source.task)}
    blind = math.log(len(subject.source.task.game.items))
    for hold in holds:
        if hold % spacing == 0:
            for name, value in (("exact filter", 0.0), ("no memory", blind)):
                told = Result(metric="retention KL", value=value, model=name, commands=hold, at=float(hold), **where)
                found.append(told)
    return found


def norms(subject: Subject, *, times: int, rows: int, every: int = 16, variant: str = "") -> tuple[Floats, Floats]:
    """(steps in tokens [N], mean over sessions and heads of |S|_F [N]) of the last layer with a matrix state.

    Raises:
        ValueError: the model has no matrix state.
    """
    if not matrix_mixers(subject.model):
        raise ValueError(f"expected a model with a matrix state, got {subject.label}")
    trained, spacing = subject.trained
    batch = subject.source.stream(trained * times, spacing, "test").batch(range(rows))
    ids = on_device(subject, batch)
    with variant_of(subject, variant):
        states = states_along(subject.model, ids, every)
    last = states[max(states)]
    told = torch.linalg.vector_norm(last, dim=(-2, -1)).mean(dim=(0, 2)).double().cpu().numpy()
    return np.arange(1.0, len(told) + 1.0) * every, np.asarray(told, dtype=np.float64)


def on_device(subject: Subject, batch: Batch) -> torch.Tensor:
    """The batch's tokens, cut to the shortest row, where the model is."""
    ids = torch.from_numpy(batch.tokens[:, : int(batch.lengths.min())])
    return ids.to(next(subject.model.parameters()).device)
