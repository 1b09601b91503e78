"""Scores of laws: the distance of a predictor's laws from the exact ones, and how often they are right.

Laws are [..., labels]; ``shown`` [...] is the label that a reveal showed. The functions work on any leading axes and
average over none of them, since callers need the single values for intervals over sessions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Floats, Ints
from trace_mine.train.measure.laws import logs

TIES = 1e-9
"""Largest difference of two probabilities that count as equal when the likeliest labels are sought.

Laws that are equal on paper differ in their last bits, and the first of them would win by rounding.
"""

BINS = 10
"""Number of equal bins of confidence that the calibration error is summed over."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """The scores of one predictor at every reveal, [batch, reveals] each.

    Attributes:
        hits: in [0, 1], see the function ``hits``.
        shown_loss: -log of the probability of the label shown, in nats.
        kl: KL(exact || predictor) in nats.
        variation: total variation distance, in [0, 1].
        agrees: in [0, 1], see ``agreement``.
        confidence: the probability of the predictor's likeliest label.

    Raises:
        ValueError: the arrays have different shapes.
    """

    hits: Floats
    shown_loss: Floats
    kl: Floats
    variation: Floats
    agrees: Floats
    confidence: Floats

    def __post_init__(self) -> None:
        shapes = {getattr(self, name).shape for name in self.__slots__}
        if len(shapes) != 1:
            raise ValueError(f"expected scores of one shape, got {sorted(shapes)}; score laws of the same reveals")


def score(exact: Floats, law: Floats, shown: Ints) -> Scores:
    """Score a predictor's laws [batch, reveals, labels] by the exact ones and the labels shown [batch, reveals]."""
    return Scores(
        hits=hits(law, shown),
        shown_loss=shown_loss(logs(law), shown),
        kl=kl(exact, logs(law)),
        variation=total_variation(exact, law),
        agrees=agreement(exact, law),
        confidence=law.max(-1),
    )


def likeliest(law: Floats) -> NDArray[np.bool_]:
    """Return [..., labels] bool, True for the labels that are likeliest or within ``TIES`` of it."""
    return np.asarray(law >= law.max(-1, keepdims=True) - TIES)


def hits(law: Floats, shown: Ints) -> Floats:
    """Return [...] in [0, 1]: 1 where the shown label is the law's likeliest one, 0 elsewhere.

    Labels that tie for the likeliest share the hit, so that no label gains by its place in the list, and the accuracy
    of chance is one over the number of labels exactly. Only labels compete: a model that gives more to a text which
    isn't a label may still hit, and pays for it in ``kl``.

    >>> hits(np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([1, 1]))
    array([1. , 0.5])
    """
    best = likeliest(law)
    # np.asarray, here and below: numpy gives a scalar instead of an array without axes
    return np.asarray(np.take_along_axis(best, shown[..., None], axis=-1)[..., 0] / best.sum(-1))


def shown_loss(log_law: Floats, shown: Ints) -> Floats:
    """Return -log of the probability of the label shown, [...] in nats."""
    return np.asarray(-np.take_along_axis(log_law, shown[..., None], axis=-1)[..., 0])


def kl(exact: Floats, log_law: Floats) -> Floats:
    """Compute KL(exact || law) = sum over labels of p (log p - log q), [...] in nats, with 0 log 0 = 0.

    It takes log q, because q of a long text underflows where log q doesn't. Probability that the law gives to texts
    that aren't labels counts against it: q then sums to less than 1.

    >>> kl(np.array([0.5, 0.5]), np.log([0.25, 0.25])).round(3).item()  # log 2
    0.693
    """
    with np.errstate(invalid="ignore"):  # 0 times an infinite difference, which the next line leaves out
        terms = exact * (logs(exact) - log_law)
    return np.asarray(np.where(exact > 0, terms, 0.0).sum(-1))


def entropy(law: Floats) -> Floats:
    """Compute the entropy of a law, [...] in nats: 0 where it is certain."""
    # clipped: 0 log 0 would be NaN, and 0 times any finite number is 0
    return np.asarray(-(law * np.log(np.clip(law, 1e-300, 1.0))).sum(-1))


def total_variation(exact: Floats, law: Floats) -> Floats:
    """Compute the total variation distance of two laws, [...] in [0, 1].

    It is the largest difference of their probabilities of one event. The texts that aren't labels are an event too, of
    exact probability 0.
    """
    # half the sum of the absolute differences; the second term is that of the texts that aren't labels
    return np.asarray(0.5 * (np.abs(exact - law).sum(-1) + np.maximum(0.0, 1.0 - law.sum(-1))))


def agreement(exact: Floats, law: Floats) -> Floats:
    """Return the share of the law's likeliest labels that are likeliest under the exact law too, [...] in [0, 1].

    With one likeliest label each it is 1 or 0 (top-1 agreement).
    """
    best = likeliest(law)
    return np.asarray((best & likeliest(exact)).sum(-1) / best.sum(-1))


def last_quarter(by_reveal: Floats) -> Floats:
    """Return the last quarter of the columns of [batch, reveals], at least one: drift shows there first."""
    return by_reveal[:, -max(1, by_reveal.shape[1] // 4) :]


def confidence_bins(confidence: Floats) -> Ints:
    """Return the bin of each confidence, [...] from 0 to ``BINS`` - 1; a bin includes its lower edge, the last both."""
    # without the outer edges, so that confidences rounded below 0 or above 1 fall into the outer bins
    edges = np.linspace(0.0, 1.0, BINS + 1)
    return np.clip(np.digitize(confidence, edges[1:-1]), 0, BINS - 1)


def calibration_error(confidence: Floats, hit: Floats) -> float:
    """Compute the expected calibration error, in [0, 1].

    It is the mean over the bins of confidence, weighted by their share of reveals, of |mean confidence - mean hit|.
    """
    bins = confidence_bins(confidence)
    error = 0.0
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            error += inside.sum() / bins.size * abs(confidence[inside].mean() - hit[inside].mean())
    return float(error)
