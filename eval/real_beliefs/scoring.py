"""Answers beside exact laws: KL, top-1, calibration and mass, for each rung and along what makes a question hard.

A program counts as one number, the mean over its questions: variants and reveals of one function are alike, and
intervals over questions would be too narrow. Games have no program, and each session is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.real_beliefs.asking import ModelAnswer
from trace_mine.eval.real_beliefs.questions import RevealQuestion
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.train.measure import scores
from trace_mine.train.measure.laws import logs

BIT_EDGES = (0.0, 0.5, 1.0, 2.0, 6.1)
"""Bins of a law's entropy in bits; 64 outcomes have 6 at most."""
EDIT_EDGES = (0, 1, 2, 3, 5)
DISTANCE_EDGES = (1, 3, 9, 33, 1 << 20)
"""Bins of the commands since the last open reveal."""
LENGTH_EDGES = (1, 4, 9, 1 << 20)
"""Bins of the characters of the longest outcome: a model's probability of a long text is a product of many."""
MEMORY = "memory"
MEMORY_EDGES = (0, 1, 2, 5, 17, 1 << 20)
"""Bins of the commands that must be remembered; 17 stands for more than 16."""
CONFIDENCE_BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    question: RevealQuestion
    kl: float
    top: float
    mass: float
    law: Floats


def score(questions: Sequence[RevealQuestion], answers: Iterable[ModelAnswer], **who: Where) -> list[Result]:
    """Score one predictor's answers to the questions of one rung.

    Returns:
        ``KL among outcomes`` in nats and ``top-1 among outcomes`` over all questions (``place`` is "") and by bins of
        entropy, edits, distance, length of the outcomes and memory needed; ``calibration error``, over all and by
        entropy; ``mass on outcomes`` and the share ``answered``, where the predictor has a mass.

    Raises:
        ValueError: there is no question, or not an answer for each.
    """
    if not questions:
        raise ValueError("expected questions, got none; make the benchmark with another --size")
    scored = [_score(*pair) for pair in zip(questions, answers, strict=True)]
    rung: dict[str, Where] = {**who, "task": f"real-beliefs {questions[0].rung}"}
    results: list[Result] = []
    for place, at, part in _parts(scored):
        where: dict[str, Where] = {**rung, "place": place, "at": at}
        results.append(_mean("KL among outcomes", part, lambda each: each.kl, unit="nats", **where))
        results.append(_mean("top-1 among outcomes", part, lambda each: each.top, unit="share", **where))
        if place == "" or place.startswith("bits"):
            error = calibration_error(
                [each.law for each in part], [np.array(each.question.law) for each in part], CONFIDENCE_BINS
            )
            results.append(number("calibration error", error, unit="share", count=len(part), **where))
    if not all(np.isnan(each.mass) for each in scored):
        answered = [each for each in scored if not np.isnan(each.mass)]
        results.append(_mean("mass on outcomes", answered, lambda each: each.mass, unit="share", **rung))
        results.append(number("answered", len(answered) / len(scored), unit="share", count=len(scored), **rung))
    return results


def calibration_error(laws: Sequence[Floats], exact: Sequence[Floats], bins: int) -> float:
    """The expected distance between the probabilities that a predictor gives and the exact ones of the same outcomes.

    Every outcome of every question is put into one of ``bins`` equal bins by the predictor's probability. The error is
    the mean over bins, each by its number of outcomes, of the distance of the two mean probabilities. Against exact
    laws, not against what happened: that takes a hundredth of the questions.

    >>> calibration_error([np.array([0.9, 0.1])], [np.array([0.6, 0.4])], 10)
    0.3
    """
    given, true = np.concatenate([*laws]), np.concatenate([*exact])
    places: NDArray[np.int64] = np.minimum((given * bins).astype(np.int64), bins - 1)
    error = 0.0
    for place in range(bins):
        inside = places == place
        if inside.any():
            error += inside.mean() * abs(given[inside].mean() - true[inside].mean())
    return round(float(error), 12)


def _score(question: RevealQuestion, answer: ModelAnswer) -> _Scored:
    exact = np.array(question.law)
    if answer.law.shape != exact.shape:
        raise ValueError(f"expected a probability for each of {len(exact)} outcomes, got {answer.law.shape}")
    return _Scored(
        question=question,
        kl=float(scores.kl(exact, logs(answer.law))),
        # how often its likeliest outcome is the exact law's
        top=float(scores.agreement(exact, answer.law)),
        mass=answer.mass,
        law=answer.law,
    )


def _parts(scored: Sequence[_Scored]) -> list[tuple[str, float, Sequence[_Scored]]]:
    """All, and each bin that has questions: place, its lower edge, its questions."""
    parts: list[tuple[str, float, Sequence[_Scored]]] = [("", float("nan"), scored)]
    for name, edges, value in (
        ("bits", BIT_EDGES, lambda each: each.bits),
        ("edits", EDIT_EDGES, lambda each: each.edits),
        ("distance", DISTANCE_EDGES, lambda each: each.distance),
        ("characters", LENGTH_EDGES, lambda each: max(map(len, each.outcomes))),
        (MEMORY, MEMORY_EDGES, lambda each: each.memory),
    ):
        measure: Callable[[RevealQuestion], float] = value
        for low, high in pairwise(edges):
            part = [each for each in scored if low <= measure(each.question) < high]
            if part:
                parts.append((f"{name} from {low:g}", float(low), part))
    return parts


def _mean(metric: str, part: Sequence[_Scored], of: Callable[[_Scored], float], **where: Where) -> Result:
    """The mean over programs of each program's mean over its questions."""
    groups: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for each in part:
        question = each.question
        groups[question.repository, question.program or question.name.partition(":")[0]].append(of(each))
    return measured(metric, np.array([np.mean(group) for group in groups.values()]), **where)
