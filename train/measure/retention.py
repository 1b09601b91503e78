"""Retention: the KL of a model's belief about a variable that many commands left alone.

Two variables are maybe-swapped for ``hold`` commands, by the chances of the task, and one of the two, drawn each time,
is shown every ``spacing`` of them. The last reveal asks for a third variable, which no command touched: the exact
belief about it is certain. Models that forget drift little and fail here; models that keep everything drift
(docs/training.md). The question takes the place of a due reveal, because two reveals side by side never occur in
training.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Plays
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel

SEED = 0
ROWS_AT_ONCE = 16
"""Sessions of one pass: of 256 commands with a large vocabulary they take some hundred MB."""
SESSIONS = 8
"""Sessions of each triple of variables: their draws and reveals differ, and so do a model's answers."""


def holding_plays(batches: TaskBatches, hold: int, spacing: int, sessions: int = SESSIONS) -> Plays:
    """Make sessions of ``hold`` commands, ``sessions`` for each pair that is swapped and each variable asked for.

    Draws come from a seed of their own, the same for all models.

    Raises:
        ValueError: the task hides nothing, has repeated values or fewer than three variables, or lacks a swap.
    """
    game = batches.task.game
    if not can_be_held(batches):
        raise ValueError("expected a task of maybe-swaps of three or more distinct values, shown one at a time")
    if hold % spacing:
        raise ValueError(f"expected hold to be a multiple of {spacing}, got {hold}; a reveal stands at its end")
    # All triples, so that no variable's own frequency in training decides the mean.
    triples: list[tuple[int, int, int, int]] = []
    for one, other, asked in permutations(range(len(game.variables)), 3):
        action = swap_of(batches, one, other) if one < other else None
        if action is not None:
            triples += [(action, one, other, asked)] * sessions
    generator = np.random.default_rng(SEED)
    actions = np.array([[action] * hold for action, *_ in triples], dtype=np.int64)
    draws = generator.random(actions.shape)
    states = np.empty_like(actions)
    state = np.full(len(triples), game.start)
    for command in range(hold):
        swaps = actions[:, command]
        happens = draws[:, command] < np.asarray(game.chances)[swaps]
        state = np.where(happens, game.moves[swaps, state], state)
        states[:, command] = state
    pairs = np.array([[one, other] for _, one, other, _ in triples])
    which = generator.integers(2, size=(len(triples), hold // spacing))
    shown = np.take_along_axis(pairs, which, axis=1)
    shown[:, -1] = [asked for *_, asked in triples]
    return Plays(
        actions=actions,
        states=states,
        draws=draws,
        shown=shown,
        labels=np.tile(np.arange(len(game.items)), (len(triples), 1)),
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
        the arguments; ``kl``, the mean of ``retention_losses``; and ``certainty``, the smallest probability of the
        value under the exact law, which the filter computes: 1, or the question would be wrong.

    Raises:
        ValueError: as ``holding_plays``.
    """
    losses, certainty = retention_losses(model, batches, hold=hold, spacing=spacing)
    return {"hold": hold, "spacing": spacing, "kl": float(losses.mean()), "certainty": certainty}


def retention_losses(
    model: SequenceModel, batches: TaskBatches, *, hold: int, spacing: int
) -> tuple[NDArray[np.float64], float]:
    """Measure KL(exact || model) in nats [sessions] at the question of each of ``holding_plays``.

    For a certain belief that is -log of the probability that the model gives to the value. The second number is the
    ``certainty`` of ``retention``.

    Raises:
        ValueError: as ``holding_plays``.
    """
    stream = batches.stream(spacing, spacing, "train")  # for its vocabulary; the sessions are made by hand
    batch = stream.batch_of(holding_plays(batches, hold, spacing), beliefs=True)
    assert batch.laws is not None
    certainty = float(np.take_along_axis(batch.laws[:, -1], batch.outcomes[:, -1:], axis=1).min())
    losses: list[NDArray[np.float64]] = []
    with evaluating(model) as device:
        for first in range(0, len(batch.tokens), ROWS_AT_ONCE):
            ids = torch.from_numpy(batch.tokens[first : first + ROWS_AT_ONCE]).to(device)
            places = torch.from_numpy(batch.reveals[first : first + ROWS_AT_ONCE, -1, 0]).to(device)
            logits = model(input_ids=ids).logits.float()
            rows = torch.arange(len(ids), device=device)
            of_rows = F.cross_entropy(logits[rows, places - 1], ids[rows, places], reduction="none")
            losses.append(of_rows.double().cpu().numpy())
    return np.concatenate(losses), certainty
