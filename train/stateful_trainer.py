"""A subclass of transformers' Trainer whose checkpoints are safetensors and JSON: ``training_state`` says which.

The Trainer's own files of optimiser, schedule, random states and arguments are pickles. Each method here takes the
place of one of the Trainer's that writes or reads such a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import Trainer

from trace_mine.tracer.bounded import DamagedFile
from trace_mine.train import training_state
from trace_mine.train.training_state import TrainingState


class StatefulTrainer(Trainer):
    """A Trainer that writes its training state as safetensors and JSON, and goes on from one that was read.

    Attributes:
        restored: of the checkpoint that the run goes on from, whose weights the model has; None at a run's begin.
    """

    restored: TrainingState | None = None
    lr_scheduler: Any  # declared, because a type checker without transformers cannot infer it from the base class

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        """Save model and config as the Trainer does, without its pickle of the arguments, which nothing reads."""
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            Path(output_dir or str(self.args.output_dir), "training_args.bin").unlink(missing_ok=True)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        """Save the states of optimiser and schedule as safetensors and JSON. Collective with fsdp."""
        state = self._optimizer_state()
        if self.args.should_save:
            training_state.write_optimizer(Path(output_dir), state, self.lr_scheduler.state_dict())  # type: ignore[union-attr]

    def _save_scaler(self, output_dir: str) -> None:
        """Save nothing: only fp16 scales, which no setting asks for."""

    def _save_rng_state(self, output_dir: str) -> None:
        """Save the random generators' states of this process as JSON."""
        Path(output_dir).mkdir(parents=True, exist_ok=True)  # the first process may not have made it yet
        training_state.write_random_state(Path(output_dir), self.args.process_index, self.args.world_size)

    def _optimizer_state(self) -> dict[str, Any]:
        """Return the whole optimiser's state: by numbers of parameters, or with fsdp, which spreads it, by names."""
        if not self.is_fsdp_enabled:
            state: dict[str, Any] = self.optimizer.state_dict()  # type: ignore[union-attr]
            return state
        from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict

        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        return get_optimizer_state_dict(self.model, self._torch_optimizer(), options=options)  # type: ignore[arg-type]

    def _torch_optimizer(self) -> torch.optim.Optimizer:
        """Return torch's optimiser out of accelerate's wrapper."""
        return cast(torch.optim.Optimizer, getattr(self.optimizer, "optimizer", self.optimizer))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load nothing: the model was made with the checkpoint's weights (``restored``)."""

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Load nothing: see ``_save_scaler``."""

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Set the states of optimiser and schedule to those that were read.

        Raises:
            DamagedFile: they are of another model's optimiser, or of another schedule.
        """
        if checkpoint is None or self.restored is None:
            return
        optimizer, state = self._torch_optimizer(), self.restored.optimizer
        try:
            if self.is_fsdp_enabled:
                from torch.distributed.checkpoint.state_dict import StateDictOptions, set_optimizer_state_dict

                shapes: dict[object, torch.Size] = {name: each.shape for name, each in self.model.named_parameters()}  # type: ignore[union-attr]
                training_state.check_optimizer(state, shapes)
                options = StateDictOptions(full_state_dict=True)
                set_optimizer_state_dict(self.model, optimizer, state, options=options)  # type: ignore[arg-type]
            else:
                parameters = [each for group in optimizer.param_groups for each in group["params"]]
                training_state.check_optimizer(state, {number: each.shape for number, each in enumerate(parameters)})
                self.optimizer.load_state_dict(state)  # type: ignore[union-attr]
            self.lr_scheduler.load_state_dict(self.restored.schedule)  # type: ignore[union-attr]
        except DamagedFile:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            why = " ".join(str(error).split())
            raise DamagedFile(f"expected the optimiser's state of this run in {checkpoint}, got: {why:.200}") from None

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Set the random generators of this process to the states that were read, if there were any."""
        if self.restored is not None and self.restored.randomness is not None:
            self.restored.randomness.restore()
