"""95% intervals by the percentile bootstrap over sequences: ``scipy.stats.bootstrap``, seeded.

The unit that is resampled is a whole sequence with everything measured in it, never a reveal or a token. Reveals of one
sequence are alike; counted as independent ones they would make an interval far too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from trace_mine.corpus.synthetic.game import Floats, Ints

# A 2.5% percentile then rests on 25 resamples; an interval's end moves by a few percent of its width between seeds.
RESAMPLES = 1_000


def interval(per_sequence: Floats, seed: int = 0) -> tuple[float, float]:
    """Give (low, high) of the mean of ``per_sequence`` [sequences].

    An entry that is nan is a sequence without such a number, and left out. Fewer than two sequences give (nan, nan).
    """
    values = np.asarray(per_sequence, dtype=float)
    values = values[~np.isnan(values)]
    return _bootstrap((values,), lambda resampled, axis: resampled.mean(axis=axis), RESAMPLES, seed)


def interval_of_ratio(parts: Floats, totals: Floats, least: float, seed: int = 0) -> tuple[float, float]:
    """Give (low, high) of the sum of ``parts`` over the sum of ``totals`` [sequences], two numbers of each sequence.

    Both numbers of a sequence are drawn together. A sum of totals below ``least`` counts as ``least``, so that a
    resample without anything to divide by gives a large number instead of an infinite one.
    """

    def ratio(part: Floats, total: Floats, axis: int) -> Floats:
        return np.asarray(part.sum(axis=axis) / np.maximum(total.sum(axis=axis), least))

    return _bootstrap((parts, totals), ratio, RESAMPLES, seed)


def interval_of(statistic: Callable[[Ints], float], count: int, resamples: int, seed: int = 0) -> tuple[float, float]:
    """Give (low, high) of ``statistic(rows)``, where ``rows`` [count] are drawn from sequences 0 .. ``count`` - 1.

    For a statistic that is no mean of one number a sequence (R2, a calibration error): scipy resamples the numbers of
    the sequences, and the statistic takes everything that belongs to each of them.
    """

    # scipy has no clusters: given the reveals themselves, it would draw reveals
    def along(resampled: Ints, axis: int) -> Floats:
        return np.apply_along_axis(statistic, axis, resampled)

    return _bootstrap((np.arange(count),), along, resamples, seed)


def _bootstrap(
    columns: tuple[Floats | Ints, ...], statistic: Callable[..., Floats], resamples: int, seed: int
) -> tuple[float, float]:
    """The percentile interval of a vectorised statistic over paired columns [sequences], always the same for a seed."""
    if len(columns[0]) < 2:
        return math.nan, math.nan
    # percentiles rather than scipy's default, BCa: a jackknife of an accuracy that is 1 in every sequence has no
    # spread, and BCa is then undefined, where the percentiles say [1, 1]
    bootstrap = stats.bootstrap(
        columns,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(bootstrap.confidence_interval.low), float(bootstrap.confidence_interval.high)
