"""Verdicts say no more than the seeds do."""

import pytest

from trace_mine.eval.claims import CANNOT_TELL, DOES_NOT_HOLD, HOLDS, by_seeds, computed


@pytest.mark.parametrize(
    ("margins", "verdict"),
    [
        ([], CANNOT_TELL),
        ([1.0], CANNOT_TELL),
        ([1.0, 1.0], CANNOT_TELL),
        ([0.1, 0.2, 0.3], HOLDS),
        ([0.1, 0.2, -0.3], CANNOT_TELL),
        ([-0.1, -0.2, -0.3], DOES_NOT_HOLD),
        ([0.0, -0.2, -0.3], DOES_NOT_HOLD),
        ([0.0, 0.2, 0.3], CANNOT_TELL),
        ([float("nan"), 0.2, 0.3], CANNOT_TELL),
    ],
)
def test_three_seeds_that_agree_or_nothing_is_told(margins: list[float], verdict: str) -> None:
    claim = by_seeds("x", "here", margins, "e.")
    assert (claim.verdict, claim.seeds) == (verdict, len(margins))


def test_evidence_says_why_nothing_is_told() -> None:
    assert by_seeds("x", "here", [1.0, -1.0, 1.0], "e.").evidence == "e. The seeds disagree."
    assert by_seeds("x", "here", [1.0], "e.").evidence == "e. Fewer than 3 seeds."
    assert by_seeds("x", "here", [], "e.").evidence == "Nothing was trained for it."


def test_what_is_computed_has_no_seeds() -> None:
    assert (computed("x", "y", True, "e").verdict, computed("x", "y", False, "e").verdict) == (HOLDS, DOES_NOT_HOLD)
    assert computed("x", "y", True, "e").seeds == 0
