"""Which arguments of a test are bound by how it is called, and which only a runner could give."""

from __future__ import annotations

from pathlib import Path

import pytest

from trace_mine.corpus.mined.files import read
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.snippets import RepositoryContext
from trace_mine.corpus.mined.snippets.testcases import find_tests

CASES = {
    "def test_a():": None,
    "def test_a(x):": "needs_fixture",
    "def test_a(x=1):": None,
    "def test_a(*, x):": "needs_fixture",
    "def test_a(*, x=1):": None,
    "def test_a(*rest, **named):": None,
    "class TestA:\n    def test_a(self):": None,
    "class TestA:\n    def test_a(self, x):": "needs_fixture",
    "class TestA:\n    def test_a(self, /, x=1):": None,
    "class TestA:\n    @staticmethod\n    def test_a():": None,
    "class TestA:\n    @staticmethod\n    def test_a(x):": "needs_fixture",
    "class TestA:\n    @staticmethod\n    def test_a(x=1):": None,
    "class TestA:\n    @classmethod\n    def test_a(cls):": None,
    "class TestA:\n    @classmethod\n    def test_a(cls, x):": "needs_fixture",
}


@pytest.mark.parametrize("head", CASES)
def test_an_argument_that_nothing_binds_is_a_reason(tmp_path: Path, head: str) -> None:
    indent = "        " if head.startswith("class") else "    "
    (tmp_path / "test_a.py").write_text(f"{head}\n{indent}assert True\n")
    source = read(tmp_path, "test_a.py")
    context = RepositoryContext(tmp_path, Layout(tmp_path, ["test_a.py"]), paths=["test_a.py"])
    (found,) = find_tests(source, context)  # type: ignore[arg-type]
    assert (found.drop and found.drop.reason) == CASES[head]


@pytest.mark.parametrize("name", ["A", "MixinA"])
def test_tests_of_a_class_that_no_runner_collects_are_not_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "test_a.py").write_text(f"class {name}:\n    def test_a(self):\n        assert True\n")
    source = read(tmp_path, "test_a.py")
    context = RepositoryContext(tmp_path, Layout(tmp_path, ["test_a.py"]), paths=["test_a.py"])
    assert [*find_tests(source, context)] == []  # type: ignore[arg-type]
