"""Intervals: seeded, of the right width, over whole sequences, and of ratios whose parts belong together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trace_mine.eval.intervals import RESAMPLES, interval, interval_of, interval_of_ratio
from trace_mine.eval.results import measured

VALUES = np.random.default_rng(0).normal(size=400)


def test_an_interval_is_the_same_every_time_and_another_by_another_seed() -> None:
    assert interval(VALUES) == interval(VALUES) == interval(VALUES, seed=0) != interval(VALUES, seed=1)


def test_an_interval_of_a_mean_is_as_wide_as_the_normal_law_s() -> None:
    low, high = interval(VALUES)
    wanted = 2 * 1.96 * VALUES.std() / math.sqrt(len(VALUES))  # 90% would be narrower by 16%
    assert high - low == pytest.approx(wanted, rel=0.08)
    assert (low + high) / 2 == pytest.approx(VALUES.mean(), abs=0.01)


def test_what_is_alike_in_all_sequences_has_no_width_and_one_sequence_no_interval() -> None:
    assert interval(np.ones(9)) == (1.0, 1.0)
    assert all(math.isnan(each) for each in (*interval(np.ones(1)), *interval_of(lambda rows: 1.0, 1, 10)))
    assert interval(np.array([1.0, math.nan, 2.0, 3.0])) == interval(np.array([1.0, 2.0, 3.0]))


def test_parts_and_wholes_are_drawn_together() -> None:
    wholes = np.exp(VALUES)
    low, high = interval_of_ratio(0.3 * wholes, wholes, 1e-30)
    assert low == pytest.approx(0.3, rel=1e-12) and high == pytest.approx(0.3, rel=1e-12)
    low, high = interval_of_ratio(np.ones(20), np.zeros(20), 0.5)
    assert low == high == 40  # a sum of wholes below the least counts as that


def test_a_statistic_of_sequences_is_that_of_all_that_belongs_to_them() -> None:
    assert interval_of(lambda rows: VALUES[rows].mean(), 400, RESAMPLES) == pytest.approx(interval(VALUES), abs=1e-12)
    drawn: list[np.ndarray] = []
    interval_of(lambda rows: float(drawn.append(rows) is None), 5, 30)
    assert len(drawn) >= 30 and all(rows.shape == (5,) and set(rows) <= set(range(5)) for rows in drawn)
    assert any(len(set(rows)) < 5 for rows in drawn)


def test_a_sequence_counts_once_however_many_places_it_has() -> None:
    many = [[0.0] * 8, [1.0] + [math.nan] * 7, [math.nan] * 8]
    result = measured("m", np.array(many), unit="share")
    assert (result.value, result.count, result.unit) == (0.5, 2, "share")
