"""Entry points that a repository declares, and what asks for them."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_mined_environments import mine, rows_of

from trace_mine.corpus.mined.environments.entry_points import (
    MAX_ENTRY_POINTS,
    EntryPoint,
    entry_points,
    entry_points_text,
    is_entry_point,
)
from trace_mine.corpus.mined.packaging_files import PackagingFiles

Make = Callable[..., Path]
WRITTEN = {
    "project": ("pyproject.toml", '[project.entry-points.pytest11]\nmine = "mine.plugin:hook"\n'),
    "poetry": ("pyproject.toml", '[tool.poetry.plugins.pytest11]\nmine = "mine.plugin:hook"\n'),
    "setup.cfg": ("setup.cfg", "[options.entry_points]\npytest11 =\n    mine = mine.plugin:hook\n"),
    "setup.py": ("setup.py", 'setup(entry_points={"pytest11": ["mine = mine.plugin:hook"]})\n'),
    "setup.py, a text": ("setup.py", 'setup(entry_points={"pytest11": """\n mine=mine.plugin:hook\n"""})\n'),
    "metadata": ("mine.egg-info/entry_points.txt", "[pytest11]\nmine = mine.plugin:hook\n"),
}


@pytest.mark.parametrize("place", [*WRITTEN])
def test_where_they_are_declared(place: str, tmp_path: Path) -> None:
    name, text = WRITTEN[place]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert entry_points(PackagingFiles(tmp_path)) == [("pytest11", "mine", "mine.plugin:hook")]


@pytest.mark.parametrize(
    "table",
    [
        'mine = "mine; import os"',
        '"a\\nb" = "mine"',
        '"[x]" = "mine"',
        "mine = 3",
        '"a=b" = "mine"',
        f'mine = "{"m" * 300}"',
        'mine = "mïne"',
    ],
)
def test_what_is_none(table: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[project.entry-points.group]\n{table}\n")
    assert entry_points(PackagingFiles(tmp_path)) == []


def test_a_setup_that_makes_them_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("setup(entry_points={'a': [f'b = {c}']})\n")
    assert entry_points(PackagingFiles(tmp_path)) == []
    many = "".join(f'a{n} = "m"\n' for n in range(MAX_ENTRY_POINTS + 1))
    (tmp_path / "pyproject.toml").write_text(f"[project.entry-points.group]\n{many}")
    assert len(entry_points(PackagingFiles(tmp_path))) == MAX_ENTRY_POINTS


groups = st.from_regex(r"[a-z0-9_][a-z_.-]{0,9}", fullmatch=True)
names = st.from_regex(r"[A-Za-z!$%&*+./@|~-][ -<>-Z\\\]^_`a-z{|}~]{0,9}", fullmatch=True)
targets = st.from_regex(r"[a-z_.]{1,5}( ?: ?[a-z_.]{1,5})?( ?\[[a-z, -]{0,5}\])?", fullmatch=True)


@given(st.lists(st.tuples(groups, names, targets).filter(is_entry_point)))
def test_metadata_reads_what_was_written(points: list[EntryPoint]) -> None:
    """``importlib.metadata`` is the reader of the text; it joins points of one group and name in no other way."""
    distinct = sorted({(group, name.strip()): target for group, name, target in points}.items())
    written = tuple((group, name, target) for (group, name), target in distinct)
    read = importlib.metadata.EntryPoints._from_text_for(entry_points_text(written), None)
    assert sorted((point.group, point.name, point.value) for point in read) == sorted(written)


def test_tests_of_a_plugin_have_its_fixtures(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository(
        "mine",
        {
            "pytest_mine.py": "import pytest\n\n\n@pytest.fixture\ndef three():\n    return 3\n",
            "test_mine.py": "def test_three(three):\n    n = three + 1\n    assert n == 4\n",
            "pyproject.toml": '[project]\nname = "pytest-mine"\nversion = "1"\nlicense = "MIT"\n'
            '[project.entry-points.pytest11]\nmine = "pytest_mine"\n',
        },
    )
    out = tmp_path / "out"
    assert mine(root, "--out", out, "--sources", "test", "--environment", "none") == 0
    (row,) = rows_of(out).values()
    assert "three" in str(row["text"]) and row["entry"] == "test"
