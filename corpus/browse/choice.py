"""Chooses the rows whose sessions a page holds, where it can't hold all of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from trace_mine.corpus.browse.index import RowLine

MOST_UNCERTAIN = 0.1
"""Share of the chosen rows that are those with the most uncertain belief."""


def chosen_rows(lines: Sequence[RowLine], most: int) -> list[int]:
    """Return the numbers of at most so many rows, in order: the most uncertain ones, then as many of each repository
    and entry as there are, taken in turns by the hash of their place, so that the same dataset has the same page.

    >>> chosen_rows([], 3)
    []
    """
    if len(lines) <= most:
        return [line.number for line in lines]
    uncertain = sorted((line for line in lines if line.num_open), key=lambda line: (-line.entropy, line.number))
    chosen = {line.number for line in uncertain[: int(most * MOST_UNCERTAIN)]}
    groups: dict[tuple[str, str], list[RowLine]] = defaultdict(list)
    for line in lines:
        groups[line.where[2], line.where[1]].append(line)
    queues = [sorted(group, key=_mixed) for _, group in sorted(groups.items())]
    turn = 0
    while len(chosen) < most:
        for queue in queues:
            if turn < len(queue) and len(chosen) < most:
                chosen.add(queue[turn].number)
        turn += 1
    return sorted(chosen)


def _mixed(line: RowLine) -> bytes:
    return hashlib.sha256("\n".join((*line.where, str(line.number))).encode()).digest()
