"""Models that answer questions: finished runs of ours, and any local causal language model.

A model reads a question's text and gives each outcome's text a probability. Two numbers come of that: the law over the
outcomes, divided by its sum, and the sum itself, which says how much the model gave to texts that can't come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.hf import HFPredictor
from trace_mine.eval.real_beliefs.predictors import after_window, alike
from trace_mine.eval.real_beliefs.questions import RevealQuestion
from trace_mine.eval.subjects import Subject
from trace_mine.train.batches import DatasetBatches
from trace_mine.train.measure.text_beliefs import outcome_logs


@dataclass(frozen=True, slots=True, eq=False)
class ModelAnswer:
    """A model's answer to one question.

    Attributes:
        law: over the question's outcomes [outcomes], with sum 1.
        mass: probability of all outcomes together before the division; nan where the question was not answered.
    """

    law: Floats
    mass: float


UNANSWERED = float("nan")


def answers_of_run(subject: Subject, questions: Sequence[RevealQuestion]) -> Iterator[ModelAnswer]:
    """Ask a run of ours, by its own tokenizer.

    Raises:
        ValueError: the run was trained on a task alone, whose tokenizer knows no other texts.
    """
    if not isinstance(subject.batches, DatasetBatches):
        raise ValueError(
            f"expected a run with an open vocabulary, got {subject.run}, trained on {subject.settings.task} alone; "
            "train one on a dataset (trace-train mined --set dataset=...)"
        )
    tokenizer = subject.batches.tokenizer
    for question in questions:
        segments = [
            {"start": each.start, "end": each.end, "role": each.role, "step": each.step} for each in question.segments
        ]
        texts = [outcome + question.ending for outcome in question.outcomes]
        yield _answer(outcome_logs(subject.model, tokenizer, {"text": question.text, "segments": segments}, texts))


def answers_of_model(model: HFPredictor, questions: Sequence[RevealQuestion]) -> Iterator[ModelAnswer]:
    """Ask a local model by its own tokenizer. A question that its context is too short for counts as not answered: its
    law holds all outcomes for alike.
    """
    for question in questions:
        texts = [outcome + question.ending for outcome in question.outcomes]
        if not model.fits(question.text + max(texts, key=len)):
            yield ModelAnswer(np.full(len(texts), 1 / len(texts)), UNANSWERED)
            continue
        yield _answer(model.outcome_logs(question.text, texts))


def answer_of_window(question: RevealQuestion, window: int) -> ModelAnswer:
    """The answer of the exact filter that begins ``window`` commands before the question; not answered where its law
    was not to be had in full.
    """
    law = after_window(question, window)
    if law is None:
        return ModelAnswer(alike(question), UNANSWERED)
    return ModelAnswer(np.asarray(law / law.sum()), float(law.sum()))


def _answer(logs: Floats) -> ModelAnswer:
    """The answer that the log-probabilities of the outcomes [outcomes] give."""
    # divided in logarithms: probabilities of long texts are tiny, and would all be 0
    shares = np.exp(logs - logs.max())
    return ModelAnswer(np.asarray(shares / shares.sum()), float(np.exp(logs).sum()))
