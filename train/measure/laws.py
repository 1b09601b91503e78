"""Laws of reveals: for each reveal of each session, a probability of each label that it may show.

A law is conditioned on all text before its reveal. Arrays are [batch, reveals, labels] in float64; the labels are those
of ``TokenStream.labels``. The exact laws are the game's own filter's, renormalised at every reveal. A predictor's law
may sum to less than 1: the rest is what it gives to texts that are no label.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
from torch import Tensor

from trace_mine.corpus.synthetic.game import (
    Floats,
    Game,
    Ints,
    Plays,
    beliefs_before_reveals,
    labelled,
    law_of_item,
    reveal_laws,
)
from trace_mine.corpus.synthetic.stream import TokenStream

SMALLEST = 1e-30
"""Probabilities count as no less than this where their logarithm is taken: 69 nats."""


def logs(law: Floats) -> Floats:
    """log of a law of any shape, in nats; 0 counts as ``SMALLEST``."""
    return np.asarray(np.log(np.maximum(law, SMALLEST)))


def exact_laws(game: Game, plays: Plays) -> Floats:
    """[batch, reveals, labels]: the exact law of each partial reveal."""
    return labelled(game, plays, reveal_laws(game, plays))


def joint_beliefs(game: Game, plays: Plays) -> Floats:
    """[batch, reveals, states]: the exact joint belief before each reveal is asked for."""
    found = np.zeros((*plays.shown.shape, len(game.holds)))
    for reveal, belief in enumerate(beliefs_before_reveals(game, plays)):
        found[:, reveal] = belief
    return found


def window_laws(game: Game, plays: Plays, window: int) -> Floats:
    """[batch, reveals, items]: at each reveal, the law of a filter restarted from uniform ``window`` commands before.

    It takes in the commands from there on, and every reveal after the restart. Near the start, where ``window`` or
    fewer commands have passed, it knows the start.

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    refuse_full_reveals(game)
    num_states = len(game.holds)
    laws = np.zeros((*plays.shown.shape, len(game.items)))
    for reveal in range(plays.shown.shape[1]):
        end = (reveal + 1) * plays.spacing
        fresh = np.eye(num_states)[game.start] if end <= window else np.full(num_states, 1.0 / num_states)
        belief = np.tile(fresh, (len(plays.actions), 1))
        since = beliefs_before_reveals(game, plays, belief=belief, first=max(0, end - window), last=end)
        last = deque(since, maxlen=1)  # the others are beliefs before the reveals in the window; none where it is 0
        laws[:, reveal] = law_of_item(game, last[0] if last else belief, plays.shown[:, reveal])
    return laws


def shown_labels(stream: TokenStream, plays: Plays) -> Ints:
    """[batch, reveals]: the label that each partial reveal shows.

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    refuse_full_reveals(stream.game)
    states = plays.states[:, plays.spacing - 1 :: plays.spacing][:, : plays.shown.shape[1]]
    items = np.take_along_axis(stream.game.holds[states], plays.shown[:, :, None], axis=2)[:, :, 0]
    return np.take_along_axis(plays.labels, items, axis=1)


def last_shown_labels(stream: TokenStream, plays: Plays) -> Ints:
    """[batch, reveals]: the label that the asked variable showed last, before it is shown again; at first the one that
    it started with.

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    shown = shown_labels(stream, plays)
    rows = np.arange(len(shown))
    start = np.tile(stream.game.holds[stream.game.start], (len(shown), 1))
    latest = np.take_along_axis(plays.labels, start, axis=1)  # [batch, variables]
    guesses = np.empty_like(shown)
    for reveal in range(shown.shape[1]):
        variable = plays.shown[:, reveal]
        guesses[:, reveal] = latest[rows, variable]
        latest[rows, variable] = shown[:, reveal]
    return guesses


def refuse_full_reveals(game: Game) -> None:
    """Raises ValueError where the game's reveals show all variables at once: their law is not one of labels."""
    if game.shows_all:
        raise ValueError("expected reveals of one variable, got full ones; give --set task.reveals=partial")


def log_laws_at(logits: Tensor, places: Tensor, labels: Tensor) -> Floats:
    """[batch, ..., labels]: the model's log-probability of each label's token (``labels``, token ids) at each of the
    ``places`` [batch, ...] (positions of values), under the softmax over the whole vocabulary, in float64.

    ``logits`` [batch, time, vocabulary]: row t predicts token t + 1, so what stands before a place predicts it.
    """
    rows = torch.arange(len(logits), device=logits.device).view(-1, *[1] * (places.ndim - 1))
    return np.asarray(logits[rows, places - 1].double().log_softmax(-1)[..., labels].cpu().numpy())
