"""What a finished run is measured by: lengths beyond training, retention, and both with the calibrated rescale."""

from __future__ import annotations

from typing import Any

import torch

from trace_mine.train.batches import DatasetSource, SyntheticSource
from trace_mine.train.evaluation import evaluate_dataset, evaluate_task
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.rescaling import FROM_STEP, calibrate, matrix_mixers, rescaled
from trace_mine.train.retention import retention
from trace_mine.train.settings import Settings

HOLDS = (16, 64, 256)
CALIBRATION_ROWS = 64


def final_evaluations(model: SequenceModel, source: Any, settings: Settings) -> dict[str, Any]:
    """``evaluations``: on the test split at each multiple of the training length; ``retention`` at each hold where the
    task has maybe-swaps; ``rescaled``: the same two with each head's state held at its norm in training, which is
    measured here and stays in the model's config. The rescale is a switch: off unless asked for.
    """
    if isinstance(source, DatasetSource):
        return {"evaluations": [evaluate_dataset(model, source, rows=settings.evaluate_rows)]}
    found = _measured(model, source, settings)
    stage = settings.stages[-1]
    longest, spacing = max(stage.commands), max(stage.spacings)
    batch = source.stream(longest, spacing, "train").batch(range(CALIBRATION_ROWS))
    if matrix_mixers(model) and int(batch.lengths.min()) >= FROM_STEP:
        device = next(model.parameters()).device
        ids = torch.from_numpy(batch.tokens[:, : int(batch.lengths.min())]).to(device)
        calibrate(model, ids)
        with rescaled(model):
            found["rescaled"] = _measured(model, source, settings)
    return found


def _measured(model: SequenceModel, source: SyntheticSource, settings: Settings) -> dict[str, Any]:
    stage = settings.stages[-1]
    longest, spacing = max(stage.commands), max(stage.spacings)
    told: dict[str, Any] = {"evaluations": []}
    for times in settings.evaluate_at:
        measured = evaluate_task(
            model, source, commands=longest * times, spacing=spacing, rows=settings.evaluate_rows, split="test"
        )
        told["evaluations"].append({"times": times, **measured})
    game = source.task.game
    if game.is_hidden and game.num_labels is None and len(game.variables) > 2 and not game.shows_all:
        holds = [hold for hold in HOLDS if hold % spacing == 0]
        told["retention"] = [retention(model, source, hold=hold, spacing=spacing) for hold in holds]
    return told
