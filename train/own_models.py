"""Models of the registry as a kind of model that a run trains: see ``model_kinds.ModelKind``."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from trace_mine.train import run_folder
from trace_mine.train.batches import DatasetBatches, TaskBatches, batches_of
from trace_mine.train.card import write_card
from trace_mine.train.evaluation import evaluator
from trace_mine.train.final import final_evaluations
from trace_mine.train.model_kinds import Evaluate
from trace_mine.train.models.registry import load_model, make_model
from trace_mine.train.settings import Settings
from trace_mine.train.summary import Final
from trace_mine.train.trainer import TraceTrainer


class OwnModels:
    """Models of the registry."""

    trainer: type[TraceTrainer] = TraceTrainer

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data: TaskBatches | DatasetBatches = batches_of(settings)

    def make(self) -> nn.Module:
        """See ``ModelKind.make``."""
        return make_model(self.settings.model, **{**self.settings.model_keys, "vocab_size": len(self.data.tokenizer)})

    def load(self, checkpoint: Path) -> nn.Module:
        """See ``ModelKind.load``."""
        return load_model(checkpoint)

    def evaluation(self) -> Evaluate:
        """See ``ModelKind.evaluation``. It takes the longest sessions of the last stage, from the first step on."""
        stage = self.settings.stages[-1]
        longest, spacing = max(stage.commands, default=0), max(stage.spacings, default=0)
        evaluate = evaluator(self.data, rows=self.settings.evaluate_rows)
        # In several processes the Trainer wraps the model in DistributedDataParallel, whose `module` is ours.
        return lambda model: evaluate(getattr(model, "module", model), longest, spacing)

    def save(self, trainer: TraceTrainer, folder: Path) -> None:
        """See ``ModelKind.save``. With fsdp each process has a part of the weights."""
        trainer.save_model(str(folder))

    def finish(self, trainer: TraceTrainer, folder: Path, final: dict[str, object], device: torch.device) -> None:
        """See ``ModelKind.finish``."""
        # Evaluated is the model that was saved, free of the wrappers of several processes and of precision.
        saved_model = load_model(folder)
        saved_model.to(device)  # type: ignore[arg-type]
        final |= final_evaluations(saved_model, self.data, self.settings)
        run_folder.save_model(saved_model, self.data.tokenizer, folder)  # once more: with the calibration in its config
        write_card(folder, run_folder.read(folder), cast(Final, final), saved_model.config.to_dict())
