"""Rows of programs with draws put into them: their beliefs are Bayes over all runs, and what is left out is counted."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_here import command, mine

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "reference"))
import edited_runs
import trace_mine
from trace_mine.corpus.mined import repository_candidates

Make = Callable[..., Path]

MODULE = '''
"""Functions with statements that only change state."""


def total(values, limit):
    """
    >>> total([3, 1, 4], 2)
    7
    """
    best = 0
    for value in values:  # each of them
        if value > limit:
            best += value
    return best


def rotated(values):
    """
    >>> rotated([1, 2, 3])
    [2, 3, 1]
    """
    values = list(values)
    first = values.pop(0)
    values.append(first)
    return values


def fixed():
    """
    >>> fixed()
    1
    """
    return 1 if __name__ else None


def strict(n):
    """
    >>> strict(3)
    6
    """
    n += n
    if n != 6:
        raise ValueError(n)
    return n


class Account:
    """
    >>> Account(5).pay(2)
    3
    """

    def __init__(self, money):
        self.money = money

    def pay(self, price):
        """
        >>> account = Account(5)
        >>> account.pay(2)
        3
        >>> account.money
        3
        """
        self.money -= price
        return self.money
'''
SCRIPT = '''"""Counts."""
from __future__ import annotations

count = 0
for step in range(3):
    count += step
    print(count)
if __name__ == "__main__":
    print("end", count)
'''
TESTS = """
from shop.goods import Account, total


def test_account():
    account = Account(9)
    account.money += 1
    account.money *= 2
    print(account.money)


def test_total():
    assert total([5, 6], 2) == 11
"""
FILES = {"shop/__init__.py": "", "shop/goods.py": MODULE, "run.py": SCRIPT, "tests/test_shop.py": TESTS}


DATASET: list[Path] = []
"""The folder of the dataset ``mined``, once it is made."""


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    root = tmp_path_factory.mktemp("repositories") / "shop"
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1.0"\nlicense = "MIT"\n')
    arguments = ["--sources", "doctest,script,test", "--environment", "none", "--jobs", 1]
    edits = ["--view", "branch+every:1", "--inject", "maybe:p=.5,either,order", "--variants", 3, "--edits", 2]
    out = tmp_path_factory.mktemp("data") / "out"
    rows, stats = mine(out, root, *arguments, *edits)
    DATASET.append(out)
    return root, rows, stats


def test_each_kind_of_snippet_gets_draws(mined: Any) -> None:
    _, rows, stats = mined
    assert {row["entry"] for row in rows} == {"doctest", "script", "test"}
    for row in rows:
        assert row["edits"], row["name"]
        assert "from random import" in row["text"]
        assert row["choices"] or row["kept_whole"]
    assert len({row["text"] for row in rows}) == len(rows)
    assert stats["config"]["inject"]["edits"] == 2


def test_exact_beliefs_are_bayes_over_all_runs(mined: Any) -> None:
    root, rows, _ = mined
    num_open = 0
    for row in rows:
        if row["entry"] == "script" or any(belief["method"] != "exact" for belief in row["beliefs"]):
            continue
        assert edited_runs.worst_difference(row, root) < 1e-12, row["text"]
        num_open += sum(len(belief["outcomes"]) > 1 for belief in row["beliefs"])
    assert num_open >= 10


def test_a_wrong_belief_is_seen(mined: Any) -> None:
    root, rows, _ = mined
    row = next(row for row in rows if any(len(each["outcomes"]) == 2 for each in row["beliefs"]))
    belief = next(each for each in row["beliefs"] if len(each["outcomes"]) == 2)
    other = [{**each, "probabilities": [0.4, 0.6]} if each is belief else each for each in row["beliefs"]]
    assert edited_runs.worst_difference({**row, "beliefs": other}, root) > 0.05


def test_edits_say_what_was_done(mined: Any) -> None:
    _, rows, _ = mined
    for row in rows:
        for edit in row["edits"]:
            assert edit["kind"] in ("maybe", "either", "order")
            assert math.isclose(sum(edit["law"]), 1)
            assert edit["before"] != edit["after"]
            assert "random()" in edit["after"] or "choice(" in edit["after"]


def test_lines_lead_back_to_the_author_s_file(mined: Any) -> None:
    """Of edits, and of each step: the author's line has the same statement, but where an edit made another one."""
    root, rows, _ = mined
    num_found = num_in_functions = 0
    for row in rows:
        lines = (root / row["path"]).read_text().splitlines()
        for edit, line in zip(row["edits"], row["edit_lines"], strict=True):
            if row["entry"] != "test":  # statements of a test may be spelt anew
                assert line
            if line:
                assert lines[line - 1].strip().endswith(edit["before"].splitlines()[0]), edit
        for number, step in enumerate(row["steps"]):
            line = trace_mine.author_line(row, number)
            own = step["source"].splitlines()
            if line is None or step["kind"] != "statement" or not own:
                continue
            # what an opened call gives is a command that stands nowhere
            if own[0].strip() in {each.strip().removeprefix(">>> ") for each in lines}:
                assert lines[line - 1].strip().removeprefix(">>> ") == own[0].strip(), (row["name"], step, line)
                num_found += step["depth"] == 0
                num_in_functions += step["depth"] > 0
    assert num_found > 10 and num_in_functions >= 5, (num_found, num_in_functions)


def test_a_line_of_another_file_is_that_of_the_file(mined: Any) -> None:
    _, rows, _ = mined
    row = next(row for row in rows if row["edits"])
    step = {**row["steps"][0], "path": "shop/other.py", "line": 3}
    assert trace_mine.author_line({**row, "steps": [step]}, 0) == 3
    assert trace_mine.author_line({**row, "steps": [{**step, "path": ""}]}, 0) is None
    with pytest.raises(IndexError):
        trace_mine.author_line(row, len(row["steps"]))


def test_a_function_of_the_file_that_is_not_edited_keeps_its_lines(tmp_path: Path, make_repository: Make) -> None:
    module = MODULE.partition("def fixed")[0] + (
        "\n\ndef doubled(n):\n    n = n + n\n    return n\n\n\n"
        'def pay(prices):\n    """\n    >>> pay([1, 2])\n    2\n    """\n'
        "    first = doubled(prices[0])\n    money = 0\n    money += first\n    return money\n"
    )
    repository = make_repository("shop", {**FILES, "shop/goods.py": module})
    arguments = ["--sources", "doctest", "--environment", "none", "--jobs", 1, "--view", "branch+every:1"]
    rows, _ = mine(tmp_path / "out", repository, *arguments, "--inject", "maybe:p=.5", "--edits", 1)
    lines = module.splitlines()
    row = next(row for row in rows if row["name"].startswith("shop.goods.pay"))
    inside = next(call for call in row["calls"] if call["name"] == "doubled")
    found = [trace_mine.author_line(row, step) for step in inside["steps"]]
    assert {lines[line - 1].strip() for line in found if line} <= {"n = n + n", "return n", "def doubled(n):"}
    assert any(found)


def test_what_gets_no_draws_is_counted_and_not_found(mined: Any) -> None:
    _, rows, stats = mined
    left_out = stats["not_edited"]["shop"]
    assert left_out["raises"] >= 1, left_out  # `strict`, whose edits raise
    assert not [row for row in rows if ".strict" in row["name"]]
    named = stats["not_edited_snippets"]["shop"]
    assert {why: len(each) for why, each in named.items()} == left_out
    assert [each for each in named["raises"] if each.endswith(" shop.goods.strict")]
    line = MODULE.splitlines().index("def strict(n):") + 1
    assert all(each.startswith("shop/goods.py:") for each in named["raises"]), (named, line)
    assert stats["found"] == stats["rows"] + stats["duplicates"] + sum(stats["drops"].values())


def test_a_script_keeps_its_first_lines(mined: Any) -> None:
    _, rows, _ = mined
    (row, *_) = [row for row in rows if row["entry"] == "script"]
    first, second, third = (step["source"] for step in row["steps"][:3])
    assert [first.startswith('"""'), second, third.startswith("from random import")] == [
        True,
        "from __future__ import annotations",
        True,
    ] or first.startswith("from random import")


def test_a_method_is_bound_to_its_class(mined: Any) -> None:
    _, rows, _ = mined
    paid = [row for row in rows if row["name"].startswith("shop.goods.Account.pay")]
    assert paid
    assert all("Account.pay = pay" in row["text"] for row in paid)


def test_reveals_are_fixed_before_the_session_and_tell_nothing_hidden(tmp_path: Path, make_repository: Make) -> None:
    """Sessions of one program with other draws: what is asked, and where, is in its text; blanked, they are alike."""
    repository = make_repository("shop", FILES)
    # the view's own reveals are drawn anew in each session: the program's alone are asked here
    arguments = ["--sources", "doctest", "--environment", "none", "--jobs", 1, "--view", "branch+every:0"]
    edits = ["--inject", "maybe:p=.5,either", "--reveals", 4, "--sessions", 5]
    rows, stats = mine(tmp_path / "out", repository, *arguments, *edits)
    assert stats["config"]["inject"]["reveals"] == 4
    asked = [edit for row in rows for edit in row["edits"] if edit["kind"] == "reveal"]
    assert asked
    assert all(edit["law"] == [] and edit["after"].startswith("print(") for edit in asked)
    following: dict[tuple[str, str, str], set[str]] = {}
    programs: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        snippet = row["path"], row["name"]
        programs.setdefault(snippet, set()).add(json.dumps(row["edits"]))
        seen = ""
        for step in row["steps"]:
            following.setdefault((*snippet, seen), set()).add(step["source"])
            seen += f">>> {step['source']}\n{step['output']}\n"
        if all(belief["method"] == "exact" for belief in row["beliefs"]):
            assert edited_runs.worst_difference(row, repository) < 1e-12, row["text"]
    assert len(rows) > len(programs), "sessions that drew otherwise are rows"
    assert all(len(each) == 1 for each in programs.values()), "what is asked depends on the draws of a session"
    assert all(len(each) == 1 for each in following.values()), "a command tells an outcome that the text does not"


def test_the_same_seed_gives_the_same_edits(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("shop", {**FILES, "shop/goods.py": MODULE.partition("def fixed")[0]})
    arguments = [repository, "--sources", "doctest", "--environment", "none", "--jobs", 1, "--view", "branch"]
    texts = [
        [row["text"] for row in mine(tmp_path / f"out{number}", *arguments, "--inject", "maybe", "--seed", seed)[0]]
        for number, seed in enumerate((0, 0, 1))
    ]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--inject", "maybe"], "expected a view that hides outcomes with inject"),
        (["--inject", "often", "--view", "branch"], "expected kinds of edits among maybe, either, order"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(tmp_path: Path, arguments: list[str], told: str) -> None:
    result = command("module:bisect", *arguments, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert told in result.stderr


def test_rows_without_edits_say_so(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("shop", FILES)
    rows, stats = mine(tmp_path / "out", repository, "--sources", "doctest", "--environment", "none", "--jobs", 1)
    assert rows
    assert all(row["edits"] == [] for row in rows)
    assert "inject" not in stats["config"]
    assert "not_edited" not in stats
    assert json.dumps(stats)


def test_a_row_s_edits_are_shown_beside_the_author_s_lines(mined: Any) -> None:
    _, rows, _ = mined
    assert all(row["choices"] for row in rows), "a program whose draws are never come to is none"
    number = next(n for n, row in enumerate(rows) if row["edits"][0]["kind"] == "maybe" and row["edit_lines"][0])
    edit = rows[number]["edits"][0]
    told = [command("inspect", DATASET[0], "--row", n).stdout for n in range(len(rows))]  # in the order of the page
    assert any("    # states before it was read: 0." in each for each in told)
    place = f"{rows[number]['path']}:{rows[number]['edit_lines'][0]}"
    shown = next(each for each in told if f"edit:       maybe at {place} with 0.5, 0.5" in each)
    for sign, text in (("-", edit["before"]), ("+", edit["after"])):
        for line in text.splitlines():
            assert f"            {sign} {line}" in shown


def test_a_sample_puts_draws_into_few_programs_and_counts_the_others(
    mined: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _, _ = mined
    tried: list[int] = []
    inject = repository_candidates.inject

    def counting(config: Any, staging: Path, candidates: Any, options: Any, seed: int) -> Any:
        tried.append(len(candidates))
        return inject(config, staging, candidates, options, seed)

    monkeypatch.setattr(repository_candidates, "inject", counting)
    arguments = ["--sources", "doctest", "--environment", "none", "--jobs", 1, "--per-repository", 1]
    rows, stats = mine(
        tmp_path / "out", root, *arguments, "--view", "branch+every:1", "--inject", "maybe:p=.5", "--edits", 1
    )
    assert tried == [repository_candidates.EDIT_MARGIN], "each try costs runs"
    # six docstrings have examples
    edited = sum(stats["not_edited"]["shop"].values())
    assert len(rows) == 1 and stats["sampled_out"] == {"shop": {"doctest": 6 - 1 - edited}}


COUNTS = "".join(f"        {name} += n\n" for name in "abcdefgh")
COUNTING = f'''
def counted(times):
    """
    >>> counted(4)
    [6, 6, 6, 6, 6, 6, 6, 6]
    """
    a = b = c = d = e = f = g = h = 0
    for n in range(times):
{COUNTS}    return [a, b, c, d, e, f, g, h]
'''


def test_edits_are_added_until_runs_draw_so_often(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("shop", {"shop/__init__.py": "", "shop/goods.py": COUNTING})
    arguments = [repository, "--sources", "doctest", "--environment", "none", "--jobs", 1, "--view", "branch+every:1"]
    edits = ["--inject", "maybe", "--edits", 8, "--draws", 20]
    rows, stats = mine(tmp_path / "out", *arguments, *edits)
    assert stats["config"]["inject"]["draws"] == 20
    (row,) = rows
    assert len(row["choices"]) >= 20 and len(row["edits"]) >= 5, "a draw for each edit in each of four turns"


OTHER_KINDS = {
    "kinds/__init__.py": "",
    "kinds/decorated.py": '''
import functools


def counted(function):
    @functools.wraps(function)
    def wrapper(*args):
        wrapper.calls += 1
        return function(*args)

    wrapper.calls = 0
    return wrapper


class Base:
    def __init__(self, money):
        self.money = money

    def pay(self, price):
        return price


class Account(Base):
    """
    >>> Account(5).pay(2)
    3
    """

    def __init__(self, money):
        super().__init__(money)
        self.__seen = []

    def pay(self, price):
        self.__seen.append(price)
        self.money -= super().pay(price)
        return self.money - len(self.__seen)

    @property
    def total(self):
        """
        >>> Account(3).total
        3
        """
        total = self.money
        total += len(self.__seen) + 1
        return total

    @classmethod
    def of(cls, *parts):
        """
        >>> Account.of(1, 2).money
        3
        """
        money = 0
        for part in parts:
            money += part
        return cls(money)


@counted
def twice(n):
    """
    >>> twice(3), twice.calls
    (6, 1)
    """
    n += n
    return n


@functools.lru_cache
def kept(n):
    """
    >>> kept(2)
    4
    >>> kept(3) + kept(2), kept.cache_info().hits
    (10, 1)
    """
    n += n
    return n
''',
    "kinds/context.py": '''
import asyncio
from contextvars import ContextVar

LEVEL = ContextVar("level")


def raised(step):
    """
    >>> raised(2)
    2
    >>> raised(3)
    5
    """
    level = LEVEL.get(0)
    level += step
    LEVEL.set(level)
    return level


async def gathered(values):
    """
    >>> asyncio.run(gathered([1, 2]))
    3
    """
    total = 0
    for value in values:
        await asyncio.sleep(0)
        total += value
    return total
''',
    "tour.ipynb": json.dumps(
        {
            "cells": [
                {"cell_type": "code", "source": "total = 1\\ntotal += 2\\ntotal", "metadata": {}, "outputs": []},
                {"cell_type": "code", "source": "total *= 2\\nprint(total);", "metadata": {}, "outputs": []},
            ],
            "metadata": {"kernelspec": {"language": "python", "name": "python3"}},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    ).replace("\\\\n", "\\n"),
}


def test_other_kinds_of_programs_are_edited_and_exact(tmp_path: Path, make_repository: Make) -> None:
    """Decorated methods, wrappers, coroutines, context variables, notebooks, functions that are cached."""
    repository = make_repository("kinds", OTHER_KINDS)
    arguments = ["--sources", "doctest,script", "--environment", "none", "--jobs", 1, "--view", "branch+every:1"]
    rows, stats = mine(tmp_path / "out", repository, *arguments, "--inject", "maybe:p=.5", "--inputs", 2)
    assert stats["not_edited"] == {"kinds": {}}
    assert {row["name"].rpartition(".")[2].partition("~")[0] for row in rows} == {
        *("Account", "total", "of", "twice", "kept", "raised", "gathered", "ipynb"),
    }
    for row in rows:
        assert any(len(belief["outcomes"]) > 1 for belief in row["beliefs"]), row["text"]
        assert all(belief["method"] == "exact" for belief in row["beliefs"])
        assert edited_runs.worst_difference(row, repository) < 1e-12, row["text"]
    calls = [edit for row in rows for edit in row["edits"] if edit["kind"] == "input"]
    assert calls and all(edit["law"] == [] and edit["before"] == "" for edit in calls)
    assert len(calls) >= 6


TESTED = {
    "tested/__init__.py": "from tested.core import clipped, total\n",
    "tested/core.py": """
import math

LIMIT = 3
_seen = []


def clipped(value):
    if value > LIMIT:
        value = LIMIT
    return math.floor(value)


def total(values, *, start=0):
    '''Sum.'''
    for value in values:
        start += _kept(value)
    return start


def _kept(value):
    _seen.append(value)
    return value


async def later(values):
    last = 0
    for value in values:
        last = value
    return last
""",
    "tests/test_core.py": """
import asyncio

import pytest

import tested
from tested import total
from tested.core import later


def test_later():
    last = asyncio.run(later([1, 2]))
    assert last == 2
    assert asyncio.run(later([])) == 0


def test_total():
    assert total([1, 2]) == 3, "a sum"
    for start in (0, 1):
        assert (total([start],
                      start=start) == 2 * start)


@pytest.mark.parametrize("value", [5, 2.5])
def test_clipped(value):
    result = tested.clipped(value)
    assert result <= 3
    assert not result != min(3, int(value))
""",
}


def test_functions_under_a_test_are_edited_and_its_assertions_asked(tmp_path: Path, make_repository: Make) -> None:
    repository = make_repository("tested", TESTED)
    arguments = ["--sources", "test", "--environment", "none", "--jobs", 1, "--view", "branch+every:1"]
    rows, _ = mine(tmp_path / "out", repository, *arguments, "--inject", "maybe:p=.5")
    edited = {edit["before"] for row in rows for edit in row["edits"] if edit["kind"] == "maybe"}
    assert edited == {"value = LIMIT", "start += _kept(value)", "last = value"}
    for row in rows:
        assert any(len(belief["outcomes"]) > 1 for belief in row["beliefs"]), row["text"]
        assert all(belief["method"] == "exact" for belief in row["beliefs"])
        assert edited_runs.worst_difference(row, repository) < 1e-12, row["text"]
        asked = [(edit, line) for edit, line in zip(row["edits"], row["edit_lines"], strict=True) if not edit["law"]]
        author = (repository / row["path"]).read_text().splitlines()
        for edit, line in asked:
            assert edit["kind"] == "assert" and edit["after"].startswith("print(")
            assert not line or author[line - 1].strip().startswith(edit["before"].splitlines()[0])
        assert len(asked) == 2


RARELY_SEEN = {
    "rare/__init__.py": "",
    "rare/core.py": """
def parity(n):
    '''
    >>> parity(4)
    0
    '''
    noted, shown, kept, held = 0, 0, 0, 0
    noted += n
    shown -= n
    kept += noted
    held += shown
    noted += kept
    shown += held
    result = 0
    result += n
    return result % 2


def toggled():
    '''
    >>> toggled()
    True
    '''
    on = False
    on = not on
    return on
""",
}


def test_where_draws_are_wanted_those_are_taken_that_are_seen(tmp_path: Path, make_repository: Make) -> None:
    """Of eight places of a function one is seen; of another one there is one call, which is repeated."""
    repository = make_repository("rare", RARELY_SEEN)
    arguments = ["--sources", "doctest", "--environment", "none", "--jobs", 1, "--view", "branch+every:1"]
    wanted = ["--inject", "maybe:p=.5", "--edits", 1, "--draws", 4, "--inputs", 8]
    rows, _ = mine(tmp_path / "out", repository, *arguments, *wanted)
    assert {row["name"].rpartition(".")[2].partition("~")[0] for row in rows} == {"parity", "toggled"}
    for row in rows:
        assert sum(len(belief["outcomes"]) > 1 for belief in row["beliefs"]) >= 4, row["text"]
        assert edited_runs.worst_difference(row, repository) < 1e-12, row["text"]
