"""The sessions that predictors are asked about: plays, their tokens, and the exact law of every reveal."""

from __future__ import annotations

from dataclasses import dataclass

from trace_mine.corpus.synthetic.game import Floats, Ints, Plays
from trace_mine.corpus.synthetic.stream import Batch, TokenStream, joined
from trace_mine.train.batches import TaskBatches
from trace_mine.train.measure import scores
from trace_mine.train.measure.laws import exact_laws, shown_labels
from trace_mine.train.measure.predictors import Predictor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sessions:
    """``stream`` made the ``batch`` of tokens out of ``plays``. ``exact`` [batch, reveals, labels]: the law of each
    reveal given the text before it; ``shown`` [batch, reveals]: the label that it showed.
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
        return scores.entropy(self.exact)

    def laws_of(self, predictor: Predictor) -> Floats:
        """The predictor's laws on these."""
        return predictor.laws(self.stream, self.plays, self.batch)


def sessions_of(batches: TaskBatches, *, commands: int, spacing: int, rows: int, split: str = "test") -> Sessions:
    """``rows`` sessions of one size of the split: the same ones for every predictor.

    Raises:
        ValueError: the game's reveals show all variables at once, or the split has no session of this size.
    """
    stream = batches.stream(commands, spacing, split)
    plays = joined(list(batches.task.plays(range(rows), seed=stream.seed, split=split, stage=stream.stage)))
    return sessions_from(stream, plays)


def sessions_from(stream: TokenStream, plays: Plays) -> Sessions:
    """These plays as sessions, whoever made them."""
    shown = shown_labels(stream, plays)
    exact = exact_laws(stream.game, plays)
    return Sessions(stream=stream, plays=plays, batch=stream.batch_of(plays), exact=exact, shown=shown)
