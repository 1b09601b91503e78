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

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.corpus.synthetic.stream import Batch
from trace_mine.corpus.synthetic.tasks import task_label as named_task
from trace_mine.eval.measure import fields_of
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.eval.subjects import Subject
from trace_mine.train.hooks import states_along
from trace_mine.train.measure.laws import logs
from trace_mine.train.measure.predictors import ModelPredictor, Predictor, WindowFilter, baselines
from trace_mine.train.measure.retention import retention
from trace_mine.train.measure.scores import last_quarter, score, shown_loss
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.rescaling import FROM_STEP, calibrate, matrix_mixers, rescaled

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
        stream = subject.task_batches.stream(*subject.trained, "train")
        batch = stream.batch(range(CALIBRATION_ROWS))
        calibrate(subject.model, on_device(subject, batch))
    with rescaled(subject.model):
        yield


def variants(subject: Subject) -> tuple[str, ...]:
    """The variants that the model has."""
    stream = subject.task_batches.stream(*subject.trained, "train")
    long_enough = int(stream.batch(range(1)).lengths.min()) >= FROM_STEP
    return ("", RESCALED) if matrix_mixers(subject.model) and long_enough else ("",)


def drift(subject: Subject, *, times: Sequence[int] = TIMES, rows: int, variant: str = "") -> list[Result]:
    """Belief KL (where nothing is hidden: loss of reveals) over all reveals and in their last quarter, at each multiple
    of the trained length, with the trained spacing.
    """
    trained, spacing = subject.trained
    results = []
    for multiple in times:
        sessions = sessions_of(subject.task_batches, commands=trained * multiple, spacing=spacing, rows=rows)
        with variant_of(subject, variant):
            results += at_length(sessions, subject.predictor, multiple, **subject.named, variant=variant)
    return results


def baselines_along(subject: Subject, *, times: Sequence[int] = TIMES, rows: int) -> list[Result]:
    """``drift`` of the baselines, on the same sessions."""
    trained, spacing = subject.trained
    results = []
    for multiple in times:
        sessions = sessions_of(subject.task_batches, commands=trained * multiple, spacing=spacing, rows=rows)
        for baseline in baselines():
            results += at_length(sessions, baseline, multiple, model=baseline.name)
    return results


def at_length(sessions: Sessions, predictor: Predictor, times: float, **named: Where) -> list[Result]:
    """``drift`` on these sessions."""
    if isinstance(predictor, ModelPredictor):
        # far beyond the trained length a model may give what is shown less than any float: its logarithm is still told
        log_law = predictor.log_laws(sessions.stream, sessions.batch)
        law = np.exp(log_law)
    else:
        law = sessions.laws_of(predictor)
        log_law = logs(law)
    scores = score(sessions.exact, law, sessions.shown)
    where = fields_of(sessions, {"times": float(times), **named})
    return [
        measured("belief KL", scores.kl, unit="nats", **where),
        measured("belief KL, last quarter", last_quarter(scores.kl), unit="nats", **where),
        measured("loss of reveals", shown_loss(log_law, sessions.shown), unit="nats", **where),
        measured("accuracy", scores.hits, unit="share", **where),
    ]


def memory_needed(subject: Subject, windows: Sequence[int], *, rows: int) -> list[Result]:
    """KL of exact filters restarted ``at`` commands ago, on the trained length."""
    commands, spacing = subject.trained
    sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=rows)
    results = []
    for window in windows:
        filtered = WindowFilter(window=window)
        of_all_reveals = at_length(sessions, filtered, 1.0, model=filtered.name)[0]
        results.append(replace(of_all_reveals, metric="belief KL, window", at=float(window)))
    return results


def holding(subject: Subject, *, holds: Sequence[int] = HOLDS, variant: str = "") -> list[Result]:
    """Retention: KL where an untouched variable is asked for after ``at`` commands; no interval, one session for each
    choice of variables.
    """
    spacing, task = subject.trained[1], named_task(subject.task_batches.task)
    results = []
    for hold in holds:
        if hold % spacing:
            continue
        with variant_of(subject, variant):
            kl = retention(subject.model, subject.task_batches, hold=hold, spacing=spacing)["kl"]
        where: dict[str, Where] = {"commands": hold, "spacing": spacing, "at": float(hold), "task": task}
        results.append(number("retention KL", kl, unit="nats", variant=variant, **where, **subject.named))
    return results


def baselines_holding(subject: Subject, *, holds: Sequence[int] = HOLDS) -> list[Result]:
    """``holding`` of the exact filter, which is certain, and of what remembers nothing: all items are alike to it."""
    spacing, task = subject.trained[1], subject.task_batches.task
    where: dict[str, Where] = {"unit": "nats", "spacing": spacing, "task": named_task(task)}
    return [
        number("retention KL", value, model=name, commands=hold, at=float(hold), **where)
        for hold in holds
        if hold % spacing == 0
        for name, value in (("exact filter", 0.0), ("no memory", math.log(len(task.game.items))))
    ]


def norms(subject: Subject, *, times: int, rows: int, every: int = 16, variant: str = "") -> tuple[Floats, Floats]:
    """(steps in tokens [N], mean over sessions and heads of |S|_F [N]) of the last layer with a matrix state.

    Raises:
        ValueError: the model has no matrix state.
    """
    if not matrix_mixers(subject.model):
        raise ValueError(f"expected a model with a matrix state, got {subject.label}")
    trained, spacing = subject.trained
    batch = subject.task_batches.stream(trained * times, spacing, "test").batch(range(rows))
    ids = on_device(subject, batch)
    with variant_of(subject, variant):
        states = states_along(subject.model, ids, every)
    last = states[max(states)]
    means = torch.linalg.vector_norm(last, dim=(-2, -1)).mean(dim=(0, 2)).double().cpu().numpy()
    return np.arange(1.0, len(means) + 1.0) * every, np.asarray(means, dtype=np.float64)


def on_device(subject: Subject, batch: Batch) -> torch.Tensor:
    """The batch's tokens, cut to the shortest row, where the model is."""
    ids = torch.from_numpy(batch.tokens[:, : int(batch.lengths.min())])
    return ids.to(next(subject.model.parameters()).device)
