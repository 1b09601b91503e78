"""A sample of a repository's snippets: so many at most, spread over its sources and its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from trace_mine.corpus.mined.snippets import Candidate


def sampled(candidates: Sequence[Candidate], number: int) -> tuple[list[Candidate], dict[str, int]]:
    """Take so many snippets of one repository, the same ones at each call.

    Each kind of snippet gets an equal share, and what one has no snippets for goes to the others. The snippets of a
    kind are taken at equal distances of their order, which is that of files and lines: neighbours resemble each other.

    Args:
        candidates: the snippets of one repository, in order.
        number: how many to take, at least 1.

    Returns:
        the snippets that were taken, in order; how many of each kind were left out.
    """
    places: dict[str, list[int]] = {}
    for place, candidate in enumerate(candidates):
        places.setdefault(candidate.snippet.kind, []).append(place)
    shares = shares_of({kind: len(of_kind) for kind, of_kind in places.items()}, number)
    taken = sorted(
        of_kind[step * len(of_kind) // shares[kind]] for kind, of_kind in places.items() for step in range(shares[kind])
    )
    left_out = Counter(candidate.snippet.kind for candidate in candidates)
    left_out.subtract(candidates[place].snippet.kind for place in taken)
    return [candidates[place] for place in taken], {kind: count for kind, count in sorted(left_out.items()) if count}


def shares_of(sizes: Mapping[str, int], number: int) -> dict[str, int]:
    """Part a number among groups: as equally as their sizes allow, the earlier ones first where it doesn't divide.

    >>> shares_of({"doctest": 100, "script": 1, "test": 40}, 10)
    {'doctest': 5, 'script': 1, 'test': 4}
    """
    shares = dict.fromkeys(sizes, 0)
    left = min(number, sum(sizes.values()))
    while left:
        for name in shares:
            if left and shares[name] < sizes[name]:
                shares[name] += 1
                left -= 1
    return shares
