"""Laws of reveals: for each reveal of each session, the probability of each label that it may show.

A law is conditioned on all text before its reveal. Arrays are [batch, reveals, labels] in float64; the labels are those
of ``TokenStream.labels``. The exact laws come from the game's own filter, which conditions its belief on each reveal.
A predictor's law may sum to less than 1: the rest is the probability that it gives to texts that aren't labels.
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
"""Smallest probability that a logarithm is taken of, -69 nats: a wrong certainty costs much, but no infinity."""


def logs(law: Floats) -> Floats:
    """Take the logarithm, in nats, of a law of any shape; 0 counts as ``SMALLEST``."""
    return np.asarray(np.log(np.maximum(law, SMALLEST)))


def exact_laws(game: Game, plays: Plays) -> Floats:
    """Compute the exact law of each partial reveal, [batch, reveals, labels], given the text before it."""
    return labelled(game, plays, reveal_laws(game, plays))


def joint_beliefs(game: Game, plays: Plays) -> Floats:
    """Compute the exact joint belief about all variables before each reveal, [batch, reveals, states]."""
    beliefs = np.zeros((*plays.shown.shape, len(game.holds)))
    for reveal, belief in enumerate(beliefs_before_reveals(game, plays)):
        beliefs[:, reveal] = belief
    return beliefs


def window_laws(game: Game, plays: Plays, window: int) -> Floats:
    """Compute the laws of a filter that remembers ``window`` commands, [batch, reveals, items].

    At each reveal it is restarted from the uniform belief ``window`` commands before, and takes in the commands and
    reveals since. Where no more than ``window`` commands have passed it starts from the true start.

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    refuse_full_reveals(game)
    num_states = len(game.holds)
    laws = np.zeros((*plays.shown.shape, len(game.items)))
    for reveal in range(plays.shown.shape[1]):
        end = (reveal + 1) * plays.spacing
        restart = np.eye(num_states)[game.start] if end <= window else np.full(num_states, 1.0 / num_states)
        belief = np.tile(restart, (len(plays.actions), 1))
        beliefs = beliefs_before_reveals(game, plays, belief=belief, first=max(0, end - window), last=end)
        # The last is the belief before this reveal, those before it before earlier reveals in the window. A window of 0
        # has none.
        last = deque(beliefs, maxlen=1)
        laws[:, reveal] = law_of_item(game, last[0] if last else belief, plays.shown[:, reveal])
    return laws


def shown_labels(stream: TokenStream, plays: Plays) -> Ints:
    """Find the label that each partial reveal shows, [batch, reveals].

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    refuse_full_reveals(stream.game)
    # the state after every ``spacing`` commands; commands after the last reveal are left out
    states = plays.states[:, plays.spacing - 1 :: plays.spacing][:, : plays.shown.shape[1]]
    items = np.take_along_axis(stream.game.holds[states], plays.shown[:, :, None], axis=2)[:, :, 0]
    return np.take_along_axis(plays.labels, items, axis=1)


def last_shown_labels(stream: TokenStream, plays: Plays) -> Ints:
    """Find the label that the variable of each reveal showed before, [batch, reveals].

    For a variable that wasn't shown yet it is the label that it started with, which the text says too.

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    shown = shown_labels(stream, plays)
    # `latest` is what a reader of the text knows: the start is written there, then each reveal.
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
    """Refuse games whose reveals show all variables at once: the law of a reveal is then not one of labels.

    Raises:
        ValueError: the game is one of these.
    """
    if game.shows_all:
        raise ValueError("expected reveals of one variable, got full ones; give --set task.reveals=partial")


def log_laws_at(logits: Tensor, places: Tensor, labels: Tensor) -> Floats:
    """Compute a model's log-probabilities of labels at given places, [batch, ..., labels] in float64.

    The softmax is over the whole vocabulary: labels get less than 1 together.

    Args:
        logits: [batch, time, vocabulary]; row t predicts token t + 1.
        places: [batch, ...], positions of the tokens that show values.
        labels: [labels], the token of each label.
    """
    rows = torch.arange(len(logits), device=logits.device).view(-1, *[1] * (places.ndim - 1))
    # places - 1: the token before a place predicts it
    return np.asarray(logits[rows, places - 1].double().log_softmax(-1)[..., labels].cpu().numpy())
