"""What a finished run is measured by: lengths beyond training, retention, and both with the calibrated rescale."""

from __future__ import annotations

import torch

from trace_mine.train.batches import DatasetBatches, TaskBatches
from trace_mine.train.evaluation import evaluate_dataset, evaluate_task
from trace_mine.train.measure.retention import can_be_held, retention
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.rescaling import FROM_STEP, calibrate, matrix_mixers, rescaled
from trace_mine.train.settings import Settings

HOLDS = (16, 64, 256)
CALIBRATION_ROWS = 64


def final_evaluations(
    model: SequenceModel, batches: TaskBatches | DatasetBatches, settings: Settings
) -> dict[str, object]:
    """``evaluations``: on the test split at each multiple of the training length; ``retention`` at each hold where the
    task has maybe-swaps; ``rescaled``: the same two with each head's state held at its norm in training, which is
    measured here and stays in the model's config. The rescale is a switch: off unless asked for.
    """
    if isinstance(batches, DatasetBatches):
        return {"evaluations": [evaluate_dataset(model, batches, rows=settings.evaluate_rows)]}
    metrics = _on_task(model, batches, settings)
    stage = settings.stages[-1]
    longest, spacing = max(stage.commands), max(stage.spacings)
    batch = batches.stream(longest, spacing, "train").batch(range(CALIBRATION_ROWS))
    if matrix_mixers(model) and int(batch.lengths.min()) >= FROM_STEP:
        device = next(model.parameters()).device
        ids = torch.from_numpy(batch.tokens[:, : int(batch.lengths.min())]).to(device)
        calibrate(model, ids)
        with rescaled(model):
            metrics["rescaled"] = _on_task(model, batches, settings)
    return metrics


def _on_task(model: SequenceModel, batches: TaskBatches, settings: Settings) -> dict[str, object]:
    stage = settings.stages[-1]
    longest, spacing = max(stage.commands), max(stage.spacings)
    evaluations = []
    for times in settings.evaluate_at:
        at_length = evaluate_task(
            model, batches, commands=longest * times, spacing=spacing, rows=settings.evaluate_rows, split="test"
        )
        evaluations.append({"times": times, **at_length})
    metrics: dict[str, object] = {"evaluations": evaluations}
    if can_be_held(batches):
        holds = [hold for hold in HOLDS if hold % spacing == 0]
        metrics["retention"] = [retention(model, batches, hold=hold, spacing=spacing) for hold in holds]
    return metrics
