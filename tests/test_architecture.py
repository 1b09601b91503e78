"""Imports run one way by one name, and code that runs inside the sandbox leans on nothing but itself and the standard
library.
"""

import ast
import functools
import graphlib
import re
import sys
from collections.abc import Mapping
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
TERMINAL = {f"tracer/{name}.py": {"typer"} for name in ("__main__", "command_line", "run_options")}
"""The one exception to "the tracer imports the standard library alone": its command, which no library user imports."""
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
OTHERS = sorted(
    path
    for path in (
        *(ROOT / "trace_mine").glob("*.py"),
        *(path for folder in ("tests", "docs", "examples") for path in (ROOT / folder).rglob("*.py")),
    )
    if "samples" not in path.parts
)
DOCUMENTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "CHANGELOG.md"})  # it names old ones
INSIDE = sorted((ROOT / "tracer" / "inside").rglob("*.py"))
FLOORS = ("protocol", "syntax", "draws", "observe", "readers", "states", "views", "drive", "jobs")
"""Rooms of ``tracer/inside``, bottom first: a file imports from its own room and from those below it."""


@functools.cache
def imported(source: str) -> frozenset[str]:
    """Dotted names of the modules that the source imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return frozenset(names)


def short_names(source: str) -> set[str]:
    """Imports of a folder by another name than ``trace_mine.FOLDER``: a module under two names is two modules."""
    return {name for name in imported(source) if name.split(".")[0] in FOLDERS}


def broken_rules(folder: str, source: str, more: set[str] = frozenset()) -> set[str]:
    """Imports of the source that a file in this folder may not have; ``more``: packages that this file may."""
    wrong = short_names(source)
    for name in imported(source):
        top, _, rest = name.partition(".")
        if not top:
            wrong.add(name)  # relative imports hide which room is meant
        elif top == "trace_mine":
            if rest and rest.split(".")[0] not in MAY_IMPORT[folder]:
                wrong.add(name)
        elif folder == "tracer" and top not in sys.stdlib_module_names | more:
            wrong.add(name)
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    name = path.relative_to(ROOT)
    more = TERMINAL.get(name.as_posix(), set())
    assert not broken_rules(name.parts[0], path.read_text(encoding="utf-8"), more)


def test_the_terminal_s_libraries_stay_in_the_tracer_s_command():
    terminal = {name.removesuffix(".py").replace("/", ".") for name in TERMINAL}
    for path in (ROOT / "tracer").rglob("*.py"):
        if path.relative_to(ROOT).as_posix() not in TERMINAL:
            names = imported(path.read_text(encoding="utf-8"))
            assert not names & {f"trace_mine.{name}" for name in terminal}, path


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_and_examples_import_by_the_one_name(path):
    assert not short_names(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_import_by_the_one_name(path):
    rooms = "|".join(FOLDERS)
    text = path.read_text(encoding="utf-8")
    assert not re.search(rf"^[ >.]*(?:from (?:{rooms})(?:\.\w+)* import |import (?:{rooms})\b)", text, re.MULTILINE)
    assert not re.search(rf"python3? -m (?:{rooms})\b", text)


def test_the_rule_can_fail():
    assert broken_rules("tracer", "import trace_mine.corpus.rows") == {"trace_mine.corpus.rows"}
    assert broken_rules("tracer", "def f():\n    import pyarrow") == {"pyarrow"}
    assert broken_rules("tracer", "import typer") == {"typer"}
    assert broken_rules("tokenizer", "from trace_mine.corpus import rows") == {"trace_mine.corpus"}
    assert broken_rules("corpus", "from trace_mine.train import data") == {"trace_mine.train"}
    assert broken_rules("corpus", "from . import rows") == {"."}
    assert broken_rules("train", "from tracer.schema import Trace") == {"tracer.schema"}
    assert not broken_rules("train", "import torch, trace_mine.corpus.rows")


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: str(path.relative_to(ROOT / "tracer" / "inside")))
def test_inside_the_sandbox_only_itself(path):
    ours = {name for name in imported(path.read_text(encoding="utf-8")) if name.split(".")[0] == "trace_mine"}
    assert all(name.startswith("trace_mine.tracer.inside") for name in ours)


def test_all_rooms_of_the_inside_are_looked_at():
    assert {path.parent.name for path in INSIDE} > {"inside", "drive", "states", "jobs"}


def module_of(path: Path) -> str:
    """The file's module, without ``trace_mine``."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def module_graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Each module with those of ``sources`` that it imports: at any depth, under ``TYPE_CHECKING`` too.

    A type-only import makes no circle at run time, but whoever reads one of the two files has to read the other.
    """
    graph: dict[str, set[str]] = {}
    for name, source in sources.items():
        wanted: set[str] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                wanted.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                modules = {each for each in inner if each.removeprefix("trace_mine.") in sources}
                wanted |= modules
                if modules != inner:
                    wanted.add(node.module)
        graph[name] = {each.removeprefix("trace_mine.") for each in wanted} & sources.keys() - {name}
    return graph


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one circle of imports, the first one again at the end; empty where there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def floor_of(module: str, graph: Mapping[str, set[str]]) -> int:
    """The floor of a module of the inside. A module of no room stands as high as the highest that it imports."""
    room = module.removeprefix("tracer.inside.").partition(".")[0]
    if room in FLOORS:
        return FLOORS.index(room)
    return max((floor_of(other, graph) for other in graph[module]), default=0)


def climbing(graph: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """(importing, imported) of each import within ``tracer/inside`` that leads to a higher floor."""
    inside = {module for module in graph if module.startswith("tracer.inside.")}
    return [
        (module, other)
        for module in sorted(inside)
        for other in sorted(graph[module] & inside)
        if floor_of(other, graph) > floor_of(module, graph)
    ]


def all_modules() -> dict[str, set[str]]:
    return module_graph({module_of(path): path.read_text(encoding="utf-8") for path in FILES})


def test_imports_make_no_circle():
    assert not circle_in(all_modules())


def test_imports_inside_do_not_climb():
    graph = all_modules()
    assert {path.parent.name for path in INSIDE} == {"inside", *FLOORS}, "a room without a floor, or the reverse"
    assert not climbing(graph)


def test_circles_and_climbing_imports_are_found():
    low, high = "tracer.inside.syntax.low", "tracer.inside.drive.high"
    hidden = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from trace_mine.{high} import f"
    nested = "def f():\n    from trace_mine.tracer.inside.syntax import low"
    graph = module_graph({low: hidden, high: nested, "tracer.inside": ""})
    assert graph == {low: {high}, high: {low}, "tracer.inside": set()}
    assert set(circle_in(graph)) == {low, high}
    assert climbing(graph) == [(low, high)]
    roomless = "tracer.inside.other"
    through = module_graph({low: f"import trace_mine.{roomless}", roomless: f"import trace_mine.{high}", high: ""})
    assert not circle_in(through) and climbing(through) == [(low, roomless)]
    assert not climbing(module_graph({high: f"import trace_mine.{low}", low: ""}))


def test_origins_do_not_know_each_other():
    for path in (ROOT / "corpus").rglob("*.py"):
        names = imported(path.read_text(encoding="utf-8"))
        if "mined" in path.parts:
            assert not any(name.startswith("trace_mine.corpus.synthetic") for name in names), path
        if "synthetic" in path.parts:
            assert not any(name.startswith("trace_mine.corpus.mined") for name in names), path


def test_no_file_hides_a_module_of_the_standard_library():
    hiding = {"types", "trace", "token", "tokenize", "code", "io", "queue", "signal", "select", "profile", "statistics"}
    hiding |= {"random", "copy", "symtable"}
    assert not [path for path in FILES if path.stem in hiding]
