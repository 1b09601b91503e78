"""Evaluations during training, of models that are told what to say: which rows are asked for, and what comes out."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]")
pytest.importorskip("transformers", reason="needs the extra [train]")

from trace_mine.train.batches import TaskBatches, tensors  # noqa: E402
from trace_mine.train.evaluation import evaluate_task, loss_sums, unigram_log_laws  # noqa: E402
from trace_mine.train.recipes import recipe  # noqa: E402
from trace_mine.train.settings import override  # noqa: E402

torch.set_num_threads(1)
SIZE = {"commands": 8, "spacing": 2, "split": "test"}
OFF = -20.0
"""A logit that leaves a token e^-20 of what the likeliest has."""


class Says(torch.nn.Module):
    """Recites the sessions that it is given, token by token, but for what ``change`` (logits [B, T, V]) makes of it."""

    def __init__(self, tokens: np.ndarray, size: int, change: Callable = lambda logits: None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.logits = OFF * (1 - torch.eye(size)[torch.from_numpy(tokens[:, 1:])])
        change(self.logits)
        self.seen: list[torch.Tensor] = []

    def forward(self, input_ids: torch.Tensor) -> SimpleNamespace:
        first = sum(len(ids) for ids in self.seen)
        self.seen.append(input_ids)
        return SimpleNamespace(logits=self.logits[first : first + len(input_ids)].clone())


def task(*more: str) -> TaskBatches:
    return TaskBatches(override(recipe("quick"), [*more]))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_rows_of_the_split_are_asked_for_each_once(split: str) -> None:
    batches = task()
    batch = batches.stream(8, 2, split).batch(range(37))
    model = Says(batch.tokens, len(batches.tokenizer))
    metrics = evaluate_task(model, batches, commands=8, spacing=2, rows=37, split=split)
    assert torch.equal(torch.cat(model.seen), torch.from_numpy(batch.tokens[:, :-1]))
    assert metrics["accuracy_reveal"] == metrics["accuracy_last_reveal"] == 1.0
    assert metrics["accuracy_by_reveal"] == [1.0] * 4 and metrics["rows"] == 37 and metrics["split"] == split
    assert metrics["loss_other"] < 1e-3 and metrics["loss_reveal"] < 1e-3
    assert metrics["chance"] == 1 / 3
    assert metrics["last_shown"] == copying(batches, split, 37)


def copying(batches: TaskBatches, split: str, rows: int) -> float:
    """The share of reveals that show what the variable showed last, read off the sessions' texts."""
    batch = batches.stream(8, 2, split).batch(range(rows))
    right = total = 0
    for tokens, length in zip(batch.tokens, batch.lengths, strict=True):
        text = batches.tokenizer.decode(tokens[:length].tolist())
        held = dict(re.findall(r"^>>> (\w) = (\d)$", text, re.MULTILINE))
        for name, value in re.findall(r"^(\w) (\d)$", text, re.MULTILINE):
            right, total = right + (held[name] == value), total + 1
            held[name] = value
    return right / total


def test_the_last_reveal_and_the_loss_of_every_reveal() -> None:
    batches = task()
    batch = batches.stream(8, 2, "test").batch(range(5))

    def wrong_but_at_the_end(logits: torch.Tensor) -> None:
        rows = torch.arange(5)[:, None]
        logits[rows, torch.from_numpy(batch.reveals[:, :-1, 0]) - 1] = 0.0
        logits[rows, torch.from_numpy(batch.reveals[:, :-1, 0]) - 1, torch.from_numpy(batch.tokens[:, :1])] = 3.0

    model = Says(batch.tokens, len(batches.tokenizer), wrong_but_at_the_end)
    metrics = evaluate_task(model, batches, **SIZE, rows=5)
    assert metrics["accuracy_last_reveal"] == 1.0 and metrics["accuracy_by_reveal"][-1] == 1.0
    # the token that is likeliest there is no label, and all labels are alike: chance
    assert metrics["accuracy_by_reveal"][:-1] == [0.3333] * 3
    missed = float(-torch.log_softmax(torch.tensor([3.0] + [0.0] * (len(batches.tokenizer) - 1)), 0)[1])
    assert metrics["loss_reveal"] == pytest.approx(0.75 * missed, abs=1e-3)
    assert "kl" not in metrics


def test_the_kl_is_to_the_exact_law_and_its_last_quarter_is_the_last_reveals() -> None:
    batches = task("task.p=0.2")
    stream = batches.stream(8, 2, "test")
    batch = stream.batch(range(6), beliefs=True)
    labels, spread = torch.from_numpy(stream.label_tokens), float(np.log(len(batches.tokenizer)))

    def exact_at_the_end(logits: torch.Tensor) -> None:
        rows = torch.arange(6)
        for reveal in range(4):
            places = torch.from_numpy(batch.reveals[:, reveal, 0]) - 1
            logits[rows, places] = OFF * 3 if reveal == 3 else 0.0
            if reveal == 3:
                law = torch.from_numpy(batch.laws[:, reveal]).float().clamp(min=1e-30).log()
                logits[rows[:, None], places[:, None], labels] = law

    model = Says(batch.tokens, len(batches.tokenizer), exact_at_the_end)
    metrics = evaluate_task(model, batches, **SIZE, rows=6)
    assert metrics["kl_last_quarter"] == pytest.approx(0.0, abs=1e-5)
    entropies = -(batch.laws * np.log(np.maximum(batch.laws, 1e-300))).sum(-1)[:, :3]
    assert metrics["kl"] == pytest.approx(0.75 * (spread - entropies.mean()), abs=1e-4)  # mass beside the labels counts


def test_a_full_reveal_with_a_wrong_value_is_wrong() -> None:
    batches = task("task.reveals=full")
    batch = batches.stream(8, 2, "test").batch(range(4))
    assert batch.reveals.shape == (4, 4, 3)
    labels = torch.from_numpy(batches.stream(8, 2, "test").label_tokens)

    def last_value_turned(logits: torch.Tensor) -> None:
        rows = torch.arange(4)[:, None]
        places = torch.from_numpy(batch.reveals[:, :2, -1]) - 1  # in the first two reveals of four
        logits[rows[..., None], places[..., None], labels] = logits[rows[..., None], places[..., None], labels.roll(1)]

    model = Says(batch.tokens, len(batches.tokenizer), last_value_turned)
    metrics = evaluate_task(model, batches, **SIZE, rows=4)
    assert metrics["accuracy_by_reveal"] == [0.0, 0.0, 1.0, 1.0] and metrics["last_shown"] is None


def test_losses_are_summed_by_kind() -> None:
    batch = task().stream(8, 2, "test").batch(range(3))
    kinds = tensors(batch)["kinds"]
    losses = torch.where(kinds >= 2, 2.0, torch.where(kinds == 1, 1.0, 100.0))
    others, reveals = int((kinds == 1).sum()), int((kinds >= 2).sum())
    assert loss_sums(losses, kinds).tolist() == [others, others, 2 * reveals, reveals] and reveals == 12


def test_the_unigram_is_of_training_rows_by_role_and_leaves_no_token_impossible() -> None:
    row = SimpleNamespace(ids=np.array([2, 1, 1, 3, 4]), roles=np.array([-1, 0, 0, 0, 2]))
    fake = SimpleNamespace(tokenizer=range(5), rows={"train": [row, row]}, held_out=list)
    laws = np.exp(unigram_log_laws(fake))
    assert laws.sum(1) == pytest.approx(np.ones(len(laws)))
    assert laws[0].tolist() == pytest.approx([1 / 11, 5 / 11, 1 / 11, 3 / 11, 1 / 11])
    assert laws[2].tolist() == pytest.approx([1 / 7, 1 / 7, 1 / 7, 1 / 7, 3 / 7])
    assert laws[1].tolist() == pytest.approx([0.2] * 5)
