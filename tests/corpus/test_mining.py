"""The whole way with the real tracer and sandbox, on a small repository; rows replay in a clean interpreter."""

from __future__ import annotations

import doctest
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_here import command, mine

Make = Callable[..., Path]
REPLAY = Path(__file__).resolve().parents[2] / "docs" / "examples" / "replay_rows.py"

REPOSITORY = {
    "src/shop/__init__.py": "",
    "src/shop/basket.py": '''\
"""A basket.

>>> total([1, 2])
3
"""
from __future__ import annotations


def total(prices: list[int]) -> int:
    """
    >>> total([])
    0
    >>> total([5, 6, 7])  # doctest: +NORMALIZE_WHITESPACE
    18
    >>> total(None)
    Traceback (most recent call last):
    TypeError: 'NoneType' object is not iterable
    """
    so_far = 0
    for price in prices:
        so_far += price
    return so_far


class Basket:
    """
    >>> basket = Basket()
    >>> basket.add(3)
    >>> basket.prices
    [3]
    >>> open('written', 'w').write('x')  # doctest: +SKIP
    """

    def __init__(self):
        self.prices = []

    def add(self, price):
        self.prices.append(price)
''',
    "src/shop/__main__.py": "from .basket import total\nprint(total([1, 2, 3]))\n",
    "tests/helper.py": "PRICES = [4, 5]\n",
    "tests/test_basket.py": """\
import unittest
from helper import PRICES
from shop.basket import total

def test_total():
    assert total(PRICES) == 9

def test_fixture(tmp_path): ...

class Cases(unittest.TestCase):
    def setUp(self):
        self.prices = [1]
    def test_one(self):
        self.assertEqual(total(self.prices), 1)
""",
    "README.md": "```python\n>>> from shop.basket import total\n>>> total([2, 2])\n4\n```\n",
}


def test_every_kind_of_snippet_becomes_a_row_that_replays(tmp_path: Path, make_repository: Make) -> None:
    root = make_repository("shop", REPOSITORY)
    # with two jobs, by workers and a reader in a jail: with one by this process
    rows, stats = mine(tmp_path / "out", root, "--jobs", 2, "--sources", "doctest,script,test")
    assert stats["drops"] == {"needs_fixture": 1}
    by_name = {row["name"]: row for row in rows}
    assert set(by_name) == {
        "README.md",
        "shop.basket",
        "shop.basket.total",
        "shop.basket.Basket",
        "shop.__main__",
        "test_basket.test_total",
        "test_basket.Cases.test_one",
    }
    total = by_name["shop.basket.total"]
    assert ">>> so_far += price" in total["text"], "the body of the called function is shown"
    assert total["opened_calls"] >= 2
    assert total["doctest_passed"]
    assert "TypeError: 'NoneType' object is not iterable" in total["text"]
    assert "doctest:" not in total["text"]
    assert by_name["shop.basket.Basket"]["num_skipped"] == 1
    assert json.loads(by_name["test_basket.test_total"]["setup"])["sys_path"] == ["tests", "src", ""]
    for row in rows:
        assert doctest.DocTestParser().get_examples(row["text"])
        assert len(row["states"]) == len(row["steps"])
        assert row["sandbox_level"] >= 2
    replayed = subprocess.run(
        [sys.executable, str(REPLAY), str(tmp_path / "out"), f"shop={root}"], capture_output=True, text=True
    )
    assert replayed.stdout == "{'replays': 7}\n", replayed.stdout + replayed.stderr


@pytest.mark.parametrize("sources", [pytest.param("doctest", marks=pytest.mark.slow), "call"])
def test_a_standard_library_module(tmp_path: Path, sources: str) -> None:
    rows, stats = mine(tmp_path / "out", "module:statistics", "--limit", 4, "--sources", sources, "--jobs", 1)
    assert stats["found"] == 4
    assert len(rows) >= (3 if sources == "doctest" else 1), stats
    for row in rows:
        assert json.loads(row["setup"])["sys_path"] == []
        assert (row["repository"], row["licence"], row["path"]) == ("cpython", "PSF-2.0", "statistics.py")
        assert all(not step["path"].startswith("/") for step in row["steps"])
    assert any(row["opened_calls"] for row in rows), "the module's own functions are followed"
    replayed = subprocess.run([sys.executable, str(REPLAY), str(tmp_path / "out")], capture_output=True, text=True)
    assert replayed.stdout == f"{{'replays': {len(rows)}}}\n", replayed.stdout + replayed.stderr


def test_dependencies_are_bound_and_recorded(tmp_path: Path, make_repository: Make) -> None:
    if importlib.util.find_spec("iniconfig") is None:
        pytest.skip("iniconfig, which pytest brings, is not installed")
    text = '"""\n>>> import iniconfig\n>>> iniconfig.IniConfig.__name__\n\'IniConfig\'\n"""\n'
    rows, _ = mine(tmp_path / "out", make_repository("r", {"m.py": text}), "--sources", "doctest", "--jobs", 1)
    assert rows[0]["doctest_passed"]
    assert [line.split("==")[0] for line in rows[0]["requires"]] == ["iniconfig"]


def test_a_hostile_repository_cannot_reach_the_terminal(tmp_path: Path, make_repository: Make) -> None:
    text = 'def f():\n    r"""\n    >>> print("\\x1b]0;owned\\x07")\n    """\n'
    root = make_repository("r", {"m.py": text})
    told = command(root, "--out", tmp_path / "out", "--sources", "doctest", "--environment", "none", "--jobs", 1)
    assert "\x1b" not in told.stdout + told.stderr and "owned" in told.stdout
    assert told.returncode in (0, 1)


def test_a_relative_folder_is_read_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of archives and modules lie below --out, whose default is a relative path."""
    from trace_mine.corpus.mined.miner import Mined, MineOptions

    monkeypatch.chdir(tmp_path)
    units = list(Mined(["module:textwrap"], MineOptions(limit=1), Path("traces/sources")).units())
    assert sum(unit.num_snippets for unit in units) == 1
    (entry,) = units[0].payload["snippets"]
    assert "drop" not in entry and entry["path"] == "textwrap.py"
