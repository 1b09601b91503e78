"""Modules that are loaded before a program's first command, told without a look at each of them.

A run is a fork, and to look at an object is to write its count of references: a page that is copied. A look at all of
``sys.modules`` was 390 of the 2,300 pages that a driver's run copied. So the process that forks notes them once
(``note``), and a run looks at those that came later, and at those of the files that it asks for.
"""

from __future__ import annotations

import sys
from types import ModuleType


class _Noted:
    """The note of the forking process: empty where no one made one."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}
        # one text, of which a search looks at no part's count of references
        self.files = "\n"


_noted = _Noted()


def note() -> None:
    """Note the modules that are loaded now."""
    modules = {name: module for name, module in dict(sys.modules).items() if _is_plain(name, module)}
    lines = [f"{file}\0{name}" for name, module in modules.items() if type(file := _file(module)) is str]
    _noted.modules = modules
    _noted.files = "\n".join(["", *(line for line in lines if "\n" not in line), ""])


class LoadedModules:
    """The modules that are loaded when it is made, whatever becomes of ``sys.modules`` later."""

    def __init__(self) -> None:
        self._noted = _noted.modules
        self._newer: dict[str, ModuleType] = {}
        loaded = sys.modules
        # imports put theirs at the end
        for name in reversed(loaded) if type(loaded) is dict else ():
            module = loaded[name]
            if _is_plain(name, module):
                if self._noted.get(name) is module:
                    break
                self._newer[name] = module

    def get(self, name: str) -> ModuleType | None:
        """Return the module of a name; None where there is none, or something else in its place."""
        return self._newer.get(name) or self._noted.get(name)

    def of_files(self, beginnings: tuple[str, ...]) -> dict[str, ModuleType]:
        """Return those whose file's path begins in one of these ways, by name."""
        names = {name for name, module in self._newer.items() if str(_file(module)).startswith(beginnings)}
        text = _noted.files
        for beginning in beginnings:
            at = text.find(f"\n{beginning}")
            while at >= 0:
                end = text.index("\n", at + 1)
                names.add(text[at + 1 : end].rpartition("\0")[2])
                at = text.find(f"\n{beginning}", end)
        modules = {name: module for name in names if (module := self.get(name)) is not None}
        return {name: module for name, module in modules.items() if sys.modules.get(name) is module}


def _is_plain(name: object, module: object) -> bool:
    # by ``type``, since ``isinstance`` would ask what a program put there
    return type(name) is str and type(module) is ModuleType


def _file(module: ModuleType) -> str | None:
    file = vars(module).get("__file__")
    return file if type(file) is str else None
