"""Each difference between interpreters is seen under each of them, and code asks the list and not the version."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import interpreters
from trace_mine.tracer.differences_page import page
from trace_mine.tracer.inside.differences import DIFFERENCES, VersionDifference

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_where_it_is_said_to_be(interpreter: str, name: str) -> None:
    difference = DIFFERENCES[name]
    done = subprocess.run([interpreter, "-I", "-c", difference.evidence], capture_output=True, text=True, check=True)
    expected = difference.holds_in(interpreters.version_of(interpreter))
    assert done.stdout == f"{expected}\n", done.stderr


def test_a_difference_that_no_version_shows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"after 3\.11"):
        VersionDifference(since=(3, 11), what="", so="", evidence="")


def test_no_other_file_asks_for_the_version() -> None:
    files = [
        path for room in ("tracer", "corpus", "tokenizer", "train", "eval") for path in (ROOT / room).rglob("*.py")
    ]
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if re.search(r"version_info\s*(?:\[[^]]*\]\s*)?[<>=!]", path.read_text(encoding="utf-8"))
    }
    assert not asking


def test_the_page_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "interpreters.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m trace_mine.tracer.differences_page > docs/interpreters.md"
