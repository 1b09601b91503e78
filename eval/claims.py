"""Verdicts: a claim, its evidence seed by seed, and what that lets one say. Never stronger than the data.

A claim about training holds where at least three seeds were trained and every one shows it by more than the margin,
and doesn't hold where every one shows the opposite or nothing. Anything else can't be told: seeds that disagree, fewer
than three, or a comparison whose reference isn't there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOLDS, DOES_NOT_HOLD, CANNOT_TELL = "holds", "does not hold", "can't tell"
FEWEST_SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """``seeds``: trained seeds behind it; 0 where it was computed, without training."""

    text: str
    source: str
    verdict: str
    seeds: int
    evidence: str


def by_seeds(text: str, source: str, margins: Sequence[float], evidence: str) -> Claim:
    """``margins``: for each seed by how much the claim's inequality is met, beyond what counts as a difference;
    positive: this seed shows it.
    """
    count = len(margins)
    if count < FEWEST_SEEDS:
        verdict = CANNOT_TELL
        evidence = f"{evidence} Fewer than {FEWEST_SEEDS} seeds." if count else "Nothing was trained for it."
    elif all(margin > 0 for margin in margins):
        verdict = HOLDS
    elif all(margin <= 0 for margin in margins):
        verdict = DOES_NOT_HOLD
    else:
        verdict = CANNOT_TELL
        evidence = f"{evidence} The seeds disagree."
    return Claim(text=text, source=source, verdict=verdict, seeds=count, evidence=evidence)


def computed(text: str, source: str, is_so: bool, evidence: str) -> Claim:
    """A claim that a computation without training settles."""
    return Claim(text=text, source=source, verdict=HOLDS if is_so else DOES_NOT_HOLD, seeds=0, evidence=evidence)


def numbers(values: Sequence[float], digits: int = 3) -> str:
    """Values of seeds, each shown."""
    return " ".join(f"{value:.{digits}f}" for value in values) if len(values) else "none"
