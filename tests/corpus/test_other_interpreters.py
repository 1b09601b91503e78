"""``--python X``: source, values, standard library and packages are X's, and sessions are those that X itself gives.

``trace-mine`` runs here, under the interpreter of the tests; X is each other one that is found, by itself and by the
link of a virtual environment, whose packages then count.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_here import mine

import interpreters
from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined.dependencies import find_dependencies
from trace_mine.corpus.mined.import_search import search_of
from trace_mine.corpus.mined.repositories import find_module

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]
PLANTED = '''\
"""A package that only the environment has."""
import sys


def double(n):
    """Twice a number, under the interpreter that runs it.

    >>> double(4), sys.version_info[:2] == {minor}
    (8, True)
    """
    twice = n * 2
    return twice
'''


MINORS = [
    pytest.param(minor, marks=[pytest.mark.slow] * interpreters.is_between(minor)) for minor in interpreters.MINORS
]


@pytest.fixture(scope="module", params=MINORS)
def other(request: pytest.FixtureRequest) -> str:
    """Each interpreter but our own."""
    python = interpreters.found(request.param)
    if python is None:
        pytest.skip(interpreters.not_found(request.param))
    if python == sys.executable:
        pytest.skip(f"does not apply: Python {request.param} is the one that runs the tests")
    return python


@pytest.fixture(scope="module")
def environment(other: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The interpreter of an environment with two packages of its own, of which one requires the other."""
    folder = tmp_path_factory.mktemp("other")
    subprocess.run([other, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    minor = str(interpreters.version_of(other))
    install(packages, "planted", PLANTED.replace("{minor}", minor), requires="helping ; python_version >= '3.11'")
    install(packages, "helping", "WORD = 'of the environment'\n", requires="never ; python_version < '3'")
    for place in (folder, *folder.rglob("*")):
        if not place.is_symlink():
            place.chmod(place.stat().st_mode | 0o044 | (0o011 if place.is_dir() else 0))
    yield folder / "env" / "bin" / "python"


def install(packages: Path, name: str, source: str, *, requires: str) -> None:
    (packages / name).mkdir()
    (packages / name / "__init__.py").write_text(source)
    info = packages / f"{name}-1.5.dist-info"
    info.mkdir()
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\nLicense-Expression: MIT\nRequires-Dist: {requires}\n"
    )
    (info / "METADATA").write_text(metadata)
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n")


def mined(out: Path, python: str | Path, *inputs: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return mine(out, *inputs, "--python", python, "--jobs", 1)


@pytest.mark.slow
def test_a_module_of_the_library_is_the_other_interpreters(other: str, tmp_path: Path) -> None:
    """Its calls are opened: with the source of one and the values of the other interpreter none would be."""
    rows, stats = mined(tmp_path / "out", other, "module:statistics", "--limit", "8")
    version = ".".join(map(str, interpreters.version_of(other)))
    assert rows and stats["found"] == len(rows) + sum(stats["drops"].values())
    assert {(row["repository"], row["python"], row["version"]) for row in rows} == {
        ("cpython", search_of(other).version, search_of(other).version)
    }
    assert search_of(other).version.startswith(f"{version}.")
    assert sum(row["opened_calls"] for row in rows) > 2 * len(rows)
    library = Path(search_of(other).folders[1])
    for row in rows:
        lines = (library / row["path"]).read_text(encoding="utf-8").splitlines()
        example = lines[row["line"] - 1 : row["end_line"]]
        assert any(">>>" in line for line in example), (row["path"], row["line"])
        opened = [step for step in row["steps"] if step["path"] == row["path"] and step["depth"] and step["line"]]
        assert all(lines[step["line"] - 1].strip() for step in opened)


def test_a_package_of_the_environment_is_mined_there(environment: Path, tmp_path: Path) -> None:
    rows, _ = mined(tmp_path / "out", environment, "module:planted", "--sources", "doctest")
    (row,) = rows
    assert (row["repository"], row["version"], row["licence"]) == ("planted", "1.5", "MIT")
    assert "(8, True)" in row["text"] and row["opened_calls"] == 1


def test_a_repository_imports_the_environments_packages(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir(mode=0o755)
    (tmp_path / "shop" / "pyproject.toml").write_text("[project]\nname = 'shop'\nversion = '1'\n")
    source = "import planted\nimport helping\nif __name__ == '__main__':\n    print(planted.double(3), helping.WORD)\n"
    (tmp_path / "shop" / "main.py").write_text(source)
    rows, _ = mined(tmp_path / "out", environment, str(tmp_path / "shop"), "--sources", "script")
    (row,) = rows
    assert "6 of the environment\n" in row["text"]
    assert [*row["requires"]] == ["helping==1.5", "planted==1.5"]


def test_what_is_installed_here_is_not_installed_there(environment: Path) -> None:
    search = search_of(str(environment))
    found = find_dependencies(["planted", "pytest"], own=[], search=search)
    assert {path.name for path in found.packages} == {"planted", "helping"} and found.missing == ("pytest",)
    with pytest.raises(CorpusError, match=f"not installed for Python {search.version}"):
        find_module("pytest", search)
    assert find_module("planted", search).is_relative_to(environment.parents[1])
    with pytest.raises(CorpusError, match="built-in or compiled"):
        find_module("_heapq" if search.has_compiled("_heapq") else "sys", search)


def test_a_script_has_the_environments_packages(environment: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    script = tmp_path / "script.py"
    script.write_text("import planted\nimport sys\nn = planted.double(2)\nprint(n, sys.version_info[:2])\n")
    command = [sys.executable, "-m", "trace_mine.tracer", "--python", str(environment), str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "expected a sandbox" in done.stderr:
        pytest.skip(f"no sandbox on this machine: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"4 {interpreters.version_of(os.fspath(environment))}\n"), done.stdout
