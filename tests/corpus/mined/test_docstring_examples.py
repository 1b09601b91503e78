"""The examples in docstrings of the mined origin say what the code does."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOM = Path(__file__).resolve().parents[3] / "corpus" / "mined"
NAMES = sorted(
    ".".join(path.relative_to(ROOM).with_suffix("").parts)
    for path in ROOM.rglob("*.py")
    # the session at the head of `calls` imports from an imagined repository
    if ">>>" in path.read_text(encoding="utf-8") and path.stem != "calls"
)


@pytest.mark.parametrize("name", NAMES)
def test_examples(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"trace_mine.corpus.mined.{name}"))
    assert result.failed == 0


def test_there_are_examples() -> None:
    assert {"layout", "licences", "provenance", "snippets.doctests", "snippets.scripts"} <= {*NAMES}
