"""Drift against retention: the error of a model's belief over time, and its knowledge of an old fact.

Drift is KL(exact || model) at reveals, at multiples of the trained length. Retention is the KL where a variable is
asked for that no command has touched for ``hold`` commands. A model that forgets does well at the first and badly at
the second; a model that keeps everything does the opposite, so each number needs the other beside it.

Three measurements help to read them: the memory that the task asks for at all (the exact filter restarted W commands
ago), the norm of the state over time, and the same lengths on a task that hides nothing.
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
from trace_mine.train.measure.retention import retention_losses
from trace_mine.train.measure.scores import last_quarter, score, shown_loss
from trace_mine.train.measure.sessions import Sessions, sessions_of
from trace_mine.train.rescaling import FROM_STEP, calibrate, matrix_mixers, rescaled

TIMES = (1, 4, 8, 16)
"""Multiples of the trained length at which drift is measured."""
HOLDS = (4, 16, 64, 256)
"""Commands since the fact was last touched, at which retention is measured; the recipe ``belief`` trains on 48."""
CALIBRATION_ROWS = 64
RESCALED = "calibrated rescale"
"""The ``variant`` of results of a model whose states are held at the norms that they had in training."""


@contextlib.contextmanager
def variant_of(subject: Subject, variant: str) -> Iterator[None]:
    """Turn the subject's model into a variant for the length of a ``with`` block: "" as it is, or ``RESCALED``.

    A model that was never calibrated is calibrated first, on training sessions of the trained length; its config keeps
    the norms, so later calls find them there.

    Raises:
        ValueError: another variant, or a model without a matrix state.
    """
    if variant not in ("", RESCALED):
        raise ValueError(f"expected variant '' or {RESCALED!r}, got {variant!r}")
    if not variant:
        yield
        return
    if not subject.model.config.state_norms:
        # never the test split: norms that were taken from the sessions to be scored would be fitted to them
        stream = subject.task_batches.stream(*subject.trained, "train")
        batch = stream.batch(range(CALIBRATION_ROWS))
        calibrate(subject.model, on_device(subject, batch))
    with rescaled(subject.model):
        yield


def variants(subject: Subject) -> tuple[str, ...]:
    """The variants that the model has: itself, and ``RESCALED`` where it has a matrix state and long enough sessions.

    Calibration measures norms from token ``FROM_STEP`` on, because a state that begins empty says nothing before.
    """
    stream = subject.task_batches.stream(*subject.trained, "train")
    # of one session, for all of a size have about one length
    long_enough = int(stream.batch(range(1)).lengths.min()) >= FROM_STEP
    return ("", RESCALED) if matrix_mixers(subject.model) and long_enough else ("",)


def drift(subject: Subject, *, times: Sequence[int] = TIMES, rows: int, variant: str = "") -> list[Result]:
    """Measure the subject on test sessions of each multiple of the trained length, with the trained spacing.

    Each length gives the belief KL over all reveals and over their last quarter, the loss of reveals (the number to
    read where nothing is hidden, because the exact law is then certain), and the accuracy.
    """
    trained, spacing = subject.trained
    results = []
    for multiple in times:
        sessions = sessions_of(subject.task_batches, commands=trained * multiple, spacing=spacing, rows=rows)
        with variant_of(subject, variant):
            results += at_length(sessions, subject.predictor, multiple, **subject.named, variant=variant)
    return results


def baselines_along(subject: Subject, *, times: Sequence[int] = TIMES, rows: int) -> list[Result]:
    """``drift`` of the baselines, on the same sessions: a KL that grows for them too is the task's, not the model's."""
    trained, spacing = subject.trained
    results = []
    for multiple in times:
        sessions = sessions_of(subject.task_batches, commands=trained * multiple, spacing=spacing, rows=rows)
        for baseline in baselines():
            results += at_length(sessions, baseline, multiple, model=baseline.name)
    return results


def at_length(sessions: Sessions, predictor: Predictor, times: float, **named: Where) -> list[Result]:
    """``drift`` of one predictor on these sessions, which are ``times`` as long as the trained ones.

    ``named`` are the fields of the results that say whose they are.
    """
    if isinstance(predictor, ModelPredictor):
        # far beyond the trained length the probability of the value shown may underflow; its logarithm doesn't
        log_law = predictor.log_laws(sessions.stream, sessions.batch)
        law = np.exp(log_law)  # for hits and accuracy, which an underflow to 0 doesn't change
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
    """Measure how much memory the task asks for: KL of exact filters restarted ``at`` commands ago.

    Sessions have the trained length and spacing. A window whose KL is near 0 holds all that a model has to remember:
    windows of 4, 8 and 16 commands have KL .205, .0144 and .0001 on maybe-swaps (n = 3, p = .1, a reveal every 2).
    """
    commands, spacing = subject.trained
    sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=rows)
    results = []
    for window in windows:
        window_filter = WindowFilter(window=window)
        # the first of the four results is the belief KL over all reveals
        of_all_reveals = at_length(sessions, window_filter, 1.0, model=window_filter.name)[0]
        results.append(replace(of_all_reveals, metric="belief KL, window", at=float(window)))
    return results


def holding(subject: Subject, *, holds: Sequence[int] = HOLDS, variant: str = "") -> list[Result]:
    """Measure retention: KL where a variable is asked for that no command has touched for ``at`` commands.

    Intervals are over sessions (``holding_plays``). A number of commands that the trained spacing doesn't divide has no
    reveal at its end, and no row.
    """
    spacing, task = subject.trained[1], named_task(subject.task_batches.task)
    results = []
    for hold in holds:
        if hold % spacing:
            continue
        # within the loop, since a variant is a context; the first one calibrates, the others find the norms
        with variant_of(subject, variant):
            losses, _ = retention_losses(subject.model, subject.task_batches, hold=hold, spacing=spacing)
        where: dict[str, Where] = {"commands": hold, "spacing": spacing, "at": float(hold), "task": task}
        results.append(measured("retention KL", losses, unit="nats", variant=variant, **where, **subject.named))
    return results


def baselines_holding(subject: Subject, *, holds: Sequence[int] = HOLDS) -> list[Result]:
    """``holding`` of two known answers: the exact filter is certain (KL 0), a predictor without memory finds all items
    equally probable (KL log of their number).
    """
    spacing, task = subject.trained[1], subject.task_batches.task
    # computed, not measured: both laws are known whatever the commands are that leave the variable alone
    where: dict[str, Where] = {"unit": "nats", "spacing": spacing, "task": named_task(task)}
    return [
        number("retention KL", value, model=name, commands=hold, at=float(hold), **where)
        for hold in holds
        if hold % spacing == 0
        for name, value in (("exact filter", 0.0), ("no memory", math.log(len(task.game.items))))
    ]


def norms(subject: Subject, *, times: int, rows: int, every: int = 16, variant: str = "") -> tuple[Floats, Floats]:
    """Measure the norm of the last layer's matrix state over time, on ``rows`` test sessions.

    Returns (positions in tokens [N], the mean over sessions and heads of the Frobenius norm of S [N]), one entry for
    every ``every`` tokens of sessions that are ``times`` as long as the trained ones.

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
    # the last layer: the one that the answer is read from; [batch, steps, heads, K, V]
    last = states[max(states)]
    means = torch.linalg.vector_norm(last, dim=(-2, -1)).mean(dim=(0, 2)).double().cpu().numpy()
    return np.arange(1.0, len(means) + 1.0) * every, np.asarray(means, dtype=np.float64)


def on_device(subject: Subject, batch: Batch) -> torch.Tensor:
    """The batch's tokens [batch, shortest row] on the device of the subject's model."""
    # padding would be read as commands: states and norms after a row's end would be those of no session
    ids = torch.from_numpy(batch.tokens[:, : int(batch.lengths.min())])
    return ids.to(next(subject.model.parameters()).device)
