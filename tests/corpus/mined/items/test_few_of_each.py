"""A few items of each test are taken before any is spelt: of every test some, in order, and unlike ones of a table."""

from __future__ import annotations

import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.items.inside.few_of_each import few_of_each


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers())), st.integers(1, 20))
def test_of_each_kind_as_many_as_are_asked_for_in_their_order(items: list[tuple[str, int]], most: int) -> None:
    numbered = [(kind, index) for index, (kind, _) in enumerate(items)]
    taken = [*few_of_each(numbered, lambda item: item[0], most)]
    assert taken == sorted(taken, key=lambda item: item[1])
    assert len({*taken}) == len(taken)
    of_each = Counter(kind for kind, _ in numbered)
    assert Counter(kind for kind, _ in taken) == {kind: min(number, most) for kind, number in of_each.items()}


def test_a_table_of_two_lists_shows_most_of_either() -> None:
    """Every n-th item of a product would show one column of it."""
    for columns in (5, 8, 10, 16, 100):
        table = [*itertools.product(range(200), range(columns))]
        taken = [*few_of_each(table, lambda _: 0, 64)]
        assert len({row for row, _ in taken}) > 50
        assert len({column for _, column in taken}) > min(columns, 64) // 2
