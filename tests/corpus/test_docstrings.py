"""The examples in docstrings of the corpus print what they show.

Those of ``mined`` are left out: a docstring there shows the session that a snippet becomes, which is no example.
"""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = [
    ".".join(("trace_mine", *path.relative_to(ROOT).with_suffix("").parts))
    for path in sorted((ROOT / "corpus").rglob("*.py"))
    if "mined" not in path.parts
    and ">>> " in path.read_text(encoding="utf-8")
    and path.name not in ("__init__.py", "__main__.py")
]


def test_there_are_examples() -> None:
    assert "trace_mine.corpus.hashing" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_show(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
