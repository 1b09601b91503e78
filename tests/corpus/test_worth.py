"""Measures of a row's worth: what of its outputs could be copied, which commands write, how shares are spread."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.worth import MOST_VALUES, Distribution, uncopied_values, writing_commands


def session(*commands: tuple[str, str]) -> tuple[str, list[Any]]:
    """A session's text of (command, output) pairs, with the segments of its outputs."""
    text, segments = "", []
    for number, (source, output) in enumerate(commands):
        text += f">>> {source}\n"
        if output:
            segments.append({"start": len(text), "end": len(text) + len(output) + 1, "role": "value", "step": number})
            text += output + "\n"
    return text, segments


@pytest.mark.parametrize(
    ("commands", "share"),
    [
        ([("x = 5", "")], None),
        ([("2 + 2", "4")], 1.0),
        ([("x = 41", ""), ("x", "41")], 0.0),
        ([("x = 410", ""), ("x // 10", "41")], 1.0),  # a part of a word is no copy
        ([("x = [1, 2]", ""), ("x", "[1, 2]"), ("x[::-1]", "[2, 1]")], 0.5),
        ([("print('a b')", "a b"), ("print('b', 'a')", "b a")], 0.5),
        ([("f()", "one\ntwo"), ("f()", "one\ntwo")], 0.5),
    ],
)
def test_outputs_that_stand_before_are_copied(commands: list[tuple[str, str]], share: float | None) -> None:
    assert uncopied_values(*session(*commands)) == share


@given(st.lists(st.tuples(st.text("ab1 ,", min_size=1, max_size=4), st.text("ab1 ,", max_size=3)), max_size=12))
def test_the_same_as_by_a_pattern(commands: list[tuple[str, str]]) -> None:
    text, segments = session(*commands)
    values = [(s["start"], text[s["start"] : s["end"]].strip("\n")) for s in segments]
    found = [
        re.search(
            (r"(?<!\w)" if re.match(r"\w", value) else "")
            + re.escape(value)
            + (r"(?!\w)" if re.search(r"\w\Z", value) else ""),
            text[:start],
        )
        for start, value in values
    ]
    expected = round(sum(match is None for match in found) / len(found), 4) if found else None
    assert uncopied_values(text, segments) == expected


def test_a_long_session_is_measured_by_its_beginning() -> None:
    text, segments = session(*(("f()", "0") for _ in range(MOST_VALUES)), ("last()", "unheard"))
    assert uncopied_values(text, segments) == round(1 / MOST_VALUES, 4)  # the first 0 alone


def test_reveals_are_no_commands_that_write() -> None:
    steps: list[Any] = [
        {"kind": "statement", "wrote": ["x"]},
        {"kind": "reveal", "wrote": []},
        {"kind": "condition", "wrote": []},
    ]
    assert writing_commands(steps) == 0.5
    assert writing_commands(steps[1:2]) is None


def test_quantiles_are_those_of_the_sorted_shares() -> None:
    chance = random.Random(3)
    shares = [chance.random() ** 2 for _ in range(1000)]
    distribution = Distribution()
    assert distribution.quantiles() == {}
    for share in shares:
        distribution.add(share)
    shares.sort()
    for name, place in (("tenth", 99), ("half", 499), ("nine_tenths", 899)):
        assert distribution.quantiles()[name] == pytest.approx(shares[place], abs=0.006)
