"""CONTRIBUTING names files that exist, CHANGELOG has this version, CITATION agrees with both and the licence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import trace_mine

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CHANGES = ("construct", "source", "view", "uncertainty", "engine", "format", "model", "task", "figure", "layer")
TOP = "|".join(("tracer", "corpus", "tokenizer", "train", "eval", "tests", "docs", "examples", "trace_mine"))


def parts() -> dict[str, str]:
    """The text below each heading of "Add something", by the change that the heading names."""
    found = re.findall(r"^### (.+)\n((?:(?!^##).*\n?)*)", CONTRIBUTING, re.MULTILINE)
    return {next(change for change in CHANGES if change in title.split(":")[0]): text for title, text in found}


def test_each_kind_of_change_has_its_list():
    assert list(parts()) == list(CHANGES)
    for change, text in parts().items():
        assert re.search(r"`(tests/[\w/.]+)`", text), f"{change} names no test"
        assert re.search(rf"`(?:{TOP})/", text), f"{change} names no file"


@pytest.mark.parametrize("path", sorted(set(re.findall(rf"(?<![\w/.])((?:{TOP})/[\w/.-]+)", CONTRIBUTING))))
def test_every_path_that_is_named_exists(path):
    assert (ROOT / path.rstrip(".")).exists(), f"CONTRIBUTING.md names {path}"


def test_the_changelog_has_this_version_first():
    versions = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0][0] == trace_mine.__version__
    assert versions == sorted(versions, reverse=True)


def test_the_citation_file_is_one():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(told)
    assert told["version"] == trace_mine.__version__
    assert told["license"] == "MIT"
    holder = re.search(r"^Copyright \(c\) \d+ (.+)$", (ROOT / "LICENSE").read_text(), re.MULTILINE)
    assert [author["name"] for author in told["authors"]] == [holder.group(1)]
    assert f"[{told['version']}] - {told['date-released']}" in (ROOT / "CHANGELOG.md").read_text()
