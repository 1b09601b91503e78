"""Verdicts: a claim, its evidence seed by seed, and the verdict that this evidence allows.

A claim about training holds where at least three seeds were trained and every one shows it by more than the claim's
margin. It does not hold where at least three were trained and none shows it. In every other case the verdict is "can't
tell": the seeds disagree, there are fewer than three, or the reference of a comparison isn't there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HOLDS, DOES_NOT_HOLD, CANNOT_TELL = "holds", "does not hold", "can't tell"
# Two agreeing seeds have misled before: a gated model's third seed (.250 after .453 and .383) took back what they had
# shown (docs/log.md, 2026-11-28).
FEWEST_SEEDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A sentence with its verdict: ``text`` says the claim, ``source`` the place of the paper that makes it.

    ``seeds`` is the number of trained seeds behind the verdict, 0 where it was computed without training; ``evidence``
    are the numbers in words. ``groups`` are those of the plan whose runs the claim is about: several where it compares
    models.
    """

    text: str
    source: str
    verdict: str
    seeds: int
    evidence: str
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict not in (HOLDS, DOES_NOT_HOLD, CANNOT_TELL):
            raise ValueError(f"expected a verdict among those of this module, got {self.verdict!r}")
        if self.seeds < 0:
            raise ValueError(f"expected a number of seeds, got {self.seeds}")


def by_seeds(text: str, source: str, margins: Sequence[float], evidence: str, groups: Sequence[str] = ()) -> Claim:
    """Judge a claim about training by one number a seed.

    ``margins``: by how much each seed meets the claim's inequality, beyond what the claim counts as a difference. A
    positive margin means that this seed shows the claim; 0 means that it does not.

    >>> by_seeds("a is above .9", "Fig. 4", [0.95 - 0.9, 0.97 - 0.9, 0.93 - 0.9], "a: .95 .97 .93.").verdict
    'holds'
    """
    count = len(margins)
    if count < FEWEST_SEEDS:
        verdict = CANNOT_TELL
        evidence = f"{evidence} Fewer than {FEWEST_SEEDS} seeds." if count else "Nothing was trained for it."
    elif all(margin > 0 for margin in margins):
        verdict = HOLDS
    # as unanimous as "holds": one seed that shows the claim is enough not to deny it
    elif all(margin <= 0 for margin in margins):
        verdict = DOES_NOT_HOLD
    else:
        verdict = CANNOT_TELL
        evidence = f"{evidence} The seeds disagree."
    return Claim(text=text, source=source, verdict=verdict, seeds=count, evidence=evidence, groups=tuple(groups))


def cannot_tell(text: str, source: str, evidence: str, seeds: int, groups: Sequence[str] = ()) -> Claim:
    """Say that the ``seeds`` that were trained can't judge a claim; ``evidence`` says why."""
    return Claim(text=text, source=source, verdict=CANNOT_TELL, seeds=seeds, evidence=evidence, groups=tuple(groups))


def computed(text: str, source: str, is_so: bool, evidence: str) -> Claim:
    """Judge a claim that a computation without training settles: it has no seeds, and can always be told."""
    return Claim(text=text, source=source, verdict=HOLDS if is_so else DOES_NOT_HOLD, seeds=0, evidence=evidence)


def numbers(values: Sequence[float], digits: int = 3) -> str:
    """The values of all seeds as text, each shown and none averaged; "none" where there is no seed.

    >>> numbers([0.5, 0.25], 2)
    '0.50 0.25'
    """
    return " ".join(f"{value:.{digits}f}" for value in values) if len(values) else "none"
