"""Answers that need no model: the ladder's baselines, and the exact law itself.

Each is a function of a question, and of questions of the training set where it counts something there. An answer is a
law over the question's outcomes, [outcomes], which sums to 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.real_beliefs.questions import RevealQuestion

Answer = Callable[[RevealQuestion], Floats]
"""RevealQuestion -> law over its outcomes."""


def exact(question: RevealQuestion) -> Floats:
    """The law of the exact filter: the best that a predictor can do."""
    return np.array(question.law)


def alike(question: RevealQuestion) -> Floats:
    """All outcomes alike: the guess of who knows what could come, and nothing else."""
    return np.full(len(question.outcomes), 1 / len(question.outcomes))


@dataclass(frozen=True, slots=True)
class Frequency:
    """Each outcome as often as its text was the answer of a training question, counted from one.

    Among ``True`` and ``False`` that is how often such reveals show True, among numbers how usual each is.
    """

    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, training: Sequence[RevealQuestion]) -> Frequency:
        """Count the answers of training questions."""
        return cls(Counter(question.outcomes[question.shown] for question in training))

    def __call__(self, question: RevealQuestion) -> Floats:
        """Return the law over the question's outcomes."""
        counts = np.array([1.0 + self.counts[outcome] for outcome in question.outcomes])
        return np.asarray(counts / counts.sum())


@dataclass(frozen=True, slots=True)
class LastOutcome:
    """The outcome that the text showed last, with the confidence that training questions bear out.

    Attributes:
        share: how often, among training questions in whose text an outcome was shown before, the last one was right.
    """

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"expected a share between 0 and 1, got {self.share}; count it from one")

    @classmethod
    def of(cls, training: Sequence[RevealQuestion]) -> LastOutcome:
        """Count how often the last outcome shown was right, from one hit and one miss."""
        last = [(question, last_shown(question)) for question in training]
        hits = [index == question.shown for question, index in last if index is not None]
        return cls((1 + sum(hits)) / (2 + len(hits)))

    def __call__(self, question: RevealQuestion) -> Floats:
        """Return the law; all outcomes alike where none of them was shown before."""
        index = last_shown(question)
        if index is None:
            return alike(question)
        law = np.full(len(question.outcomes), (1 - self.share) / (len(question.outcomes) - 1))
        law[index] = self.share
        return law


def last_shown(question: RevealQuestion) -> int | None:
    """The index of the outcome that an output of the text showed last; None where no output shows one.

    >>> from trace_mine.eval.real_beliefs.questions import RevealQuestion, RoleSpan
    >>> segments = (RoleSpan(start=0, end=5, role="value", step=0), RoleSpan(start=5, end=6, role="prompt", step=1))
    >>> last_shown(RevealQuestion(name="a", rung="games", repository="", program="", text="True\\n>", segments=segments,
    ...     ending="", outcomes=("False", "True"), law=(0.5, 0.5), shown=0, edits=0, distance=1))
    1
    """
    for segment in reversed(question.segments):
        if segment.role == "value":
            value = question.text[segment.start : segment.end].removesuffix("\n")
            if value in question.outcomes:
                return question.outcomes.index(value)
    return None


def after_window(question: RevealQuestion, window: int) -> Floats | None:
    """The law of the exact filter that has seen the outputs of the last ``window`` commands, among the question's
    outcomes; None where the benchmark doesn't have it.
    """
    for each in question.windows:
        if each.commands == window:
            return np.array(each.law)
    return None


def baselines(training: Sequence[RevealQuestion]) -> dict[str, Answer]:
    """The answers by name, the exact filter last."""
    return {
        "outcomes alike": alike,
        "frequency": Frequency.of(training),
        "last shown": LastOutcome.of(training),
        "exact filter": exact,
    }
