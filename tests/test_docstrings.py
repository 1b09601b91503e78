"""Examples in docstrings give what they say. Those that open a dataset or a run are in ``test_public_interface.py``."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NO_EXAMPLES = {"corpus/mined/snippets/calls.py"}
"""Files whose docstrings show what the code writes, with names that nothing defines."""


def modules() -> list[str]:
    """Names, below ``trace_mine``, of the modules of the rooms that have examples."""
    found = []
    for room in ("tracer", "corpus", "tokenizer", "train", "eval"):
        for path in sorted((ROOT / room).rglob("*.py")):
            file = path.relative_to(ROOT).as_posix()
            if ">>> " in path.read_text(encoding="utf-8") and file not in NO_EXAMPLES:
                found.append(file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    return found


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_docstrings_run(name):
    try:
        module = importlib.import_module(f"trace_mine.{name}")
    except ImportError as error:
        pytest.skip(f"an extra is missing: {error}")
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0
