"""A repository's tests import what it declares, from an environment that is made for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_here import main_here
from dulwich import porcelain
from wheelhouse import make_wheel

import trace_mine
from trace_mine.tracer.__main__ import main as trace_run

DECLARED = (
    '[project]\nname = "mine"\nversion = "1.0"\nlicense = "MIT"\ndependencies = ["helper>=1", "nowhere-at-all"]\n'
)
FILES: dict[str, str | bytes] = {
    "mine.py": '"""\n>>> double(2)\n4\n"""\nimport helper\n\n\ndef double(n):\n    return helper.times(n, 2)\n',
    "tests/test_mine.py": "from mine import double\n\n\ndef test_double():\n    n = double(4)\n    assert n == 8\n",
}
WRITTEN = ("--sources", "doctest,script,test")
"""Without the calls that are harvested of them."""
Make = Callable[..., Path]


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    folder = tmp_path / "wheels"
    make_wheel(folder, "helper", files={"helper.py": "def times(a, b):\n    return a * b\n"})
    return folder


def mine(*arguments: object) -> int:
    return main_here([*map(str, arguments), "--jobs", "1"])


def rows_of(out: Path) -> dict[str, dict[str, object]]:
    import pyarrow.parquet as parquet

    return {row["name"]: row for file in out.rglob("*.parquet") for row in parquet.read_table(file).to_pylist()}


def test_what_is_declared_can_be_imported(make_repository: Make, wheels: Path, tmp_path: Path) -> None:
    root = make_repository("mine", FILES)
    (root / "pyproject.toml").write_text(DECLARED)
    out = tmp_path / "out"
    assert mine(root, "--out", out, "--offline", "--find-links", wheels, *WRITTEN) == 0
    rows = rows_of(out)
    assert [*rows] == ["mine", "test_mine.test_double"]
    assert all(row["requires"] == ["helper==1.0"] for row in rows.values())
    stats = json.loads((out / "stats.json").read_bytes())
    note = stats["environments"]["mine"]
    assert note["packages"] == 1
    # pytest is asked for because there are tests
    assert {*note["left_out"]} == {"nowhere-at-all", "pytest"}
    assert stats["missing_packages"] == {}
    # none: what is installed here, where there is no such package
    assert mine(root, "--out", tmp_path / "none", "--environment", "none", *WRITTEN) == 1
    stats = json.loads((tmp_path / "none" / "stats.json").read_bytes())
    assert stats["missing_packages"] == {"mine": ["helper"]}


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("2.5", ("--offline",)),
        pytest.param(None, ("--environment", "none"), marks=pytest.mark.slow),
        pytest.param("2.5", ("--environment", "none"), marks=pytest.mark.slow),
        pytest.param(None, ("--offline",), marks=pytest.mark.slow),
    ],
)
def test_a_repository_finds_its_own_version(
    make_repository: Make, tmp_path: Path, options: tuple[str, ...], version: str | None
) -> None:
    source = (
        '"""\n>>> __version__\n%r\n>>> twice(2)\n4\n"""\nfrom importlib.metadata import version\n\n'
        '__version__ = version("my-own.package")\n\n\ndef twice(n):\n    return 2 * n\n'
    )
    root = make_repository("mine", {"mine.py": source % (version or "0")})
    says = f'version = "{version}"' if version else 'dynamic = ["version"]'
    (root / "pyproject.toml").write_text(f'[project]\nname = "My_Own.Package"\nlicense = "MIT"\n{says}\n')
    out = tmp_path / "out"
    assert mine(root, "--out", out, *options, *WRITTEN) == 0, "without metadata the import raises PackageNotFoundError"
    (row,) = rows_of(out).values()
    assert row["doctest_passed"] and row["requires"] == []
    assert main_here(["verify", str(out), "--repository", str(root), "--sample", "1"]) == 0


def test_an_environment_of_ones_own(make_repository: Make, tmp_path: Path) -> None:
    root = make_repository("mine", FILES)
    packages = tmp_path / "env" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "helper.py").write_text("def times(a, b):\n    return a * b\n")
    assert mine(root, "--out", tmp_path / "out", "--environment", tmp_path / "env", *WRITTEN) == 0
    assert len(rows_of(tmp_path / "out")) == 2


@pytest.mark.slow
def test_same_bytes_again_and_from_what_is_kept(make_repository: Make, wheels: Path, tmp_path: Path) -> None:
    root = make_repository("mine", FILES)
    (root / "pyproject.toml").write_text(DECLARED)
    arguments = ["--offline", "--find-links", wheels]
    for name in ("one", "two"):
        assert mine(root, "--out", tmp_path / name, *arguments) == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one" / "data").rglob("*.parquet"))
    before = [(tmp_path / "one" / path).read_bytes() for path in files]
    assert before == [(tmp_path / "two" / path).read_bytes() for path in files]
    # the same command again makes nothing anew, although the wheels are gone
    os.unlink(next(wheels.iterdir()))
    assert mine(root, "--out", tmp_path / "one", *arguments) == 0
    assert before == [(tmp_path / "one" / path).read_bytes() for path in files]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as-of", "yesterday"], "--as-of"),
        (["--environment", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--find-links", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, make_repository: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_repository("mine", FILES)
    assert mine(root, "--out", tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def offered(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Wheels that uv finds by its own environment, and a cache of our own."""
    for name, value in {
        "UV_FIND_LINKS": wheels,
        "UV_OFFLINE": 1,
        "UV_NO_INDEX": 1,
        "TRACE_MINE_CACHE": tmp_path / "cache",
    }.items():
        monkeypatch.setenv(name, str(value))
    return wheels


def test_the_environment_of_a_repository_is_made_and_named(
    make_repository: Make, offered: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_repository("mine", FILES)
    (root / "pyproject.toml").write_text(DECLARED)
    assert main_here(["environment", str(root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["requires"] == ["helper==1.0"] and "nowhere-at-all" in told["left_out"]
    assert (Path(told["site_folders"][0]) / "helper.py").is_file()
    assert main_here(["environment", str(root)]) == 0
    again = capsys.readouterr()
    assert again.out.splitlines() == told["site_folders"] and "can't be had: nowhere-at-all" in again.err
    assert main_here(["environment", str(root / "absent")]) == 2


def test_trace_run_has_what_a_script_s_repository_asks_for(
    make_repository: Make, offered: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository("mine", {**FILES, "scripts/run.py": "import helper\nx = helper.times(6, 7)\nprint(x)\n"})
    (root / "pyproject.toml").write_text(DECLARED)
    # the working folder's files are a stranger's: none of them is imported outside of the sandbox
    (root / "json.py").write_text("import os\nos._exit(9)\n")
    (root / "trace_mine").mkdir()
    (root / "trace_mine" / "__init__.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.chdir(root)
    script = str(root / "scripts" / "run.py")
    assert trace_run(["--environment", "auto", script]) == 0
    assert ">>> print(x)\n42\n" in capfd.readouterr().out
    # what imports nothing waits for nothing
    (root / "scripts" / "run.py").write_text("print(1)\n")
    (root / "pyproject.toml").write_text("[project\n")
    assert trace_run(["--environment", "auto", script]) == 0
    assert "environment of" not in capfd.readouterr().err
    assert trace_mine.run(Path(script), environment="auto").text == ">>> print(1)\n1\n"
    with pytest.raises(ValueError, match="expected a script's file, or --root"):
        trace_mine.run("import helper\n", environment="auto")


def test_a_checkout_s_version_is_made_of_its_tags(make_repository: Make, tmp_path: Path) -> None:
    """It is the row's, and what the repository finds of itself."""
    source = '"""\n>>> version("mine")\n\'1.2.3\'\n"""\nfrom importlib.metadata import version\n'
    root = make_repository("mine", {"mine.py": source})
    says = '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\n[project]\nname = "mine"\nlicense = "MIT"\n'
    (root / "pyproject.toml").write_text(f'{says}dynamic = ["version"]\n')
    porcelain.init(str(root))
    porcelain.add(str(root), [str(root / "mine.py")])
    porcelain.commit(str(root), message=b"a change", author=b"A <a@example.org>", committer=b"A <a@example.org>")
    porcelain.tag_create(str(root), b"v1.2.3")
    out = tmp_path / "out"
    assert mine(root, "--out", out, "--environment", "none", *WRITTEN) == 0
    (row,) = rows_of(out).values()
    assert row["version"] == "1.2.3" and row["doctest_passed"]
