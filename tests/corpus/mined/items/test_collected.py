"""Tests of a repository as pytest collects them: what kinds there are, which become rows, and what they show."""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from command_here import main_here

from trace_mine.corpus.mined.items.candidates import item_candidates
from trace_mine.corpus.mined.items.collection import CollectedTests, collect_tests
from trace_mine.tracer.config import TracerConfig

SITE = Path(sysconfig.get_path("purelib"))
FILES: dict[str, str | bytes] = {
    "shop.py": "def total(prices, tax=0):\n    amount = sum(prices)\n    return amount + tax\n",
    "tests/conftest.py": """\
import pytest


@pytest.fixture
def prices():
    made = [1, 2]
    yield made
    made.clear()


@pytest.fixture(autouse=True)
def counted(request):
    return 1


@pytest.fixture(params=[10, 20])
def tax(request):
    return request.param * 2
""",
    "tests/test_shop.py": """\
import asyncio
import unittest

import pytest

from shop import total


@pytest.fixture
def prices(prices):
    return [*prices, 3]


def test_fixture(prices):
    assert total(prices) == 6


def test_parametrized_fixture(prices, tax):
    assert total(prices, tax) == 6 + tax


@pytest.mark.parametrize("numbers, expected", [([1], 1), ([1, 2], 3), ([4], 4), ([5], 5), ([6], 6), ([7], 7)])
def test_parameters(numbers, expected):
    assert total(numbers) == expected


class Base:
    def test_inherited(self):
        assert total([self.number]) == self.number


class TestOne(Base):
    number = 1

    def setup_method(self):
        self.number = 5


class TestCase(unittest.TestCase):
    def setUp(self):
        self.number = 7

    def test_case(self):
        self.assertEqual(total([self.number]), 7)


def test_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RATE", "2")
    (tmp_path / "a.txt").write_text("1")
    assert total([int((tmp_path / "a.txt").read_text())]) == 1


def test_printed(capsys):
    print(total([1]))
    assert capsys.readouterr().out == "1\\n"


def test_raises():
    with pytest.raises(TypeError):
        total(None)


@pytest.mark.skip(reason="not today")
def test_skipped():
    raise AssertionError


@pytest.mark.xfail
def test_expected_failure():
    assert total([1]) == 2


def test_fails():
    assert total([1]) == 3


def test_of_a_plugin(benchmark):
    benchmark(total, [1])


def test_depends_on_its_folder():
    import os

    assert os.path.exists("tests/test_shop.py")
""",
}
Make = Callable[..., Path]


@pytest.fixture
def root(make_repository: Make) -> Path:
    return make_repository("shop", FILES)


def collected(root: Path, tmp_path: Path) -> CollectedTests:
    return collect_tests(TracerConfig(repository=root, sys_path=("",), site_folders=(SITE,)), tmp_path / "staging")


def test_all_kinds_are_collected(root: Path, tmp_path: Path) -> None:
    tests = collected(root, tmp_path)
    assert not tests.failure
    problems = {item.case: item.problem for item in tests.items if item.problem}
    assert problems == {"test_of_a_plugin": "fixture benchmark"}
    cases = [item.case for item in tests.items]
    assert len([case for case in cases if case.startswith("test_parameters[")]) == 6
    assert "test_inherited" in cases
    assert {item.case: item.skip for item in tests.items if item.skip} == {"test_skipped": "not today"}


def test_they_become_rows_that_end_as_under_pytest(root: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    out = tmp_path / "out"
    arguments = ["--sources", "test", "--environment", "none", "--jobs", "1", "--keep-duplicates"]
    assert main_here([str(root), "--out", str(out), *arguments]) == 0
    rows = {row["name"]: row for file in out.rglob("*.parquet") for row in parquet.read_table(file).to_pylist()}
    drops = {drop["name"]: drop["reason"] for drop in map(json.loads, (out / "errors.jsonl").read_text().splitlines())}
    module = "tests.test_shop" if any(name.startswith("tests.") for name in rows) else "test_shop"
    outcome = {name.removeprefix(f"{module}."): row["outcome"] for name, row in rows.items()}
    assert outcome.pop("test_expected_failure") == "exception"
    assert outcome.pop("test_fails") == "exception"
    assert set(outcome.values()) == {"ok"}
    assert {"test_fixture", "TestOne.test_inherited", "TestCase.test_case", "test_folder", "test_printed"} <= {*outcome}
    assert len([name for name in outcome if name.startswith("test_parameters")]) == 4
    assert {name.removeprefix(f"{module}."): reason for name, reason in drops.items()} == {
        "test_skipped": "skipped",
        "test_of_a_plugin": "needs_fixture",
    }
    text = rows[f"{module}.test_fixture"]["text"]
    # the body of the function that the test calls stands in the session
    assert ">>> amount = sum(prices)" in text
    # nothing is asked of pytest itself; definitions have their decorators as comments
    assert "# @pytest.fixture" in text and "pytest" not in re.sub("#.*", "", text)
    notes = json.loads((out / "stats.json").read_bytes())["tests"]["shop"]
    assert notes["siblings_left_out"] == 2
    assert notes["not_spelt"] == {"fixture benchmark": 1}


def test_a_file_that_can_not_be_imported_costs_its_own_tests(make_repository: Make, tmp_path: Path) -> None:
    files = {
        "test_a.py": "def test_a():\n    assert 1\n",
        "test_b.py": "import nowhere_at_all\n\n\ndef test_b(): pass\n",
    }
    root = make_repository("two", files)
    tests = collected(root, tmp_path)
    assert [item.case for item in tests.items] == ["test_a"]
    assert tests.summary is not None
    assert "nowhere_at_all" in " ".join(tests.summary.errors)
    out = tmp_path / "out"
    assert main_here([str(root), "--out", str(out), "--sources", "test", "--environment", "none", "--jobs", "1"]) == 0
    stats = json.loads((out / "stats.json").read_bytes())
    # each of its tests is counted with what it lacks
    assert (stats["found"], stats["rows"]) == (2, 1)
    assert stats["drops"] == {"import_error": 1}


def test_of_a_long_table_some_are_collected_and_the_rest_is_counted(make_repository: Make, tmp_path: Path) -> None:
    """packaging's 60,000 items would take longer to spell than a collection may."""
    text = "import pytest\n\n\n@pytest.mark.parametrize('n', range(3000))\ndef test_a(n): assert n < 3000\n"
    root = make_repository("table", {"test_a.py": f"{text}\n\ndef test_b(): assert 1\n"})
    config = TracerConfig(repository=root, sys_path=("",), site_folders=(SITE,))
    tests = collect_tests(config, tmp_path / "staging", siblings=3)
    assert tests.summary is not None
    assert [item.name for item in tests.items] == ["test_a"] * 48 + ["test_b"]
    assert (tests.summary.items, tests.summary.left_out) == (49, 2952)
    candidates, counts = item_candidates(tests, root, [""], {}, siblings=3)
    assert (len(candidates), counts.collected, counts.left_out) == (4, 3001, 2997)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ("[pytest.param(object(), n) for n in (1, 2)]", "[1].values[0]"),
        ("[(object(), n) for n in (1, 2)]", "[1][0]"),
        ("[*[pytest.param(object(), 1)], (object(), 2)]", "[1][0]"),
        ("[pytest.param(object(), 1), pytest.param(object(), 2)]", "a = object()"),
    ],
)
def test_a_parameter_of_a_computed_list_is_taken_out_of_its_set(
    make_repository: Make, tmp_path: Path, values: str, text: str
) -> None:
    source = f"import pytest\n\n\n@pytest.mark.parametrize('a, b', {values})\ndef test_a(a, b): assert a\n"
    root = make_repository("sets", {"test_a.py": source})
    candidates, _ = item_candidates(collected(root, tmp_path), root, [""], {}, siblings=3)
    pieces = "".join(piece.source for piece in candidates[1].snippet.pieces)
    assert text in candidates[1].snippet.code + pieces


def test_an_identifier_that_is_a_page_costs_its_own_item_alone(make_repository: Make, tmp_path: Path) -> None:
    marked = "@pytest.mark.parametrize('n', [1, 2], ids=['a', 'b' * 3000])"
    text = f"import pytest\n\n\n{marked}\ndef test_a(n): assert n\n"
    tests = collected(make_repository("long", {"test_a.py": text}), tmp_path)
    assert not tests.failure
    assert [item.problem for item in tests.items] == ["", "long_identifier"]


def test_names_that_no_session_has_cost_their_own_items_alone(make_repository: Make, tmp_path: Path) -> None:
    text = """\
import unittest


def made():
    class Local(unittest.TestCase):
        def test_a(self):
            self.assertTrue(1)

    Local.__qualname__ = "elsewhere.Local"
    setattr(Local, "test_b-c", Local.test_a)
    return Local


TestMade = made()
"""
    files = {"test_a.py": text, "test_b.py": "def test_d(): assert 1\n"}
    tests = collected(make_repository("names", files), tmp_path)
    assert not tests.failure
    problems = {item.case: (item.cls, item.problem) for item in tests.items}
    assert problems == {"test_a": ("TestMade", ""), "test_b-c": ("TestMade", "no_identifier"), "test_d": ("", "")}


def test_marks_of_plugins_that_are_left_out_are_known(make_repository: Make, tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\nfilterwarnings = error\naddopts = --strict-markers\n",
        "test_a.py": "import pytest\n\n\n@pytest.mark.no_cover\ndef test_a():\n    assert 1\n",
    }
    tests = collected(make_repository("marked", files), tmp_path)
    assert [item.case for item in tests.items] == ["test_a"]


def test_options_and_marks_of_plugins_that_are_not_there_cost_nothing(make_repository: Make, tmp_path: Path) -> None:
    """A suite that takes warnings for errors had none of its tests collected."""
    files = {
        "pytest.ini": "[pytest]\nfilterwarnings = error\nasyncio_mode_of_none = auto\n",
        "test_waits.py": """\
import pytest


@pytest.mark.waits_of_none
def test_one():
    assert 1


async def test_two():
    assert 2
""",
    }
    tests = collected(make_repository("options", files), tmp_path)
    assert [item.case for item in tests.items] == ["test_one", "test_two"], tests
    assert tests.summary is not None and not tests.summary.errors


@pytest.mark.parametrize(
    "conftest",
    [
        "import os\nos._exit(3)\n",
        "raise SystemExit(1)\n",
        "while True: pass\n",
        "import sys\nsys.stdout.write('x' * 100)\nraise ValueError\n",
        "def pytest_configure(config):\n    config.option.collectonly = False\n    raise KeyboardInterrupt\n",
    ],
    ids=["exit", "system-exit", "endless", "error", "interrupt"],
)
def test_a_collection_that_breaks_off_is_told(
    conftest: str, make_repository: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from trace_mine.corpus.mined.items import collection

    monkeypatch.setattr(collection, "LIMITS", replace(collection.LIMITS, cpu_seconds=2, wall_seconds=6.0))
    tests = collected(
        make_repository("broken", {"conftest.py": conftest, "test_a.py": "def test_a(): pass\n"}), tmp_path
    )
    assert tests.failure
    assert not tests.items


def test_the_repository_can_not_speak_for_the_collector(make_repository: Make, tmp_path: Path) -> None:
    """Lines of the right form that lack the word are its own output. (Code that looks for the word can learn it.)"""
    summary = {"exit_code": 0, "is_whole": True, "items": 0, "errors": [], "pytest": "0", "sys_path": []}
    line = json.dumps({"collection_summary": summary})
    forged = f"import os\nfor word in ('', '0' * 32):\n    os.write(1, (word + {' ' + line!r} + chr(10)).encode())\n"
    files = {"conftest.py": forged, "test_a.py": "def test_a(): pass\n"}
    tests = collected(make_repository("forged", files), tmp_path)
    assert [item.case for item in tests.items] == ["test_a"]
    assert tests.summary is not None
    assert tests.summary.pytest == pytest.__version__


def test_the_limit_holds_for_items(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["--sources", "test", "--environment", "none", "--jobs", "1", "--limit", "3"]
    assert main_here([str(root), "--out", str(out), *arguments]) == 0
    assert json.loads((out / "stats.json").read_bytes())["found"] == 3
