"""One word has one meaning: the code has what the glossary of ARCHITECTURE.md names, and no two public classes share a
name.
"""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("tracer", "corpus", "tokenizer", "train", "eval")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
RETIRED = {
    "told": "the noun that the variable holds",
    "found": "the noun that the variable holds",
    "Gate": "Opening",
    "lookahead": "interpreter",
    "kernel_of": "automaton_of",
}
"""Identifiers that were given up, with the word to use: they said nothing of what they hold, or had two meanings."""
COUNTS_FOUND = {f"corpus/{name}.py" for name in ("ledger", "merge", "report", "split_reader", "stats", "tally", "work")}
"""Files that speak of the count ``found`` of stats.json, which is a contract with readers."""


def glossary() -> list[tuple[str, str, str]]:
    """(words, meaning, where in the code) of each row of the table under ``## Words``."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.split("## Words\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [(words.strip(), meaning.strip(), place.strip()) for words, meaning, place in rows[1:]]


def places() -> list[tuple[str, str]]:
    """(words, dotted place) of the glossary, one for each place."""
    return [(words, place) for words, _, cell in glossary() for place in re.findall(r"`([\w./]+)`", cell)]


def defined_in(path: Path) -> set[str]:
    """Names that a module binds at its top level, and ``Class.member`` for what its classes bind."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names |= bound_by(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{member}" for inner in node.body for member in bound_by(inner)}
    return names


def bound_by(node: ast.stmt) -> set[str]:
    """The names that one definition or assignment binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.AnnAssign):
        return {node.target.id} if isinstance(node.target, ast.Name) else set()
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return set()


def exists(place: str) -> bool:
    """Tell if ``room.module``, ``room.module.name`` or ``room.module.Class.member`` is there."""
    parts = place.split(".")
    for cut in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:cut])
        if module.with_suffix(".py").is_file():
            rest = ".".join(parts[cut:])
            return not rest or rest in defined_in(module.with_suffix(".py"))
        if module.is_dir():
            return cut == len(parts)
    return False


def test_the_glossary_defines_each_word_once():
    words = [word.strip() for row, _, _ in glossary() for word in re.split(r"[,/]", row)]
    assert len(words) > 40 and sorted(set(words)) == sorted(words)


@pytest.mark.parametrize(("words", "place"), places())
def test_a_word_of_the_glossary_is_in_the_code(words, place):
    assert exists(place), f"{words}: ARCHITECTURE.md places it in {place}, which does not exist"


def test_every_word_has_a_place():
    assert not [words for words, _, cell in glossary() if "`" not in cell]


def test_each_public_class_has_a_name_of_its_own():
    homes = defaultdict(list)
    for path in FILES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: paths for name, paths in homes.items() if len(paths) > 1}


def retired_in(source: str) -> set[str]:
    """Retired identifiers that the source binds or uses: as a name, parameter, attribute, function or class."""
    used: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.arg):
            used.add(node.arg)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            used.add(node.name)
    return used & RETIRED.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_retired_word_comes_back(path):
    allowed = {"found"} if str(path.relative_to(ROOT)) in COUNTS_FOUND else set()
    assert not retired_in(path.read_text(encoding="utf-8")) - allowed


def test_the_rules_can_fail():
    assert not exists("tracer.schema.Nothing") and not exists("tracer.nowhere") and exists("tracer.schema.Step.wrote")
    assert retired_in("def f(told): return told") == {"told"}
