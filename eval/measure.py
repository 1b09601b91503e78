"""Accuracy and belief metrics of any predictor on any sessions, as results with intervals over sequences.

KL is KL(exact || predictor) in nats at a reveal, given the text before it; total variation in [0, 1]; ``bayes
accuracy``: the share of reveals that an argmax gets right; ``top-1``: the share where the predictor's likeliest label
is among the exact law's likeliest; the calibration error weighs, over bins of confidence, |confidence - hit rate|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.corpus.synthetic.tasks import told as told_task
from trace_mine.eval.predictors import SMALLEST, Predictor
from trace_mine.eval.results import Result, interval, measured
from trace_mine.eval.sessions import Sessions

BINS = 10
ENTROPY_EDGES = (0.0, 0.05, 0.3, 0.6, 0.9, 10.0)
"""Nats; log 3 is 1.099."""
AGES = {(1, 1): "1 ago", (2, 2): "2 ago", (3, 4): "3 to 4 ago", (5, 8): "5 to 8 ago", (9, 1 << 30): "9 ago or more"}
"""Reveals since the asked variable was shown, and what results call them."""
TIES = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """What one predictor did at every reveal, [batch, reveals] each: ``hits`` (0 or 1; ties shared), ``told_loss``
    (-log of what was shown), ``kl``, ``variation``, ``agrees`` (top-1), ``confidence`` (of its likeliest label).
    """

    hits: Floats
    told_loss: Floats
    kl: Floats
    variation: Floats
    agrees: Floats
    confidence: Floats


def score(exact: Floats, law: Floats, shown: Any) -> Scores:
    """Scores of a predictor's law [batch, reveals, labels] where the exact one is ``exact`` and ``shown`` came.

    Labels that tie for the likeliest share a hit, so that no label gains by its place in the list.
    """
    best = law >= law.max(-1, keepdims=True) - TIES
    told = np.take_along_axis(law, shown[..., None], axis=2)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = exact * (np.log(np.maximum(exact, SMALLEST)) - np.log(np.maximum(law, SMALLEST)))
    likeliest = exact >= exact.max(-1, keepdims=True) - TIES
    return Scores(
        hits=np.take_along_axis(best, shown[..., None], axis=2)[..., 0] / best.sum(-1),
        told_loss=-np.log(np.maximum(told, SMALLEST)),
        kl=np.where(exact > 0, terms, 0.0).sum(-1),
        variation=0.5 * (np.abs(exact - law).sum(-1) + np.maximum(0.0, 1.0 - law.sum(-1))),
        agrees=(best & likeliest).sum(-1) / best.sum(-1),
        confidence=law.max(-1),
    )


def accuracy(sessions: Sessions, predictor: Predictor, **where: Any) -> list[Result]:
    """Accuracy over all reveals, of the last one, and of each reveal by its number."""
    hits = score(sessions.exact, sessions.laws_of(predictor), sessions.shown).hits
    told = _where(sessions, where)
    found = [
        measured("accuracy", hits, unit="share", **told),
        measured("accuracy of the last reveal", hits[:, -1:], unit="share", **told),
    ]
    for reveal in range(hits.shape[1]):
        place = f"reveal {reveal + 1}"
        at = (reveal + 1) * sessions.plays.spacing
        found.append(measured("accuracy by reveal", hits[:, [reveal]], unit="share", **told, place=place, at=at))
    return found


def beliefs(sessions: Sessions, predictor: Predictor, **where: Any) -> list[Result]:
    """KL, total variation, top-1 and losses over all reveals; KL by commands (quarters), by reveals since the asked
    variable was shown, and by the entropy of the exact law; calibration with its reliability diagram's points.
    """
    law = sessions.laws_of(predictor)
    scores = score(sessions.exact, law, sessions.shown)
    told = _where(sessions, where)
    found = [
        measured("belief KL", scores.kl, unit="nats", **told),
        measured("total variation", scores.variation, unit="share", **told),
        measured("top-1", scores.agrees, unit="share", **told),
        measured("accuracy", scores.hits, unit="share", **told),
        measured("loss of reveals", scores.told_loss, unit="nats", **told),
        measured("entropy of the exact law", sessions.entropy, unit="nats", **told),
    ]
    quarters = np.array_split(np.arange(scores.kl.shape[1]), min(4, scores.kl.shape[1]))
    for number, places in enumerate(quarters):
        place = f"quarter {number + 1}"
        at = float((places[-1] + 1) * sessions.plays.spacing)
        found.append(measured("belief KL by commands", scores.kl[:, places], unit="nats", **told, place=place, at=at))
    age = reveals_since(sessions)
    for low, high in AGES:
        found += _within("belief KL by reveals", scores.kl, (age >= low) & (age <= high), AGES[low, high], low, told)
    entropy = sessions.entropy
    for begin, end in pairwise(ENTROPY_EDGES):
        inside = (entropy >= begin) & (entropy < end)
        found += _within("belief KL by entropy", scores.kl, inside, f"from {begin:g} nats", begin, told)
    return found + calibration(scores.confidence, scores.hits, **told)


def calibration(confidence: Floats, hits: Floats, **told: Any) -> list[Result]:
    """The expected calibration error over ``BINS`` equal bins of confidence, and the hit rate of each bin that has
    reveals (its mean confidence is ``at``, their number ``count``). The error's interval resamples sequences.
    """
    edges = np.linspace(0.0, 1.0, BINS + 1)
    bins = np.clip(np.digitize(confidence, edges[1:-1]), 0, BINS - 1)

    def error(rows: Any) -> float:
        total, off = bins[rows].size, 0.0
        for each in range(BINS):
            inside = bins[rows] == each
            if inside.any():
                off += inside.sum() / total * abs(confidence[rows][inside].mean() - hits[rows][inside].mean())
        return float(off)

    generator = np.random.default_rng(0)
    count = len(confidence)
    drawn = [error(generator.integers(count, size=count)) for _ in range(200)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    whole = Result(
        metric="calibration error",
        value=error(np.arange(count)),
        unit="share",
        low=float(low),
        high=float(high),
        count=count,
        **told,
    )
    found = [whole]
    for each in range(BINS):
        inside = bins == each
        if inside.any():
            per_row = np.array([hits[r][inside[r]].mean() if inside[r].any() else np.nan for r in range(count)])
            low, high = interval(per_row)
            found.append(
                Result(
                    metric="reliability",
                    value=float(hits[inside].mean()),
                    unit="share",
                    low=low,
                    high=high,
                    count=int(inside.sum()),
                    place=f"confidence {edges[each]:.1f} to {edges[each + 1]:.1f}",
                    at=float(confidence[inside].mean()),
                    **told,
                )
            )
    return found


def compared(sessions: Sessions, predictors: Sequence[Predictor], measure: Any, **where: Any) -> list[Result]:
    """One measure (``accuracy`` or ``beliefs``) of several predictors on the same sessions; each is the ``model``."""
    return [
        replace(result, model=predictor.name)
        for predictor in predictors
        for result in measure(sessions, predictor, **where)
    ]


def reveals_since(sessions: Sessions) -> Any:
    """[batch, reveals]: how many reveals ago the asked variable was last shown, its start counting as one; 1 is the
    reveal just before.
    """
    shown = sessions.plays.shown
    age = np.zeros_like(shown)
    last = np.full((len(shown), len(sessions.stream.game.variables)), -1)
    rows = np.arange(len(shown))
    for reveal in range(shown.shape[1]):
        variable = shown[:, reveal]
        age[:, reveal] = reveal - last[rows, variable]
        last[rows, variable] = reveal
    return age


def _within(metric: str, kl: Floats, inside: Any, place: str, at: float, told: dict[str, Any]) -> list[Result]:
    """The mean where ``inside`` holds, over the sequences that have such a place; none: no row."""
    kept = np.where(inside, kl, np.nan)
    if not inside.any():
        return []
    return [measured(metric, kept, unit="nats", **told, place=place, at=float(at))]


def _where(sessions: Sessions, where: dict[str, Any]) -> dict[str, Any]:
    spacing, stream = sessions.plays.spacing, sessions.stream
    told = {"commands": sessions.commands, "spacing": spacing, "split": stream.split, "task": told_task(stream.task)}
    return {**told, **where}
