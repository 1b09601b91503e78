"""The sample of a repository's snippets: its size, its spread, and what is said of the rest."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.options import MineOptions
from trace_mine.corpus.mined.sample import sampled, shares_of
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.tracer.schema import Piece, Snippet


def candidate(kind: str, number: int) -> Candidate:
    snippet = Snippet(
        pieces=(Piece(source=f"x = {number}", line=1),), name=f"n{number}", path="m.py", kind=kind, line=1, end_line=1
    )
    return Candidate(snippet=snippet, sys_path=(), source_hash="")


@given(st.dictionaries(st.sampled_from(["doctest", "script", "test", "call"]), st.integers(1, 50)), st.integers(1, 120))
def test_shares_are_as_equal_as_sizes_allow(sizes: dict[str, int], number: int) -> None:
    shares = shares_of(sizes, number)
    assert sum(shares.values()) == min(number, sum(sizes.values()))
    assert all(shares[name] <= sizes[name] for name in sizes)
    for name in sizes:  # who has less than another by more than one has given all
        assert shares[name] == sizes[name] or shares[name] >= max(shares.values()) - 1


@given(st.lists(st.sampled_from(["doctest", "test", "call"]), max_size=80), st.integers(1, 60))
def test_a_sample_keeps_the_order_and_counts_the_rest(kinds: list[str], number: int) -> None:
    candidates = [candidate(kind, place) for place, kind in enumerate(kinds)]
    taken, left_out = sampled(candidates, number)
    places = [candidates.index(each) for each in taken]
    assert places == sorted(set(places))
    assert Counter(each.snippet.kind for each in taken) + Counter(left_out) == Counter(kinds)
    assert sampled(candidates, number) == (taken, left_out)


def test_a_sample_is_spread_over_the_files() -> None:
    taken, _ = sampled([candidate("test", place) for place in range(100)], 5)
    assert [each.snippet.name for each in taken] == ["n0", "n20", "n40", "n60", "n80"]


def test_a_sample_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected per_repository >= 1, got 0"):
        MineOptions(per_repository=0)
