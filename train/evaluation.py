"""What is measured during training and at its end: accuracy of reveals beside baselines, belief KL, loss by role.

Laws, hits and KL are those of ``train.measure``, which ``eval`` uses too. Probes, extrapolation curves and figures are
``eval``'s; training takes such functions as they are handed to it. The keys of what is returned are those of
``evals.jsonl`` and ``final.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.corpus.synthetic.stream import Batch, TokenStream, joined
from trace_mine.tokenizer.encoded import ROLES
from trace_mine.train.batches import OTHER, REVEAL, DatasetBatches, TaskBatches, padded, tensors
from trace_mine.train.measure import scores
from trace_mine.train.measure.laws import last_shown_labels, log_laws_at, shown_labels
from trace_mine.train.measure.predictors import chance, copying_accuracy
from trace_mine.train.measure.text_beliefs import belief_kl
from trace_mine.train.measure.tokens import copied_values, evaluating, token_hits, token_losses
from trace_mine.train.models.language_model import SequenceModel

ROWS_AT_ONCE = 32


def evaluate_task(
    model: SequenceModel,
    batches: TaskBatches,
    *,
    commands: int,
    spacing: int,
    rows: int,
    split: str = "validation",
) -> dict[str, object]:
    """Accuracy of reveals (``scores.hits``; a full reveal is right where all its values are) over all, by position and
    of the last one; losses in nats of other and of reveal tokens; the two baselines; and, where the task hides
    outcomes, the mean KL(exact law || model) in nats at reveals and in their last quarter.

    ``chance``: one over the number of labels; ``last_shown``: say again what this variable showed last, None for full
    reveals. The model's law is its softmax over the whole vocabulary: mass outside the labels counts against it in KL.
    """
    stream, game = batches.stream(commands, spacing, split), batches.task.game
    # a full reveal is several tokens, and its exact law one of states: no law of labels to compare
    has_beliefs = game.is_hidden and not game.shows_all
    hit_parts: list[Floats] = []
    kl_parts: list[Floats] = []
    sums = np.zeros(4)
    with evaluating(model) as device:
        labels = torch.from_numpy(stream.label_tokens).to(device)
        for first in range(0, rows, ROWS_AT_ONCE):
            batch = stream.batch(range(first, min(rows, first + ROWS_AT_ONCE)), beliefs=has_beliefs)
            on_device = {key: value.to(device) for key, value in tensors(batch).items()}
            ids, kinds = on_device["input_ids"], on_device["kinds"]
            logits = model(input_ids=ids[:, :-1]).logits.float()
            sums += loss_sums(token_losses(logits, ids[:, 1:]), kinds[:, 1:])
            log_law = log_laws_at(logits, torch.from_numpy(batch.reveals).to(device), labels)
            hit_parts.append(scores.hits(np.exp(log_law), value_labels(stream, batch)).prod(-1))
            if batch.laws is not None:
                kl_parts.append(scores.kl(batch.laws, log_law[:, :, 0]))
    hits = np.concatenate(hit_parts)
    metrics: dict[str, object] = {
        "commands": commands,
        "spacing": spacing,
        "rows": rows,
        "split": split,
        "loss_other": sums[0] / max(sums[1], 1),
        "loss_reveal": sums[2] / max(sums[3], 1),
        "accuracy_reveal": float(hits.mean()),
        "accuracy_last_reveal": float(hits[:, -1].mean()),
        "accuracy_by_reveal": hits.mean(0).round(4).tolist(),
        "chance": chance(stream),
        "last_shown": last_shown(batches, commands, spacing, rows, split),
    }
    if kl_parts:
        kl = np.concatenate(kl_parts)
        metrics |= {"kl": float(kl.mean()), "kl_last_quarter": float(scores.last_quarter(kl).mean())}
    return metrics


def loss_sums(losses: Tensor, kinds: Tensor) -> Floats:
    """[4]: the sum of ``losses`` [B, T] over other tokens and their number, and the same of reveal tokens."""
    parts = [(losses[at].sum().item(), at.sum().item()) for at in (kinds == OTHER, kinds >= REVEAL)]
    return np.array(parts, dtype=np.float64).ravel()


def value_labels(stream: TokenStream, batch: Batch) -> np.ndarray:
    """[batch, reveals, values]: the label of each value that is shown, as an index into ``stream.labels``."""
    values = batch.tokens[np.arange(len(batch.tokens))[:, None, None], batch.reveals]
    return (values[..., None] == stream.label_tokens).argmax(-1)


def last_shown(batches: TaskBatches, commands: int, spacing: int, rows: int, split: str) -> float | None:
    """Accuracy of saying again what the variable showed last (at first: its start). None for full reveals."""
    stream = batches.stream(commands, spacing, split)
    if batches.task.game.shows_all:
        return None
    plays = joined(list(batches.task.plays(range(rows), seed=stream.seed, split=split, stage=stream.stage)))
    return copying_accuracy(last_shown_labels(stream, plays), shown_labels(stream, plays))


def evaluate_dataset(model: SequenceModel, batches: DatasetBatches, *, rows: int) -> dict[str, object]:
    """Loss in nats and accuracy by role on held-out rows (``token_hits``), beside a unigram of the role's tokens in
    training (add-one) and, for values, the copy of what stood at the same place of the last value shown before; belief
    KL where rows carry beliefs.
    """
    held, max_length = batches.held_out()[:rows], batches.settings.max_length
    sums = role_sums(model, batches, rows)
    by_role = {
        role: {"loss": s[0] / s[2], "accuracy": s[1] / s[2], "unigram_loss": s[3] / s[2], "tokens": int(s[2])}
        for role, s in sums.items()
        if s[2]
    }
    metrics: dict[str, object] = {"rows": len(held), "by_role": by_role, "num_cut": batches.num_cut}
    metrics["split"] = batches.evaluation_split
    uncertain = batches.with_beliefs[batches.evaluation_split][:rows]
    if uncertain:
        metrics["beliefs"] = belief_kl(model, batches.tokenizer, uncertain, max_length=max_length)
    if "value" in by_role:
        other = sum((s for role, s in sums.items() if role != "value"), np.zeros(4))
        copies = sum((copied_values(row, ROLES.index("value"), max_length) for row in held), np.zeros(2))
        metrics |= {
            "loss_reveal": by_role["value"]["loss"],
            "loss_other": other[0] / max(other[2], 1),
            "accuracy_reveal": by_role["value"]["accuracy"],
            "copy_last_value": copies[0] / max(copies[1], 1),
        }
    return metrics


def role_sums(model: SequenceModel, batches: DatasetBatches, rows: int) -> Mapping[str, Floats]:
    """Role -> [4], over the held-out rows' tokens of it: loss in nats, hits, tokens, the unigram's loss in nats."""
    held, unigram = batches.held_out()[:rows], unigram_log_laws(batches)
    sums = {role: np.zeros(4) for role in ROLES}
    with evaluating(model) as device:
        for first in range(0, len(held), ROWS_AT_ONCE):
            side_by_side = padded(held[first : first + ROWS_AT_ONCE], batches.settings.max_length)
            ids, roles = side_by_side["input_ids"].to(device), side_by_side["roles"][:, 1:].numpy()
            targets = ids[:, 1:]
            logits = model(input_ids=ids[:, :-1]).logits.float()
            loss, hit = token_losses(logits, targets).cpu().numpy(), token_hits(logits, targets).cpu().numpy()
            for index, role in enumerate(ROLES):
                at = roles == index
                sums[role] += [
                    loss[at].sum(), hit[at].sum(), at.sum(), -unigram[index, targets.cpu().numpy()[at]].sum(),
                ]  # fmt: skip
    return sums


def unigram_log_laws(batches: DatasetBatches) -> Floats:
    """[roles, vocabulary]: log of each token's share of its role's tokens in the training rows, each counted once more
    than it stands there (add-one), so that no token of a held-out row is impossible.
    """
    counts = np.ones((len(ROLES), len(batches.tokenizer)))
    for row in batches.rows["train"]:
        kept = row.roles >= 0
        np.add.at(counts, (row.roles[kept], row.ids[kept]), 1)
    return np.asarray(np.log(counts / counts.sum(1, keepdims=True)))


def evaluator(batches: TaskBatches | DatasetBatches, *, rows: int) -> Callable[..., dict[str, object]]:
    """The evaluation that fits the batches: called with a model and, for tasks, commands, spacing and split."""

    def evaluate(
        model: SequenceModel, commands: int = 0, spacing: int = 0, split: str = "validation"
    ) -> dict[str, object]:
        if isinstance(batches, DatasetBatches):
            return evaluate_dataset(model, batches, rows=rows)
        return evaluate_task(model, batches, commands=commands, spacing=spacing, rows=rows, split=split)

    return evaluate
