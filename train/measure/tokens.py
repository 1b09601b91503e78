"""Losses and hits of single tokens, for models over any vocabulary: training and rows of datasets are counted by them.

A hit here is a token that is the likeliest of the whole vocabulary. ``scores.hits``, for reveals, lets only labels
compete and shares ties: accuracies of tokens and accuracies of reveals are two metrics.
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
    """Within the context, put a model into evaluation mode and keep no gradients; yield the model's device.

    On leaving, also by an exception, the model is in the mode that it was in.
    """
    # the trainer evaluates between two steps, and would go on in evaluation mode
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield next(model.parameters()).device
    finally:
        model.train(was_training)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute -log p of each target [B, T] under ``logits`` [B, T, V], in nats and in the logits' dtype, [B, T]."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


def token_hits(logits: Tensor, targets: Tensor) -> Tensor:
    """Return [B, T] bool, True where the target [B, T] is the likeliest token under ``logits`` [B, T, V]."""
    return logits.argmax(-1) == targets


def copied_values(row: Encoded, value: int, max_length: int) -> Floats:
    """Count the tokens of values that repeating the last value gets right: [2] = (right, all).

    Each token is guessed to be the one at the same place of the value shown before. The first value of a row, and
    tokens beyond the end of a shorter value, have no guess and count as wrong.

    Args:
        row: an encoded row, of which the first ``max_length`` tokens count.
        value: the number of the role ``value``.
    """
    positions = np.flatnonzero(row.roles[:max_length] == value)
    last_value: list[int] = []
    num_right = 0
    for step in dict.fromkeys(row.steps[positions].tolist()):  # in their order; the tokens of a value share a step
        shown_value = row.ids[positions[row.steps[positions] == step]].tolist()
        num_right += sum(token == guess for token, guess in zip(shown_value, last_value, strict=False))
        last_value = shown_value
    return np.array([num_right, len(positions)], dtype=float)
