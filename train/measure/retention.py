"""Retention: does a model still know an old fact after a long time in which nothing concerned it?

A maybe-swap of two variables is repeated, one of the two shown with its start value every few commands; after ``hold``
commands the last reveal asks for a third variable instead. It was never touched: the exact belief is certain. What
forgets drifts little and fails here; what keeps everything drifts. (The question stands in place of a reveal: asked
right after one it would be out of distribution.)
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F

from trace_mine.corpus.synthetic.game import Plays
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel


def holding_plays(batches: TaskBatches, hold: int, spacing: int) -> Plays:
    """One session for each (swapped and shown, swapped, asked) triple of variables: ``hold`` commands, none of which
    happens.

    Raises:
        ValueError: the task hides nothing, has repeated values or fewer than three variables, or lacks a swap.
    """
    game = batches.task.game
    if not can_be_held(batches):
        raise ValueError("expected a task of maybe-swaps of three or more distinct values, shown one at a time")
    rows = []
    for shown, other, asked in permutations(range(len(game.variables)), 3):
        action = swap_of(batches, shown, other)
        if action is not None:
            rows.append((action, shown, asked))
    if hold % spacing:
        raise ValueError(f"expected hold to be a multiple of {spacing}, got {hold}; a reveal stands at its end")
    actions = np.array([[action] * hold for action, _, _ in rows], dtype=np.int64)
    reveals = hold // spacing
    return Plays(
        actions=actions,
        states=np.full_like(actions, game.start),
        draws=np.ones(actions.shape),
        shown=np.array([[shown] * (reveals - 1) + [asked] for _, shown, asked in rows], dtype=np.int64),
        labels=np.tile(np.arange(len(game.items)), (len(rows), 1)),
        spacing=spacing,
    )


def can_be_held(batches: TaskBatches) -> bool:
    """Whether an old fact can be asked for: the task hides outcomes and shows one of at least three distinct values at
    a time, and has maybe-swaps, so that two variables may be swapped while a third keeps its value.
    """
    game = batches.task.game
    shows_labels = game.num_labels is None and len(game.variables) > 2 and not game.shows_all
    return game.is_hidden and shows_labels and swap_of(batches, 0, 1) is not None


def swap_of(batches: TaskBatches, one: int, other: int) -> int | None:
    """The action that perhaps swaps these two variables and touches no other."""
    game = batches.task.game
    start = game.holds[game.start].tolist()
    wanted = list(start)
    wanted[one], wanted[other] = wanted[other], wanted[one]
    for action, chance in enumerate(game.chances):
        if chance < 1 and game.holds[game.moves[action, game.start]].tolist() == wanted:
            return action
    return None


def retention(model: SequenceModel, batches: TaskBatches, *, hold: int, spacing: int) -> dict[str, float | int]:
    """KL(exact || model) in nats where the untouched variable is asked for: minus the log of the probability that the
    model gives its value. ``certainty`` is the exact law's, 1 by construction, checked by the filter.

    Raises:
        ValueError: as ``holding_plays``.
    """
    stream = batches.stream(spacing, spacing, "train")
    batch = stream.batch_of(holding_plays(batches, hold, spacing), beliefs=True)
    assert batch.laws is not None
    certainty = float(np.take_along_axis(batch.laws[:, -1], batch.outcomes[:, -1:], axis=1).min())
    with evaluating(model) as device:
        ids = torch.from_numpy(batch.tokens).to(device)
        places = torch.from_numpy(batch.reveals[:, -1, 0]).to(device)
        logits = model(input_ids=ids).logits.float()
    rows = torch.arange(len(ids), device=device)
    kl = F.cross_entropy(logits[rows, places - 1], ids[rows, places])
    return {"hold": hold, "spacing": spacing, "kl": kl.item(), "certainty": certainty}
