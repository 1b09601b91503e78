"""The sessions that predictors are asked about: plays, their tokens, and the exact law of every reveal.

Made once for all predictors that are compared: sessions depend on settings and indices alone, never on who is asked.
"""

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
    """Sessions of one size with the answers to their reveals.

    Attributes:
        stream: the stream that made ``batch`` out of ``plays``.
        exact: [batch, reveals, labels], the law of each reveal given the text before it.
        shown: [batch, reveals], the label that each reveal showed.

    Raises:
        ValueError: the arrays disagree in their numbers of sessions, reveals or labels.
    """

    stream: TokenStream
    plays: Plays
    batch: Batch
    exact: Floats
    shown: Ints

    def __post_init__(self) -> None:
        expected = (*self.plays.shown.shape, len(self.stream.labels))
        if self.exact.shape != expected or self.shown.shape != expected[:2] or len(self.batch.tokens) != expected[0]:
            got = f"exact {self.exact.shape}, shown {self.shown.shape}, {len(self.batch.tokens)} rows of tokens"
            raise ValueError(f"expected sessions, reveals and labels {expected}, got {got}; use sessions_from")

    @property
    def commands(self) -> int:
        """The number of commands of a session, without its reveals."""
        return int(self.plays.actions.shape[1])

    @property
    def entropy(self) -> Floats:
        """The entropy of each exact law in nats, [batch, reveals]: 0 where nothing is uncertain."""
        return scores.entropy(self.exact)

    def laws_of(self, predictor: Predictor) -> Floats:
        """Ask a predictor about these sessions; return its laws [batch, reveals, labels]."""
        return predictor.laws(self.stream, self.plays, self.batch)


def sessions_of(batches: TaskBatches, *, commands: int, spacing: int, rows: int, split: str = "test") -> Sessions:
    """Make the first ``rows`` sessions of a split with ``commands`` commands and a reveal every ``spacing``.

    Raises:
        ValueError: the game's reveals show all variables at once, or the split has no session of this size.
    """
    # Rows 0 to rows - 1 of the split: the same sessions for every model, checkpoint and machine.
    stream = batches.stream(commands, spacing, split)
    plays = joined(list(batches.task.plays(range(rows), seed=stream.seed, split=split, stage=stream.stage)))
    return sessions_from(stream, plays)


def sessions_from(stream: TokenStream, plays: Plays) -> Sessions:
    """Make sessions of plays, which needn't come from the stream's own task: retention and adversaries make theirs."""
    shown = shown_labels(stream, plays)
    exact = exact_laws(stream.game, plays)
    return Sessions(stream=stream, plays=plays, batch=stream.batch_of(plays), exact=exact, shown=shown)
