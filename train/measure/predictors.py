"""Who predicts reveals: a trained model, or a known answer (exact filter, filters that forget, copy, chance).

All answer the same question about the same sessions: what will each reveal show, given the text before it? So a model's
numbers and its baselines' come out of one measurement, and a baseline can stand in for a model in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from trace_mine.corpus.synthetic.game import Floats, Ints, Plays, labelled
from trace_mine.corpus.synthetic.stream import Batch, TokenStream
from trace_mine.train.measure.laws import exact_laws, last_shown_labels, log_laws_at, shown_labels, window_laws
from trace_mine.train.measure.tokens import evaluating
from trace_mine.train.models.language_model import SequenceModel

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

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return np.exp(self.log_laws(stream, batch)).astype(np.float64)

    def log_laws(self, stream: TokenStream, batch: Batch) -> Floats:
        """The logarithms of ``laws``, which don't underflow."""
        parts = []
        size = max(1, min(ROWS_AT_ONCE, MOST_TOKENS // max(1, batch.tokens.shape[1])))
        with evaluating(self.model) as device:
            labels = torch.from_numpy(stream.label_tokens).to(device)
            for first in range(0, len(batch.tokens), size):
                ids = torch.from_numpy(batch.tokens[first : first + size, :-1]).to(device)
                places = torch.from_numpy(batch.reveals[first : first + size, :, 0]).to(device)
                parts.append(log_laws_at(self.model(input_ids=ids).logits, places, labels))
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactFilter:
    """The truth: the game's own law, and so the floor of every loss and the ceiling of accuracy (Bayes)."""

    name: str = "exact filter"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return exact_laws(stream.game, plays)


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
        shown, guess = shown_labels(stream, plays), last_shown_labels(stream, plays)
        count = len(stream.labels)
        sure = copying_accuracy(guess, shown) if self.confidence is None else self.confidence
        law = np.full((*shown.shape, count), (1.0 - sure) / (count - 1))
        np.put_along_axis(law, guess[..., None], sure, axis=2)
        return law


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Every label alike: chance."""

    name: str = "chance"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return np.full((*plays.shown.shape, len(stream.labels)), chance(stream))


@dataclass(frozen=True, slots=True, kw_only=True)
class MostCommon:
    """The label that these sessions show most, with the labels' own frequencies as its law."""

    name: str = "most common"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        shown = shown_labels(stream, plays)
        counts = np.bincount(shown.ravel(), minlength=len(stream.labels))
        return np.tile(counts / counts.sum(), (*shown.shape, 1))


def chance(stream: TokenStream) -> float:
    """The accuracy of holding all labels for alike: one over their number (in full reveals: for each value)."""
    return 1.0 / len(stream.labels)


def copying_accuracy(guess: Ints, shown: Ints) -> float:
    """The share of reveals that show the label guessed, [batch, reveals] each: of saying again what was shown last."""
    return float((guess == shown).mean())


PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "exact filter": ExactFilter,
    "chance": Uniform,
    "most common": MostCommon,
    "last shown": LastShown,
    "no memory": lambda: WindowFilter(window=0),
}
"""The known answers by name. A test holds every member to the same contract."""


def baselines() -> list[Predictor]:
    """What stands beside every number of a task: the floor, the ceilings, and three that track nothing."""
    return [make() for make in PREDICTORS.values()]
