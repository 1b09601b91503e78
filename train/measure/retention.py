"""Retention: the KL of a model's belief about a variable that many commands left alone.

A maybe-swap of two variables is repeated for ``hold`` commands, and one of the two shown every ``spacing`` of them, at
its start value. The last reveal asks for a third variable, which no command touched: the exact belief about it is
certain. Models that forget drift little and fail here; models that keep everything drift (docs/training.md). The
question takes the place of a due reveal, because two reveals side by side never occur in training.
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
    """Make the sessions of ``hold`` commands, one for each triple of variables (swapped and shown, swapped, asked).

    In none of them does a swap happen, so that every reveal shows a start value.

    Raises:
        ValueError: the task hides nothing, has repeated values or fewer than three variables, or lacks a swap.
    """
    game = batches.task.game
    if not can_be_held(batches):
        raise ValueError("expected a task of maybe-swaps of three or more distinct values, shown one at a time")
    # All triples, so that no variable's own frequency in training decides the mean.
    rows = []
    for shown, other, asked in permutations(range(len(game.variables)), 3):
        action = swap_of(batches, shown, other)
        if action is not None:
            rows.append((action, shown, asked))
    if hold % spacing:
        raise ValueError(f"expected hold to be a multiple of {spacing}, got {hold}; a reveal stands at its end")
    # One command over and over, with draws of 1, which are below no probability: it never happens, and the state is the
    # start's throughout.
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
    """Return True if a task allows the question: two variables can be swapped unseen while a third keeps its value.

    The task has to hide outcomes, show one variable at a time, have at least three variables with distinct values, and
    have maybe-swaps.
    """
    game = batches.task.game
    shows_labels = game.num_labels is None and len(game.variables) > 2 and not game.shows_all
    return game.is_hidden and shows_labels and swap_of(batches, 0, 1) is not None


def swap_of(batches: TaskBatches, one: int, other: int) -> int | None:
    """Find the action that swaps two variables with a probability below 1 and touches no other; None if there is none.

    It is recognised by the state that it leads to from the start, whose values are distinct.
    """
    game = batches.task.game
    start = game.holds[game.start].tolist()
    swapped = list(start)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    for action, chance in enumerate(game.chances):
        if chance < 1 and game.holds[game.moves[action, game.start]].tolist() == swapped:
            return action
    return None


def retention(model: SequenceModel, batches: TaskBatches, *, hold: int, spacing: int) -> dict[str, float | int]:
    """Measure retention after ``hold`` commands with a reveal every ``spacing``, averaged over ``holding_plays``.

    Returns:
        the arguments; ``kl``, KL(exact || model) in nats at the question, which for a certain belief is -log of the
        probability that the model gives to the value; and ``certainty``, the smallest probability of the value under
        the exact law, which the filter computes: 1, or the question would be wrong.

    Raises:
        ValueError: as ``holding_plays``.
    """
    stream = batches.stream(spacing, spacing, "train")  # for its vocabulary; the sessions are made by hand
    batch = stream.batch_of(holding_plays(batches, hold, spacing), beliefs=True)
    assert batch.laws is not None
    certainty = float(np.take_along_axis(batch.laws[:, -1], batch.outcomes[:, -1:], axis=1).min())
    with evaluating(model) as device:
        ids = torch.from_numpy(batch.tokens).to(device)
        places = torch.from_numpy(batch.reveals[:, -1, 0]).to(device)
        logits = model(input_ids=ids).logits.float()
    # The exact law is certain, so that KL(exact || model) is the cross-entropy of the value.
    rows = torch.arange(len(ids), device=device)
    kl = F.cross_entropy(logits[rows, places - 1], ids[rows, places])
    return {"hold": hold, "spacing": spacing, "kl": kl.item(), "certainty": certainty}
