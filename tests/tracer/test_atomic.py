"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trace_mine.tracer.atomic import clear_leftovers, new_folder, replacing, write_atomically


def below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for data in (b"old", b"new"):
        write_atomically(tmp_path / "file", data)
        assert below(tmp_path) == {"file": data}


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "file", b"new")
    assert below(tmp_path) == {"file": b"old"}


def test_the_old_file_is_there_until_the_block_ends(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old")
    with replacing(tmp_path / "file") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "file").read_bytes() == b"old"
    assert below(tmp_path) == {"file": b"new"}


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda descriptor: (done.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(os, "rename", lambda old, new: (done.append("rename"), rename(old, new))[1])
    write_atomically(tmp_path / "file", b"data")
    assert done == ["fsync", "rename", "fsync"], "the data, the name, the folder that holds the name"


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    with new_folder(tmp_path / "made") as partial:
        (partial / "file").write_bytes(b"data")
        assert not (tmp_path / "made").exists()
    assert below(tmp_path) == {"made/file": b"data"}
    with pytest.raises(ValueError, match="bad"), new_folder(tmp_path / "other") as partial:
        (partial / "file").write_bytes(b"data")
        raise ValueError("bad")
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_two_who_make_one_folder_do_not_touch_each_other_s(tmp_path: Path) -> None:
    """The same archive, unpacked by two commands at once: the first to end has the name, the other hears of it."""
    with pytest.raises(OSError, match="not empty"), new_folder(tmp_path / "made") as slow:
        (slow / "file").write_bytes(b"slow")
        with new_folder(tmp_path / "made") as fast:
            (fast / "file").write_bytes(b"fast")
        assert (slow / "file").read_bytes() == b"slow"
    assert below(tmp_path) == {"made/file": b"fast"}


def test_leftovers_are_known_by_their_names_and_kinds(tmp_path: Path) -> None:
    """What ``replacing`` writes is a leftover once its process is killed; nothing else is, whatever it is called."""
    with replacing(tmp_path / "of\na writer") as file:
        (name,) = os.listdir(tmp_path)
        file.write(b"data")
    (tmp_path / name).write_bytes(b"half")
    for other in ("notes.tmp", ".7.tmp", "file.7.tmp~", "file.x.tmp"):
        (tmp_path / other).write_text("kept")
    (tmp_path / "folder.7.tmp" / "inner.7.tmp").mkdir(parents=True)
    (tmp_path / "link.7.tmp").symlink_to("notes.tmp")
    before = {*os.listdir(tmp_path)}
    clear_leftovers(tmp_path)
    assert before - {*os.listdir(tmp_path)} == {name}
    assert (tmp_path / "folder.7.tmp" / "inner.7.tmp").is_dir()
