"""docs/api.md is what the docstrings say, and names everything public."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import trace_mine

ROOT = Path(__file__).resolve().parent.parent


def maker():
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "docs" / "make_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_docstrings_say():
    made = maker().page()
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == made, "run python docs/make_api.py"


def test_the_page_has_every_public_name_once():
    names = [name for group in maker().GROUPS.values() for name in group]
    assert sorted([*names, "__version__"]) == sorted(trace_mine.__all__)
