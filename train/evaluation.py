"""The evaluations that a run makes while it trains and at its end: accuracy, baselines, belief KL, loss by role.

Laws, hits and KL are those of ``train.measure``, which ``eval`` uses too; probes, curves and figures are ``eval``'s.
The keys of the dictionaries returned here are those of ``evals.jsonl`` and ``final.json``, and stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

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
"""Rows of one forward pass."""


def evaluate_task(
    model: SequenceModel,
    batches: TaskBatches,
    *,
    commands: int,
    spacing: int,
    rows: int,
    split: str = "validation",
) -> dict[str, object]:
    """Evaluate a model on the first ``rows`` sessions of a split that have one size.

    A reveal is a hit by ``scores.hits``, which lets only labels compete; a full reveal is one if all its values are.
    The model's law is its softmax over the whole vocabulary: mass outside the labels counts against it in KL.

    Returns:
        the arguments; ``loss_other`` and ``loss_reveal`` in nats a token; ``accuracy_reveal`` over all reveals,
        ``accuracy_by_reveal`` at each position and ``accuracy_last_reveal``; ``chance``, one over the number of labels;
        ``last_shown``, the accuracy of repeating the value that the variable showed last (None for full reveals). If
        the task hides outcomes, ``kl`` = mean KL(exact law || model) in nats over reveals, and ``kl_last_quarter``.
    """
    stream, game = batches.stream(commands, spacing, split), batches.task.game
    # A full reveal is several tokens and its exact law one of states, so that there is no law of labels to compare.
    has_beliefs = game.is_hidden and not game.shows_all
    hit_parts: list[Floats] = []
    kl_parts: list[Floats] = []
    # sums and parts over batches of rows: all logits of a split would not fit the memory
    sums = np.zeros(4)
    with evaluating(model) as device:
        labels = torch.from_numpy(stream.label_tokens).to(device)
        for first in range(0, rows, ROWS_AT_ONCE):
            batch = stream.batch(range(first, min(rows, first + ROWS_AT_ONCE)), beliefs=has_beliefs)
            on_device = {key: value.to(device) for key, value in tensors(batch).items()}
            ids, kinds = on_device["input_ids"], on_device["kinds"]
            # in fp32 also where the model computes in bf16, which keeps three digits of a log-probability
            logits = model(input_ids=ids[:, :-1]).logits.float()
            sums += loss_sums(token_losses(logits, ids[:, 1:]), kinds[:, 1:])
            log_law = log_laws_at(logits, torch.from_numpy(batch.reveals).to(device), labels)
            # prod over the values of a full reveal; a partial one has a single value
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
    """Sum ``losses`` [B, T] by kind of token [B, T]: [4] = (loss, tokens) of other tokens, then of reveal tokens."""
    parts = [(losses[mask].sum().item(), mask.sum().item()) for mask in (kinds == OTHER, kinds >= REVEAL)]
    return np.array(parts, dtype=np.float64).ravel()


def value_labels(stream: TokenStream, batch: Batch) -> np.ndarray:
    """Find the label of each shown value [batch, reveals, values], as an index into ``stream.labels``."""
    # argmax finds the one label whose token equals the value's
    values = batch.tokens[np.arange(len(batch.tokens))[:, None, None], batch.reveals]
    return (values[..., None] == stream.label_tokens).argmax(-1)


def last_shown(batches: TaskBatches, commands: int, spacing: int, rows: int, split: str) -> float | None:
    """Measure how often repeating the value that the variable showed last is right; None for full reveals.

    A variable that was not shown yet is answered by its value at the start.
    """
    stream = batches.stream(commands, spacing, split)
    if batches.task.game.shows_all:
        return None
    plays = joined(list(batches.task.plays(range(rows), seed=stream.seed, split=split, stage=stream.stage)))
    return copying_accuracy(last_shown_labels(stream, plays), shown_labels(stream, plays))


def evaluate_dataset(
    model: nn.Module, batches: DatasetBatches, *, rows: int, has_carry: bool = True
) -> dict[str, object]:
    """Evaluate a model on the first ``rows`` held-out rows of a dataset, by role of token.

    A token is a hit by ``token_hits``: if it is the whole vocabulary's likeliest. Beliefs are left out without
    ``has_carry``: they take a model of ours.

    Returns:
        ``by_role``: role -> ``loss`` and ``unigram_loss`` (see ``unigram_log_laws``) in nats a token, ``accuracy`` and
        ``tokens``. If there are values, ``loss_reveal`` and ``accuracy_reveal`` of them, ``loss_other`` of the rest and
        ``copy_last_value``, the accuracy of ``copied_values``. If rows carry beliefs, ``beliefs`` (see ``belief_kl``).
    """
    held_out, max_length = batches.held_out()[:rows], batches.settings.max_length
    sums = role_sums(model, batches, rows)  # role -> loss, hits, tokens, unigram loss
    by_role = {
        role: {"loss": s[0] / s[2], "accuracy": s[1] / s[2], "unigram_loss": s[3] / s[2], "tokens": int(s[2])}
        for role, s in sums.items()
        if s[2]
    }
    metrics: dict[str, object] = {"rows": len(held_out), "by_role": by_role, "num_cut": batches.num_cut}
    metrics["split"] = batches.evaluation_split  # says if rows come from repositories that were trained on
    uncertain = batches.with_beliefs[batches.evaluation_split][:rows]
    if uncertain and has_carry:
        assert isinstance(model, SequenceModel)
        metrics["beliefs"] = belief_kl(model, batches.tokenizer, uncertain, max_length=max_length)
    if "value" in by_role:
        other = sum((s for role, s in sums.items() if role != "value"), np.zeros(4))
        copies = sum((copied_values(row, ROLES.index("value"), max_length) for row in held_out), np.zeros(2))
        metrics |= {
            "loss_reveal": by_role["value"]["loss"],
            "loss_other": other[0] / max(other[2], 1),
            "accuracy_reveal": by_role["value"]["accuracy"],
            "copy_last_value": copies[0] / max(copies[1], 1),
        }
    return metrics


def role_sums(model: nn.Module, batches: DatasetBatches, rows: int) -> Mapping[str, Floats]:
    """Sum over the tokens of each role in the first ``rows`` held-out rows.

    Returns role -> [4]: the model's loss in nats, its hits, the number of tokens, and the unigram's loss in nats.
    """
    held_out, unigram = batches.held_out()[:rows], unigram_log_laws(batches)
    sums = {role: np.zeros(4) for role in ROLES}
    with evaluating(model) as device:
        for first in range(0, len(held_out), ROWS_AT_ONCE):
            stacked = padded(held_out[first : first + ROWS_AT_ONCE], batches.settings.max_length)
            ids, roles = stacked["input_ids"].to(device), stacked["roles"][:, 1:].numpy()
            targets = ids[:, 1:]
            logits = model(input_ids=ids[:, :-1]).logits.float()
            loss, hit = token_losses(logits, targets).cpu().numpy(), token_hits(logits, targets).cpu().numpy()
            for index, role in enumerate(ROLES):
                mask = roles == index  # padding has role -1, so that no role counts it
                unigram_loss = -unigram[index, targets.cpu().numpy()[mask]].sum()
                sums[role] += [loss[mask].sum(), hit[mask].sum(), mask.sum(), unigram_loss]
    return sums


def unigram_log_laws(batches: DatasetBatches) -> Floats:
    """Estimate [roles, vocabulary]: the log of each token's share of its role's tokens in the training rows.

    Add-one smoothed: each token counts once more than it occurs, so that no token of a held-out row is impossible.
    """
    counts = np.ones((len(ROLES), len(batches.tokenizer)))
    for row in batches.rows["train"]:
        has_role = row.roles >= 0  # <bos> and <eos> have none
        np.add.at(counts, (row.roles[has_role], row.ids[has_role]), 1)
    return np.asarray(np.log(counts / counts.sum(1, keepdims=True)))


def evaluator(batches: TaskBatches | DatasetBatches, *, rows: int) -> Callable[..., dict[str, object]]:
    """Return the evaluation that fits the batches: a function of a model and, for tasks, commands, spacing and split.

    It hides from the training loop which of the two kinds of data it evaluates on.
    """

    def evaluate(
        model: SequenceModel, commands: int = 0, spacing: int = 0, split: str = "validation"
    ) -> dict[str, object]:
        if isinstance(batches, DatasetBatches):
            return evaluate_dataset(model, batches, rows=rows)
        return evaluate_task(model, batches, commands=commands, spacing=spacing, rows=rows, split=split)

    return evaluate
