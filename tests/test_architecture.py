"""Imports run one way, and code that runs inside the sandbox leans on nothing but itself and the standard library."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tracer", "corpus", "tokenizer", "train", "eval")
MAY_IMPORT = {
    "tracer": {"tracer"},
    "corpus": {"corpus", "tracer"},
    "tokenizer": {"tokenizer", "tracer"},
    "train": {"train", "tokenizer", "corpus", "tracer"},
    "eval": {"eval", "train", "tokenizer", "corpus", "tracer"},
}
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imported(source: str) -> set[str]:
    """Dotted names of the modules that the source imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def broken_rules(folder: str, source: str) -> set[str]:
    """Imports of the source that a file in this folder may not have."""
    wrong = set()
    for name in imported(source):
        top = name.split(".")[0]
        if not top:
            wrong.add(name)  # relative imports hide which room is meant
        elif top in FOLDERS:
            if top not in MAY_IMPORT[folder]:
                wrong.add(name)
        elif folder == "tracer" and top not in sys.stdlib_module_names:
            wrong.add(name)
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    assert not broken_rules(path.relative_to(ROOT).parts[0], path.read_text(encoding="utf-8"))


def test_the_rule_can_fail():
    assert broken_rules("tracer", "import corpus.rows") == {"corpus.rows"}
    assert broken_rules("tracer", "def f():\n    import pyarrow") == {"pyarrow"}
    assert broken_rules("tokenizer", "from corpus import rows") == {"corpus"}
    assert broken_rules("corpus", "from train import data") == {"train"}
    assert broken_rules("corpus", "from . import rows") == {"."}
    assert not broken_rules("train", "import torch, corpus.rows")


@pytest.mark.parametrize("path", sorted((ROOT / "tracer" / "inside").glob("*.py")), ids=lambda path: path.stem)
def test_inside_the_sandbox_only_itself(path):
    ours = {name for name in imported(path.read_text(encoding="utf-8")) if name.split(".")[0] in FOLDERS}
    assert all(name.startswith("tracer.inside") for name in ours)


def test_origins_do_not_know_each_other():
    for path in (ROOT / "corpus").rglob("*.py"):
        names = imported(path.read_text(encoding="utf-8"))
        if "mined" in path.parts:
            assert not any(name.startswith("corpus.synthetic") for name in names), path
        if "synthetic" in path.parts:
            assert not any(name.startswith("corpus.mined") for name in names), path


def test_no_file_hides_a_module_of_the_standard_library():
    hiding = {"types", "trace", "token", "tokenize", "code", "io", "queue", "signal", "select", "profile", "statistics"}
    hiding |= {"random", "copy", "symtable"}
    assert not [path for path in FILES if path.stem in hiding]
