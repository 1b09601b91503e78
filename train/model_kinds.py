"""The protocol of kinds of models that a run trains: ours (``own_models``), and those of others (``foreign``).

``running`` is the same for both; what differs are the rows, the model's begin, its evaluations and its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from trace_mine.train.run_folder import TrainingData
from trace_mine.train.trainer import TraceTrainer

Evaluate = Callable[[nn.Module], Mapping[str, object]]
"""The evaluation on the way: a function of the model alone."""


class ModelKind(Protocol):
    """The facts that a run needs of the model that it trains."""

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
