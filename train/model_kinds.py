"""The two kinds of models that a run trains: ours, made by the registry, and those of others, which ``foreign`` opens.

``running`` is the same for both; what differs is here: the rows, the model's begin, its evaluations and its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import nn

from trace_mine.train import run_folder
from trace_mine.train.batches import DatasetBatches, TaskBatches, batches_of
from trace_mine.train.card import write_card
from trace_mine.train.evaluation import evaluator
from trace_mine.train.final import final_evaluations
from trace_mine.train.models.keys import FOREIGN
from trace_mine.train.models.registry import load_model, make_model
from trace_mine.train.run_folder import TrainingData
from trace_mine.train.settings import Settings
from trace_mine.train.summary import Final
from trace_mine.train.trainer import TraceTrainer

Evaluate = Callable[[nn.Module], Mapping[str, object]]
"""The evaluation on the way: a function of the model alone."""


class ModelKind(Protocol):
    """What a run needs to know of the model that it trains."""

    @property
    def data(self) -> TrainingData:
        """The rows, of type ``batches.Batches`` too."""

    @property
    def trainer(self) -> type[TraceTrainer]:
        """The Trainer of these models."""

    def make(self) -> nn.Module:
        """Make the model with its first weights; the generators are seeded before."""

    def load(self, checkpoint: Path) -> nn.Module:
        """Load the model of a checkpoint.

        Raises:
            DamagedFile: it can't be read.
        """

    def evaluation(self) -> Evaluate:
        """Return the evaluation on the way."""

    def save(self, trainer: TraceTrainer, folder: Path) -> None:
        """Save the trained model; called by all processes."""

    def finish(self, trainer: TraceTrainer, folder: Path, final: dict[str, object], device: torch.device) -> None:
        """Evaluate the trained model, in the first process alone, add the measurements to ``final``, write the card."""


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


def kind_of(settings: Settings) -> ModelKind:
    """Return the kind of the settings' model, with its rows.

    Raises:
        ValueError: as ``batches_of``; or there is no such model.
    """
    if settings.model == FOREIGN:
        from trace_mine.train.foreign.finetuning import ForeignModels

        return ForeignModels(settings)
    return OwnModels(settings)
