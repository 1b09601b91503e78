"""Files, environment and current folder of a run, as part of states: brought back whatever was done to them."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.draws import process_settings, written_files
from trace_mine.tracer.inside.draws.ambient import Ambient
from trace_mine.tracer.inside.draws.written_files import Folder

NAMES = ("a.txt", "b/c.txt", "b/d/e.txt", "f")
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.binary(max_size=3)),
    st.tuples(st.just("append"), st.sampled_from(NAMES), st.binary(max_size=3)),
    st.tuples(st.just("remove"), st.sampled_from((*NAMES, "b", "b/d")), st.just(b"")),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.just(b"")),
)


def do(folder: Path, kind: str, name: str, content: bytes) -> None:
    path = folder / name
    try:
        if kind == "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif kind == "move":
            path.rename(folder / "moved")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb" if kind == "write" else "ab") as file:
                file.write(content)
    except OSError:
        pass  # what isn't there is not removed, and a file is no folder


def files_of(folder: Path) -> dict[str, bytes | None]:
    paths = folder.rglob("*")
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in paths}


@given(before=st.lists(STEPS, max_size=4), ways=st.lists(st.lists(STEPS, max_size=5), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_files_are_brought_back(tmp_path_factory: pytest.TempPathFactory, before: list, ways: list[list]) -> None:
    root = tmp_path_factory.mktemp("folder")
    for step in before:
        do(root, *step)
    folder = Folder(str(root))
    assert folder.written() == (), "nothing was written yet"
    known = [((), files_of(root))]
    for way in ways:
        for step in way:
            folder.about_to_change()
            do(root, *step)
        known.append((folder.written(), files_of(root)))
        folder.put_back(known[len(way) % len(known)][0])
    for written, files in [*reversed(known), *known]:
        folder.put_back(written)
        assert files_of(root) == files and folder.written() == written


def test_a_file_that_is_open_stays_that_file(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.about_to_change()
    with (tmp_path / "log").open("a") as log:
        log.write("one\n")
        log.flush()
        one = folder.written()
        log.write("two\n")
        log.flush()
        folder.put_back(one)
        log.write("three\n")
    assert (tmp_path / "log").read_text() == "one\nthree\n"


def test_a_folder_with_too_much_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(written_files.MOST_BYTES + 1))
    folder = Folder(str(tmp_path))
    folder.about_to_change()
    (tmp_path / "new").write_text("x")
    assert folder.is_lost and folder.written() == ()
    folder.put_back(())
    assert (tmp_path / "new").is_file()


def test_what_is_no_file_is_not_touched(tmp_path: Path) -> None:
    """A link out of the folder is not followed, neither to read nor to write; a pipe doesn't block."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(outside)
    os.mkfifo(root / "pipe")
    folder = Folder(str(root))
    folder.about_to_change()
    (root / "file").write_text("x")
    written = folder.written()
    assert written == (("file", b"x"),)
    (root / "file").unlink()
    (root / "file").symlink_to(outside)
    folder.put_back(written)
    assert outside.read_text() == "mine" and folder.is_lost, "a link in the place of a file is not written through"


@given(
    ways=st.lists(
        st.lists(st.tuples(st.sampled_from(("set", "unset", "go", "make")), st.sampled_from("abc")), max_size=5),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_environment_and_folder_are_brought_back(
    tmp_path_factory: pytest.TempPathFactory, ways: list[list[tuple[str, str]]]
) -> None:
    def seen() -> object:
        return dict(os.environ), os.getcwd(), files_of(root)

    root = tmp_path_factory.mktemp("folder")
    before = dict(os.environ)
    with contextlib.chdir(root), pytest.MonkeyPatch.context() as patch:
        patch.setattr(written_files, "_watched", [Folder(str(root))])
        process_settings.begin()
        written_files._watched[0].about_to_change()
        known = [(Ambient.now(), seen())]
        for way in ways:
            for kind, name in way:
                if kind == "set":
                    os.environ[name] = os.environ.get(name, "") + "x"
                elif kind == "unset":
                    os.environ.pop(name, None)
                elif kind == "make":
                    os.makedirs(name, exist_ok=True)
                elif os.path.isdir(name):
                    os.chdir(name)
            known.append((Ambient.now(), seen()))
            known[len(way) % len(known)][0].put_back()
        for ambient, what in [*reversed(known), *known]:
            ambient.put_back()
            now = Ambient.now()
            of_now, of_then = ((each.files, each.environment, each.folder) for each in (now, ambient))
            assert seen() == what and of_now == of_then
        known[0][0].put_back()
    assert dict(os.environ) == before
