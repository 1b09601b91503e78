"""Scores have the values of their definitions, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra [train]")

from trace_mine.train.measure import scores
from trace_mine.train.measure.scores import Scores, score


def test_a_hit_is_shared_by_labels_that_tie_and_by_no_others() -> None:
    shown = np.array([1, 1, 1, 0])
    law = np.array([[0.2, 0.8, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5 - 1e-12, 0.0], [0.5 - 1e-6, 0.5, 0.0]])
    assert scores.hits(law, shown).tolist() == [1.0, 0.5, 0.5, 0.0]
    # only labels compete: mass on texts that are none loses no hit
    assert scores.hits(np.array([[0.01, 0.02]]), np.array([1])).tolist() == [1.0]


def test_kl_is_of_the_exact_law_and_leaves_out_what_can_not_be() -> None:
    exact, law = np.array([0.75, 0.25, 0.0]), np.array([0.5, 0.25, 0.25])
    assert scores.kl(exact, np.log(law)) == pytest.approx(0.75 * np.log(1.5))
    assert scores.kl(law, np.log(np.array([0.75, 0.125, 0.125]))) == pytest.approx(
        0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(2)
    )
    with np.errstate(divide="ignore"):
        assert scores.kl(exact, np.log(np.array([0.75, 0.25, 0.0]))) == 0  # 0 log 0 is 0
    # log q is taken as it is, where q itself would underflow
    assert scores.kl(np.array([1.0]), np.array([-2_000.0])) == 2_000


def test_entropy_variation_and_agreement() -> None:
    assert scores.entropy(np.array([[0.5, 0.5], [1.0, 0.0]])).tolist() == [pytest.approx(np.log(2)), 0.0]
    exact = np.array([0.75, 0.25])
    assert scores.total_variation(exact, np.array([0.5, 0.5])) == pytest.approx(0.25)
    assert scores.total_variation(exact, np.array([0.5, 0.0])) == pytest.approx(0.5)  # half is on no label at all
    assert scores.agreement(exact, np.array([0.4, 0.6])) == 0
    assert scores.agreement(exact, np.array([0.5, 0.5])) == 0.5
    assert scores.agreement(np.array([0.5, 0.5]), np.array([0.4, 0.6])) == 1


def test_calibration_error_weighs_bins_by_their_reveals_and_knows_no_sign() -> None:
    confidence = np.array([[0.25, 0.25, 0.25, 0.95]])
    hit = np.array([[1.0, 0.0, 1.0, 0.0]])
    wanted = 0.75 * abs(0.25 - 2 / 3) + 0.25 * abs(0.95 - 0.0)
    assert scores.calibration_error(confidence, hit) == pytest.approx(wanted)


def test_a_bin_has_its_lower_edge_and_the_last_one_both() -> None:
    assert scores.confidence_bins(np.array([0.0, 0.05, 0.1, 0.5, 0.95, 1.0])).tolist() == [0, 0, 1, 5, 9, 9]


@pytest.mark.parametrize(("reveals", "kept"), [(8, 2), (5, 1), (3, 1), (1, 1)])
def test_the_last_quarter_is_the_last(reveals: int, kept: int) -> None:
    columns = np.tile(np.arange(reveals), (2, 1))
    assert scores.last_quarter(columns).tolist() == [list(range(reveals))[-kept:]] * 2


def test_scores_of_one_predictor_have_one_shape() -> None:
    law = np.array([[[0.2, 0.8]]])
    whole = score(law, law, np.array([[0]]))
    assert whole.hits.tolist() == [[0.0]] and whole.kl.tolist() == [[0.0]]
    assert whole.confidence.tolist() == [[0.8]] and whole.shown_loss[0, 0] == pytest.approx(-np.log(0.2))
    with pytest.raises(ValueError, match="expected scores of one shape"):
        Scores(**{name: np.zeros(n) for n, name in enumerate(Scores.__slots__)})
