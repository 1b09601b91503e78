"""A thin subclass of transformers' Trainer: our loss, our counts, checkpoints that are whole or ignored.

Loss of a step: mean over other tokens + weight x mean over reveal tokens, where both means are over all rows of the
step, on all processes and micro-batches; so neither accumulation nor the number of processes changes it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from trace_mine.train import run_folder
from trace_mine.train.batches import LAST_REVEAL, OTHER, REVEAL, Batches, Collator, Indices
from trace_mine.train.measure.tokens import token_hits, token_losses
from trace_mine.train.progress import StopOnSignal
from trace_mine.train.settings import Settings

log = logging.getLogger("trace-train")
UNDECAYED = ("A_log", "dt_bias", ".D", "state_norm", "bias", "norm.weight", "norm_f.weight", "bias_ih_l0", "bias_hh_l0")

PROJECT = "trace-mine"
"""What trackers call all our runs together."""


class TraceTrainer(Trainer):
    """Trains a model of the registry on batches. ``folder`` is the run folder."""

    def __init__(
        self, model: nn.Module, settings: Settings, batches: Batches, folder: Path, callbacks: list[TrainerCallback]
    ) -> None:
        place_trackers(settings, folder)
        arguments = training_arguments(settings, folder)
        if arguments.n_gpu > 1:  # else transformers would spread rows over them behind our counts
            log.warning("expected one GPU a process, got %d; the first is used: torchrun takes all", arguments.n_gpu)
            arguments._n_gpu = 1
        rows = settings.batch_size * arguments.world_size * settings.accumulate
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=Indices(settings.num_steps * rows),
            data_collator=Collator(batches, rows),
            callbacks=callbacks,
        )
        self.remove_callback(PrinterCallback)
        self.settings, self.folder = settings, folder
        self.model_accepts_loss_kwargs = True
        self.sums = torch.zeros(9, dtype=torch.float64)
        """Since the last log, on this process: losses and counts of other and of reveal tokens, right reveals, rows
        whose last reveal is right, rows that have one, losses of steps, steps."""
        self.stopper: StopOnSignal | None = None
        self.tokens = 0
        self.seconds_before = 0.0
        self.started = time.monotonic()

    def seconds(self) -> float:
        """Wall-clock seconds of training, those before a resumption included."""
        return self.seconds_before + time.monotonic() - self.started

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def get_decay_parameter_names(self, model: Any) -> list[str]:
        """Weights that decay: all but norms, biases and the parameters of decays."""
        return [name for name, _ in model.named_parameters() if not name.endswith(UNDECAYED)]

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """The micro-batches of a step, and the step's numbers of other and reveal tokens over all processes, which
        agree here whether it is their last.
        """
        batches = []
        for _ in range(num_batches):
            batch = next(epoch_iterator, None)
            if batch is None:
                break
            batches.append(batch)
        counts = torch.zeros(2, dtype=torch.float64)
        for batch in batches:
            kinds = batch["kinds"][:, 1:].cpu()
            counts += torch.tensor([(kinds == OTHER).sum(), (kinds >= REVEAL).sum()], dtype=torch.float64)
            self.tokens += int((batch["kinds"] > 0).sum()) * self.args.world_size
        self.sums[8] += bool(batches) / self.args.world_size
        if self.args.world_size > 1:
            asked = self.stopper is not None and self.stopper.caught is not None
            own = torch.cat([counts, torch.tensor([float(asked)], dtype=counts.dtype)]).to(self.args.device)
            overall = self.accelerator.gather(own[None]).sum(0).cpu()  # type: ignore[union-attr]
            counts = overall[:2]
            if self.stopper is not None:
                self.stopper.agreed = bool(overall[2])
        return batches, counts

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The part of the step's loss that these rows have, times the number of processes, which average gradients."""
        ids, kinds = inputs["input_ids"], inputs["kinds"][:, 1:]
        output = model(input_ids=ids[:, :-1])
        logits = output.logits.float()
        losses = token_losses(logits, ids[:, 1:])
        other, reveal = kinds == OTHER, kinds >= REVEAL
        loss_other, loss_reveal = losses[other].sum(), losses[reveal].sum()
        counts = num_items_in_batch
        if counts is None:
            counts = torch.stack([other.sum(), reveal.sum()])
        counts = counts.to(losses.device).clamp(min=1).to(losses.dtype)
        self._count(logits.detach(), ids[:, 1:], kinds, loss_other.detach(), loss_reveal.detach())
        loss = loss_other / counts[0] + self.settings.reveal_weight * loss_reveal / counts[1]
        self.sums[7] += loss.detach().double().cpu()
        if model.training:
            loss = loss * self.args.world_size
        return (loss, output) if return_outputs else loss

    def _count(self, logits: Tensor, targets: Tensor, kinds: Tensor, loss_other: Tensor, loss_reveal: Tensor) -> None:
        right = token_hits(logits, targets)
        reveal, last = kinds >= REVEAL, kinds == LAST_REVEAL
        has_last = last.any(1)
        last_right = (right | ~last).all(1) & has_last
        self.sums[:7] += torch.stack(
            [
                loss_other.double(),
                (kinds == OTHER).sum().double(),
                loss_reveal.double(),
                reveal.sum().double(),
                (right & reveal).sum().double(),
                last_right.sum().double(),
                has_last.sum().double(),
            ]
        ).cpu()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds what was counted since the last log, and writes the line to metrics.jsonl.

        ``loss`` is ours too: after a resumption the Trainer's own has forgotten the steps between the last log and
        the checkpoint.
        """
        if "loss" in logs:
            s = self._all_sums()
            logs |= {
                "loss": s[7] / max(round(s[8]), 1),
                "tokens": self.tokens,
                "seconds": round(self.seconds(), 3),
                "loss_reveal": s[2] / max(s[3], 1),
                "loss_other": s[0] / max(s[1], 1),
                "accuracy_reveal": s[4] / max(s[3], 1),
                "accuracy_last_reveal": s[5] / max(s[6], 1),
            }
            self.sums = torch.zeros_like(self.sums)
            if self.is_world_process_zero():
                line: dict[str, Any] = {
                    "step": self.state.global_step,
                    **{k: v for k, v in logs.items() if k != "epoch"},
                }
                run_folder.append_line(self.folder / "metrics.jsonl", line)
        super().log(logs, start_time)

    def _all_sums(self) -> list[float]:
        """``sums`` over all processes; each of them has to ask."""
        if self.args.world_size == 1:
            return self.sums.tolist()
        gathered: Tensor = self.accelerator.gather(self.sums.to(self.args.device)[None])  # type: ignore[assignment]
        return gathered.sum(0).tolist()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()
        sums = self._all_sums()
        if self.is_world_process_zero():
            step = self.state.global_step
            path = self.folder / "checkpoints" / f"checkpoint-{step}"
            counts = {"tokens": self.tokens, "seconds": self.seconds(), "sums": sums}
            run_folder.write_json(path / "counts.json", counts)
            run_folder.complete(path, step)
            run_folder.drop_old(self.folder, self.settings.keep)

    def restore_counts(self, counts: dict[str, Any]) -> None:
        """Goes on counting where a checkpoint stood."""
        self.tokens, self.seconds_before = int(counts["tokens"]), float(counts["seconds"])
        sums = torch.tensor(counts["sums"], dtype=torch.float64)
        if len(sums) != len(self.sums):
            log.warning("the checkpoint is an older version's: the first log leaves out the steps before it")
        elif self.is_world_process_zero():
            self.sums = sums


def place_trackers(settings: Settings, folder: Path) -> None:
    """Trackers write into the run folder, under our project's name, unless the environment says otherwise."""
    if settings.report_to == "none":
        return
    for name, value in (
        ("TENSORBOARD_LOGGING_DIR", str(folder / "tensorboard")),
        ("WANDB_DIR", str(folder)),
        ("WANDB_PROJECT", PROJECT),
    ):
        os.environ.setdefault(name, value)


def training_arguments(settings: Settings, folder: Path) -> TrainingArguments:
    """The settings as transformers has them."""
    steps = settings.num_steps
    if settings.schedule == "cosine":
        schedule = "cosine_with_min_lr"
        keys: dict[str, Any] = {"min_lr_rate": settings.min_rate}
    else:
        decay = int(steps * settings.decay_share)
        schedule = "warmup_stable_decay"
        keys = {"num_decay_steps": decay, "min_lr_ratio": settings.min_rate, "decay_type": "linear"}
    more: dict[str, Any] = {}
    if settings.fsdp:
        more = {"fsdp": True, "fsdp_config": {"version": 2, "transformer_layer_cls_to_wrap": ["Block"]}}
    return TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        learning_rate=settings.learning_rate,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        warmup_steps=min(settings.warmup, max(1, steps // 4)),
        lr_scheduler_type=schedule,
        lr_scheduler_kwargs=keys,
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=settings.save_every,
        save_total_limit=None,  # run_folder.drop_old does it, once the new one is whole
        seed=settings.seed,
        data_seed=settings.data_seed,
        bf16=settings.precision == "bf16",
        use_cpu=settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available()),
        report_to=[] if settings.report_to == "none" else settings.report_to.split(","),
        project=PROJECT,
        run_name=folder.resolve().name,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        ddp_find_unused_parameters=False,
        **more,
    )


class Evaluations(TrainerCallback):
    """Every ``every`` steps: hands the model to ``evaluate(model, step)`` and writes what comes back."""

    def __init__(self, evaluate: Any, every: int, folder: Path) -> None:
        self.evaluate, self.every, self.folder = evaluate, every, folder
        self.last: dict[str, Any] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Called by the Trainer."""
        if self.every and state.global_step % self.every == 0 and state.is_world_process_zero:
            self.last = self.evaluate(given["model"])
            run_folder.append_line(self.folder / "evals.jsonl", {"step": state.global_step, **self.last})
