"""The names of a module, and whether they are bound to the objects of the start, by identity."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_, itemgetter
from typing import Any


def are_same(now: Sequence[object], then: Sequence[object]) -> bool:
    """Return True if sequences have the same objects in the same order."""
    return len(now) == len(then) and all(map(is_, now, then))


class ModuleNames:
    """The names of a module that are not bound to the objects of the start.

    Args:
        table: the module's dictionary.
        leaves: names that are not looked at.
    """

    def __init__(self, table: dict[str, Any], leaves: frozenset[str] = frozenset()) -> None:
        self._table = table
        self._leaves = leaves
        self._first = {name: value for name, value in table.items() if name not in leaves}
        names = [*self._first]
        self._take: Callable[[Mapping[str, Any]], tuple[object, ...]] = itemgetter(*names, *names[:1])
        self._values = (*self._first.values(), *[*self._first.values()][:1])
        self._all = [*table.values()]

    def changed(self) -> tuple[dict[str, object], tuple[str, ...]] | None:
        """The names that are bound to something else, and those that are gone; None where there are none."""
        table = self._table
        try:  # at the speed of C, by identity first: this is asked at each snapshot
            if [*table.values()] == self._all:
                return None
            num_left = sum(map(table.__contains__, self._leaves))
            if len(table) - num_left == len(self._first) and self._take(table) == self._values:
                return None
        except Exception:  # one is gone and another one came, or has an odd equality
            return self._differing()
        return self._differing()

    def _differing(self) -> tuple[dict[str, object], tuple[str, ...]] | None:
        table, first = self._table, self._first
        others = {
            name: value
            for name, value in [*table.items()]
            if name not in self._leaves and (name not in first or first[name] is not value)
        }
        gone = tuple([name for name in first if name not in table])
        return (others, gone) if others or gone else None

    def put(self, value: tuple[dict[str, object], tuple[str, ...]] | None) -> None:
        """Make what was ``changed`` this."""
        now = self.changed()
        if now is None and value is None:
            return
        others, gone = value or ({}, ())
        table = self._table
        for name in now[0] if now else ():
            if name not in others and name not in self._first:
                del table[name]
        wanted = {**{name: first for name, first in self._first.items() if name not in gone}, **others}
        for name, bound in wanted.items():
            if name not in table or table[name] is not bound:
                table[name] = bound
        for name in gone:
            table.pop(name, None)


@dataclass(slots=True)
class ModuleSetting:
    """The setting: names of a module of the interpreter, and items of its lists. See ``settings.ProcessSetting``."""

    module: str
    leaves: frozenset[str]
    lists: tuple[str, ...] = ()
    _names: ModuleNames | None = None
    _first: tuple[tuple[list[object], list[object]], ...] = ()

    def changed(self) -> object | None:
        """See ``settings.ProcessSetting``."""
        if self._names is None:
            table = vars(sys.modules[self.module])
            self._names = ModuleNames(table, self.leaves)
            self._first = tuple((table[name], [*table[name]]) for name in self.lists)
        names = self._names.changed()
        items = tuple(None if are_same(held, first) else [*held] for held, first in self._first)
        return None if names is None and not any(each is not None for each in items) else (names, items)

    def put(self, value: object | None) -> None:
        """See ``settings.ProcessSetting``."""
        if self._names is None:
            return
        names, items = value if isinstance(value, tuple) else (None, (None,) * len(self._first))
        self._names.put(names)
        for (held, first), wanted in zip(self._first, items, strict=True):
            if not are_same(held, first if wanted is None else wanted):
                held[:] = first if wanted is None else wanted
