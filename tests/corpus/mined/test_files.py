"""Every kind of bad file is a counted reason, and nothing hangs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trace_mine.corpus.mined.files import (
    MAX_FILE_BYTES,
    SLOW_CODECS,
    FoundFile,
    SourceText,
    decode,
    parse,
    read,
    read_bytes,
    walk,
)
from trace_mine.tracer.schema import Drop


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x = 1\0", "null_bytes"),
        (b"x = '\xff'", "bad_encoding"),
        (b"# coding: no-such-codec\n", "bad_encoding"),
        (b"# coding: rot13\nk = 1\n", "bad_encoding"),
        (b"def f(:\n", "syntax_error"),
        (b"x = " + b"(" * 5000, "syntax_error"),
        (b"x = " + b"-" * 200_000 + b"1", "too_deep"),
        (b"x = 1\n" * MAX_FILE_BYTES, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_bad_python_is_a_counted_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "bad.py").write_bytes(data)
    found = read(tmp_path, "bad.py")
    assert isinstance(found, Drop)
    assert found.reason == reason
    assert found.evidence


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"x = '\xc3\xa9'\n", "é"),
        (b"\xef\xbb\xbfx = '\xc3\xa9'\n", "é"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "é"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nx = '\x80'\n", "€"),
        (b"x = '''a\r\nb\rc'''\r\n", "a\nb\nc"),
    ],
)
def test_decoding_is_pythons_own(data: bytes, value: str) -> None:
    found = decode("ok.py", data)
    assert isinstance(found, SourceText)
    namespace: dict[str, object] = {}
    exec(data, namespace)
    assert namespace["x"] == value
    assert found.tree is not None
    constant = found.tree.body[-1].value  # type: ignore[attr-defined]
    assert constant.value == value


def test_a_text_file_with_null_bytes_is_binary() -> None:
    found = decode("notes.txt", b">>> 1\0")
    assert isinstance(found, Drop)
    assert found.reason == "binary"


def test_newer_syntax_is_a_syntax_error() -> None:
    if sys.version_info >= (3, 14):
        pytest.skip("template strings parse from Python 3.14 on")
    parsed = parse("x = t'{1}'\n")
    assert isinstance(parsed, Drop)
    assert parsed.reason == "syntax_error"
    assert parsed.evidence.startswith("line 1")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_have_a_reason(data: bytes) -> None:
    for path in ("a.py", "a.txt"):
        found = decode(path, data)
        assert isinstance(found, SourceText) or found.reason


def test_pipes_and_folders_called_py_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    found = read(tmp_path, "pipe.py")
    assert isinstance(found, Drop)
    assert found.reason == "special_file"
    assert list(walk(tmp_path)) == [FoundFile(path="pipe.py")]


def test_links_are_followed_only_inside(tmp_path: Path) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("x = 1\n")
    root = tmp_path / "root"
    (root / "package").mkdir(parents=True)
    (root / "package" / "real.py").write_text("x = 1\n")
    (root / "inside.py").symlink_to("package/real.py")
    (root / "leaves.py").symlink_to(outside)
    (root / "loop.py").symlink_to("loop.py")
    (root / "gone.py").symlink_to("nowhere.py")
    (root / "package" / "up").symlink_to("..")
    found = list(walk(root))
    paths = [file.path for file in found if file.drop is None]
    problems = {file.path: file.drop.reason for file in found if file.drop is not None}
    assert paths == ["inside.py", "package/real.py"]
    assert problems == {"leaves.py": "link_outside", "loop.py": "link_loop", "gone.py": "unreadable"}


def test_unreadable_folders_and_files_are_counted(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    (tmp_path / "secret.py").write_text("x = 1\n")
    (tmp_path / "secret.py").chmod(0)
    (closed,) = (file for file in walk(tmp_path) if file.drop is not None)
    assert (closed.path, closed.drop and closed.drop.reason) == ("closed", "unreadable")
    found = read(tmp_path, "secret.py")
    assert isinstance(found, Drop)
    assert found.reason == "unreadable"


def test_missing_files_are_unreadable(tmp_path: Path) -> None:
    found = read(tmp_path, "gone.py")
    assert isinstance(found, Drop)
    assert found.reason == "unreadable"


def test_hidden_folders_environments_and_datasets_are_left_out(tmp_path: Path) -> None:
    for folder in (".git", "venv", "__pycache__", "traces", "x.egg-info", "kept"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.py").write_text("")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    (tmp_path / "traces" / ".ledger").mkdir()
    assert list(walk(tmp_path)) == [FoundFile(path="kept/a.py")]


def test_a_link_above_a_file_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "METADATA").write_text("Name: x\n")
    root = tmp_path / "root"
    root.mkdir()
    (root / "p.dist-info").symlink_to(tmp_path / "outside")
    found = read_bytes(root, "p.dist-info/METADATA")
    assert isinstance(found, Drop) and found.reason == "link_outside"


def test_a_walk_ends_at_too_many_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in range(10):
        (tmp_path / f"{name}.png").touch()
    monkeypatch.setattr("trace_mine.corpus.mined.files.MAX_ENTRIES", 9)
    (found,) = walk(tmp_path)
    assert found.drop is not None and found.drop.reason == "too_many_files"


def test_every_codec_of_python_but_two_decodes_in_linear_time() -> None:
    """In a process of limited CPU time: a megabyte takes each of them far below a second."""
    program = """
import encodings, pkgutil, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
for module in pkgutil.iter_modules(encodings.__path__):
    if module.name not in {*sys.argv[1:], "aliases", "mbcs", "oem"}:
        for unit in (b"a", b"a-", b"a.", b"xn--a.", b"\\xff", b"+A", b"~{", b"\\x1b$B", b"\\\\x", b"0"):
            try:
                (unit * (1_000_000 // len(unit))).decode(module.name)
            except (ValueError, LookupError):
                continue
"""
    command = [sys.executable, "-W", "ignore", "-c", program, *SLOW_CODECS]
    assert subprocess.run(command).returncode == 0
