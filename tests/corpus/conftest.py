"""Puts the fake tracer where worker processes can import it, and makes small repositories."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # test modules import the fakes when they are collected


@pytest.fixture(autouse=True)
def importable_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands that are started as processes."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), str(HERE.parents[1]), *sys.path]))


@pytest.fixture
def make_repository(tmp_path: Path) -> Callable[..., Path]:
    """Writes files (path to text or bytes) into a new folder with a pyproject.toml of that name."""

    def make(name: str, files: dict[str, str | bytes], parent: Path | None = None) -> Path:
        root = (parent or tmp_path / "repositories") / name
        root.mkdir(parents=True)
        (root / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\nlicense = "MIT"\n')
        for path, content in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return make
