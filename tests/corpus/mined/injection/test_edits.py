"""Places of draws and edits of text: they keep the author's lines, can be taken back, and leave a program."""

from __future__ import annotations

import ast
import itertools
import random
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_mine_inject.edits import Edit, choose_places, edited, free_names
from trace_mine_inject.places import DrawPlace, places_of

from trace_mine.corpus.mined.injection.inject_options import KINDS, InjectOptions, parse_inject

LIBRARY = Path(sysconfig.get_path("stdlib"))
FILES = ["bisect", "heapq", "textwrap", "statistics", "difflib", "shlex", "fractions", "sched"]


def places(text: str, *kinds: str) -> list[DrawPlace]:
    return places_of(ast.parse(text), text.split("\n"), kinds or KINDS)


def shown(text: str, *kinds: str) -> list[str]:
    """The places of a text, each as its kind and source."""
    return [f"{each.kind} {' / '.join(ast.unparse(node) for node in each.nodes)}" for each in places(text, *kinds)]


def numbered(text: str) -> list[int]:
    return [*range(1, text.count("\n") + 2)]


def check_origins(text: str, made: str, edits: list[Edit], origins: list[int]) -> None:
    """Each line of an edited text is the line that it is said to be of, but where an edit says another text."""
    lines = text.split("\n")
    assert len(origins) == len(made.split("\n"))
    changed = {line for edit in edits for line in edit.after.split("\n")}
    for line, origin in zip(made.split("\n"), origins, strict=True):
        if line.strip() != lines[origin - 1].strip():
            assert any(each.strip() == line.strip() for each in changed), line
            assert any(edit.line == origin for edit in edits)
    assert all(edit.author_line == edit.line for edit in edits)


def undone(text: str, edits: list[Edit]) -> str:
    """The text without its edits, by what they say of themselves alone."""
    lines = text.split("\n")
    for edit in edits:  # the lines of the author's text count from the beginning, so the first edit is taken back first
        start = edit.line - 1
        before, after = edit.before.split("\n"), edit.after.split("\n")
        indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
        now = lines[start : start + len(after)]
        assert [line.removeprefix(indent) for line in now] == after
        first, *rest = before
        moved = [indent + first, *(indent + line if line.strip() else line for line in rest)]
        lines[start : start + len(after)] = moved
    return "\n".join(lines)


FUNCTION = '''
def total(values, limit, box):
    """Adds."""
    best = 0
    seen = []
    for value in values:
        best += value  # the sum
        if value > limit:
            seen.append(value)
        box[value] = best
    box.name, best = best, limit
    return best, seen
'''


def test_statements_that_only_change_state_may_be_left_out() -> None:
    assert shown(FUNCTION, "maybe") == [
        "maybe best += value",
        "maybe seen.append(value)",
        "maybe box[value] = best",
        "maybe box.name, best = (best, limit)",
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "fresh = 1",  # a name's first value
        "x = y = 1",
        "print(x)",
        "x = (yield)",
        "other.append(x := 2)",
        "del x",
        "return x",
        "x += 1; y = 2",
        'x += """\n"""',
        "unknown.append(1)",
        "x.copy()",
    ],
)
def test_other_statements_may_not(statement: str) -> None:
    assert shown(f"def f(x, y, other):\n    {statement}\n", "maybe") == []


def test_a_name_that_one_way_does_not_bind_has_no_second_value() -> None:
    text = "def f(a):\n    if a:\n        b = 1\n    b = 2\n    c = 0\n"
    text += "    if a:\n        c = 1\n    else:\n        c = 2\n    c = 3\n"
    assert shown(text, "maybe") == ["maybe c = 1", "maybe c = 2", "maybe c = 3"]


def test_no_draw_decides_if_a_loop_ends() -> None:
    text = "def f(n, xs):\n    t = 0\n    while n > 0 and xs:\n        n -= 1\n        xs.pop()\n        t += 1\n"
    text += "    for x in xs:\n        xs.append(x)\n    return t\n"
    assert shown(text, "maybe") == ["maybe t += 1"]
    assert [each for each in shown(text, "either") if "n" in each] == []


def test_the_first_value_of_an_attribute_is_kept() -> None:
    text = "class A:\n    def __init__(self, n):\n        self.n = n\n    def add(self, n):\n        self.n += n\n"
    assert shown(text, "maybe") == ["maybe self.n += n"]


def test_the_order_of_two_statements_counts_where_one_names_what_the_other_changes() -> None:
    text = "def f(a, b, c):\n    a += 1\n    b *= a\n    c.x = 1\n    c.y = 2\n    b.append(1)\n    b.append(1)\n"
    assert shown(text, "order") == ["order a += 1 / b *= a"]


def test_literals_and_operators_have_neighbours() -> None:
    text = "def f(a, b):\n    x = a + b\n    y = a * 3 - len(b)\n    if a < 2:\n        return True\n"
    text += "    return b[0] ** 2 + 0.5\n"
    found = {ast.unparse(each.nodes[0]): each.others for each in places(text, "either")}
    assert found == {
        "a + b": ("a - b",),
        "a * 3 - len(b)": ("(a * 3) + len(b)",),
        "3": ("4", "2"),
        "a < 2": ("a <= 2",),
        "2": ("3", "1"),
        "True": ("False",),
        "0.5": ("1.0",),
    }


@pytest.mark.parametrize(
    ("statement", "neighbours"),
    [
        ("return a == b", ["a != b"]),
        ("return a not in b", ["a in b"]),
        ("return not a", ["bool(a)"]),
        ("return a & b", ["a | b"]),
        ("return a < b and not a", ["(a < b) or (not a)", "a <= b", "bool(a)"]),
        ("if a or b: pass", ["a and b"]),
        ("return a or b", []),  # of two types, perhaps
        ("return min(a, key=len)", ["max"]),
        ("return [n for n in a if n > b]", ["n >= b"]),
        ("yield a + len(b)", ["a - len(b)"]),
        ("return f(a) + b", []),  # evaluated in vain, it may change something
        ("print(a, 2)", ["3", "1"]),
        ("check(a, 2)", []),
        ("time.sleep(2)", []),
        ("while a: b = a == 1", ["2", "0"]),  # what flips may have no end there; the number may not
    ],
)
def test_operators_have_neighbours_of_their_type(statement: str, neighbours: list[str]) -> None:
    text = f"def f(a, b):\n    {statement}\n"
    found = [each.others for each in places(text, "either")]
    assert sorted(other for others in found for other in others) == sorted(neighbours)
    # each of them runs where the author's text does
    for others in found:
        for other in others:
            ast.parse(other, mode="eval")


def test_a_name_of_the_program_s_own_is_no_built_in() -> None:
    assert shown("def f(a, min):\n    return min(a)\n", "either") == []


def test_a_test_before_a_call_of_the_function_itself_is_kept() -> None:
    text = "def f(n):\n    if n < 2:\n        return 1\n    if n > 5 and f(n - 1):\n        return 2\n    return n\n"
    assert shown(text, "either") == ["either n < 2", "either 2", "either 1", "either 2"]


def test_an_edit_keeps_comments_and_layout() -> None:
    (place,) = [each for each in places(FUNCTION, "maybe") if each.lines.start == 7]
    text, edits, origins = edited(FUNCTION, [place], [0.25], free_names(FUNCTION), [*range(101, 115)])
    assert "        if random() < 0.25:\n            best += value  # the sum\n" in text
    assert edits == [
        Edit(
            "maybe",
            7,
            (0.25, 0.75),
            "best += value  # the sum",
            "if random() < 0.25:\n    best += value  # the sum",
            author_line=107,
        )
    ]
    assert origins == [*range(101, 107), 107, *range(107, 115)]
    assert undone(text, edits) == FUNCTION


def test_names_that_the_program_has_are_left_to_it() -> None:
    names = free_names("import random\nfrom x import choice\ndraw = 1\n")
    assert (names.random, names.choice) == ("uniform", "pick")
    assert names.imports("if uniform() < 1: pick([1])\n") == "from random import choice as pick, random as uniform\n"
    assert names.imports("if uniform() < 1: 2\n") == "from random import random as uniform\n"


# as many edits as lines: of the two longest files seconds
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in ("difflib", "statistics") else name for name in FILES],
)
def test_edits_of_real_modules_are_taken_back(name: str) -> None:
    text = (LIBRARY / f"{name}.py").read_text(encoding="utf-8")
    every = places(text)
    assert every
    for seed in range(20):
        source = random.Random(seed)
        chosen = choose_places(every, source.randint(1, 6), source)
        laws = [source.choice((0.1, 0.5)) for _ in chosen]
        made, edits, origins = edited(text, chosen, laws, free_names(text), numbered(text))
        check_origins(text, made, edits, origins)
        ast.parse(made)
        assert undone(made, edits) == text
        assert made != text
        assert [edit.kind for edit in edits] == [place.kind for place in chosen]


def test_chosen_places_stand_apart_and_of_each_kind() -> None:
    every = places((LIBRARY / "statistics.py").read_text(encoding="utf-8"))
    kinds: list[str] = []
    for seed in range(50):
        chosen = choose_places(every, 3, random.Random(seed))
        assert [place.first for place in chosen] == sorted(place.first for place in chosen)
        assert all(a.lines.stop <= b.lines.start for a, b in itertools.pairwise(chosen))
        kinds += {place.kind for place in chosen}
    assert min(kinds.count(kind) for kind in {place.kind for place in every}) > 40


NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def programs(draw: Any) -> str:
    """Functions of a few nested statements over three parameters."""
    lines = ["def f(a, b, c):"]
    depth = 1
    for _ in range(draw(st.integers(1, 12))):
        indent = "    " * depth
        kind = draw(st.sampled_from(["aug", "item", "call", "swap", "if", "for", "dedent", "new", "comment"]))
        one, two = draw(NAMES), draw(NAMES)
        if kind in ("if", "for"):
            lines.append(f"{indent}if {one} < {two}:" if kind == "if" else f"{indent}for {one} in {two}:")
            depth += 1
            lines.append("    " * depth + f"{one} += 1")
        elif kind == "dedent":
            depth = max(1, depth - 1)
        else:
            lines.append(
                indent
                + {
                    "aug": f"{one} += {two}  # é",
                    "item": f"{one}['ä'] = [\n{indent}    1,\n{indent}]",
                    "call": f"{one}.append({two} + 1)",
                    "swap": f"{one}, {two} = {two}, {one}",
                    "new": "fresh = 1",
                    "comment": "# nothing",
                }[kind]
            )
    return "\n".join(lines) + "\n    return a\n"


@settings(deadline=None)
@given(programs(), st.integers(0, 10_000))
def test_any_program_stays_a_program(text: str, seed: int) -> None:
    every = places(text)
    source = random.Random(seed)
    chosen = choose_places(every, 4, source)
    made, edits, origins = edited(text, chosen, [0.5] * len(chosen), free_names(text), numbered(text))
    check_origins(text, made, edits, origins)
    ast.parse(made)
    assert undone(made, edits) == text


def test_what_is_asked_for_is_read() -> None:
    assert parse_inject("maybe:p=.1|.25,order", edits=2, variants=5) == InjectOptions(
        laws={"maybe": (0.1, 0.25), "order": (0.1, 0.25, 0.5, 0.75, 0.9)}, edits=2, variants=5
    )


@pytest.mark.parametrize("text", ["", "sometimes", "maybe:q=1", "maybe:p=1.5", "maybe:p=x", "maybe:p=", "either:p=.5"])
def test_what_is_no_edit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_inject(text)
