"""Who predicts reveals: a trained model, or a known answer (exact filter, filters that forget, copy, chance).

All answer the same question about the same sessions: what will each reveal show, given the text before it? So a model's
numbers and its baselines' come out of one measurement, and a baseline can stand in for a model in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import (
    Floats,
    Game,
    Ints,
    Plays,
    belief_after_action,
    belief_after_reveal,
    labelled,
    law_of_item,
    reveal_laws,
)
from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.train.models.language_model import SequenceModel

SMALLEST = 1e-30
ROWS_AT_ONCE = 16
MOST_TOKENS = 1 << 19
"""Tokens that one forward pass takes at most, over its rows."""


class Predictor(Protocol):
    """``name`` is what results call it."""

    @property
    def name(self) -> str:
        """Short and unique among those compared."""

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """[batch, reveals, labels]: the probability of each label at each reveal, given the text before it. May sum to
        less than 1: what is missing was given to texts that are no label, and counts against the predictor.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelPredictor:
    """One of our models, on the tokens of a stream with its own vocabulary."""

    name: str
    model: SequenceModel

    @torch.no_grad()
    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return np.exp(self.log_laws(stream, batch)).astype(np.float64)

    @torch.no_grad()
    def log_laws(self, stream: TokenStream, batch: Batch) -> Floats:
        """The logarithms of ``laws``, which don't underflow."""
        device = next(self.model.parameters()).device
        labels = torch.from_numpy(stream.label_tokens).to(device)
        was_training = self.model.training
        self.model.eval()
        found = []
        size = max(1, min(ROWS_AT_ONCE, MOST_TOKENS // max(1, batch.tokens.shape[1])))
        for first in range(0, len(batch.tokens), size):
            ids = torch.from_numpy(batch.tokens[first : first + size, :-1]).to(device)
            places = torch.from_numpy(batch.reveals[first : first + size, :, 0]).to(device)
            logits = self.model(input_ids=ids).logits
            at = torch.arange(len(ids), device=device)[:, None]
            told = logits[at, places - 1].double().log_softmax(-1)  # what stands before a token predicts it
            found.append(told[..., labels].cpu().numpy())
        self.model.train(was_training)
        return np.concatenate(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactFilter:
    """The truth: the game's own law, and so the floor of every loss and the ceiling of accuracy (Bayes)."""

    name: str = "exact filter"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return labelled(stream.game, plays, reveal_laws(stream.game, plays))


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFilter:
    """The exact filter that forgot everything older than ``window`` commands: at each reveal it is restarted from the
    uniform belief that many commands ago, and sees what was shown since. 0 knows nothing: no memory. How fast it nears
    the exact filter says how much memory the task asks for.
    """

    window: int

    @property
    def name(self) -> str:
        """See ``Predictor.name``."""
        return f"filter of {self.window} commands" if self.window else "no memory"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return labelled(stream.game, plays, window_laws(stream.game, plays, self.window))


@dataclass(frozen=True, slots=True, kw_only=True)
class LastShown:
    """Says again what this variable showed last (at first: what it started with), and is sure of it by ``confidence``;
    the rest is spread over the other labels. With ``confidence`` None it is the law of that share under the game's own
    mean, found from the sessions themselves.
    """

    confidence: float | None = None
    name: str = "last shown"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        game, count = stream.game, len(stream.labels)
        shown = shown_labels(stream, plays)
        held = np.take_along_axis(plays.labels, np.tile(game.holds[game.start], (len(shown), 1)), axis=1)
        guess = np.empty_like(shown)
        rows = np.arange(len(shown))
        for reveal in range(shown.shape[1]):
            variable = plays.shown[:, reveal]
            guess[:, reveal] = held[rows, variable]
            held[rows, variable] = shown[:, reveal]
        sure = float((guess == shown).mean()) if self.confidence is None else self.confidence
        law = np.full((*shown.shape, count), (1.0 - sure) / (count - 1))
        np.put_along_axis(law, guess[..., None], sure, axis=2)
        return law


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Every label alike: chance."""

    name: str = "chance"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        count = len(stream.labels)
        return np.full((*plays.shown.shape, count), 1.0 / count)


@dataclass(frozen=True, slots=True, kw_only=True)
class MostCommon:
    """The label that these sessions show most, with the labels' own frequencies as its law."""

    name: str = "most common"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        shown = shown_labels(stream, plays)
        counts = np.bincount(shown.ravel(), minlength=len(stream.labels))
        return np.tile(counts / counts.sum(), (*shown.shape, 1))


def baselines() -> list[Any]:
    """What stands beside every number of a task: the floor, the ceilings, and three that track nothing."""
    return [ExactFilter(), Uniform(), MostCommon(), LastShown(), WindowFilter(window=0)]


def shown_labels(stream: TokenStream, plays: Plays) -> Ints:
    """[batch, reveals]: the label that each partial reveal shows.

    Raises:
        ValueError: the game's reveals show all variables at once.
    """
    if stream.game.shows_all:
        raise ValueError("expected reveals of one variable, got full ones; give --set task.reveals=partial")
    states = plays.states[:, plays.spacing - 1 :: plays.spacing][:, : plays.shown.shape[1]]
    items = np.take_along_axis(stream.game.holds[states], plays.shown[:, :, None], axis=2)[:, :, 0]
    return np.take_along_axis(plays.labels, items, axis=1)


def window_laws(game: Game, plays: Plays, window: int) -> Floats:
    """[batch, reveals, items]: at each reveal, the law of a filter restarted from uniform ``window`` commands before.

    What is seen from there on: the actions, and every reveal after the restart. Near the start, where fewer commands
    have passed, the start is known.
    """
    if game.shows_all:
        raise ValueError("expected reveals of one variable, got full ones; give --set task.reveals=partial")
    batch, num_states = len(plays.actions), len(game.holds)
    found = np.zeros((batch, plays.shown.shape[1], len(game.items)))
    for reveal in range(plays.shown.shape[1]):
        end = (reveal + 1) * plays.spacing
        fresh = np.eye(num_states)[game.start] if end <= window else np.full(num_states, 1.0 / num_states)
        belief = np.tile(fresh, (batch, 1))
        for step in range(max(0, end - window), end):
            belief = belief_after_action(game, belief, plays.actions[:, step])
            if (step + 1) % plays.spacing == 0 and step + 1 < end:
                belief = belief_after_reveal(game, belief, plays, (step + 1) // plays.spacing - 1)
        found[:, reveal] = law_of_item(game, belief, plays.shown[:, reveal])
    return found


PREDICTORS: dict[str, Callable[[], Any]] = {
    "exact filter": ExactFilter,
    "chance": Uniform,
    "most common": MostCommon,
    "last shown": LastShown,
    "no memory": lambda: WindowFilter(window=0),
}
"""The known answers by name. A test holds every member to the same contract."""
