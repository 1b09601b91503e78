"""Reveals that are put into edited programs: where they stand, what they ask, and that they can be taken out."""

from __future__ import annotations

import contextlib
import io
import random

import pytest
from trace_mine_inject.asking import places_to_ask, put_questions
from trace_mine_inject.edits import DrawNames, Edit

NAMES = DrawNames(random="random", choice="choice")
TEXT = """\
def total(values, limit, box):
    best = 0
    seen = []
    for value in values:
        if random() < 0.5:
            best += value  # the sum
        if value > limit:
            if random() < 0.75:
                seen.append(value)
    for value in values:
        box.money = choice([value, value + 1])
    return best, seen
"""
CALL = """
class Box:
    money = 0
box = Box()
print(total([3, 1, 4], 2, box), box.money)
"""


def run(text: str, seed: int) -> bool:
    random.seed(seed)
    namespace = {"random": random.random, "choice": random.choice}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(text + CALL, namespace)
    return True


def asked(number: int, seed: int = 1, text: str = TEXT) -> tuple[str, list[Edit]]:
    new, edits, origins = put_questions(text, NAMES, number, run, range(20), random.Random(seed), numbered(text))
    # lines are of the text before, but for the questions, which have no line in it and stand behind their own
    assert [line for line in origins if line] == numbered(text)
    for edit in edits:
        assert origins[edit.line - 1] == 0
        assert edit.author_line == max(origins[: edit.line - 1])
    return new, edits


def numbered(text: str) -> list[int]:
    return [*range(1, text.count("\n") + 2)]


def test_places_follow_what_draws_and_the_loops_around_it() -> None:
    lines = TEXT.split("\n")
    found = [(lines[place.line - 1].strip(), len(place.indent), place.names) for place in places_to_ask(TEXT, NAMES)]
    assert found == [
        ("best += value  # the sum", 8, {"best": ()}),
        ("seen.append(value)", 4, {"best": (), "seen": ()}),
        ("seen.append(value)", 8, {"best": (), "seen": ()}),
        ("seen.append(value)", 12, {"seen": ()}),
        ("box.money = choice([value, value + 1])", 4, {"box": ("money",)}),
        ("box.money = choice([value, value + 1])", 8, {"box": ("money",)}),
    ]


def test_no_place_is_in_a_branch_that_is_drawn() -> None:
    text = "def f(a):\n    if random() < 0.5:\n        for i in a:\n            a[i] = 1\n"
    text += "        a = choice(a)\n    return a\n"
    assert [(place.line, place.names) for place in places_to_ask(text, NAMES)] == [(5, {"a": (), "i": ()})]


def test_questions_are_partial_spread_and_can_be_taken_out() -> None:
    text, edits = asked(5)
    assert len(edits) == 5 and {edit.kind for edit in edits} == {"reveal"}
    lines = text.split("\n")
    for edit in reversed(edits):
        assert lines.pop(edit.line - 1).strip() == edit.after and not edit.before and edit.law == ()
    assert "\n".join(lines) == TEXT
    questions = {edit.after.partition(", ")[2].rstrip(")") for edit in edits}
    assert len(questions) > 2 and any("len(" in each or "%" in each for each in questions), questions
    assert run(text, 3)
    assert asked(5) == (text, edits), "the same each time"
    assert asked(0) == (TEXT, [])


def test_questions_know_nothing_of_the_draws_that_are_shown() -> None:
    """They are a function of the text and of runs with seeds of their own: the session's generator is not asked."""
    random.seed(5)
    first = asked(6)
    random.seed(6)
    assert asked(6) == first


def test_an_object_is_asked_for_attributes_without_its_own_code() -> None:
    text = "def f(box):\n    box.money = choice([1, 2])\n"

    def looking(text: str, seed: int) -> bool:
        class Box:
            def __getattr__(self, name: str) -> object:
                raise AssertionError(f"{name} was looked up")

        exec(text + "\nf(box)\n", {"choice": random.choice, "box": Box(), "print": lambda *shown: None})
        return True

    new, _, _ = put_questions(text, NAMES, 3, looking, range(20), random.Random(0), numbered(text))
    assert new.splitlines()[2:] == ["    print('box.money', box.money)"]


@pytest.mark.parametrize("text", ["def f(x):\n    len = choice([1, 2])\n    return len\n", "x = 1\n"])
def test_nothing_is_asked_where_it_would_mean_something_else(text: str) -> None:
    asked = put_questions(text, NAMES, 3, lambda text, seed: True, range(3), random.Random(0), numbered(text))
    assert asked == (text, [], numbered(text))
