"""Bodies of tests as statements of a session: which have that form, why others don't, and what their rows show."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from command_here import main_here

from trace_mine.corpus.mined.items.collection import collect_tests
from trace_mine.corpus.mined.items.item_protocol import ItemRecipe
from trace_mine.tracer.config import TracerConfig

SITE = Path(sysconfig.get_path("purelib"))
FILES: dict[str, str | bytes] = {
    "shop.py": """\
import asyncio
import contextlib
import warnings


def total(prices, tax=0):
    amount = sum(prices)
    return amount + tax


def root(number):
    if number < 0:
        raise ValueError(f"negative: {number}")
    return number**0.5


async def fetch(number):
    await asyncio.sleep(0)
    return number + 1


@contextlib.contextmanager
def doubled():
    yield


class Connection:
    def __init__(self):
        self.is_open = False

    async def __aenter__(self):
        self.is_open = True
        return self

    async def __aexit__(self, *error):
        self.is_open = False
        return error[0] is ValueError

    async def __aiter__(self):
        for number in range(3):
            yield await fetch(number)


def old(number):
    warnings.warn("old is old", DeprecationWarning, stacklevel=2)
    return number
""",
    "tests/base.py": """\
import math

FACTOR = 2


class Inherited:
    def test_inherited(self):
        assert self.factor * FACTOR == math.floor(4.5)
""",
    "tests/data.txt": "3",
    "tests/test_shop.py": """\
import asyncio
import unittest
from unittest import mock

import pytest
from hypothesis import example, given, strategies

import shop
from base import Inherited
from shop import Connection, doubled, fetch, old, root, total

FACTORS = []


def test_plain():
    number: int = len([1, 2])
    assert number == 2
    assert len("abc") == 3


def test_fails():
    assert len("ab") == 3


def test_raises():
    with pytest.raises(ValueError, match="neg"):
        root(-1)


def test_does_not_raise():
    with pytest.raises(ValueError):
        root(1)


@pytest.mark.parametrize("number", [1, None])
def test_guard(number):
    if number is None:
        return
    assert total([number]) == 1


def test_returns_within():
    for number in (1, 2):
        if number == 2:
            return number
    assert total([]) == 1


def test_reads_its_frame():
    number = 1
    assert "number" in locals()


def test_nonlocal():
    number = 1

    def change():
        nonlocal number
        number += 1

    change()
    assert number == 2


def test_binds_a_global():
    global FACTORS
    FACTORS = [1]


@mock.patch("shop.root")
@mock.patch.object(shop, "total", return_value=4)
def test_patched(total, root):
    root.return_value = 5
    assert shop.total([1]) == 4
    assert shop.root(1) == 5


@doubled()
def test_decorated():
    assert len("ab") == 2


def wrapped(function):
    import functools

    @functools.wraps(function)
    def outer():
        return function()

    return outer


@wrapped
def test_wrapped():
    assert len("ab") == 2


@example(drawn=3)
@given(drawn=strategies.integers(0, 9))
def test_drawn(drawn):
    assert total([drawn]) == drawn


class TestDrawn:
    @given(drawn=strategies.integers(2, 2))
    def test_drawn_in_a_class(self, drawn):
        assert total([drawn]) == drawn


class CaseDrawn(unittest.TestCase):
    @given(strategies.sampled_from(["only"]))
    def test_drawn_in_a_case(self, word):
        self.assertEqual(len(word), 4)


@pytest.mark.filterwarnings("error:old")
def test_an_error_by_a_mark():
    with pytest.raises(DeprecationWarning):
        old(1)


@pytest.mark.parametrize("function", [lambda n: n + 1, *map(lambda k: lambda n: n + k, [2])])
def test_lambda(function):
    assert function(1) > 1


def test_warns():
    with pytest.warns(DeprecationWarning) as record:
        old(1)
    assert len(record) == 1


@given(strategies.data())
def test_draws_within(data):
    assert data.draw(strategies.none()) is None


def made():
    number = 1

    def test_closure():
        assert number == 1

    return test_closure


test_closure = made()


def test_reads_a_file():
    with open("tests/data.txt") as file:
        assert int(file.read()) == 3


class Base:
    factor = 2

    def factor_of(self):
        return self.factor


class TestOne(Inherited, Base):
    def test_private_names(self):
        self.__number = len("ab")
        assert self.__number == 2

    def factor_of(self):
        return 1

    def test_super(self):
        assert super().factor_of() == 2

    @staticmethod
    def test_static():
        assert total([1]) == 1


class CaseOne(unittest.TestCase):
    def setUp(self):
        self.number = 7

    def test_case(self):
        self.assertEqual(total([self.number]), 7)
        self.assertEqual(len("ab"), 2)
        for number in (1, 2):
            with self.subTest(number=number):
                self.assertTrue(total([number]))


    def test_a_block_fails(self):
        for number in (1, 2):
            with self.subTest(number=number):
                self.assertEqual(total([number]), 1)

    @unittest.expectedFailure
    def test_expected(self):
        self.assertEqual(total([1]), 2)


class CaseTwo(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.number = await fetch(1)

    async def test_awaits(self):
        self.assertEqual(await fetch(self.number), 3)

    async def test_statements_of_coroutines(self):
        async with Connection() as connection:
            self.assertTrue(connection.is_open)
            raise ValueError
        self.assertFalse(connection.is_open)
        numbers = []
        async for number in connection:
            numbers.append(number)
        self.assertEqual([number async for number in connection], numbers)
        self.assertEqual(await asyncio.gather(fetch(1), fetch(2)), [2, 3])
""",
}
NOT_FLAT = {
    "test_returns_within": "it returns from within a statement",
    "test_reads_its_frame": "it names locals",
    "test_binds_a_global": "it binds globals of its module",
    "test_wrapped": "its decorator wrapped is no context manager",
    "test_closure": "it has no source of its own",
    "test_static": "it is no plain method",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repositories") / "shop"
    for name, text in FILES.items():
        assert isinstance(text, str)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def rows(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, object]]:
    import pyarrow.parquet as parquet

    out = tmp_path_factory.mktemp("mined") / "out"
    arguments = ["--sources", "test", "--environment", "none", "--jobs", "1", "--keep-duplicates"]
    assert main_here([str(shop), "--out", str(out), *arguments]) == 0
    drops = [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()]
    assert [(drop["name"].partition(".")[2], drop["reason"]) for drop in drops] == [
        ("test_draws_within", "needs_fixture")
    ]
    found = [row for file in out.rglob("*.parquet") for row in parquet.read_table(file).to_pylist()]
    assert json.loads((out / "stats.json").read_bytes())["tests"]["shop"]["unjudged"] == 0
    return {row["name"].partition("test_shop.")[2]: row for row in found}


def test_bodies_and_the_reasons_of_those_without(shop: Path, tmp_path: Path) -> None:
    tests = collect_tests(TracerConfig(repository=shop, sys_path=("",), site_folders=(SITE,)), tmp_path / "staging")
    assert not tests.failure
    problems = {item.name: item.problem for item in tests.items if item.problem}
    assert problems == {"test_draws_within": "hypothesis example"}
    items: Mapping[str, ItemRecipe] = {item.name: item for item in tests.items if not item.problem}
    assert {name: item.not_flat for name, item in items.items() if item.not_flat} == NOT_FLAT
    assert {name for name, item in items.items() if not item.body} == {*NOT_FLAT}
    assert items["test_plain"].body == (
        "number = len([1, 2])",
        "assert number == 2",
        "left = len('abc')",
        "assert left == 3",
    )
    # an added statement stands at the line of the one that it was made for
    assert items["test_plain"].body_lines == (16, 17, 18, 18)
    assert items["test_inherited"].body_imports == ("from base import FACTOR", "from base import math")
    assert items["test_private_names"].body[0] == "self._TestOne__number = len('ab')"
    assert items["test_super"].body[0] == "left = super(TestOne, self).factor_of()"


def test_each_of_them_is_a_row_that_ends_as_under_pytest(rows: Mapping[str, Mapping[str, object]]) -> None:
    outcomes = {name: row["outcome"] for name, row in rows.items()}
    assert {name for name, outcome in outcomes.items() if outcome != "ok"} == {
        "test_fails",
        "test_does_not_raise",
        "CaseOne.test_a_block_fails",
        "CaseOne.test_expected",
    }
    assert len(outcomes) == 31


def test_rows_show_what_assertions_compare_and_nothing_of_the_runners(
    rows: Mapping[str, Mapping[str, object]],
) -> None:
    texts = {name: str(row["text"]) for name, row in rows.items()}
    assert ">>> left\n2\n>>> assert left == 2" in texts["CaseOne.test_case"]
    assert ">>> raise ValueError" in texts["test_raises"] or "raise ValueError(" in texts["test_raises"]
    assert ">>> message\n'negative: -1'\n" in texts["test_raises"]
    assert "AssertionError: DID NOT RAISE" in texts["test_does_not_raise"]
    assert ">>> left\n3\n" in texts["CaseTwo.test_awaits"]
    assert texts["test_drawn"].startswith(">>> drawn = 3\n")
    assert texts["TestDrawn.test_drawn_in_a_class"].startswith(">>> drawn = 2\n")
    assert texts["CaseDrawn.test_drawn_in_a_case"].startswith(">>> word = 'only'\n")
    assert ">>> messages\n['old is old']\n" in texts["test_warns"]
    assert ">>> numbers\n[1, 2, 3]\n" in texts["CaseTwo.test_statements_of_coroutines"]
    assert "runner.run(in_loop(lambda: asyncio.gather(" in texts["CaseTwo.test_statements_of_coroutines"]
    for name, text in texts.items():
        assert "pytest" not in text, name
        assert "self.assert" not in text, name
        assert "_testMethodName" not in text, name


def test_a_file_is_read_from_the_repository_s_folder(rows: Mapping[str, Mapping[str, object]]) -> None:
    assert ">>> left\n3\n" in str(rows["test_reads_a_file"]["text"])


Make = Callable[..., Path]


def test_what_is_not_judged_is_counted(make_repository: Make, tmp_path: Path) -> None:
    files = {
        "test_a.py": """\
import os

import pytest


def test_ends_pytest():
    "PYTEST_CURRENT_TEST" in os.environ and os._exit(0)


def test_after_it():
    assert len("ab") == 2
"""
    }
    out = tmp_path / "out"
    root = make_repository("ends", files)
    assert main_here([str(root), "--out", str(out), "--sources", "test", "--environment", "none", "--jobs", "1"]) == 0
    stats = json.loads((out / "stats.json").read_bytes())
    assert stats["tests"]["ends"]["unjudged"] == 1
    assert stats["drops"] == {"unjudged": 1}
    assert stats["rows"] == 1


def test_siblings_are_an_option(make_repository: Make, tmp_path: Path) -> None:
    text = "import pytest\n\n\n@pytest.mark.parametrize('n', range(9))\ndef test_a(n):\n    assert n < 9\n"
    root = make_repository("many", {"test_a.py": text})
    out = tmp_path / "out"
    arguments = ["--sources", "test", "--environment", "none", "--jobs", "1", "--siblings", "2"]
    assert main_here([str(root), "--out", str(out), *arguments]) == 0
    assert json.loads((out / "stats.json").read_bytes())["found"] == 2
