"""How far a predictor's laws are from the exact ones, and how often they are right. Each definition stands here alone.

Laws are [..., labels], ``shown`` [...] is the label that came. All functions work on any leading axes and average over
none of them: means, and intervals over sequences, are the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trace_mine.corpus.synthetic.game import Floats, Ints
from trace_mine.train.measure.laws import logs

TIES = 1e-9
"""Probabilities that differ by less are alike: a label ties for the likeliest within it."""
BINS = 10
"""Equal bins of confidence, over which the calibration error is summed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """What one predictor did at every reveal, [batch, reveals] each.

    ``hits``: see ``hits``, in [0, 1]. ``shown_loss``: -log of the probability of what was shown, in nats. ``kl``:
    KL(exact || predictor) in nats. ``variation``: total variation, in [0, 1]. ``agrees``: see ``agreement``, in [0, 1].
    ``confidence``: the probability of the predictor's likeliest label.
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
    """Scores of a predictor's law [batch, reveals, labels] where the exact one is ``exact`` and ``shown`` came."""
    return Scores(
        hits=hits(law, shown),
        shown_loss=shown_loss(logs(law), shown),
        kl=kl(exact, logs(law)),
        variation=total_variation(exact, law),
        agrees=agreement(exact, law),
        confidence=law.max(-1),
    )


def likeliest(law: Floats) -> NDArray[np.bool_]:
    """[..., labels] of bool: the labels that are likeliest, or tie with the likeliest within ``TIES``."""
    return np.asarray(law >= law.max(-1, keepdims=True) - TIES)


def hits(law: Floats, shown: Ints) -> Floats:
    """[...] in [0, 1]: 1 where the shown label is the law's likeliest one. Labels that tie for the likeliest share the
    hit, so that no label gains by its place in the list, and chance is one over the number of labels exactly.

    Only labels compete: a model that gives more to a text which is no label may still hit, and pays in ``kl``.

    >>> hits(np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([1, 1]))
    array([1. , 0.5])
    """
    best = likeliest(law)
    return np.asarray(np.take_along_axis(best, shown[..., None], axis=-1)[..., 0] / best.sum(-1))


def shown_loss(log_law: Floats, shown: Ints) -> Floats:
    """[...] in nats: -log of the probability of what was shown."""
    return np.asarray(-np.take_along_axis(log_law, shown[..., None], axis=-1)[..., 0])


def kl(exact: Floats, log_law: Floats) -> Floats:
    """[...] in nats: KL(exact || law) = sum of p (log p - log q); labels that the exact law rules out add nothing.

    Takes log q, because q of a long text underflows where log q doesn't. Mass that the law gives to no label counts
    against it: q then sums to less than 1.

    >>> kl(np.array([0.5, 0.5]), np.log([0.25, 0.25])) == np.log(2)
    True
    """
    with np.errstate(invalid="ignore"):  # 0 times an infinite difference, which the next line leaves out
        terms = exact * (logs(exact) - log_law)
    return np.asarray(np.where(exact > 0, terms, 0.0).sum(-1))


def entropy(law: Floats) -> Floats:
    """[...] in nats: 0 where nothing is uncertain."""
    return np.asarray(-(law * np.log(np.clip(law, 1e-300, 1.0))).sum(-1))


def total_variation(exact: Floats, law: Floats) -> Floats:
    """[...] in [0, 1]: the largest difference of the two laws' probabilities of one event. What the law gives to texts
    that are no label is an event too, of exact probability 0.
    """
    return np.asarray(0.5 * (np.abs(exact - law).sum(-1) + np.maximum(0.0, 1.0 - law.sum(-1))))


def agreement(exact: Floats, law: Floats) -> Floats:
    """[...] in [0, 1] ("top-1"): the share of the law's likeliest labels that are likeliest under the exact law too."""
    best = likeliest(law)
    return np.asarray((best & likeliest(exact)).sum(-1) / best.sum(-1))


def last_quarter(by_reveal: Floats) -> Floats:
    """The last quarter of the columns of [batch, reveals], one at least."""
    return by_reveal[:, -max(1, by_reveal.shape[1] // 4) :]


def confidence_bins(confidence: Floats) -> Ints:
    """[...]: the bin from 0 to ``BINS`` - 1 of each confidence; a bin has its lower edge, the last one both."""
    edges = np.linspace(0.0, 1.0, BINS + 1)
    return np.clip(np.digitize(confidence, edges[1:-1]), 0, BINS - 1)


def calibration_error(confidence: Floats, hit: Floats) -> float:
    """In [0, 1]: over the bins of confidence, weighed by their share of reveals, |mean confidence - mean hit|."""
    bins = confidence_bins(confidence)
    error = 0.0
    for each in range(BINS):
        inside = bins == each
        if inside.any():
            error += inside.sum() / bins.size * abs(confidence[inside].mean() - hit[inside].mean())
    return float(error)
