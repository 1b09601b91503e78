"""A script's folder as it is copied: within bounds, following nothing, with a word for what is left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trace_mine.tracer import script_folder
from trace_mine.tracer.script_folder import FolderCopy, copy_of
from trace_mine.tracer.scripts import looks_above_its_folder


def paths(copied: FolderCopy) -> list[str]:
    """All that was copied, sorted."""
    content = copied.content
    return sorted([*content.folders, *(path for path, _, _ in content.files), *(path for path, _ in content.links)])


def why(copied: FolderCopy) -> dict[str, str]:
    return dict(copied.left_out)


def test_files_folders_and_links_within(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_bytes(b"1\r\n")
    (tmp_path / "tool.sh").write_text("x")
    (tmp_path / "tool.sh").chmod(0o755)
    (tmp_path / "data" / "up").symlink_to("../tool.sh")
    copied = copy_of(tmp_path)
    assert paths(copied) == ["data", "data/a.csv", "data/up", "tool.sh"] and not copied.num_left_out
    assert {path: (mode, content) for path, mode, content in copied.content.files} == {
        "data/a.csv": (0o644, b"1\r\n"),
        "tool.sh": (0o755, b"x"),
    }


def test_what_is_no_part_of_a_folder(tmp_path: Path) -> None:
    for name in (".git/config", "__pycache__/a.pyc", "node_modules/x.js", "env/pyvenv.cfg", "env/lib/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert paths(copy_of(tmp_path)) == []


def test_what_leads_out_or_never_ends_is_left_out_and_named(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("outside")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "absolute").symlink_to(secret)
    (folder / "relative").symlink_to("../secret")
    (folder / "roundabout").symlink_to("inner/../../secret")
    (folder / "linked").symlink_to("..")
    os.mkfifo(folder / "pipe")
    (folder / "closed").write_text("x")
    (folder / "kept").write_text("x")
    copied = copy_of(folder)
    assert {"absolute", "relative", "roundabout", "linked", "pipe"} == set(why(copied)) and copied.num_left_out == 5
    assert why(copied)["pipe"] == "no regular file" and "leads out" in why(copied)["relative"]
    assert paths(copied) == ["closed", "kept"]


def test_a_folder_that_is_a_link_is_not_read_below_a_repository(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("x")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "scripts").symlink_to(tmp_path / "outside")
    for below in ("scripts", "../outside"):
        with pytest.raises(OSError):
            copy_of(repository, below=below)


def test_what_is_mentioned_comes_first_where_not_all_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_folder, "MAX_BYTES", 100)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "wanted.csv").write_bytes(bytes(80))
    for number in range(5):
        (tmp_path / f"a{number}").write_bytes(bytes(30))
    copied = copy_of(tmp_path, mentioned="open('deep/wanted.csv')")
    assert paths(copied) == ["deep"] + ([] if "deep/wanted.csv" not in paths(copied) else ["deep/wanted.csv"])
    assert "deep/wanted.csv" not in why(copied) and copied.num_left_out == 5


def test_the_number_of_entries_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script_folder, "MAX_ENTRIES", 10)
    for number in range(30):
        (tmp_path / f"f{number:02}").write_bytes(b"")
    copied = copy_of(tmp_path)
    assert len(copied.content.files) == 10 and copied.num_left_out == 20
    assert len(copied.left_out) == script_folder.MAX_NAMED
    monkeypatch.setattr(script_folder, "MAX_LISTED", 15)
    assert any("entries" in reason for _, reason in copy_of(tmp_path).left_out)


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("ROOT = Path(__file__).resolve().parents[1]", True),
        ("HERE = Path(__file__).parent\nROOT = HERE.parent", True),
        ("root = os.path.dirname(os.path.dirname(__file__))", True),
        ("root = os.path.join(os.path.dirname(__file__), os.pardir)", True),
        ("root = os.path.join(os.path.dirname(__file__), '..', 'data')", True),
        ("sys.path.append(os.path.dirname(__file__) + '/../lib')", True),
        ("data = (Path(__file__) / '../../data.csv').resolve()", True),
        ("data = Path(__file__).with_name('data.csv')", False),
        ("data = os.path.join(os.path.dirname(__file__), 'data.csv')", False),
        ("print('...', __file__)", False),
        ("above = Path.cwd().parent.parent", False),
    ],
)
def test_a_program_that_makes_a_path_above_its_own_file(source: str, does: bool) -> None:
    assert looks_above_its_folder(source) == does
