"""Finds the ancestors of a repository's classes by syntax: their methods, and the base classes from elsewhere.

``testcases`` needs them: set-up methods are mostly inherited, and only an ancestor says that a class is a test case.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.candidate import RepositoryContext
from trace_mine.corpus.mined.snippets.names import Function as Function
from trace_mine.corpus.mined.snippets.names import dotted as dotted

MAX_ANCESTORS = 50
"""Classes that are looked at for one class; hand-written hierarchies have a tenth of that."""

MAX_HOPS = 8
"""Re-exports that are followed from a name to its class; a name may be re-exported in a circle."""


@dataclass(slots=True)
class Ancestry:
    """A class with its bases.

    Attributes:
        methods: by name, the first definition in the order of search.
        foreign: dotted names of bases that are not the repository's own, as far as imports tell them
            (``unittest.TestCase``, or ``TestCase`` after a star import).
    """

    methods: dict[str, Function] = field(default_factory=dict)
    foreign: set[str] = field(default_factory=set)

    @property
    def is_test_case(self) -> bool:
        """True when a foreign base is called ``TestCase`` or ends so."""
        return any(name.endswith("TestCase") for name in self.foreign)

    @property
    def is_async_case(self) -> bool:
        """True for ``IsolatedAsyncioTestCase``."""
        return any(name.endswith("AsyncioTestCase") for name in self.foreign)


def ancestry(source: SourceText, node: ast.ClassDef, context: RepositoryContext) -> Ancestry:
    """Collect the methods of a class and of its bases, breadth first.

    Bases are followed through names, imports and attributes of modules of the repository. Python's own order (the MRO)
    is another where an ancestor of the first base and the second base both define a method. Not followed: computed
    bases.
    """
    result = Ancestry()
    pending = [(source, node)]
    seen: set[tuple[str, int]] = set()
    while pending and len(seen) < MAX_ANCESTORS:
        where, current = pending.pop(0)
        if (where.path, current.lineno) in seen:
            continue  # a base of several bases; or, by names alone, a class that seems to be its own ancestor
        seen.add((where.path, current.lineno))
        for statement in current.body:
            if isinstance(statement, Function):
                result.methods.setdefault(statement.name, statement)
        for base in current.bases:
            name = dotted(base)
            if name is None:
                continue  # computed: `class A(make_base()):`
            base_class = _lookup(where, name, context)
            if isinstance(base_class, str):  # its file is not among ours, and nothing is imported to look at it
                result.foreign.add(base_class)
            else:
                pending.append(base_class)
    return result


def _lookup(
    source: SourceText, name: str, context: RepositoryContext, hops: int = MAX_HOPS
) -> tuple[SourceText, ast.ClassDef] | str:
    """The class that ``name`` means in this file with the file that defines it, or its dotted foreign name."""
    head, _, rest = name.partition(".")
    place = context.layout.place(source.path)
    # Statements of the top level only: under an `if` or `try`, one of two classes of a name would have to be guessed.
    for node in source.tree.body if source.tree else []:
        if isinstance(node, ast.ClassDef) and node.name == head and not rest:
            return source, node
        full = _imported_as(head, rest, node, place.module, source.path)
        if full is not None:
            return _in_module(full, place.sys_path, context, hops)
    return name


def _imported_as(head: str, rest: str, node: ast.stmt, module: str | None, path: str) -> str | None:
    """The full name of ``head.rest`` where this statement imports ``head``; None where it does not."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname == head:
                return f"{alias.name}.{rest}"
            # `import a.b` binds `a`, and the base is then spelt `a.b.C`: the name is full already
            if alias.asname is None and alias.name.partition(".")[0] == head:
                return f"{head}.{rest}" if rest else head
    if isinstance(node, ast.ImportFrom):
        for alias in node.names:
            if (alias.asname or alias.name) == head:
                origin = absolute_module(node, module, path)
                return ".".join(part for part in (origin, alias.name, rest) if part)
    return None


def _in_module(
    full: str, sys_path: tuple[str, ...], context: RepositoryContext, hops: int
) -> tuple[SourceText, ast.ClassDef] | str:
    """The class with this full name, where its module is a file of the repository; the name itself elsewhere."""
    module, _, attribute = full.rpartition(".")
    path = context.layout.find(module, sys_path) if module else None
    target = context.load(path) if path and hops else None
    return full if target is None else _lookup(target, attribute, context, hops - 1)


def absolute_module(node: ast.ImportFrom, module: str | None, path: str) -> str:
    """The full name of the module that an import takes its names from.

    Args:
        node: the import.
        module: the importing file's own name; None where no name leads to it, which leaves a relative import relative
            to nothing.
        path: the importing file.

    Example:
        In ``a/b/c.py`` (``a.b.c``), ``from ..d import x`` takes ``x`` from ``a.d``.
    """
    if not node.level:
        return node.module or ""
    parts = (module or "").split(".")
    # One dot means the file's package. The name of an `__init__.py` is that package, so one part less goes.
    keep = len(parts) - node.level + (1 if path.endswith("__init__.py") else 0)
    return ".".join([*parts[: max(keep, 0)], *([node.module] if node.module else [])])
