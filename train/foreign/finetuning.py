"""Fine-tuning as a kind of run: full or by LoRA, on datasets or tasks, with the loss by role of our own runs.

A run's folder is a model that plain transformers opens; with LoRA ``adapter/`` has what ``peft`` opens.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from trace_mine.train.foreign import opening
from trace_mine.train.foreign.batches import ForeignDatasetBatches, ForeignTaskBatches
from trace_mine.train.foreign.card import write_foreign_card
from trace_mine.train.foreign.scoring import evaluate_foreign
from trace_mine.train.model_kinds import Evaluate
from trace_mine.train.models.config import SequenceConfig
from trace_mine.train.models.keys import ForeignKeys
from trace_mine.train.settings import Settings
from trace_mine.train.trainer import TraceTrainer


class ForeignTrainer(TraceTrainer):
    """Trains a model of others. Which of its parameters are norms can't be told by their names."""

    def get_decay_parameter_names(self, model: PreTrainedModel | nn.Module) -> list[str]:
        """Return the names of the parameters that decay: matrices."""
        return [name for name, parameter in model.named_parameters() if parameter.ndim > 1]


class ForeignModels:
    """A local causal language model with its own tokenizer: see ``model_kinds.ModelKind``.

    Raises:
        ValueError: there is no model or tokenizer in the folder, both a task and a dataset are named, or ``peft`` is
            missing.
    """

    trainer: type[TraceTrainer] = ForeignTrainer

    def __init__(self, settings: Settings) -> None:
        if settings.dataset and settings.task:
            raise ValueError(
                f"expected a dataset or a task, got both, {settings.dataset} and {settings.task}; give one of them"
            )
        if settings.fsdp:
            raise ValueError("expected fsdp=false to fine-tune, got true; it spreads models of ours alone")
        self.settings = settings
        self.keys = ForeignKeys(**settings.model_keys)
        if self.keys.lora_rank:
            opening.check_lora()
        self.tokenizer: PreTrainedTokenizerBase = opening.open_tokenizer(Path(self.keys.path))
        self.data: ForeignDatasetBatches | ForeignTaskBatches = (
            ForeignDatasetBatches(settings, self.tokenizer)
            if settings.dataset
            else ForeignTaskBatches(settings, self.tokenizer)
        )

    def make(self) -> nn.Module:
        """See ``ModelKind.make``.

        Raises:
            ValueError: rows may be longer than the model's context.
        """
        model = opening.open_model(Path(self.keys.path))
        self._check_context(model)
        return opening.with_lora(model, self.keys) if self.keys.lora_rank else model

    def load(self, checkpoint: Path) -> nn.Module:
        """See ``ModelKind.load``."""
        return opening.load_checkpoint(checkpoint, self.keys)

    def evaluation(self) -> Evaluate:
        """See ``ModelKind.evaluation``."""
        rows = self.settings.evaluate_rows
        return lambda model: evaluate_foreign(getattr(model, "module", model), self.data, rows=rows, split="validation")

    def save(self, trainer: TraceTrainer, folder: Path) -> None:
        """See ``ModelKind.save``: ``finish`` saves, since without fsdp the first process has all weights."""

    def finish(self, trainer: TraceTrainer, folder: Path, final: dict[str, object], device: torch.device) -> None:
        """See ``ModelKind.finish``. Evaluated is what is saved: with LoRA the weights with the updates added."""
        wrapped = trainer.accelerator.unwrap_model(trainer.model)
        final["trained_parameters"] = sum(each.numel() for each in wrapped.parameters() if each.requires_grad)
        plain = opening.save_finished(wrapped, self.tokenizer, folder)
        plain.to(device)
        rows = self.settings.evaluate_rows
        times = self.settings.evaluate_at if isinstance(self.data, ForeignTaskBatches) else (1,)
        times = () if self.settings.final_split == "none" else times
        final["evaluations"] = [
            evaluate_foreign(plain, self.data, rows=rows, split=self.settings.final_split, times=each) for each in times
        ]
        write_foreign_card(folder, self.settings, final)

    def _check_context(self, model: PreTrainedModel) -> None:
        """Check that rows fit the model's context.

        Raises:
            ValueError: they may not.
        """
        config = model.config
        if isinstance(config, SequenceConfig):
            return  # ours have no bound: the key is there for fla's sake
        most = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        if most is not None and self.settings.max_length > most:
            raise ValueError(
                f"expected max_length of at most {most}, the model's context, got {self.settings.max_length}; give "
                f"--set max_length={most}"
            )
