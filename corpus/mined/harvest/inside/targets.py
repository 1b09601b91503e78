"""The functions that are watched: those of the repository's own importable modules, and how each is reached by name."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass

TEST_FOLDERS = frozenset(("tests", "test", "docs", "examples", "benchmarks", "bench"))
"""Folders whose functions are no part of what a repository offers."""
_NO_FUNCTIONS = frozenset(("<module>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"))
MAX_UNWRAPPED = 10
"""Decorators around one function."""


@dataclass(frozen=True)
class WatchedFunction:
    """A watched function.

    Attributes:
        module, qualname: by which it is imported.
        path: its file, relative to the repository's root.
        line, end_line: its span in the file.
        kind: ``function``; ``method``, ``classmethod``, ``staticmethod``, ``property``, ``setter``; ``init`` or
            ``new``, which a call of the class runs.
        is_generator: calling it runs nothing of it.
        problem: why it can't be called by name, a word; empty where it can.
    """

    module: str
    qualname: str
    path: str
    line: int
    end_line: int
    kind: str
    is_generator: bool
    defaults: tuple[tuple[str, object], ...]
    problem: str = ""

    @property
    def name(self) -> str:
        return self.qualname.rpartition(".")[2]

    def record(self) -> dict[str, object]:
        """Return what records say of the function."""
        return {
            "module": self.module,
            "qualname": self.qualname,
            "path": self.path,
            "line": self.line,
            "end_line": self.end_line,
            "kind": self.kind,
            "is_generator": self.is_generator,
            "problem": self.problem,
        }


class WatchedFunctions:
    """Tells of code whether it is watched.

    Args:
        root: the folder that paths are relative to.
        own: prefixes of the files whose functions are the repository's.
        roots: folders on ``sys.path`` from which it is imported.
    """

    def __init__(self, root: str, own: Sequence[str], roots: Sequence[str]) -> None:
        self._root = root
        self._own = tuple(own)
        self._roots = tuple(roots)
        # by identity: equal code may stand in two files; the code is kept so that no other gets its number
        # where the jail has things: another machine has them elsewhere
        places = {root, os.getcwd(), sys.prefix, *sys.path} - {"", "/"}
        self._places = re.compile(rf"(?:{'|'.join(map(re.escape, sorted(places)))})(?![\w.-])")
        self._known: dict[int, tuple[types.CodeType, WatchedFunction | None]] = {}
        self._files: dict[str, str] = {}

    def place(self, file: str) -> str:
        """Return ``own`` for a file of an importable module, ``test`` for another one of the repository, else ''."""
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = self._place(file)
        return known

    def _place(self, file: str) -> str:
        if not file.startswith(self._own):
            return ""
        return "test" if is_test_path(os.path.relpath(file, self._root)) else "own"

    def of(self, code: types.CodeType, namespace: dict[str, object]) -> WatchedFunction | None:
        """Return the target that the code belongs to; None for code that is not watched."""
        known = self._known.get(id(code))
        if known is not None:
            return known[1]
        target = None
        if self.place(code.co_filename) == "own" and code.co_name not in _NO_FUNCTIONS and code.co_flags & 2:
            target = self._target(code, namespace)
            # called while its module is imported, it has no name yet that leads to it
            if target.problem and _is_importing(target.module):
                return None
        self._known[id(code)] = (code, target)
        return target

    def _target(self, code: types.CodeType, namespace: dict[str, object]) -> WatchedFunction:
        module = namespace.get("__name__")
        module = module if isinstance(module, str) else ""
        path = os.path.relpath(code.co_filename, self._root)
        kind, problem = "function", ""
        defaults: tuple[tuple[str, object], ...] = ()
        if "<lambda>" in code.co_qualname:
            problem = "lambda"
        elif "<locals>" in code.co_qualname:
            problem = "local_function"
        elif code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            problem = "async_function"
        elif not self.leads_to(module, code.co_filename):
            problem = "not_importable"
        else:
            known = _found(module, code)
            if known is None:
                problem = "no_name"
            else:
                kind, function = known
                defaults = tuple(defaults_of(function))
        lines = [line for _, _, line in code.co_lines() if line]
        return WatchedFunction(
            module=module,
            qualname=code.co_qualname,
            path=path,
            line=code.co_firstlineno,
            end_line=max([code.co_firstlineno, *lines]),
            kind=kind,
            is_generator=bool(code.co_flags & inspect.CO_GENERATOR),
            defaults=defaults,
            problem=problem,
        )

    def names_place(self, text: str) -> bool:
        """Return True for a text with a path of the jail in it."""
        return "/" in text and self._places.search(text) is not None

    def place_of(self, code: types.CodeType) -> tuple[str, int] | None:
        """Return the file, relative to the root, and the first line of an own function; None for what is none."""
        if code.co_name in _NO_FUNCTIONS or not code.co_flags & inspect.CO_NEWLOCALS:
            return None
        return os.path.relpath(code.co_filename, self._root), code.co_firstlineno

    def leads_to(self, module: str, file: str) -> bool:
        """Return True if an import of the module, from the folders on ``sys.path``, loads this file."""
        if not module or not all(part.isidentifier() for part in module.split(".")):
            return False
        stem = module.replace(".", "/")
        return any(file in (f"{root}/{stem}.py", f"{root}/{stem}/__init__.py") for root in self._roots)


def is_test_path(path: str) -> bool:
    """Return True if a file checks, builds or shows the repository, and is no part of what it offers.

    >>> is_test_path("pkg/tests/test_a.py"), is_test_path("pkg/a.py"), is_test_path("conftest.py")
    (True, False, True)
    """
    *folders, name = path.split("/")
    stem = name.removesuffix(".py")
    return (
        not TEST_FOLDERS.isdisjoint(folders)
        or stem in ("conftest", "setup", "noxfile", "tests", "test")
        or stem.startswith("test_")
        or stem.endswith(("_test", "_tests"))
    )


def _is_importing(module: str) -> bool:
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _found(module: str, code: types.CodeType) -> tuple[str, types.FunctionType] | None:
    """The kind and the function of code, where its qualified name leads to it."""
    owner: object = sys.modules.get(module)
    parts = code.co_qualname.split(".")
    if owner is None:
        return None
    for part in parts[:-1]:
        owner = vars(owner).get(part)
        if not isinstance(owner, type):
            return None
    raw = vars(owner).get(parts[-1])
    in_class = isinstance(owner, type)
    for kind, inner in _inner(raw, in_class):
        function = unwrapped(inner, code)
        if function is not None:
            if in_class and parts[-1] == "__init__":
                kind = "init"
            elif in_class and parts[-1] == "__new__":
                kind = "new"
            return kind, function
    return None


def _inner(raw: object, in_class: bool) -> list[tuple[str, object]]:
    if isinstance(raw, property):
        return [("property", raw.fget), ("setter", raw.fset)]
    if isinstance(raw, functools.cached_property):
        return [("property", raw.func)]
    if isinstance(raw, (classmethod, staticmethod)):
        return [(type(raw).__name__, raw.__func__)]
    return [("method" if in_class else "function", raw)]


def unwrapped(value: object, code: types.CodeType) -> types.FunctionType | None:
    """Return the function with this code below decorators that say what they wrap; None where there is none."""
    for _ in range(MAX_UNWRAPPED):
        if type(value) is types.FunctionType and value.__code__ is code:
            return value
        if isinstance(value, (classmethod, staticmethod)):
            value = value.__func__
            continue
        try:
            value = object.__getattribute__(value, "__dict__").get("__wrapped__")
        except (AttributeError, TypeError):
            return None
    return None


def defaults_of(function: types.FunctionType) -> list[tuple[str, object]]:
    """Return the parameters of a function that have a default, with it."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    values = function.__defaults__ or ()
    return [*zip(names[len(names) - len(values) :], values, strict=True), *(function.__kwdefaults__ or {}).items()]
