"""Tells which Python files of a repository are scripts, and what the others are.

A script is a file that does something when it is run: one with an ``if __name__ == "__main__":`` block, a
``__main__.py``, and any other file that no file of the repository imports and that has more than definitions. What a
person names, by its path or by a pattern, is one whatever else it looks like.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.snippets.names import Function, dotted, is_test_file

ScriptRule = Literal["all", "named", "blocks"]
"""How scripts are told: ``all`` as above; ``named``: a person named the file itself; ``blocks``: those of installed
modules, which are there to be imported, by their blocks alone.
"""

CONFIGURATION = frozenset(("setup.py", "conftest.py", "noxfile.py", "conf.py", "sitecustomize.py", "usercustomize.py"))
"""Files that a tool runs or imports by their names."""
TEST_FOLDERS = frozenset(("test", "tests", "testing"))
PREPARING = ("sys.path.", "sys.setrecursionlimit", "warnings.", "logging.", "__all__.")
"""Calls by which a module prepares to be used, by the beginning of their names: they show nothing."""
SHOWING = frozenset(("print", "input", "main", "exit", "quit", "sys.exit", "pprint", "pprint.pprint"))
"""Calls at the top of a package's module that a module to be imported would not make."""

# What an import statement names: how many dots it begins with, the module, and the names that it takes from there.
Imported = tuple[int, str, tuple[str, ...]]


class FileRole(StrEnum):
    """The part that a Python file has in its repository; ``trace_mine.corpus.report`` has words for people."""

    SCRIPT = "script"
    NOTEBOOK = "notebook"
    IMPORTED = "imported"
    DEFINITIONS = "definitions"
    MODULE = "module"
    TESTS = "tests"
    CONFIGURATION = "configuration"
    UNMATCHED = "unmatched"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptChoice:
    """What a person said of the scripts to take: the rule, and patterns of paths, of which one must match.

    Raises:
        ValueError: a pattern is empty or leads out of the repository.
    """

    rule: ScriptRule = "all"
    globs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for glob in self.globs:
            if not glob.strip("/") or glob.startswith("/") or ".." in glob.split("/"):
                raise ValueError(
                    f"expected a pattern of paths within a repository as --scripts, got {glob!r}; write for example "
                    "'examples/*.py'"
                )

    def matches(self, path: str) -> bool:
        """Tell if a pattern matches the path; one without ``/`` is one of the file's name.

        Example:
            >>> ScriptChoice(globs=("bin/*.py",)).matches("bin/a.py"), ScriptChoice(globs=("a*.py",)).matches("b/a.py")
            (True, True)
            >>> ScriptChoice(globs=("tools/**/*.py",)).matches("tools/a.py")
            True
        """
        return any(_matches(path, glob) for glob in self.globs)


def _matches(path: str, glob: str) -> bool:
    if "/" not in glob:
        return fnmatchcase(path.rpartition("/")[2], glob)
    parts, pattern = path.split("/"), glob.split("/")
    # the places in the pattern that a beginning of the path leads to, so that `**` costs no more than their number
    places = _past_stars(pattern, {0})
    for part in parts:
        after = {place if pattern[place] == "**" else place + 1 for place in places if _part(pattern, place, part)}
        places = _past_stars(pattern, after)
    return len(pattern) in places


def _part(pattern: Sequence[str], place: int, part: str) -> bool:
    if place == len(pattern):
        return False
    return pattern[place] == "**" or fnmatchcase(part, pattern[place])


def _past_stars(pattern: Sequence[str], places: set[int]) -> set[int]:
    """The places, and those behind ``**`` there, which may stand for no folder at all."""
    reached = set(places)
    for place in sorted(places):
        while place < len(pattern) and pattern[place] == "**":
            place += 1
            reached.add(place)
    return reached


class FileRoles:
    """The roles of a repository's Python files.

    Args:
        layout: the importable names of its files.
        imports: by file, what it imports (``imports_of``); of all files, not only of those that are searched.
        choice: what a person said of the scripts to take.
    """

    def __init__(
        self,
        layout: Layout,
        imports: Iterable[tuple[str, frozenset[Imported]]] = (),
        choice: ScriptChoice | None = None,
    ) -> None:
        self._layout = layout
        self._imports = tuple(imports)
        self._choice = choice or ScriptChoice()
        self._known: dict[str, FileRole] = {}

    @cached_property
    def imported(self) -> frozenset[str]:
        """The files that another file of the repository imports."""
        paths: set[str] = set()
        for path, imports in self._imports:
            folder = path.rpartition("/")[0]
            # a script's own folder comes first, as when it is run
            sys_path = (folder, *self._layout.place(path).sys_path)
            for level, module, names in imports:
                start = _above(folder, level - 1) if level else None
                if level and start is None:
                    continue  # it leads out of the repository
                places = sys_path if start is None else (start,)
                for name in _named(module, names):
                    file = self._layout.find(name, places)
                    if file is not None and file != path:
                        paths.add(file)
        return frozenset(paths)

    def role(self, source: SourceText, *, is_listed: bool = False) -> FileRole:
        """The role of a Python file or a notebook; ``is_listed``: a manifest says how it is run.

        Raises:
            ValueError: the file is neither.
        """
        if source.path not in self._known:
            self._known[source.path] = self._role(source, is_listed=is_listed)
        return self._known[source.path]

    def _role(self, source: SourceText, *, is_listed: bool) -> FileRole:
        if source.cells is not None:
            is_left_out = self._choice.globs and not self._choice.matches(source.path)
            return FileRole.UNMATCHED if is_left_out else FileRole.NOTEBOOK
        if source.tree is None:
            raise ValueError(f"expected Python or a notebook, got {source.path!r}; ask for the role of these only")
        if self._choice.globs:
            return FileRole.SCRIPT if self._choice.matches(source.path) else FileRole.UNMATCHED
        if is_listed or is_main(source.path) or main_block(source.tree) is not None:
            return FileRole.SCRIPT
        if self._choice.rule == "blocks":
            return FileRole.MODULE
        if self._choice.rule == "named":
            if is_test_file(source.path) and has_tests(source.tree):
                return FileRole.TESTS
            return FileRole.SCRIPT if does_something(source.tree) else FileRole.DEFINITIONS
        return self._role_of(source.path, source.tree)

    def _role_of(self, path: str, tree: ast.Module) -> FileRole:
        *folders, name = path.split("/")
        if name in CONFIGURATION:
            return FileRole.CONFIGURATION
        if (is_test_file(path) and has_tests(tree)) or not TEST_FOLDERS.isdisjoint(folders):
            return FileRole.TESTS
        if name == "__init__.py":
            return FileRole.MODULE
        if path in self.imported:
            return FileRole.IMPORTED
        if self._layout.base(path) != "/".join(folders):  # of a package: to be imported by others, elsewhere
            return FileRole.SCRIPT if shows_something(tree) else FileRole.MODULE
        return FileRole.SCRIPT if does_something(tree) else FileRole.DEFINITIONS


# what imports name


def imports_of(tree: ast.Module) -> frozenset[Imported]:
    """What the import statements of a file name, wherever they stand.

    Example:
        >>> sorted(imports_of(ast.parse("import a.b\\ndef f():\\n    from .c import d\\n")))
        [(0, 'a.b', ()), (1, 'c', ('d',))]
    """
    imports: set[Imported] = set()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imports.update((0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            imports.add((node.level, node.module or "", tuple(alias.name for alias in node.names)))
    return frozenset(imports)


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements of a file, without a look into their expressions, which are most of a tree."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if hasattr(node, "body") or isinstance(node, ast.Match):
            pending += _blocks(node)


def _blocks(node: ast.stmt) -> list[ast.stmt]:
    """The statements in the blocks of a compound statement, in their order."""
    inner: list[ast.stmt] = [*getattr(node, "body", ())]
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        inner += part.body
    for field in ("orelse", "finalbody"):
        inner += getattr(node, field, ())
    return inner


def _named(module: str, names: Sequence[str]) -> Iterator[str]:
    """The dotted names that an import could load: the module, those above it, and each name as a part of it."""
    parts = module.split(".") if module else []
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
    for name in names:
        if name != "*":
            yield f"{module}.{name}" if module else name


def _above(folder: str, num_levels: int) -> str | None:
    """The folder so many levels above; None where that is above the repository."""
    parts = folder.split("/") if folder else []
    return "/".join(parts[: len(parts) - num_levels]) if num_levels <= len(parts) else None


# what a file does


def is_main(path: str) -> bool:
    """Tell if ``python -m`` runs the file for its package."""
    return path.rpartition("/")[2] == "__main__.py"


def main_block(tree: ast.Module) -> ast.If | None:
    """The first ``if __name__ == "__main__":`` at the top level, either way round; None without one."""
    for node in tree.body:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and len(node.test.comparators) == 1:
            sides = [node.test.left, node.test.comparators[0]]
            has_name = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
            has_main = any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
            if has_name and has_main and isinstance(node.test.ops[0], ast.Eq):
                return node
    return None


def has_tests(tree: ast.Module) -> bool:
    """Tell if pytest or unittest would find a test in a file of the right name, by what stands at its top."""
    for node in tree.body:
        if isinstance(node, Function) and node.name.startswith("test"):
            return True
        if isinstance(node, ast.ClassDef):
            bases = [(dotted(base) or "").rpartition(".")[2] for base in node.bases]
            if node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases):
                return True
    return False


def does_something(tree: ast.Module) -> bool:
    """Tell if a file has more than imports, definitions and constants: something that a session of it could show.

    Values that are computed count where they come of the file's own functions, or where it has none.

    Example:
        >>> [does_something(ast.parse(text)) for text in ("def f(): ...", "x = 1", "x = 1\\ny = x + 1", "print(1)")]
        [False, False, True, True]
    """
    top = [*top_statements(tree.body)]
    own = {node.name for node in top if isinstance(node, Function | ast.ClassDef)}
    return any(_acts(node) or _computes(node, own) for node in top)


def shows_something(tree: ast.Module) -> bool:
    """Tell if a module of a package shows something, or runs its main function, when it is run.

    Its other calls register something or fill its tables.
    """
    return any(isinstance(node, ast.Expr) and _callee(node.value) in SHOWING for node in top_statements(tree.body))


def top_statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that a run of the file may execute outside of functions and classes."""
    pending = [*reversed(body)]
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, Function | ast.ClassDef) or _is_for_types(node):
            continue
        if hasattr(node, "body") or isinstance(node, ast.Match):
            pending += reversed(_blocks(node))


def _is_for_types(node: ast.stmt) -> bool:
    test = node.test if isinstance(node, ast.If) else None
    return test is not None and (dotted(test) or "").rpartition(".")[2] == "TYPE_CHECKING"


def _acts(node: ast.stmt) -> bool:
    if isinstance(node, ast.Expr):
        return _has_call(node.value) and not (_callee(node.value) or "").startswith(PREPARING)
    return isinstance(node, (ast.For, ast.While, ast.With, ast.AsyncFor, ast.AsyncWith, ast.Assert, ast.Raise))


def _computes(node: ast.stmt, own: set[str]) -> bool:
    if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) or node.value is None:
        return False
    names = {each.id for each in ast.walk(node.value) if isinstance(each, ast.Name)}
    return bool(names & own) if own else bool(names)


def _has_call(node: ast.expr) -> bool:
    return any(isinstance(each, (ast.Call, ast.Await)) for each in ast.walk(node))


def _callee(node: ast.expr) -> str | None:
    return dotted(node.func) if isinstance(node, ast.Call) else None
