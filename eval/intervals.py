"""95% intervals by the percentile bootstrap, over sequences: ``scipy.stats.bootstrap``, seeded.

What is resampled is a whole sequence with all that was measured in it, never a reveal or a token: those of one sequence
are alike, and as many independent ones would make an interval far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from trace_mine.corpus.synthetic.game import Floats, Ints

RESAMPLES = 1_000


def interval(per_sequence: Floats, seed: int = 0) -> tuple[float, float]:
    """(low, high) of the mean of ``per_sequence`` [sequences].

    (nan, nan) for fewer than two sequences. nan entries are sequences without such a number, and left out.
    """
    values = np.asarray(per_sequence, dtype=float)
    values = values[~np.isnan(values)]
    return _bootstrap((values,), lambda drawn, axis: drawn.mean(axis=axis), RESAMPLES, seed)


def interval_of_ratio(parts: Floats, wholes: Floats, least: float, seed: int = 0) -> tuple[float, float]:
    """(low, high) of the sum of ``parts`` over that of ``wholes`` [sequences] each, which are drawn together; a sum of
    wholes below ``least`` counts as ``least``.
    """

    def ratio(part: Floats, whole: Floats, axis: int) -> Floats:
        return np.asarray(part.sum(axis=axis) / np.maximum(whole.sum(axis=axis), least))

    return _bootstrap((parts, wholes), ratio, RESAMPLES, seed)


def interval_of(statistic: Callable[[Ints], float], count: int, resamples: int, seed: int = 0) -> tuple[float, float]:
    """(low, high) of ``statistic(rows)``, where ``rows`` are drawn from ``count`` sequences by their numbers.

    For statistics of whole sequences that are no mean of one number each: scipy resamples the numbers of the sequences
    and the statistic takes all that belongs to each. (scipy has no clusters: given the reveals themselves, it would
    draw reveals.)
    """

    def along(drawn: Ints, axis: int) -> Floats:
        return np.apply_along_axis(statistic, axis, drawn)

    return _bootstrap((np.arange(count),), along, resamples, seed)


def _bootstrap(
    columns: tuple[Floats | Ints, ...], statistic: Callable[..., Floats], resamples: int, seed: int
) -> tuple[float, float]:
    if len(columns[0]) < 2:
        return math.nan, math.nan
    # percentiles rather than scipy's default, BCa: a jackknife of an accuracy that is 1 in every sequence has no
    # spread, and BCa is then undefined, where the percentiles say [1, 1]
    drawn = stats.bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
