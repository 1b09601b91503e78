"""A part of the inputs, for jobs that mine one dataset apart: ``--shard 2/8`` in a job array."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` (from 1) of ``total``: of all inputs in order, every ``total``-th one.

    Raises:
        ValueError: there is no such part.
    """

    number: int
    total: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.total:
            raise ValueError(f"expected a shard from 1/{self.total} to {self.total}/{self.total}, got {self}; count so")

    def has(self, place: int) -> bool:
        """Tell if the input at this place, from 0, is in the part.

        >>> [place for place in range(7) if Shard(2, 3).has(place)]
        [1, 4]
        """
        return place % self.total == self.number - 1

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"


def parse_shard(text: str) -> Shard:
    """Return the shard of ``2/8``.

    Raises:
        ValueError: the text is none.
    """
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
    if match is None or not int(match.group(2)):
        raise ValueError(f"expected --shard like 2/8, got {text!r}; number the parts from 1")
    return Shard(int(match.group(1)), int(match.group(2)))
