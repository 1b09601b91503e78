"""Losses and hits token by token, of models over any vocabulary: what training counts, and rows of datasets.

Here a hit is the whole vocabulary's likeliest token. ``scores.hits``, of a reveal's law, lets only labels compete, and
shares ties; which of the two a metric is, its place says: these are of tokens, those of reveals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.tokenizer.encoded import Encoded


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """While inside, the model is in evaluation mode and no gradients are kept; yields its device. On leaving, also by
    an exception, it is in the mode that it was in.
    """
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield next(model.parameters()).device
    finally:
        model.train(was_training)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """[B, T] in nats: -log of the probability of each target [B, T] under ``logits`` [B, T, V], in their dtype."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


def token_hits(logits: Tensor, targets: Tensor) -> Tensor:
    """[B, T] of bool: whether each target [B, T] is the likeliest token under ``logits`` [B, T, V]."""
    return logits.argmax(-1) == targets


def copied_values(row: Encoded, value: int, max_length: int) -> Floats:
    """(right, all): the tokens of values (role ``value``) among the first ``max_length`` of an encoded row, where each
    is guessed to be the token at the same place of the value shown before it; the first value has no guess, and is
    wrong.
    """
    at = np.flatnonzero(row.roles[:max_length] == value)
    before: list[int] = []
    right = 0
    for step in dict.fromkeys(row.steps[at].tolist()):
        now = row.ids[at[row.steps[at] == step]].tolist()
        right += sum(one == other for one, other in zip(now, before, strict=False))
        before = now
    return np.array([right, len(at)], dtype=float)
