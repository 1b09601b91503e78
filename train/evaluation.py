"""What is measured during training and at its end: accuracy of reveals beside baselines, belief KL, loss by role.

Probes, extrapolation curves and figures are ``eval``'s; training takes such functions as they are handed to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from trace_mine.train.batches import OTHER, REVEAL, DatasetSource, SyntheticSource, padded, tensors
from trace_mine.train.mined_beliefs import belief_kl
from trace_mine.train.models.language_model import SequenceModel

ROWS_AT_ONCE = 32


@torch.no_grad()
def evaluate_task(
    model: SequenceModel,
    source: SyntheticSource,
    *,
    commands: int,
    spacing: int,
    rows: int,
    split: str = "validation",
) -> dict[str, Any]:
    """Accuracy of revealed tokens by position and of the last reveal, losses, the two baselines, and, where the task
    hides outcomes, the mean KL(exact law || model) in nats at reveals and in their last quarter.

    ``chance``: one over the number of labels; ``last_shown``: say again what this variable showed last.
    The model's law is its softmax over the whole vocabulary: mass outside the labels counts against it.
    """
    stream = source.stream(commands, spacing, split)
    hidden = source.task.game.is_hidden
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    right: list[Any] = []
    divergence: list[Any] = []
    sums = np.zeros(4)
    labels = torch.from_numpy(stream.label_tokens).to(device)
    for first in range(0, rows, ROWS_AT_ONCE):
        batch = stream.batch(range(first, min(rows, first + ROWS_AT_ONCE)), beliefs=hidden)
        told = {key: value.to(device) for key, value in tensors(batch).items()}
        ids, kinds = told["input_ids"], told["kinds"]
        logits = model(input_ids=ids[:, :-1]).logits.float()
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view_as(ids[:, 1:])
        other, reveal = kinds[:, 1:] == OTHER, kinds[:, 1:] >= REVEAL
        sums += [losses[other].sum().item(), other.sum().item(), losses[reveal].sum().item(), reveal.sum().item()]
        places = torch.from_numpy(batch.reveals).to(device)  # [B, R, values]
        at = torch.arange(len(ids), device=device)[:, None, None]
        shown = logits[at, places - 1]  # what stands before a token predicts it
        right.append((shown.argmax(-1) == ids[at, places]).all(-1).cpu().numpy())
        if batch.laws is not None and not source.task.game.shows_all:
            law = torch.from_numpy(batch.laws).to(device).float()
            guess = shown[:, :, 0].log_softmax(-1)[..., labels]
            divergence.append((law * (law.clamp(min=1e-30).log() - guess)).sum(-1).cpu().numpy())
    model.train(was_training)
    hits = np.concatenate(right)
    told_all = {
        "commands": commands,
        "spacing": spacing,
        "rows": rows,
        "split": split,
        "loss_other": sums[0] / max(sums[1], 1),
        "loss_reveal": sums[2] / max(sums[3], 1),
        "accuracy_reveal": float(hits.mean()),
        "accuracy_last_reveal": float(hits[:, -1].mean()),
        "accuracy_by_reveal": hits.mean(0).round(4).tolist(),
        "chance": 1 / len(stream.labels),
        "last_shown": last_shown(source, commands, spacing, rows, split),
    }
    if divergence:
        kl = np.concatenate(divergence)
        told_all |= {"kl": float(kl.mean()), "kl_last_quarter": float(kl[:, -max(1, kl.shape[1] // 4) :].mean())}
    return told_all


def last_shown(source: SyntheticSource, commands: int, spacing: int, rows: int, split: str) -> float | None:
    """Accuracy of saying again what the variable showed last (at first: its start). None for full reveals."""
    game, stream = source.task.game, source.stream(commands, spacing, split)
    if game.shows_all:
        return None
    hits = total = 0
    parts = source.task.plays(range(rows), seed=stream.seed, split=split, stage=stream.stage)
    for _, plays in parts:
        labels = np.asarray(plays.labels)
        at = np.arange(len(labels))
        held = np.take_along_axis(labels, np.tile(game.holds[game.start], (len(labels), 1)), axis=1)
        for reveal in range(plays.shown.shape[1]):
            variable = plays.shown[:, reveal]
            items = game.holds[plays.states[:, (reveal + 1) * spacing - 1], variable]
            now = labels[at, items]
            hits += int((held[at, variable] == now).sum())
            total += len(now)
            held[at, variable] = now
    return hits / max(total, 1)


@torch.no_grad()
def evaluate_dataset(model: SequenceModel, source: DatasetSource, *, rows: int) -> dict[str, Any]:
    """Loss in nats and accuracy by role on held-out rows, beside a unigram of the role's tokens in training (add-one)
    and, for values, the copy of what stood at the same place of the last value shown before; belief KL where rows
    carry beliefs.
    """
    from trace_mine.tokenizer.encoded import ROLES

    device = next(model.parameters()).device
    held, size = source.held_out()[:rows], len(source.tokenizer)
    counts = np.ones((len(ROLES), size))
    for row in source.rows["train"]:
        kept = row.roles >= 0
        np.add.at(counts, (row.roles[kept], row.ids[kept]), 1)
    unigram = np.log(counts / counts.sum(1, keepdims=True))
    was_training = model.training
    model.eval()
    sums = {role: np.zeros(4) for role in ROLES}
    copies = np.zeros(2)
    for first in range(0, len(held), ROWS_AT_ONCE):
        told = padded(held[first : first + ROWS_AT_ONCE], source.settings.max_length)
        ids, roles = told["input_ids"].to(device), told["roles"][:, 1:].numpy()
        logits = model(input_ids=ids[:, :-1]).logits.float()
        losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view_as(ids[:, 1:])
        hits, loss = (logits.argmax(-1) == ids[:, 1:]).cpu().numpy(), losses.cpu().numpy()
        numbers = ids[:, 1:].cpu().numpy()
        for index, role in enumerate(ROLES):
            at = roles == index
            sums[role] += [loss[at].sum(), hits[at].sum(), at.sum(), -unigram[index, numbers[at]].sum()]
    for row in held:
        copies += copied(row, ROLES.index("value"), source.settings.max_length)
    model.train(was_training)
    by_role = {
        role: {"loss": s[0] / s[2], "accuracy": s[1] / s[2], "unigram_loss": s[3] / s[2], "tokens": int(s[2])}
        for role, s in sums.items()
        if s[2]
    }
    told_all: dict[str, Any] = {"rows": len(held), "by_role": by_role, "num_cut": source.num_cut}
    told_all["split"] = source.evaluation_split
    uncertain = source.with_beliefs[source.evaluation_split][:rows]
    if uncertain:
        told_all["beliefs"] = belief_kl(model, source.tokenizer, uncertain, max_length=source.settings.max_length)
    if "value" in by_role:
        other = sum((s for role, s in sums.items() if role != "value"), np.zeros(4))
        told_all |= {
            "loss_reveal": by_role["value"]["loss"],
            "loss_other": other[0] / max(other[2], 1),
            "accuracy_reveal": by_role["value"]["accuracy"],
            "copy_last_value": copies[0] / max(copies[1], 1),
        }
    return told_all


def copied(row: Any, value: int, max_length: int) -> Any:
    """(right, all) tokens of values, where each value is guessed to be the one shown before it."""
    at = np.flatnonzero(row.roles[:max_length] == value)
    before: list[int] = []
    right = 0
    for step in dict.fromkeys(row.steps[at].tolist()):
        now = row.ids[at[row.steps[at] == step]].tolist()
        right += sum(one == other for one, other in zip(now, before, strict=False))
        before = now
    return np.array([right, len(at)], dtype=float)


def evaluator(source: Any, *, rows: int) -> Callable[..., dict[str, Any]]:
    """The evaluation that fits the source: called with a model and, for tasks, commands, spacing and split."""

    def evaluate(
        model: SequenceModel, commands: int = 0, spacing: int = 0, split: str = "validation"
    ) -> dict[str, Any]:
        if isinstance(source, DatasetSource):
            return evaluate_dataset(model, source, rows=rows)
        return evaluate_task(model, source, commands=commands, spacing=spacing, rows=rows, split=split)

    return evaluate
