"""Accuracy and belief metrics of any predictor on any sessions, as results with intervals over sequences.

Every number is a mean over reveals of a score that ``train.measure.scores`` defines:

* KL is KL(exact || predictor) in nats, given the text before the reveal.
* Total variation lies in [0, 1].
* ``top-1`` is the share of reveals where the predictor's likeliest label is among the likeliest of the exact law.
* The calibration error is |mean confidence - hit rate|, averaged over bins of confidence, by their numbers of reveals.

This module only says over which reveals a mean is taken, and under which name it appears in the results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Floats, Ints
from trace_mine.corpus.synthetic.tasks import task_label as named_task
from trace_mine.eval.intervals import interval, interval_of
from trace_mine.eval.results import Result, Where, measured, number
from trace_mine.train.measure.predictors import Predictor
from trace_mine.train.measure.scores import BINS, calibration_error, confidence_bins, hits, score
from trace_mine.train.measure.sessions import Sessions

# One bin for certain reveals (games of three items have at most log 3 = 1.099 nats), then about equal steps; the last
# edge is above every entropy.
ENTROPY_EDGES = (0.0, 0.05, 0.3, 0.6, 0.9, 10.0)
"""Bins of the exact law's entropy, in nats."""
AGES = {(1, 1): "1 ago", (2, 2): "2 ago", (3, 4): "3 to 4 ago", (5, 8): "5 to 8 ago", (9, 1 << 30): "9 ago or more"}
"""(fewest, most) reveals since the asked variable was last shown -> the name of that bin in results."""
# Fewer than the 1,000 of means, because each resample sorts all reveals into bins anew.
CALIBRATION_RESAMPLES = 200

Measure = Callable[..., list[Result]]
"""(sessions, predictor, **fields of the results) -> results: ``accuracy`` or ``beliefs``."""


def accuracy(sessions: Sessions, predictor: Predictor, **where: Where) -> list[Result]:
    """Measure the accuracy over all reveals, of the last one, and of each reveal by its number.

    ``where`` are further fields of the results, such as whose they are. ``at`` of a reveal is the number of commands
    before it. Labels that tie for the likeliest share a hit (see ``scores.hits``).
    """
    hit = hits(sessions.laws_of(predictor), sessions.shown)
    fields = fields_of(sessions, where)
    results = [
        measured("accuracy", hit, unit="share", **fields),
        measured("accuracy of the last reveal", hit[:, -1:], unit="share", **fields),
    ]
    for reveal in range(hit.shape[1]):
        place = f"reveal {reveal + 1}"
        at = (reveal + 1) * sessions.plays.spacing
        results.append(measured("accuracy by reveal", hit[:, [reveal]], unit="share", **fields, place=place, at=at))
    return results


def beliefs(sessions: Sessions, predictor: Predictor, **where: Where) -> list[Result]:
    """Measure how near a predictor's laws are to the exact ones: all of a session's reveals, and the KL in three cuts.

    Over all reveals: KL, total variation, top-1, accuracy, the loss of what was shown and the exact law's entropy (the
    least loss possible). The KL again by quarters of the session, by reveals since the asked variable was shown, and by
    the entropy of the exact law: drift, forgetting and overconfidence look alike in the mean and differ in these. Last
    come the calibration error and the points of its reliability diagram.
    """
    scores = score(sessions.exact, sessions.laws_of(predictor), sessions.shown)
    fields = fields_of(sessions, where)
    results = [
        measured("belief KL", scores.kl, unit="nats", **fields),
        measured("total variation", scores.variation, unit="share", **fields),
        measured("top-1", scores.agrees, unit="share", **fields),
        measured("accuracy", scores.hits, unit="share", **fields),
        measured("loss of reveals", scores.shown_loss, unit="nats", **fields),
        measured("entropy of the exact law", sessions.entropy, unit="nats", **fields),
    ]
    # a session of fewer than four reveals has as many parts as reveals
    quarters = np.array_split(np.arange(scores.kl.shape[1]), min(4, scores.kl.shape[1]))
    for quarter, places in enumerate(quarters):
        place = f"quarter {quarter + 1}"
        at = float((places[-1] + 1) * sessions.plays.spacing)
        results.append(
            measured("belief KL by commands", scores.kl[:, places], unit="nats", **fields, place=place, at=at)
        )
    age = reveals_since(sessions)
    for (low, high), name in AGES.items():
        # ``at`` is the bin's lower edge: the last bin has no upper one
        results += _within("belief KL by reveals", scores.kl, (age >= low) & (age <= high), name, low, fields)
    entropy = sessions.entropy
    for begin, end in pairwise(ENTROPY_EDGES):
        inside = (entropy >= begin) & (entropy < end)
        results += _within("belief KL by entropy", scores.kl, inside, f"from {begin:g} nats", begin, fields)
    return results + calibration(scores.confidence, scores.hits, **fields)


def calibration(confidence: Floats, hit: Floats, **fields: Where) -> list[Result]:
    """Measure the expected calibration error of ``confidence`` and ``hit`` [sequences, reveals], and hit rates by bin.

    A bin without reveals has no result. In the result of a bin ``at`` is its mean confidence and ``count`` its number
    of reveals. All intervals resample sequences, because the reveals of one are alike.
    """
    bins, count = confidence_bins(confidence), len(confidence)

    def error(rows: Ints) -> float:
        return calibration_error(confidence[rows], hit[rows])

    low, high = interval_of(error, count, CALIBRATION_RESAMPLES)
    over_all = error(np.arange(count))
    results = [number("calibration error", over_all, unit="share", low=low, high=high, count=count, **fields)]
    # the edges by which ``confidence_bins`` sorted, for the names of the places
    edges = np.linspace(0.0, 1.0, BINS + 1)
    for each in range(BINS):
        inside = bins == each
        if inside.any():
            # nan for a sequence without a reveal in this bin: it has no say in the bin's interval
            per_row = np.array([hit[r][inside[r]].mean() if inside[r].any() else np.nan for r in range(count)])
            low, high = interval(per_row)
            # over reveals, as the error counts them; a mean over sequences would weigh their reveals unevenly
            rate, reveals = float(hit[inside].mean()), int(inside.sum())
            where: dict[str, Where] = {**fields, "at": float(confidence[inside].mean()), "unit": "share"}
            where["place"] = f"confidence {edges[each]:.1f} to {edges[each + 1]:.1f}"
            results.append(number("reliability", rate, low=low, high=high, count=reveals, **where))
    return results


def compared(sessions: Sessions, predictors: Sequence[Predictor], measure: Measure, **where: Where) -> list[Result]:
    """Take one measure (``accuracy`` or ``beliefs``) of several predictors on the same sessions.

    The field ``model`` of a result is its predictor's name; ``where`` are the other fields.
    """
    return [
        replace(result, model=predictor.name)
        for predictor in predictors
        for result in measure(sessions, predictor, **where)
    ]


def reveals_since(sessions: Sessions) -> Ints:
    """[batch, reveals]: the number of reveals since the asked variable was last shown; 1 is the reveal just before.

    The beginning of a session, which says what every variable holds, counts as a reveal of all of them.
    """
    shown = sessions.plays.shown
    age = np.zeros_like(shown)
    # reveal -1 is the beginning, which shows all variables
    last = np.full((len(shown), len(sessions.stream.game.variables)), -1)
    rows = np.arange(len(shown))
    for reveal in range(shown.shape[1]):
        variable = shown[:, reveal]
        age[:, reveal] = reveal - last[rows, variable]
        last[rows, variable] = reveal
    return age


def _within(
    metric: str, kl: Floats, inside: NDArray[np.bool_], place: str, at: float, fields: dict[str, Where]
) -> list[Result]:
    """The mean KL at the reveals that are ``inside`` [batch, reveals]: a list of one result, or of none without such.

    A sequence without such a reveal is left out of mean and interval.
    """
    if not inside.any():
        return []
    return [measured(metric, np.where(inside, kl, np.nan), unit="nats", **fields, place=place, at=float(at))]


def fields_of(sessions: Sessions, where: dict[str, Where]) -> dict[str, Where]:
    """The fields of a result that say which sessions it is of, with those of ``where``, which win."""
    spacing, stream = sessions.plays.spacing, sessions.stream
    fields: dict[str, Where] = {"commands": sessions.commands, "spacing": spacing, "split": stream.split}
    return {**fields, "task": named_task(stream.task), **where}
