"""Module names are those by which the files are really imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trace_mine.corpus.mined.layout import Layout, module_name


def layout_of(root: Path, *paths: str) -> Layout:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"WHERE = {path!r}\n")
    return Layout(root, paths)


FILES = (
    "top.py",
    "flat/__init__.py",
    "flat/inner/__init__.py",
    "flat/inner/deep.py",
    "src/pkg/__init__.py",
    "src/pkg/a.py",
    "tests/test_a.py",
    "tests/sub/__init__.py",
    "tests/sub/test_b.py",
    "examples/run.py",
)


@pytest.mark.parametrize("path", FILES)
def test_the_place_of_a_file_imports_that_file(tmp_path: Path, path: str) -> None:
    place = layout_of(tmp_path, *FILES).place(path)
    folders = [str(tmp_path / folder) for folder in place.sys_path]
    code = f"import sys, importlib; sys.path[:0] = {folders!r}; print(importlib.import_module({place.module!r}).WHERE)"
    ran = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == path


def test_roots(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, *FILES)
    assert layout.main_roots == ("src", "")
    assert layout.place("tests/test_a.py").sys_path == ("tests", "src", "")
    assert layout.place("tests/sub/test_b.py").module == "sub.test_b"
    assert layout.place("flat/inner/deep.py").sys_path == ("src", "")


def test_declared_roots(tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").write_text("[options]\npackage_dir =\n    = lib\n")
    assert layout_of(tmp_path, "lib/pkg/__init__.py").main_roots == ("lib", "")
    (tmp_path / "pyproject.toml").write_text('[tool.setuptools.packages.find]\nwhere = ["python", "../up"]\n')
    assert layout_of(tmp_path, "python/x.py", "lib/pkg/__init__.py").main_roots == ("python", "lib", "")


def test_a_shadowed_or_unspeakable_file_has_no_module(tmp_path: Path) -> None:
    layout = layout_of(tmp_path, "src/same.py", "same.py", "my-script.py")
    assert layout.place("src/same.py").module == "same"
    assert layout.place("same.py").module is None
    assert layout.place("my-script.py").module is None


def test_broken_packaging_files_are_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff[[[")
    (tmp_path / "setup.cfg").write_text("no section\n")
    assert layout_of(tmp_path, "a.py").main_roots == ("",)


def test_module_names() -> None:
    assert module_name("a/b/__init__.py", "a") == "b"
    assert module_name("__init__.py", "") is None
    assert module_name("a/1st.py", "") is None
