"""The evaluations of a finished run: lengths beyond training, retention, and both again with the calibrated rescale.

``running`` calls this once, after the last step; ``summary`` has the types of what it returns.
"""

from __future__ import annotations

import torch

from trace_mine.train.batches import DatasetBatches, TaskBatches
from trace_mine.train.evaluation import evaluate_dataset, evaluate_task
from trace_mine.train.measure.retention import can_be_held, retention
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.rescaling import FROM_STEP, calibrate, matrix_mixers, rescaled
from trace_mine.train.settings import Settings

HOLDS = (16, 64, 256)
"""Numbers of commands that a fact is left alone for, before retention asks for it."""

CALIBRATION_ROWS = 64
"""Training sessions over which each head's norm is averaged."""


def final_evaluations(
    model: SequenceModel, batches: TaskBatches | DatasetBatches, settings: Settings
) -> dict[str, object]:
    """Evaluate a finished run on data that it was not trained on.

    Has a side effect: calibration writes ``state_norms`` into the model's config, for ``rescaled`` to find later. The
    rescale is a switch; the model itself is left with it off.

    Returns:
        ``evaluations``: one on the split ``final_split`` at each multiple ``evaluate_at`` of the training length, or
        one on the held-out rows of a dataset. For tasks also ``retention`` at each of ``HOLDS``, if the task has
        maybe-swaps, and ``rescaled``, the two again with each head's state held at its norm in training, if the model
        has such states. Of the split ``none`` no evaluations, and no calibration.
    """
    if settings.final_split == "none":
        return {"evaluations": []}
    if isinstance(batches, DatasetBatches):
        return {"evaluations": [evaluate_dataset(model, batches, rows=settings.evaluate_rows)]}
    metrics = _on_task(model, batches, settings)
    stage = settings.stages[-1]
    longest, spacing = max(stage.commands), max(stage.spacings)
    batch = batches.stream(longest, spacing, "train").batch(range(CALIBRATION_ROWS))
    # Sessions shorter than FROM_STEP tokens have no state to measure, and none that the rescale would change.
    if matrix_mixers(model) and int(batch.lengths.min()) >= FROM_STEP:
        device = next(model.parameters()).device
        # cut to the shortest row, so that no norm is measured over padding
        ids = torch.from_numpy(batch.tokens[:, : int(batch.lengths.min())]).to(device)
        calibrate(model, ids)
        with rescaled(model):
            metrics["rescaled"] = _on_task(model, batches, settings)
    return metrics


def _on_task(model: SequenceModel, batches: TaskBatches, settings: Settings) -> dict[str, object]:
    """Evaluate at each length, and retention where the task allows it; with the model as it is."""
    stage = settings.stages[-1]
    longest, spacing = max(stage.commands), max(stage.spacings)
    evaluations = []
    for times in settings.evaluate_at:
        size = {"commands": longest * times, "spacing": spacing, "rows": settings.evaluate_rows}
        at_length = evaluate_task(model, batches, **size, split=settings.final_split)
        evaluations.append({"times": times, **at_length})
    metrics: dict[str, object] = {"evaluations": evaluations}
    if can_be_held(batches):
        # the question takes the place of a reveal, so it can only stand where one is due
        holds = [hold for hold in HOLDS if hold % spacing == 0]
        metrics["retention"] = [retention(model, batches, hold=hold, spacing=spacing) for hold in holds]
    return metrics
