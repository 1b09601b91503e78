"""Attacks on the unpacker, each a real archive."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_mine.corpus.mined import archives
from trace_mine.corpus.mined.archives import ArchiveRefused, archive_part, safe_path
from trace_mine.corpus.mined.staging import stage_archive
from trace_mine.tracer.schema import Drop


def staged(archive: Path, folder: Path) -> Path | Drop:
    """Unpacks in this process what the reader unpacks in its sandbox."""
    folder.mkdir(parents=True, exist_ok=True)
    return stage_archive(archive, folder, lambda first: b"".join(archive_part(archive, first)))


def unpack(archive: Path, folder: Path) -> Path:
    root = staged(archive, folder)
    assert isinstance(root, Path), root
    return root


def refusal(archive: Path, folder: Path) -> str:
    """Why an archive is refused; nothing of it is left."""
    drop = staged(archive, folder)
    assert isinstance(drop, Drop) and drop.reason == "unreadable_repository"
    assert not list(folder.iterdir()), "nothing half unpacked is left"
    return drop.evidence


def make_tar(
    path: Path, members: dict[str, bytes], extra: Callable[[tarfile.TarFile], None] = lambda tar: None
) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        extra(tar)
    return path


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_an_sdist_unpacks_to_its_folder_once(tmp_path: Path, make: Callable[..., Path]) -> None:
    name = "p-1.0.tar.gz" if make is make_tar else "p-1.0.zip"
    archive = make(tmp_path / name, {"p-1.0/PKG-INFO": b"Name: p\n", "p-1.0/src/p.py": b"x = 1\n"})
    root = unpack(archive, tmp_path / "staging")
    assert files_below(root) == ["PKG-INFO", "src/p.py"]
    (root / "src" / "p.py").write_text("changed")
    assert unpack(archive, tmp_path / "staging") == root
    assert (root / "src" / "p.py").read_text() == "changed", "an unpacked archive is used again"


@pytest.mark.parametrize("name", ["/etc/evil.py", "../evil.py", "a/../../evil.py", "C:/evil.py", "\\evil.py"])
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    archive = make(tmp_path / ("p.tar.gz" if make is make_tar else "p.zip"), {"p/ok.py": b"", name: b"evil"})
    assert "inside the archive" in refusal(archive, tmp_path / "deep" / "staging")
    assert not list(tmp_path.rglob("*evil*"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    def add_special(tar: tarfile.TarFile) -> None:
        for name, kind, target in (
            ("p/soft.py", tarfile.SYMTYPE, "/etc/passwd"),
            ("p/hard.py", tarfile.LNKTYPE, "p/ok.py"),
            ("p/device.py", tarfile.CHRTYPE, ""),
            ("p/pipe.py", tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)

    root = unpack(make_tar(tmp_path / "p.tar.gz", {"p/ok.py": b""}, add_special), tmp_path / "staging")
    assert files_below(root) == ["ok.py"]


def test_a_link_to_a_folder_cannot_be_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def add_link_then_file(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("p/link")
        info.type, info.linkname = tarfile.SYMTYPE, str(outside)
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo("p/link/evil.py"), io.BytesIO(b""))

    unpack(make_tar(tmp_path / "p.tar.gz", {}, add_link_then_file), tmp_path / "staging")
    assert not list(outside.iterdir())


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_bombs_are_refused(tmp_path: Path, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1 << 20)
    archive = make(tmp_path / ("p.tar.gz" if make is make_tar else "p.zip"), {"p/zeros.py": bytes(2 << 20)})
    assert "decompression bomb" in refusal(archive, tmp_path / "staging")


def test_many_small_files_and_a_large_total_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_tar(tmp_path / "p.tar.gz", {f"p/{number}.py": bytes(1000) for number in range(50)})
    monkeypatch.setattr(archives, "MAX_MEMBERS", 49)
    assert "at most 49 files" in refusal(archive, tmp_path / "staging")
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 40_000)
    assert "decompression bomb" in refusal(archive, tmp_path / "staging")


@pytest.mark.parametrize("name", ["p.tar.gz", "p.zip", "p.whl", "p.tar.xz", "p.tar.bz2", "p.tar"])
@pytest.mark.parametrize("data", [b"", b"not an archive" * 1000, b"\x1f\x8b\x08\x00garbage"])
def test_broken_archives_are_a_clear_error(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert refusal(tmp_path / name, tmp_path / "staging").startswith("can't be unpacked")


def test_a_truncated_archive_is_a_clear_error(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "p.tar.gz", {"p/a.py": bytes(range(256)) * 100})
    archive.write_bytes(archive.read_bytes()[:-60])
    assert "can't be unpacked" in refusal(archive, tmp_path / "staging")


@given(st.text(max_size=60))
def test_a_safe_path_stays_inside(name: str) -> None:
    try:
        path = safe_path(name)
    except ArchiveRefused:
        return
    if path is not None:
        assert not path.startswith("/")
        assert ".." not in path.split("/")
        assert (Path("/base") / path).is_relative_to("/base")
