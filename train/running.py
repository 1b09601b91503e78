"""A run from settings to a finished folder, and the resumption of an interrupted one.

This is the file that puts the others together: ``batches`` for the data, ``models`` for the network, ``trainer`` for
the loop, ``final`` for the evaluations, ``run_folder`` for all that stays.
"""

from __future__ import annotations

import json
import logging
import os
import random
from pathlib import Path
from typing import cast

import numpy as np
import torch
import transformers

from trace_mine.train import run_folder
from trace_mine.train.batches import DatasetBatches, TaskBatches, batches_of
from trace_mine.train.evaluation import evaluator
from trace_mine.train.final import final_evaluations
from trace_mine.train.kernels import c_ops
from trace_mine.train.models.language_model import SequenceModel
from trace_mine.train.models.registry import load_model, make_model
from trace_mine.train.progress import Reporter, StopOnSignal
from trace_mine.train.settings import Settings
from trace_mine.train.summary import Final
from trace_mine.train.trainer import Evaluations, TraceTrainer

log = logging.getLogger("trace-train")


class Interrupted(Exception):
    """Raised after a run was asked to stop and saved a checkpoint; ``step`` is the number of steps done."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


def train(settings: Settings, folder: Path) -> Final:
    """Train a new run in the folder and return its ``final.json``.

    Sets the number of torch threads and seeds the global generators of this process. In several processes all call
    this, and the first alone writes the folder and evaluates: the others' result has no ``evaluations``.

    Raises:
        ValueError: the settings can't be run on this machine, or the folder holds a run.
        Interrupted: a signal came, and a checkpoint was saved.
    """
    if settings.dataset and settings.task and settings.mixture == 1:
        raise ValueError(
            f"expected a dataset or a task, got both, {settings.dataset} and {settings.task}; give --set task= for the "
            "dataset alone, or --set mixture=0.5 for steps of both"
        )
    check_machine(settings)
    transformers.utils.logging.disable_progress_bar()  # of loading and saving; training has its own
    batches = batches_of(settings)
    model_keys = {**settings.model_keys, "vocab_size": len(batches.tokenizer)}
    # After the batches and right before the model: its first weights must not depend on what making batches drew.
    seed_everything(settings.seed)
    model = make_model(settings.model, **model_keys)
    if is_first_process():
        run_folder.create(folder, settings, batches)
    return _run(settings, folder, model, batches, None)


def resume(folder: Path) -> Final:
    """Continue the run in the folder from its last complete checkpoint, or from the start if there is none.

    A finished run is left alone, and its ``final.json`` returned. On the same kernels and as many processes the resumed
    run equals the uninterrupted one bit for bit on the CPU (a test).

    Raises:
        ValueError: the folder holds no run, or vocabulary, data or number of processes are no longer the same.
        Interrupted: a signal came, and a checkpoint was saved.
    """
    settings = run_folder.settings_of(folder)
    if (folder / "final.json").is_file():
        final: Final = json.loads((folder / "final.json").read_text(encoding="utf-8"))
        log.warning("%s was finished at step %d; nothing to do", folder, final["step"])
        return final
    check_machine(settings)
    batches = batches_of(settings)
    run_folder.check_data(folder, batches)
    run_folder.check_processes(folder)
    # On a GPU the delta rule doesn't run on the CPU's kernel, whichever that is.
    warning = None if torch.cuda.is_available() and settings.device != "cpu" else run_folder.kernel_warning(folder)
    if warning is not None and is_first_process():
        log.warning("%s", warning)
    last = run_folder.last_checkpoint(folder)
    for name in ("metrics.jsonl", "evals.jsonl") if is_first_process() else ():
        run_folder.keep_lines_up_to(folder / name, last[1] if last else 0)
    seed_everything(settings.seed)
    if last is None:
        model = make_model(settings.model, **{**settings.model_keys, "vocab_size": len(batches.tokenizer)})
        return _run(settings, folder, model, batches, None)
    return _run(settings, folder, load_model(last[0]), batches, last[0])


def _run(
    settings: Settings,
    folder: Path,
    model: SequenceModel,
    batches: TaskBatches | DatasetBatches,
    checkpoint: Path | None,
) -> Final:
    """Train the model to its last step, from the checkpoint if there is one, and evaluate it at the end."""
    # Evaluations on the way take the longest sessions of the last stage, from the first step on: they compare.
    stage = settings.stages[-1]
    longest = max(stage.commands, default=0)
    spacing = max(stage.spacings, default=0)
    evaluate = evaluator(batches, rows=settings.evaluate_rows)
    # One process evaluates. With fsdp the parameters are spread over processes, and it would wait for ever for the
    # others to send theirs.
    every = 0 if settings.fsdp else settings.evaluate_every
    # In several processes the Trainer wraps the model in DistributedDataParallel, whose `module` is ours.
    evaluations = Evaluations(lambda m: evaluate(getattr(m, "module", m), longest, spacing), every, folder)
    reporter, stopper = Reporter(), StopOnSignal()
    trainer = TraceTrainer(model, settings, batches, folder, [evaluations, reporter, stopper])
    reporter.trainer, trainer.stopper = trainer, stopper
    if checkpoint is not None:
        trainer.restore_counts(json.loads((checkpoint / "counts.json").read_text(encoding="utf-8")))
    num_parameters = sum(p.numel() for p in model.parameters())
    _log_start(settings, num_parameters, trainer.args.device)
    with stopper:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    # A signal in the last step interrupts nothing: all steps are done, and the run may finish.
    if stopper.stopped and trainer.state.global_step < settings.num_steps:
        raise Interrupted(trainer.state.global_step)
    final: dict[str, object] = {
        "step": trainer.state.global_step,
        "tokens": trainer.tokens,
        "parameters": num_parameters,
        "seconds": round(trainer.seconds(), 3),
    }
    trainer.save_model(str(folder))  # by all processes: with fsdp each has a part of the weights
    if trainer.is_world_process_zero():
        # Evaluated is the model that was saved, free of the wrappers of several processes and of precision.
        saved_model = load_model(folder)
        saved_model.to(trainer.args.device)  # type: ignore[arg-type]
        final |= final_evaluations(saved_model, batches, settings)
        saved_model.save_pretrained(folder)  # once more: the evaluations wrote the calibration into its config
        run_folder.write_json(folder / "final.json", final)
    return cast(Final, final)


def _log_start(settings: Settings, num_parameters: int, device: torch.device) -> None:
    """Log one line about the run that begins; on the CPU with the kernel of the delta rule."""
    log.info(
        "%s: %s, %d parameters, %d steps, %s, %d torch thread(s) a process%s",
        settings.recipe,
        settings.model,
        num_parameters,
        settings.num_steps,
        device,
        torch.get_num_threads(),
        f", delta rule in {c_ops.kernel_name()}" if device.type == "cpu" else "",
    )


def check_machine(settings: Settings) -> None:
    """Set the number of torch threads, and check that the machine has the device and precision asked for.

    Logs a warning if there is a GPU on which fla's kernels will not be used.

    Raises:
        ValueError: there is no CUDA device for ``device="cuda"`` or for bf16.
    """
    # One by default: two threads on busy cores were 2.5 to 7 times slower.
    torch.set_num_threads(settings.threads)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a CUDA device, got none; give --set device=cpu, or run where there is one")
    if settings.precision == "bf16" and not (torch.cuda.is_available() and settings.device != "cpu"):
        raise ValueError("expected a CUDA device for bf16, got the CPU; give --set precision=fp32")
    if settings.device != "cpu" and torch.cuda.is_available():
        from trace_mine.train.kernels.fla_ops import available

        missing = available()
        if missing:
            log.warning("fla's kernels are not used: %s; going on with our own torch form", missing)


def is_first_process() -> bool:
    """Return True in the process that writes the run folder: torchrun's rank 0, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
