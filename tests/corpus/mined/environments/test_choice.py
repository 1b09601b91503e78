"""Requirements that can be had together are kept, and no other is left out."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined.environments.choice import MAX_QUESTIONS, choose
from trace_mine.corpus.mined.environments.uv import UvFailed

NAMES = [f"p{number}" for number in range(12)]


class Index:
    """Knows some names, some of them without the version that is asked for, and pairs that exclude each other."""

    def __init__(self, missing: set[str], old: set[str], clashes: set[frozenset[str]]) -> None:
        self.missing, self.old, self.clashes = missing, old, clashes
        self.num_asked = 0

    def can(self, requirements: Sequence[str]) -> bool:
        names = {text.partition(">=")[0] for text in requirements}
        asked_for_new = {text.partition(">=")[0] for text in requirements if ">=" in text}
        return not names & self.missing and not asked_for_new & self.old and not any(c <= names for c in self.clashes)

    def resolve(self, requirements: Sequence[str]) -> tuple[str, ...]:
        self.num_asked += 1
        if not self.can(requirements):
            raise UvFailed("no solution")
        return tuple(sorted({f"{text.partition('>=')[0]}==1" for text in requirements}))


@given(
    requirements=st.lists(st.sampled_from(NAMES), unique=True, max_size=12).map(
        lambda names: [f"{n}>=2" for n in names]
    ),
    missing=st.sets(st.sampled_from(NAMES), max_size=3),
    old=st.sets(st.sampled_from(NAMES), max_size=3),
    clashes=st.sets(st.sets(st.sampled_from(NAMES), min_size=2, max_size=2).map(frozenset), max_size=2),
)
def test_what_is_kept_goes_together_and_nothing_could_be_added(
    requirements: list[str], missing: set[str], old: set[str], clashes: set[frozenset[str]]
) -> None:
    index = Index(missing, old, clashes)
    chosen = choose(requirements, index.resolve)
    bare = {text.partition(">=")[0] for text in chosen.relaxed}
    kept = [text for text in requirements if text not in chosen.left_out and text not in chosen.relaxed]
    assert index.can([*kept, *bare])
    assert {pin.partition("==")[0] for pin in chosen.pins} == {text.partition(">=")[0] for text in kept} | bare
    for text in chosen.left_out:
        assert not index.can([*kept, *bare, text])
        assert not index.can([*kept, *bare, text.partition(">=")[0]])
    for text in chosen.relaxed:
        assert text.partition(">=")[0] in index.old


def test_one_question_where_all_can_be_had() -> None:
    index = Index(set(), set(), set())
    assert choose(["p1", "p2"], index.resolve).pins == ("p1==1", "p2==1")
    assert index.num_asked == 1
    assert choose([], index.resolve).pins == ()


def test_questions_have_a_limit() -> None:
    def none(requirements: Sequence[str]) -> tuple[str, ...]:
        raise UvFailed("no index")

    chosen = choose([f"q{number}" for number in range(3 * MAX_QUESTIONS)], none)
    assert len(chosen.left_out) == 3 * MAX_QUESTIONS
    assert "not tried" in [*chosen.left_out.values()][-1]
