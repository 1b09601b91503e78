"""Predictors of reveals: trained models and known answers (the exact filter, filters that forget, copying, chance).

All answer one question about the same sessions: what will each reveal show, given the text before it? So the numbers
of models and baselines come out of one measurement, and tests measure a baseline in the place of a model.
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
"""Rows of one forward pass, if ``MOST_TOKENS`` allows so many."""

MOST_TOKENS = 1 << 19
"""Tokens of one forward pass, over all its rows: long sessions go fewer at a time, for their logits have to fit."""


class Predictor(Protocol):
    """Anything that answers with a law of each reveal."""

    @property
    def name(self) -> str:
        """The name in results: short, and unique among those compared."""

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """Return the probability of each label at each reveal, given the text before it, [batch, reveals, labels].

        A law may sum to less than 1: the rest was given to texts that aren't labels, and counts against the predictor.

        Args:
            stream: the stream that made the batch; it knows the game and the labels.
            plays: the sessions in tables.
            batch: the same sessions as tokens.
        """


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelPredictor:
    """One of our models, on the tokens of a stream with its own vocabulary."""

    name: str
    model: SequenceModel

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        # float64: the exact laws are, and 1e-9 decides ties (scores.TIES)
        return np.exp(self.log_laws(stream, batch)).astype(np.float64)

    def log_laws(self, stream: TokenStream, batch: Batch) -> Floats:
        """Return the logarithms of ``laws``, which don't underflow where the laws would."""
        parts = []
        size = max(1, min(ROWS_AT_ONCE, MOST_TOKENS // max(1, batch.tokens.shape[1])))
        with evaluating(self.model) as device:
            labels = torch.from_numpy(stream.label_tokens).to(device)
            for first in range(0, len(batch.tokens), size):
                ids = torch.from_numpy(batch.tokens[first : first + size, :-1]).to(device)
                # [..., 0]: a partial reveal shows a single value
                places = torch.from_numpy(batch.reveals[first : first + size, :, 0]).to(device)
                parts.append(log_laws_at(self.model(input_ids=ids).logits, places, labels))
        return np.concatenate(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactFilter:
    """The exact law: the floor of every loss and the ceiling of accuracy, on average over sessions."""

    name: str = "exact filter"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return exact_laws(stream.game, plays)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFilter:
    """The exact filter with a memory of ``window`` commands; 0 means no memory at all (see ``laws.window_laws``).

    The window at which it comes near the exact filter tells how much memory a task asks for.

    Raises:
        ValueError: the window is negative.
    """

    window: int

    def __post_init__(self) -> None:
        if self.window < 0:
            raise ValueError(f"expected window >= 0, got {self.window}; give a number of commands")

    @property
    def name(self) -> str:
        """See ``Predictor.name``."""
        return f"filter of {self.window} commands" if self.window else "no memory"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return labelled(stream.game, plays, window_laws(stream.game, plays, self.window))


@dataclass(frozen=True, slots=True, kw_only=True)
class LastShown:
    """Repeats the label that the variable showed last (at first: its start), and spreads the rest over the others.

    ``confidence`` is the probability of the repeated label; None takes the share of the sessions in which it is right,
    the best that this predictor could choose.

    Raises:
        ValueError: the confidence isn't a probability.
    """

    confidence: float | None = None
    name: str = "last shown"

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"expected confidence from 0 to 1, got {self.confidence}; give a probability or None")

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        shown, guess = shown_labels(stream, plays), last_shown_labels(stream, plays)
        count = len(stream.labels)
        p_repeated = copying_accuracy(guess, shown) if self.confidence is None else self.confidence
        law = np.full((*shown.shape, count), (1.0 - p_repeated) / (count - 1))
        np.put_along_axis(law, guess[..., None], p_repeated, axis=2)
        return law


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Gives every label the same probability: chance."""

    name: str = "chance"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        return np.full((*plays.shown.shape, len(stream.labels)), chance(stream))


@dataclass(frozen=True, slots=True, kw_only=True)
class MostCommon:
    """Answers every reveal with the labels' frequencies in the sessions that it is asked about."""

    name: str = "most common"

    def laws(self, stream: TokenStream, plays: Plays, batch: Batch) -> Floats:
        """See ``Predictor.laws``."""
        shown = shown_labels(stream, plays)
        # minlength: a label that no session shows has a probability of 0, and a place
        counts = np.bincount(shown.ravel(), minlength=len(stream.labels))
        return np.tile(counts / counts.sum(), (*shown.shape, 1))


def chance(stream: TokenStream) -> float:
    """Return the accuracy of chance: one over the number of labels, in full reveals for each value."""
    return 1.0 / len(stream.labels)


def copying_accuracy(guess: Ints, shown: Ints) -> float:
    """Return the share of reveals [batch, reveals] that show the label guessed [batch, reveals]."""
    return float((guess == shown).mean())


PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "exact filter": ExactFilter,
    "chance": Uniform,
    "most common": MostCommon,
    "last shown": LastShown,
    "no memory": lambda: WindowFilter(window=0),
}
"""The known answers: name -> a function that makes one. A test checks the laws of each."""


def baselines() -> list[Predictor]:
    """Return a predictor of each kind in ``PREDICTORS``, to be reported beside every model of a task."""
    return [make() for make in PREDICTORS.values()]
