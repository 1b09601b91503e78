"""A thin subclass of transformers' Trainer: our loss, our counts, and checkpoints that count only when complete.

The loss of a step is a weighted sum of two means, over its other tokens and over its reveal tokens, each over all rows
of the step, on all processes and micro-batches, so that neither accumulation nor the number of processes changes the
loss. ``settings`` says what the numbers are, ``batches`` makes the rows, ``progress`` has the callbacks.

Over 400 lines, because what the Trainer asks of a step, in which order, and what of it a checkpoint keeps are one idea.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from trace_mine.train import checkpoints, run_folder
from trace_mine.train.batches import LAST_REVEAL, OTHER, PADDING, REVEAL, Batches, Collator, Indices
from trace_mine.train.curriculum import Curriculum
from trace_mine.train.measure.tokens import token_hits, token_losses
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.progress import StopOnSignal
from trace_mine.train.settings import Settings
from trace_mine.train.stateful_trainer import StatefulTrainer
from trace_mine.train.token_budget import EndAtBudget, token_schedule
from trace_mine.train.training_state import TrainerCounts

log = logging.getLogger("trace-train")
UNDECAYED = ("A_log", "dt_bias", ".D", "state_norm", "bias", "norm.weight", "norm_f.weight", "bias_ih_l0", "bias_hh_l0")
"""Ends of the names of parameters without weight decay.

Decay pulls towards 0. That is the wrong place for a norm's weight or a learnt norm (1 is neutral), and for A_log and
dt_bias it would pull the rate of forgetting towards a fixed one.
"""

PROJECT = "trace-mine"
"""Name under which trackers group our runs."""


class Sum(IntEnum):
    """Places in ``TraceTrainer.sums``, which checkpoints store in this order.

    Losses are sums in nats over tokens; ``STEP_LOSS`` sums the losses of steps.
    """

    OTHER_LOSS = 0
    OTHER_TOKENS = 1
    REVEAL_LOSS = 2
    REVEAL_TOKENS = 3
    REVEAL_HITS = 4
    LAST_REVEAL_HITS = 5  # rows whose last reveal has all its tokens right
    LAST_REVEAL_ROWS = 6  # rows that have a last reveal
    STEP_LOSS = 7
    STEPS = 8


class TraceTrainer(StatefulTrainer):
    """Trains a model of the registry on batches and keeps the run folder.

    Attributes:
        sums: [9] float64 on this process, since the last log: see ``Sum``.
        tokens: tokens trained on since the run began, padding left out, all processes together.
        budget: tokens after which the run ends; 0: it ends after a number of steps.
        stopper: if set, the processes agree at each step whether any of them is to stop.
    """

    def __init__(
        self, model: nn.Module, settings: Settings, batches: Batches, folder: Path, callbacks: list[TrainerCallback]
    ) -> None:
        place_trackers(settings, folder)
        arguments = training_arguments(settings, folder)
        if arguments.n_gpu > 1:
            # In a single process transformers would take DataParallel, which divides a batch over all GPUs: the loss
            # would then average means, and world_size, by which tokens are counted, would stay 1.
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
        self.remove_callback(PrinterCallback)  # it prints each log; ``progress.Reporter`` does that
        self.settings, self.folder = settings, folder
        # True: the Trainer passes num_items_in_batch to compute_loss, and doesn't divide the loss by the number of
        # micro-batches itself. It would guess this from the arguments of the model's forward.
        self.model_accepts_loss_kwargs = True
        self.sums = torch.zeros(len(Sum), dtype=torch.float64)
        self.stopper: StopOnSignal | None = None
        self.curriculum: Curriculum | None = getattr(batches, "curriculum", None)
        # Reveal tokens that were right, and all, in ``sums`` up to the last step that the curriculum has taken in.
        self.judged: tuple[float, ...] = (0.0, 0.0)
        self.tokens, self.budget = 0, settings.max_tokens
        if self.budget:
            self.add_callback(EndAtBudget(self))
        self.seconds_before = self.cpu_seconds_before = 0.0
        self.started, self.cpu_started = time.monotonic(), time.process_time()

    def seconds(self) -> float:
        """Return the wall-clock seconds of training, those before a resumption included."""
        return self.seconds_before + time.monotonic() - self.started

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of this process in training, those before a resumption included."""
        return self.cpu_seconds_before + time.process_time() - self.cpu_started

    def _get_train_sampler(
        self, train_dataset: torch.utils.data.Dataset[int] | None = None
    ) -> torch.utils.data.SequentialSampler:
        # In order: an index means a step, and batches shuffle datasets themselves.
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def get_decay_parameter_names(self, model: PreTrainedModel | nn.Module) -> list[str]:
        """Return the names of the parameters that decay: all but those of ``UNDECAYED``."""
        return [name for name, _ in model.named_parameters() if not name.endswith(UNDECAYED)]

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Tensor]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Tensor]], Tensor]:
        """Take the micro-batches of a step from the iterator, and count the step's tokens.

        The Trainer calls this at the start of each step and passes the counts to ``compute_loss``. In several
        processes this is also where they agree whether one of them caught a signal: the gathering happens in every
        process at every step, which nothing else that they all reach before saving does.

        Returns:
            the micro-batches, none at the end of the data; and [2] float64, the numbers of other and of reveal tokens
            over all micro-batches and processes.
        """
        self._judge_last_step()
        batches = []
        # none if the run went on from a checkpoint of its last step
        for _ in range(0 if self.budget and self.tokens >= self.budget else num_batches):
            batch = next(epoch_iterator, None)
            if batch is None:
                break
            batches.append(batch)
        counts = torch.zeros(2, dtype=torch.float64)
        tokens = 0
        for batch in batches:
            kinds = batch["kinds"][:, 1:].cpu()  # the first token of a row is never a target
            counts += torch.tensor([(kinds == OTHER).sum(), (kinds >= REVEAL).sum()], dtype=torch.float64)
            tokens += int((batch["kinds"] > PADDING).sum())
        # A share of a step for each process, since sums are added over processes.
        self.sums[Sum.STEPS] += bool(batches) / self.args.world_size
        if self.args.world_size > 1:
            has_caught = self.stopper is not None and self.stopper.caught is not None
            own = torch.cat([counts, torch.tensor([float(has_caught), tokens], dtype=counts.dtype)])
            overall = self.accelerator.gather(own.to(self.args.device)[None]).sum(0).cpu()  # type: ignore[union-attr]
            counts, tokens = overall[:2], int(overall[3])
            if self.stopper is not None:
                self.stopper.agreed = bool(overall[2])
        self.tokens += tokens
        return batches, counts

    @property
    def is_done(self) -> bool:
        """True once all steps of the run are done, or all its tokens."""
        return self.tokens >= self.budget if self.budget else self.state.global_step >= self.settings.num_steps

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Make the schedule of the learning rate: the Trainer's own, or with a budget one that counts tokens."""
        if self.budget and self.lr_scheduler is None:
            used = self.optimizer if optimizer is None else optimizer
            self.lr_scheduler = token_schedule(used, self.settings, self)  # type: ignore[arg-type]
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def _judge_last_step(self) -> None:
        """Tell the curriculum how many reveal tokens of the step before were right. Collective where that matters."""
        if self.curriculum is None or not self.curriculum.by_accuracy or not self.state.global_step:
            return
        hits, tokens = self._unjudged()
        self.judged = self._reveal_counts()
        ended = self.curriculum.record(self.state.global_step - 1, hits, tokens)
        if ended and self.is_world_process_zero():
            log.info("%s", ended)

    def _reveal_counts(self) -> tuple[float, float]:
        """Return the hits and the number of reveal tokens in ``sums``, of this process."""
        return self.sums[Sum.REVEAL_HITS].item(), self.sums[Sum.REVEAL_TOKENS].item()

    def _unjudged(self) -> tuple[float, float]:
        """Return the hits and the number of reveal tokens since ``judged``, over all processes. Collective."""
        new = [now - before for now, before in zip(self._reveal_counts(), self.judged, strict=True)]
        if self.args.world_size > 1:
            own = torch.tensor([new], dtype=torch.float64, device=self.args.device)
            gathered: Tensor = self.accelerator.gather(own)  # type: ignore[assignment]
            new = gathered.sum(0).tolist()
        return new[0], new[1]

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the part of the step's loss that comes from these rows, times the number of processes.

        The parts of all micro-batches and processes add up to the step's loss. Times the number of processes, because
        DistributedDataParallel averages gradients over processes where their sum is wanted.

        Args:
            inputs: ``input_ids`` [B, T] and ``kinds`` [B, T].
            return_outputs: return (loss, the model's output), as the Trainer may ask.
            num_items_in_batch: [2], what ``get_batch_samples`` counted; None: these rows are the whole step.
        """
        # Row t of the logits predicts token t + 1: the last token is no input, and the first no target.
        ids, kinds = inputs["input_ids"], inputs["kinds"][:, 1:]
        output = model(input_ids=ids[:, :-1])
        logits = output.logits.float()  # the loss in fp32 under bf16 too
        losses = token_losses(logits, ids[:, 1:])
        other, reveal = kinds == OTHER, kinds >= REVEAL
        loss_other, loss_reveal = losses[other].sum(), losses[reveal].sum()
        if isinstance(num_items_in_batch, Tensor):
            counts = num_items_in_batch
        else:
            counts = torch.stack([other.sum(), reveal.sum()])
        counts = counts.to(losses.device).clamp(min=1).to(losses.dtype)  # 1 for a step without reveals: 0 / 1, not NaN
        self._count(logits.detach(), ids[:, 1:], kinds, loss_other.detach(), loss_reveal.detach())
        loss = (
            self.settings.other_weight * loss_other / counts[0] + self.settings.reveal_weight * loss_reveal / counts[1]
        )
        self.sums[Sum.STEP_LOSS] += loss.detach().double().cpu()
        if model.training:
            loss = loss * self.args.world_size
        return (loss, output) if return_outputs else loss

    def _count(self, logits: Tensor, targets: Tensor, kinds: Tensor, loss_other: Tensor, loss_reveal: Tensor) -> None:
        """Add a micro-batch's losses, tokens and hits to ``sums``."""
        hits = token_hits(logits, targets)
        reveal, last = kinds >= REVEAL, kinds == LAST_REVEAL
        has_last = last.any(1)
        last_right = (hits | ~last).all(1) & has_last
        # in the order of Sum, up to STEP_LOSS; stacked, so that a GPU is waited for once
        self.sums[: Sum.STEP_LOSS] += torch.stack(
            [
                loss_other.double(),
                (kinds == OTHER).sum().double(),
                loss_reveal.double(),
                reveal.sum().double(),
                (hits & reveal).sum().double(),
                last_right.sum().double(),
                has_last.sum().double(),
            ]
        ).cpu()

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add our measurements since the last log to the Trainer's, and write them to ``metrics.jsonl``.

        ``loss`` is replaced by ours too: after a resumption the Trainer's own has forgotten the steps between the last
        log and the checkpoint.
        """
        if "loss" in logs:  # the Trainer's summary at the end has none
            sums = self._all_sums()
            logs |= {
                # rounded: shares such as 1/3 of three processes don't add up to a whole step exactly
                "loss": sums[Sum.STEP_LOSS] / max(round(sums[Sum.STEPS]), 1),
                "tokens": self.tokens,
                **({"max_tokens": self.budget} if self.budget else {}),
                "seconds": round(self.seconds(), 3),
                "cpu_seconds": round(self.cpu_seconds(), 3),
                "loss_reveal": sums[Sum.REVEAL_LOSS] / max(sums[Sum.REVEAL_TOKENS], 1),
                "loss_other": sums[Sum.OTHER_LOSS] / max(sums[Sum.OTHER_TOKENS], 1),
                "accuracy_reveal": sums[Sum.REVEAL_HITS] / max(sums[Sum.REVEAL_TOKENS], 1),
                "accuracy_last_reveal": sums[Sum.LAST_REVEAL_HITS] / max(sums[Sum.LAST_REVEAL_ROWS], 1),
            }
            if self.curriculum is not None:
                logs["stage"] = self.curriculum.stage_at(max(0, self.state.global_step - 1))
            # What is not judged yet stays so: the step that was just made.
            self.judged = tuple(before - now for before, now in zip(self.judged, self._reveal_counts(), strict=True))
            self.sums = torch.zeros_like(self.sums)
            if self.is_world_process_zero():
                # The Trainer's epoch means nothing here: the index runs through the whole run once.
                measurements = {key: value for key, value in logs.items() if key != "epoch"}
                run_folder.append_line(self.folder / "metrics.jsonl", {"step": self.state.global_step, **measurements})
        super().log(logs, start_time)

    def _all_sums(self) -> list[float]:
        """Return ``sums`` added over all processes. Collective: every process has to call it."""
        if self.args.world_size == 1:
            return self.sums.tolist()
        gathered: Tensor = self.accelerator.gather(self.sums.to(self.args.device)[None])  # type: ignore[assignment]
        return gathered.sum(0).tolist()

    def _save_checkpoint(self, model: nn.Module, trial: object) -> None:
        """Save a checkpoint as the Trainer does, with our counts, and seal it once all processes have written."""
        step = self.state.global_step
        path = self.folder / "checkpoints" / f"checkpoint-{step}"
        # What a process that was killed over this step left would be sealed too.
        if self.is_world_process_zero() and path.exists():
            shutil.rmtree(path)
        self.accelerator.wait_for_everyone()
        super()._save_checkpoint(model, trial)  # type: ignore[arg-type]
        # Each process writes its own random state: the seal may come only after the last of them.
        self.accelerator.wait_for_everyone()
        sums, unjudged = self._all_sums(), self._unjudged()
        if self.is_world_process_zero():
            counts: TrainerCounts = {"tokens": self.tokens, "seconds": self.seconds(), "sums": sums}
            counts["cpu_seconds"] = self.cpu_seconds()
            if self.curriculum is not None and self.curriculum.by_accuracy:
                counts["curriculum"] = self.curriculum.state()
                counts["unjudged"] = [*unjudged]
            run_folder.write_json(path / "counts.json", counts)
            checkpoints.seal(path, step)
            checkpoints.remove_old_checkpoints(self.folder, self.settings.keep)

    def restore_counts(self, counts: TrainerCounts) -> None:
        """Continue counting from a checkpoint's ``counts.json``.

        The first process alone takes its sums, which are those of all processes together.
        """
        self.tokens, self.seconds_before = counts["tokens"], counts["seconds"]
        self.cpu_seconds_before = counts.get("cpu_seconds", 0.0)  # absent in checkpoints of older versions
        if self.curriculum is not None and "curriculum" in counts:
            self.curriculum.restore(counts["curriculum"])
        sums = torch.tensor(counts["sums"], dtype=torch.float64)
        if len(sums) != len(self.sums):
            log.warning("the checkpoint is an older version's: the first log leaves out the steps before it")
        elif self.is_world_process_zero():
            self.sums = sums
            pairs = zip(self._reveal_counts(), counts.get("unjudged", [0.0, 0.0]), strict=True)
            self.judged = tuple(count - unjudged for count, unjudged in pairs)


def place_trackers(settings: Settings, folder: Path) -> None:
    """Make trackers write into the run folder, under our project's name, unless the environment says otherwise.

    Trackers read the places from environment variables, which this sets; a variable that is set already is kept.
    """
    if settings.report_to == "none":
        return
    for name, value in (
        ("TENSORBOARD_LOGGING_DIR", str(folder / "tensorboard")),
        ("WANDB_DIR", str(folder)),
        ("WANDB_PROJECT", PROJECT),
    ):
        os.environ.setdefault(name, value)


def training_arguments(settings: Settings, folder: Path) -> TrainingArguments:
    """Translate the settings into transformers' arguments."""
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
        warmup_steps=min(settings.warmup, max(1, steps // 4)),  # a short run is not all warm-up
        lr_scheduler_type=schedule,
        lr_scheduler_kwargs=keys,
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,  # a loss that is NaN is logged as NaN, not as the mean of those before
        save_strategy="steps",
        save_steps=settings.save_every,
        # Not by the Trainer, which removes old checkpoints before ours is marked as complete.
        save_total_limit=None,
        seed=settings.seed,
        data_seed=settings.data_seed,
        bf16=settings.precision == "bf16",
        use_cpu=settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available()),
        report_to=[] if settings.report_to == "none" else settings.report_to.split(","),
        project=PROJECT,
        run_name=folder.resolve().name,
        remove_unused_columns=False,  # it would drop `kinds`, which is no argument of the model's forward
        dataloader_num_workers=0,  # rows cost little beside a step, and a worker process would take a core
        dataloader_pin_memory=False,
        disable_tqdm=True,  # ``progress.Reporter`` has the bar
        ddp_find_unused_parameters=False,
        **more,
    )


class Evaluations(TrainerCallback):
    """Calls ``evaluate(model)`` every ``every`` steps (0: never) and appends its metrics to ``evals.jsonl``.

    The first process alone evaluates. ``last`` are the metrics of the last evaluation.
    """

    def __init__(self, evaluate: Callable[[SequenceModel], Mapping[str, object]], every: int, folder: Path) -> None:
        self.evaluate, self.every, self.folder = evaluate, every, folder
        self.last: Mapping[str, object] = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any) -> None:
        """Evaluate, if the step is one of those: the Trainer calls this after each and passes the model by name."""
        if self.every and state.global_step % self.every == 0 and state.is_world_process_zero:
            self.last = self.evaluate(others["model"])
            run_folder.append_line(self.folder / "evals.jsonl", {"step": state.global_step, **self.last})
