"""A run from settings to a finished folder, and the resumption of an interrupted one.

This is the file that puts the others together: a ``ModelKind`` for the data, the network and its evaluations,
``trainer`` for the loop, ``run_folder`` for all that stays.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import transformers
from torch import nn

from trace_mine.tracer.bounded import DamagedFile
from trace_mine.train import checkpoints, run_folder
from trace_mine.train.allocator import keep_freed_memory
from trace_mine.train.batches import Batches
from trace_mine.train.kernels import c_ops
from trace_mine.train.model_kinds import ModelKind
from trace_mine.train.models.keys import FOREIGN
from trace_mine.train.models.registry import load_model
from trace_mine.train.own_models import OwnModels
from trace_mine.train.progress import Reporter, StopOnSignal
from trace_mine.train.settings import Settings
from trace_mine.train.summary import Final
from trace_mine.train.trainer import Evaluations
from trace_mine.train.training_state import TrainingState, read_training_state

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
    kind = kind_of(settings)
    # After the batches and right before the model: its first weights must not depend on what making batches drew.
    seed_everything(settings.seed)
    model = kind.make()
    if is_first_process():
        run_folder.create(folder, settings, kind.data)
    return _run(settings, folder, model, kind, None)


def resume(folder: Path) -> Final:
    """Continue the run in the folder from its last whole checkpoint, or from the start if there is none.

    A damaged checkpoint is set aside and the one before it taken, of which a warning tells. A finished run is left
    alone, and its ``final.json`` returned. On the same kernels and as many processes the resumed run equals the
    uninterrupted one bit for bit on the CPU (a test).

    Raises:
        ValueError: the folder holds no run, or vocabulary, data or number of processes are no longer the same.
        DamagedFile: all checkpoints are damaged, or another file of the folder.
        Interrupted: a signal came, and a checkpoint was saved.
    """
    settings = run_folder.any_settings_of(folder)
    if (folder / "final.json").exists():
        final = run_folder.read_final(folder)
        log.warning("%s was finished at step %d; nothing to do", folder, final["step"])
        return final
    check_machine(settings)
    kind = kind_of(settings)
    run_folder.check_data(folder, kind.data)
    run_folder.check_processes(folder)
    # On a GPU the delta rule doesn't run on the CPU's kernel, whichever that is.
    warning = None if torch.cuda.is_available() and settings.device != "cpu" else run_folder.kernel_warning(folder)
    if warning is not None and is_first_process():
        log.warning("%s", warning)
    if is_first_process():
        _mend_tokenizer(folder, kind.data)
    last = _last_whole(folder, kind.load)
    for name in ("metrics.jsonl", "evals.jsonl") if is_first_process() else ():
        run_folder.keep_lines_up_to(folder / name, last.step if last else 0)
    seed_everything(settings.seed)
    if last is None:
        return _run(settings, folder, kind.make(), kind, None)
    return _run(settings, folder, last.model, kind, last)


def kind_of(settings: Settings) -> ModelKind:
    """Return the kind of the settings' model, with its rows.

    Raises:
        ValueError: as ``batches_of``; or there is no such model.
    """
    if settings.model == FOREIGN:
        from trace_mine.train.foreign.finetuning import ForeignModels

        return ForeignModels(settings)
    return OwnModels(settings)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A checkpoint that was read: the model with its weights, and the state of training."""

    path: Path
    step: int
    model: nn.Module
    state: TrainingState


def _last_whole(folder: Path, load: Callable[[Path], nn.Module] = load_model) -> Checkpoint | None:
    """Read the latest checkpoint that is whole, and set damaged ones after it aside; None if none was ever finished.

    Raises:
        DamagedFile: there are finished checkpoints, all of them damaged.
    """
    first = is_first_process()
    for path in checkpoints.unsealed(folder) if first else ():
        log.warning("%s is passed over: it has no %s, so its writing was cut off", path, checkpoints.SEAL)
    damaged = []
    for path in checkpoints.sealed(folder):
        try:
            step, has_hashes = checkpoints.checked_step(path)
            if not has_hashes and first:
                log.warning("%s has no hashes (an older version wrote it): it is read unchecked", path)
            read = Checkpoint(
                path=path,
                step=step,
                model=load(path),
                state=read_training_state(path, step, int(os.environ.get("RANK", "0")), run_folder.num_processes()),
            )
        except DamagedFile as error:
            if first:
                log.warning("%s is damaged and passed over: %s", path, error)
            damaged.append(path)
            continue
        for each in damaged if first else ():
            checkpoints.set_aside(each)
        return read
    if damaged:
        raise DamagedFile(
            f"expected a whole checkpoint in {folder / 'checkpoints'}, got {len(damaged)}, all damaged; "
            "remove that folder to train from the first step, or put a copy back"
        )
    return None


def _mend_tokenizer(folder: Path, data: run_folder.TrainingData) -> None:
    """Write the run's tokenizer again if it is damaged: that of the data has the same vocabulary, which was checked."""
    try:
        run_folder.check_tokenizer(folder)
    except DamagedFile as error:
        log.warning("%s; it is written again", error)
        target = folder / "tokenizer"
        if target.is_symlink() or not target.is_dir():
            target.unlink(missing_ok=True)
        else:
            shutil.rmtree(target)
        data.tokenizer.save_pretrained(target)


def _run(settings: Settings, folder: Path, model: nn.Module, kind: ModelKind, checkpoint: Checkpoint | None) -> Final:
    """Train the model to its last step, from the checkpoint if there is one, and evaluate it at the end."""
    # One process evaluates. With fsdp the parameters are spread over processes, and it would wait for ever for the
    # others to send theirs.
    every = 0 if settings.fsdp else settings.evaluate_every
    evaluations = Evaluations(kind.evaluation(), every, folder)
    reporter, stopper = Reporter(), StopOnSignal()
    trainer = kind.trainer(model, settings, cast(Batches, kind.data), folder, [evaluations, reporter, stopper])
    reporter.trainer, trainer.stopper = trainer, stopper
    if checkpoint is not None:
        trainer.restored = checkpoint.state
        trainer.restore_counts(checkpoint.state.counts)
    num_parameters = sum(p.numel() for p in model.parameters())
    _log_start(settings, num_parameters, trainer.args.device)
    with stopper:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint.path))
    # A signal in the last step interrupts nothing: all steps are done, and the run may finish.
    if stopper.stopped and not trainer.is_done:
        raise Interrupted(trainer.state.global_step)
    final: dict[str, object] = {
        "step": trainer.state.global_step,
        "tokens": trainer.tokens,
        **({"max_tokens": settings.max_tokens} if settings.max_tokens else {}),
        "parameters": num_parameters,
        "seconds": round(trainer.seconds(), 3),
        "cpu_seconds": round(trainer.cpu_seconds(), 3),
    }
    kind.save(trainer, folder)
    if trainer.is_world_process_zero():
        # The card is written before final.json: a run that has one is finished, and nothing writes in its folder again.
        kind.finish(trainer, folder, final, trainer.args.device)
        run_folder.write_json(folder / "final.json", final)
        run_folder.seal_finished(folder, trainer.state.global_step)
    return cast(Final, final)


def _log_start(settings: Settings, num_parameters: int, device: torch.device) -> None:
    """Log one line about the run that begins; on the CPU with the kernel of the delta rule."""
    log.info(
        "%s: %s, %d parameters, %s, %s, %d torch thread(s) a process%s",
        settings.recipe,
        settings.model,
        num_parameters,
        f"{settings.max_tokens} tokens" if settings.max_tokens else f"{settings.num_steps} steps",
        device,
        torch.get_num_threads(),
        f", delta rule in {c_ops.kernel_name()}" if device.type == "cpu" else "",
    )


def check_machine(settings: Settings) -> None:
    """Set up torch, transformers and malloc, and check that the machine has the device and precision asked for.

    Logs a warning if there is a GPU on which fla's kernels will not be used.

    Raises:
        ValueError: there is no CUDA device for ``device="cuda"`` or for bf16.
    """
    transformers.utils.logging.disable_progress_bar()  # of saving; training has its own
    # One by default: two threads on busy cores were 2.5 to 7 times slower.
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
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
