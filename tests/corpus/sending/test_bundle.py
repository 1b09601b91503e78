"""A bundle is the same for the same content, and comes out as it went in."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.sending import bundle
from trace_mine.corpus.sending.bundle import bundle_chunks, bundle_name, unpack_bundle


def sent(path: Path, to: Path) -> Path:
    to.mkdir()
    unpack_bundle(io.BytesIO(b"".join(bundle_chunks(path))), to)
    return to / path.name


def facts(root: Path) -> dict[str, tuple[object, ...]]:
    """What a program can see of a folder: kinds, modes, times in seconds, contents."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        mode = 0 if path.is_symlink() else stat.S_IMODE(status.st_mode)
        seconds = 0 if path.is_symlink() else int(status.st_mtime)
        found[os.fsencode(path.relative_to(root)).decode("latin-1")] = (mode, seconds, content)
    return found


names = st.binary(min_size=1, max_size=120).filter(
    lambda n: b"/" not in n and b"\0" not in n and n not in (b".", b"..")
)
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)


@settings(deadline=None)  # files on a busy machine
@given(st.dictionaries(paths, st.binary(max_size=2000), max_size=8), st.lists(paths, max_size=3))
def test_a_folder_comes_out_as_it_went_in(files: dict[bytes, bytes], links: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        root.mkdir()
        for name, content in files.items():
            path = os.fsencode(root) + b"/" + name
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "xb") as file:
                    file.write(content)
                os.utime(path, (len(content), 10**9 + len(content)))
            except OSError:
                continue  # a file's name is a folder's too, or too long
        for number, target in enumerate(links):
            os.symlink(target, root / f"link{number}")
        back = sent(root, Path(scratch, "to"))
        assert facts(back) == facts(root)
        assert bundle_name(back) == bundle_name(root)


def test_modes_empty_folders_and_one_file(tmp_path: Path) -> None:
    root = tmp_path / "r"
    (root / "empty").mkdir(parents=True)
    (root / "tool").write_text("#!/bin/sh\n")
    (root / "tool").chmod(0o755)
    (root / ("long" * 60)).write_text("x")
    (root / "dir").symlink_to("empty")
    os.utime(root / "empty", (5, 5))
    assert facts(sent(root, tmp_path / "to")) == facts(root)
    assert sent(root / "tool", tmp_path / "one").read_text() == "#!/bin/sh\n"


def test_the_name_changes_with_content_mode_and_time(tmp_path: Path) -> None:
    file = tmp_path / "f"
    seen = set()
    for content, mode, seconds in (("a", 0o644, 1), ("b", 0o644, 1), ("b", 0o600, 1), ("b", 0o600, 2)):
        file.write_text(content)
        file.chmod(mode)
        os.utime(file, (seconds, seconds))
        seen.add(bundle_name(file))
        assert bundle_name(file) in seen
    assert len(seen) == 4


def test_datasets_of_ours_the_objects_of_git_and_pipes_stay_here(tmp_path: Path) -> None:
    root = tmp_path / "r"
    for name in ("traces/.ledger", "traces/data", ".git/objects/ab", ".git/refs", "sub/.git/objects"):
        (root / name).mkdir(parents=True)
    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (root / "objects").mkdir()
    os.mkfifo(root / "pipe")
    back = sent(root, tmp_path / "to")
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == [
        ".git",
        ".git/HEAD",
        ".git/refs",
        "objects",
        "sub",
        "sub/.git",
        "traces",
    ]


def test_chunks_are_of_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "CHUNK_BYTES", 1000)
    (tmp_path / "f").write_bytes(bytes(5000))
    sizes = [len(chunk) for chunk in bundle_chunks(tmp_path / "f")]
    assert {*sizes[:-1]} == {1000} and 0 < sizes[-1] <= 1000


def test_what_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected to send .*got No such file"):
        bundle_name(tmp_path / "nothing")
