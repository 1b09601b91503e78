"""The sessions that predictors are measured on: plays, their tokens, and the exact law of every reveal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trace_mine.corpus.synthetic.game import Floats, Ints, Plays, labelled, reveal_laws
from trace_mine.corpus.synthetic.stream import Batch, TokenStream, joined
from trace_mine.eval.predictors import Predictor, shown_labels
from trace_mine.train.batches import SyntheticSource


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sessions:
    """``exact`` [batch, reveals, labels]: the law of each reveal given the text before it; ``shown`` [batch, reveals]:
    the label that it showed.
    """

    stream: TokenStream
    plays: Plays
    batch: Batch
    exact: Floats
    shown: Ints

    @property
    def commands(self) -> int:
        """Commands of a session, reveals not among them."""
        return int(self.plays.actions.shape[1])

    @property
    def entropy(self) -> Floats:
        """[batch, reveals] in nats, of the exact laws: 0 where nothing is uncertain."""
        return -(self.exact * np.log(np.clip(self.exact, 1e-300, 1.0))).sum(-1)

    def laws_of(self, predictor: Predictor) -> Floats:
        """The predictor's laws on these."""
        return predictor.laws(self.stream, self.plays, self.batch)


def sessions_of(source: SyntheticSource, *, commands: int, spacing: int, rows: int, split: str = "test") -> Sessions:
    """``rows`` sessions of one size of the split: the same ones for every predictor.

    Raises:
        ValueError: the game's reveals show all variables at once, or the split has no session of this size.
    """
    stream = source.stream(commands, spacing, split)
    plays = joined(list(source.task.plays(range(rows), seed=stream.seed, split=split, stage=stream.stage)))
    return told_of(stream, plays)


def told_of(stream: TokenStream, plays: Plays) -> Sessions:
    """These plays as sessions, whoever made them."""
    exact = labelled(stream.game, plays, reveal_laws(stream.game, plays))
    shown = shown_labels(stream, plays)
    return Sessions(stream=stream, plays=plays, batch=stream.batch_of(plays), exact=exact, shown=shown)
