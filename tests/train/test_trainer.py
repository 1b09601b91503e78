"""The loss of a step and what is counted, on batches small enough to work out by hand; settings reach transformers."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.batches import LAST_REVEAL, OTHER, PADDING, REVEAL, TaskBatches  # noqa: E402
from trace_mine.train.models.registry import make_model  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402
from trace_mine.train.trainer import Evaluations, TraceTrainer, training_arguments  # noqa: E402

RIGHT = 0.7
"""What the model below gives to each token that it gets right; .1 to each of the three others."""


class Knows(torch.nn.Module):
    """Of a vocabulary of four: right where ``is_right`` [B, T], else it holds the next number for likeliest."""

    def __init__(self, targets: torch.Tensor, is_right: list[list[bool]]) -> None:
        super().__init__()
        likeliest = torch.where(torch.tensor(is_right), targets, (targets + 1) % 4)
        self.law = torch.full((*targets.shape, 4), 0.1).scatter(-1, likeliest[..., None], RIGHT)

    def forward(self, input_ids: torch.Tensor) -> Any:
        return SimpleNamespace(logits=self.law.log())


def made(folder: Path, *more: str) -> TraceTrainer:
    settings = override(recipe("quick"), ["device=cpu", *more])
    batches = TaskBatches(settings)
    keys = {**settings.model_keys, "vocab_size": len(batches.tokenizer)}
    return TraceTrainer(make_model(settings.model, **keys), settings, batches, folder, [])


O, R, L, P = OTHER, REVEAL, LAST_REVEAL, PADDING  # noqa: E741
KINDS = [[O, O, R, O, L, L, P], [O, O, O, L, P, P, P]]
IS_RIGHT = [[True, True, False, True, False, False], [False, True, True, False, False, False]]


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(4, (2, 7), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "kinds": torch.tensor(KINDS, dtype=torch.int8)}


@pytest.mark.parametrize("weight", [1.0, 0.25, 8.0])
def test_the_loss_weighs_the_mean_over_reveals_and_leaves_padding_out(weight: float, tmp_path: Path) -> None:
    trainer = made(tmp_path, f"reveal_weight={weight}")
    rows = batch()
    model = Knows(rows["input_ids"][:, 1:], IS_RIGHT)
    hit, miss = -math.log(RIGHT), -math.log(0.1)
    others, reveals = [hit, miss, miss, hit], [hit, hit, miss, hit]
    wanted = sum(others) / 4 + weight * sum(reveals) / 4
    assert float(trainer.compute_loss(model, rows)) == pytest.approx(wanted, rel=1e-6)
    # a micro-batch of a step that has more tokens: its part of the step's loss
    part = trainer.compute_loss(model, rows, num_items_in_batch=torch.tensor([16.0, 8.0]))
    assert float(part) == pytest.approx(sum(others) / 16 + weight * sum(reveals) / 8, rel=1e-6)


@pytest.mark.parametrize(("last", "wanted"), [((True, True), 1.0), ((True, False), 0.5), ((False, False), 0.5)])
def test_a_last_reveal_is_right_where_all_its_tokens_are(last: tuple, wanted: float, tmp_path: Path) -> None:
    trainer, rows = made(tmp_path), batch()
    is_right = [[True, True, True, False, *last], [False, True, True, False, False, False]]
    kinds = [[O, O, R, O, O, L, L], [O, O, O, L, P, P, P]]  # the first token of a row is no target
    rows["kinds"] = torch.tensor(kinds, dtype=torch.int8)
    trainer.compute_loss(Knows(rows["input_ids"][:, 1:], is_right), rows)
    trainer.sums[8] += 1
    logs: dict[str, float] = {"loss": 0.0}
    trainer.log(logs)
    reveals = [True, *last, True]  # the first row's reveal and its last one, and the second row's last one
    assert logs["accuracy_reveal"] == pytest.approx(sum(reveals) / 4)
    assert logs["accuracy_last_reveal"] == wanted
    losses = [-math.log(RIGHT if each else 0.1) for each in reveals]
    assert logs["loss_reveal"] == pytest.approx(sum(losses) / 4, rel=1e-6)
    assert logs["loss_other"] == pytest.approx((3 * -math.log(RIGHT) + 2 * -math.log(0.1)) / 5, rel=1e-6)
    assert trainer.sums.tolist() == [0.0] * 9


def test_counts_of_a_step_are_over_its_micro_batches_and_tokens_leave_padding_out(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    batches, counts = trainer.get_batch_samples(iter([batch(), batch(), batch()]), 2, torch.device("cpu"))
    assert len(batches) == 2 and counts.tolist() == [8, 8]  # of each 4 and 4: the first token is no target
    assert trainer.tokens == 2 * (6 + 4)


def test_counting_goes_on_where_a_checkpoint_stood(tmp_path: Path) -> None:
    trainer = made(tmp_path)
    trainer.restore_counts({"tokens": 7, "seconds": 100.0, "sums": [float(n) for n in range(9)]})
    assert trainer.tokens == 7 and trainer.seconds() >= 100 and trainer.sums.tolist() == list(range(9))


def test_settings_reach_the_optimiser_and_the_schedule(tmp_path: Path) -> None:
    sets = ["max_steps=80", "learning_rate=0.1", "betas=[0.6, 0.7]", "weight_decay=0.3", "clip=0.4", "warmup=7"]
    sets += ["decay_share=0.25", "min_rate=0.2", "batch_size=3", "accumulate=5", "seed=11", "data_seed=12"]
    changed = override(recipe("quick"), [*sets, "log_every=13", "save_every=14", "device=cpu"])
    told = training_arguments(changed, tmp_path)
    assert (told.max_steps, told.learning_rate, told.weight_decay, told.max_grad_norm) == (80, 0.1, 0.3, 0.4)
    assert (told.adam_beta1, told.adam_beta2) == (0.6, 0.7)
    assert (told.warmup_steps, told.seed, told.data_seed) == (7, 11, 12)
    assert (told.per_device_train_batch_size, told.gradient_accumulation_steps) == (3, 5)
    assert (told.logging_steps, told.save_steps) == (13, 14)
    assert told.lr_scheduler_kwargs == {"num_decay_steps": 20, "min_lr_ratio": 0.2, "decay_type": "linear"}
    assert training_arguments(replace(changed, warmup=100), tmp_path).warmup_steps == 20  # a quarter of the steps
    cosine = training_arguments(replace(changed, schedule="cosine"), tmp_path)
    assert cosine.lr_scheduler_kwargs == {"min_lr_rate": 0.2}


def test_evaluations_come_after_every_so_many_steps(tmp_path: Path) -> None:
    evaluated = []
    evaluations = Evaluations(lambda model: evaluated.append(model) or {"n": len(evaluated)}, 3, tmp_path)
    for step in range(1, 8):
        state = SimpleNamespace(global_step=step, is_world_process_zero=True)
        evaluations.on_step_end(None, state, None, model=step)
    assert evaluated == [3, 6] and evaluations.last == {"n": 2}
    Evaluations(lambda model: evaluated.append(model), 0, tmp_path).on_step_end(None, state, None, model=0)
    assert len(evaluated) == 2
