"""One run from settings to a finished folder, and how an interrupted one goes on."""

from __future__ import annotations

import json
import logging
import os
import random
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers

from trace_mine.train import run_folder
from trace_mine.train.batches import batches_of
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
    """The run was asked to stop, and saved; ``step`` is where it stands."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped at step {step}")
        self.step = step


def train(settings: Settings, folder: Path) -> Final:
    """A new run in the folder; returns its ``final.json``.

    Raises:
        ValueError: the settings can't be run here, or the folder holds a run.
        Interrupted: a signal came, and a checkpoint was saved.
    """
    if settings.dataset and settings.task and settings.mixture == 1:
        raise ValueError(
            f"expected a dataset or a task, got both, {settings.dataset} and {settings.task}; give --set task= for the "
            "dataset alone, or --set mixture=0.5 for steps of both"
        )
    check_machine(settings)
    transformers.utils.logging.disable_progress_bar()  # of loading and saving; training has its own
    source = batches_of(settings)
    model_keys = {**settings.model_keys, "vocab_size": len(source.tokenizer)}
    seed_everything(settings.seed)
    model = make_model(settings.model, **model_keys)
    if first_process():
        run_folder.create(folder, settings, source)
    return _run(settings, folder, model, source, None)


def resume(folder: Path) -> Final:
    """The run in the folder goes on from its last whole checkpoint, or from the start where there is none. A finished
    run is left alone.

    Raises:
        ValueError: no run there, or its vocabulary or data are no longer the same.
        Interrupted: a signal came, and a checkpoint was saved.
    """
    settings = run_folder.settings_of(folder)
    if (folder / "final.json").is_file():
        final: Final = json.loads((folder / "final.json").read_text(encoding="utf-8"))
        log.warning("%s was finished at step %d; nothing to do", folder, final["step"])
        return final
    check_machine(settings)
    source = batches_of(settings)
    run_folder.check(folder, source)
    run_folder.check_processes(folder)
    other = None if torch.cuda.is_available() and settings.device != "cpu" else run_folder.other_kernel(folder)
    if other is not None and first_process():
        log.warning("%s", other)
    last = run_folder.last_checkpoint(folder)
    for name in ("metrics.jsonl", "evals.jsonl") if first_process() else ():
        run_folder.keep_lines_up_to(folder / name, last[1] if last else 0)
    seed_everything(settings.seed)
    if last is None:
        model = make_model(settings.model, **{**settings.model_keys, "vocab_size": len(source.tokenizer)})
        return _run(settings, folder, model, source, None)
    return _run(settings, folder, load_model(last[0]), source, last[0])


def _run(settings: Settings, folder: Path, model: SequenceModel, source: Any, checkpoint: Path | None) -> Final:
    """Trains the model to its last step, from the checkpoint on where there is one, and measures it at the end."""
    stage = settings.stages[-1]
    longest = max(stage.commands, default=0)
    spacing = max(stage.spacings, default=0)
    evaluate = evaluator(source, rows=settings.evaluate_rows)
    # one process evaluates: where parameters are spread over processes it would wait for the others for ever
    every = 0 if settings.fsdp else settings.evaluate_every
    evaluations = Evaluations(lambda m: evaluate(getattr(m, "module", m), longest, spacing), every, folder)
    reporter, stopper = Reporter(), StopOnSignal()
    trainer = TraceTrainer(model, settings, source, folder, [evaluations, reporter, stopper])
    reporter.trainer, trainer.stopper = trainer, stopper
    if checkpoint is not None:
        trainer.restore_counts(json.loads((checkpoint / "counts.json").read_text(encoding="utf-8")))
    num_parameters = sum(p.numel() for p in model.parameters())
    _log_start(settings, num_parameters, trainer.args.device)
    with stopper:
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if stopper.stopped and trainer.state.global_step < settings.num_steps:
        raise Interrupted(trainer.state.global_step)
    final: dict[str, Any] = {"step": trainer.state.global_step, "tokens": trainer.tokens, "parameters": num_parameters}
    final["seconds"] = round(trainer.seconds(), 3)
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        plain = load_model(folder)
        plain.to(trainer.args.device)  # type: ignore[arg-type]
        final |= final_evaluations(plain, source, settings)
        plain.save_pretrained(folder)  # once more: the evaluations calibrate the rescale
        run_folder.write_json(folder / "final.json", final)
    return cast(Final, final)


def _log_start(settings: Settings, num_parameters: int, device: torch.device) -> None:
    log.info(
        "%s: %s, %d parameters, %d steps, %s, %d torch thread(s) a process%s",
        settings.recipe,
        settings.model,
        num_parameters,
        settings.num_steps,
        device,
        torch.get_num_threads(),
        f", delta rule in {c_ops.told()}" if device.type == "cpu" else "",
    )


def check_machine(settings: Settings) -> None:
    """Raises ValueError where the device isn't there; sets the number of threads."""
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


def first_process() -> bool:
    """True in the process of a torchrun, or the only one, that writes the run folder."""
    return int(os.environ.get("RANK", "0")) == 0


def seed_everything(seed: int) -> None:
    """Seeds Python's, numpy's and torch's global generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
