"""Measures of a row's worth for training: how much of it can't be had from the text before it.

Three shares between 0 and 1, columns of a row: ``new_characters`` (of its text, against the other rows of its
repository), ``uncopied_values`` (of its outputs, against its own text before each) and ``writing_commands``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trace_mine.corpus.schema import SegmentColumns, StepColumns

MOST_VALUES = 1000
"""Outputs of a row that are looked for in the text before them: each may be as long as the row."""

_WORD = re.compile(r"\w")
SHARES = ("new_characters", "uncopied_values", "writing_commands")
"""The columns with measures."""


class RepositoryLines:
    """The lines of the rows of one repository, in the order of the dataset; another repository begins afresh.

    Memory: a hash for each distinct line of one repository.
    """

    def __init__(self) -> None:
        self._repository: str | None = None
        self._lines: set[int] = set()

    def new_characters(self, repository: str, text: str) -> float:
        """Return the share of the text's characters that stand in lines which no row added before has."""
        if repository != self._repository:
            self._repository, self._lines = repository, set()
        lines = text.splitlines()
        total = sum(map(len, lines))
        new = sum(len(line) for line in lines if hash(line) not in self._lines)
        return round(new / total, 4) if total else 0.0

    def add(self, text: str) -> None:
        """Add a row of the repository that was asked for last."""
        self._lines.update(map(hash, text.splitlines()))


def uncopied_values(text: str, segments: Iterable[SegmentColumns]) -> float | None:
    """Return the share of outputs that don't stand, as a whole, anywhere in the session before them.

    A model predicts the others by copying, if it knows what to copy. An output stands somewhere as a whole where no
    word goes on beyond its ends: ``1`` does not stand in ``10``. The first 1,000 outputs count. None: there are none.
    """
    count = copied = 0
    for segment in segments:
        if segment["role"] == "value" and count < MOST_VALUES:
            value = text[segment["start"] : segment["end"]].strip("\n")
            if value:
                count += 1
                copied += _stands(value, text, segment["start"])
    return round(1 - copied / count, 4) if count else None


def _stands(value: str, text: str, end: int) -> bool:
    """Return True if the value stands as a whole in ``text[:end]``."""
    place = text.find(value, 0, end)
    while place >= 0:
        before, after = text[place - 1 : place], text[place + len(value) : place + len(value) + 1]
        goes_on = (_WORD.match(value[0]) and _WORD.match(before)) or (_WORD.match(value[-1]) and _WORD.match(after))
        if not goes_on:
            return True
        place = text.find(value, place + 1, end)
    return False


def writing_commands(steps: Iterable[StepColumns]) -> float | None:
    """Return the share of commands that change a variable, of all that are more than a reveal; None: there are none."""
    writes = [bool(step["wrote"]) for step in steps if step["kind"] != "reveal"]
    return round(sum(writes) / len(writes), 4) if writes else None


class Distribution:
    """How a share is spread over rows: counted in hundredths, so that memory does not grow with the rows."""

    def __init__(self) -> None:
        self._counts = [0] * 101

    def add(self, share: float) -> None:
        """Count one row's share."""
        self._counts[round(share * 100)] += 1

    def quantiles(self) -> Mapping[str, float]:
        """Return the shares below which a tenth, a half and nine tenths of the rows are; empty without rows."""
        total = sum(self._counts)
        if not total:
            return {}
        quantiles = {}
        for name, part in (("tenth", 0.1), ("half", 0.5), ("nine_tenths", 0.9)):
            so_far = place = 0
            while so_far + self._counts[place] < part * total:
                so_far += self._counts[place]
                place += 1
            quantiles[name] = place / 100
        return quantiles
