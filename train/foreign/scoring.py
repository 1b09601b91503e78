"""Evaluations of other people's models on held-out rows and sessions, token by token.

``trace-eval --hf`` measures laws of reveals; here a token is right if it is the likeliest of all.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from trace_mine.train.batches import LAST_REVEAL, OTHER, REVEAL
from trace_mine.train.evaluation import evaluate_dataset
from trace_mine.train.foreign.batches import ForeignDatasetBatches, ForeignTaskBatches
from trace_mine.train.measure.tokens import evaluating, token_hits, token_losses

ROWS_AT_ONCE = 8


def evaluate_foreign(
    model: nn.Module, batches: ForeignDatasetBatches | ForeignTaskBatches, *, rows: int, split: str, times: int = 1
) -> dict[str, object]:
    """Evaluate on held-out rows of a dataset, or on sessions of a task as long as the last stage's, times ``times``.

    Returns:
        As ``evaluate_dataset`` without beliefs, which ask for a carry; of a task ``loss_other``, ``loss_reveal`` in
        nats a token, ``accuracy_reveal`` of reveal tokens, and ``accuracy_last_reveal``, the share of sessions with all
        tokens of the last reveal right.
    """
    if isinstance(batches, ForeignDatasetBatches):
        return evaluate_dataset(model, batches, rows=rows, has_carry=False)
    stage = batches.settings.stages[-1]
    commands, spacing = max(stage.commands) * times, max(stage.spacings)
    sums = torch.zeros(7, dtype=torch.float64)
    with evaluating(model) as device:
        for first in range(0, rows, ROWS_AT_ONCE):
            made = batches.sessions(range(first, min(rows, first + ROWS_AT_ONCE)), commands, spacing, split)
            sums += _sums(model, {name: tensor.to(device) for name, tensor in made.items()}).cpu()
    other, others, reveal, reveals, hits, last_hits, sessions = sums.tolist()
    return {
        "times": times,
        "commands": commands,
        "spacing": spacing,
        "rows": rows,
        "split": split,
        "loss_other": other / max(others, 1),
        "loss_reveal": reveal / max(reveals, 1),
        "accuracy_reveal": hits / max(reveals, 1),
        "accuracy_last_reveal": last_hits / max(sessions, 1),
    }


def _sums(model: nn.Module, made: Mapping[str, Tensor]) -> Tensor:
    """[7]: loss and number of other tokens, of reveal tokens, their hits, sessions whose last reveal is right, all."""
    ids, kinds = made["input_ids"], made["kinds"][:, 1:]
    logits = model(input_ids=ids[:, :-1]).logits.float()
    losses, hits = token_losses(logits, ids[:, 1:]).double(), token_hits(logits, ids[:, 1:])
    other, reveal, last = kinds == OTHER, kinds >= REVEAL, kinds == LAST_REVEAL
    right = (hits | ~last).all(1) & last.any(1)
    parts = [losses[other].sum(), other.sum(), losses[reveal].sum(), reveal.sum(), (hits & reveal).sum()]
    return torch.stack([part.double() for part in (*parts, right.sum(), last.any(1).sum())])
