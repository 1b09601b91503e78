"""Files that ``.trace-mine-ignore`` names, and repositories whose licence is refused."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from own_process import in_own_process
from trace_mine.corpus.mined.ignore_file import IGNORE_FILE, IgnoreRules, ignore_lines
from trace_mine.corpus.mined.miner import Mined, MineOptions
from trace_mine.corpus.work import entries_of


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    """What is ignored and refused is decided by the reader, wherever it runs."""
    with in_own_process():
        yield


DOCTEST = '"""\n>>> 1 + 1\n2\n"""\n'


def repository(root: Path, name: str, licence: str = "MIT", **files: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    stated = f'license = "{licence}"\n' if licence else ""
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\n{stated}')
    for path, text in (files or {"a__py": DOCTEST}).items():
        place = folder / path.replace("__", ".").replace("_in_", "/")
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
    return folder


def found(staging: Path, *inputs: Path | str, **options: Any) -> tuple[dict[str, str], Mined, list[str]]:
    """Path to the reason of its drop, or nothing, of each snippet; the origin; what was said."""
    said: list[str] = []
    chosen = MineOptions(**{"entries": ("doctest",), "environment": "none", **options})
    origin = Mined([str(path) for path in inputs], chosen, staging, said.append)
    snippets: dict[str, str] = {}
    for unit in origin.units():
        for entry in entries_of(unit.payload):
            drop = entry["candidate"]["drop"]  # type: ignore[typeddict-item]
            snippets[f"{entry['repository']}/{entry['path']}"] = drop["reason"] if drop else ""
    return snippets, origin, said


def test_files_of_a_repository_are_ignored_and_counted(tmp_path: Path) -> None:
    folder = repository(tmp_path, "a", a__py=DOCTEST, b__py=DOCTEST, sub_in_c__py=DOCTEST, sub_in_keep__py=DOCTEST)
    (folder / IGNORE_FILE).write_text("# no tables\nb.py\nsub/*\n!sub/keep.py\n")
    snippets, origin, _ = found(tmp_path / "staging", folder)
    assert snippets == {"a/a.py": "", "a/sub/keep.py": ""}
    files = origin.notes()["files"]
    assert files["unreadable"] == {"ignored": 2} and {each["path"] for each in files["examples"]} == {
        "b.py",
        "sub/c.py",
    }


def test_a_file_beside_repositories_ignores_whole_ones_and_files_in_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        repository(tmp_path / "all", name, a__py=DOCTEST, b__py=DOCTEST)
    (tmp_path / "all" / IGNORE_FILE).write_text("b/\na/b.py\n")
    for inputs in ([tmp_path / "all"], [tmp_path / "all" / "a", tmp_path / "all" / "b"]):
        snippets, origin, _ = found(tmp_path / "staging", *inputs)
        assert snippets == {"a/a.py": ""}
        assert [each["name"] for each in origin.notes()["ignored_inputs"]] == ["b"]


def test_a_hostile_ignore_file_costs_nothing(tmp_path: Path) -> None:
    folder = repository(tmp_path, "a")
    (folder / IGNORE_FILE).write_text(
        "a*" * 5_000 + "b\n" + "**/" * 500 + "x\n" + "*" * 12 + "z\n" + "[\n!\n\\\n" + "x" * 70_000
    )
    assert ignore_lines(folder) == ()  # too large
    (folder / IGNORE_FILE).write_text("a*" * 5_000 + "b\n" + "**/" * 500 + "x\n[\n!\n\\\n/\nb.py\n")
    assert found(tmp_path / "staging", folder)[0] == {"a/a.py": ""}
    (folder / IGNORE_FILE).unlink()
    (folder / IGNORE_FILE).symlink_to("/etc/hostname")
    assert ignore_lines(folder) == ()


@pytest.mark.parametrize("line", ["", "# x", "a/", "!a", "*.py", "**/x", "[", "!", "\\"])
def test_any_line_is_a_rule_or_none(line: str) -> None:
    assert isinstance(IgnoreRules([line, "z.py"]).ignores("z.py"), bool)
    assert IgnoreRules([line, "z.py"]).ignores("z.py") and not IgnoreRules(["z.py"]).ignores("y.py")
    assert IgnoreRules(["r/z.py"], "r/").ignores("z.py")


# licences


def test_a_repository_under_another_licence_is_left_out_by_name(tmp_path: Path) -> None:
    gpl, mit = repository(tmp_path, "free", "GPL-3.0-only"), repository(tmp_path, "open")
    snippets, origin, said = found(tmp_path / "staging", gpl, mit)
    assert snippets == {"free/a.py": "not_permissive", "open/a.py": ""}
    assert origin.notes()["left_out_by_licence"] == [{"repository": "free", "licence": "GPL-3.0-only"}]
    (line,) = [line for line in said if "GPL" in line]
    assert line.startswith("free is under GPL-3.0-only") and "--licenses all" in line
    assert found(tmp_path / "staging", gpl, licences="all")[0] == {"free/a.py": ""}


def test_a_folder_may_state_no_licence_and_an_archive_may_not(tmp_path: Path) -> None:
    folder = repository(tmp_path, "a", "")
    snippets, _, said = found(tmp_path / "staging", folder)
    assert snippets == {"a/a.py": ""} and any("a states no licence" in line for line in said)
    assert found(tmp_path / "staging", folder, licences="permissive")[0] == {"a/a.py": "not_permissive"}
    archive = tmp_path / "a-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "a-1.0")
    assert found(tmp_path / "staging", archive)[0] == {"a/a.py": "not_permissive"}
    assert found(tmp_path / "staging", archive, licences="all")[0] == {"a/a.py": ""}


def test_files_and_modules_may_have_any_licence(tmp_path: Path) -> None:
    script = tmp_path / "scripts" / "a.py"
    script.parent.mkdir()
    script.write_text(f"# SPDX-License-Identifier: GPL-3.0-only\n{DOCTEST}")
    assert found(tmp_path / "staging", script)[0] == {"a/a.py": ""}
    assert set(found(tmp_path / "staging", "module:fractions", limit=1)[0].values()) == {""}
