"""The interpreter of a repository is one of this machine that its requires-python allows, ours first."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from trace_mine.corpus.mined.environments import interpreters
from trace_mine.corpus.mined.environments.interpreters import interpreter_for


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three interpreters that are not there, besides the one that runs."""
    versions = {"/a/python3.7": "3.7.9", "/b/python3.8": "3.8.2", "/c/python3.99": "3.99.1"}
    table = {"3.7": "/a/python3.7", "3.8": "/b/python3.8", "3.99": "/c/python3.99"}
    monkeypatch.setattr(interpreters, "interpreters", lambda: table)
    monkeypatch.setattr(interpreters, "_version_of", lambda python, minor: versions.get(python))


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, sys.executable),
        ("", sys.executable),
        (">=3.8", sys.executable),
        ("nonsense", sys.executable),
        ("<3.8", "/a/python3.7"),
        ("<3.9", "/b/python3.8"),
        ("<3.9,!=3.8.2", "/a/python3.7"),
        (">=3.90", "/c/python3.99"),
        (">=4", None),
    ],
)
def test_ours_first_then_the_newest_that_will_do(asked: str | None, given: str | None) -> None:
    assert interpreter_for(asked) == given


def test_the_machine_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of pyenv's has an interpreter of another version; what only bears such a name is none."""
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    other, name = "3.12" if minor != "3.12" else "3.13", "python"
    place = tmp_path / "versions" / f"{other}.5" / "bin"
    place.mkdir(parents=True)
    script = f"#!/bin/sh\necho cpython {other}.5 {place}/{name}\n"
    (place / f"python{other}").write_text(script)
    (place / f"python{other}").chmod(0o755)
    fake = tmp_path / "versions" / "3.14.0" / "bin"
    fake.mkdir(parents=True)
    (fake / "python3.14").write_text("#!/bin/sh\necho cpython 3.6.1 /x\n")
    (fake / "python3.14").chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    interpreters.interpreters.cache_clear()
    try:
        table = interpreters.interpreters()
    finally:
        interpreters.interpreters.cache_clear()
    assert table == {minor: sys.executable, other: str(place / f"python{other}")}
