"""Tells which functions of the repository a test that several classes inherit reaches, by the names in its code.

No type is known, so a name stands for what it is in each class and module that was met. What is put together at run
time (``getattr`` of a computed name) is not seen.
"""

from __future__ import annotations

import dis
import functools
import inspect
import os
import types
from collections.abc import Iterator, Sequence
from typing import Any

from trace_mine_items.function_facts import function_of

# ``Any``: functions, classes and modules of the repository.

DEPTH = 4
"""Calls within one another that are followed: those that a session opens by default, and the test's own helper."""
MOST = 400
"""Functions that are named."""
_ACCESS = {
    "BINARY_SUBSCR": ("__getitem__",),
    "BINARY_SLICE": ("__getitem__",),
    "STORE_SUBSCR": ("__setitem__",),
    "STORE_SLICE": ("__setitem__",),
    "DELETE_SUBSCR": ("__delitem__",),
    "CONTAINS_OP": ("__contains__",),
    "GET_ITER": ("__iter__", "__next__"),
    "BEFORE_WITH": ("__enter__", "__exit__"),
    "BEFORE_ASYNC_WITH": ("__aenter__", "__aexit__"),
}
_SIGNS = {
    "<": ("__lt__",), "<=": ("__le__",), "==": ("__eq__",), "!=": ("__ne__", "__eq__"), ">": ("__gt__",),
    ">=": ("__ge__",), "+": ("__add__", "__radd__"), "-": ("__sub__", "__rsub__"), "*": ("__mul__", "__rmul__"),
    "/": ("__truediv__", "__rtruediv__"), "//": ("__floordiv__", "__rfloordiv__"), "%": ("__mod__", "__rmod__"),
    "**": ("__pow__", "__rpow__"), "&": ("__and__", "__rand__"), "|": ("__or__", "__ror__"),
    "^": ("__xor__", "__rxor__"), "<<": ("__lshift__",), ">>": ("__rshift__",), "@": ("__matmul__",),
    "[]": ("__getitem__",),
}  # fmt: skip


class InheritedTests:
    """The record of items whose function several classes have: where it stands, and what it reaches in each."""

    def __init__(self, items: Sequence[Any], root: str) -> None:
        self._root = root
        self._reached: dict[tuple[int, int], list[str]] = {}
        self._classes: dict[int, set[int]] = {}
        for item in items:
            self._classes.setdefault(id(function_of(item)), set()).add(id(item.cls))

    def columns(self, item: Any) -> dict[str, object]:
        """Return the fields of an item's record; none of another test's."""
        function = function_of(item)
        file = getattr(getattr(function, "__code__", None), "co_filename", "")
        if len(self._classes.get(id(function), ())) < 2 or not file:
            return {}
        key = id(function), id(item.cls)
        if key not in self._reached:
            self._reached[key] = reached(function, item.cls, self._root)
        return {"home": os.path.relpath(file, self._root), "reaches": self._reached[key]}


def reached(function: Any, cls: Any, root: str) -> list[str]:
    """Return the functions below ``root`` that a method of a class of tests reaches, as ``file:line``, in order."""
    search = _Search(root)
    search.owners.append(cls)
    search.meet(function)
    for _ in range(DEPTH):
        search.go_deeper()
    return sorted(search.places)[:MOST]


class _Search:
    def __init__(self, root: str) -> None:
        self._root = root
        self.owners: list[Any] = []
        """Classes and modules that were met, in which names are looked up."""
        self.places: set[str] = set()
        self._new: list[Any] = []
        self._names: set[str] = {"__init__", "__new__"}

    def meet(self, value: Any) -> None:
        """Note what a name stands for, if it is a function, class or module of the repository."""
        if isinstance(value, (staticmethod, classmethod)):
            value = value.__func__
        if isinstance(value, property):
            for accessor in (value.fget, value.fset, value.fdel):
                self.meet(accessor)
        elif isinstance(value, functools.cached_property):
            self.meet(value.func)
        elif isinstance(value, (type, types.ModuleType)):
            if self._is_own(value) and not any(value is each for each in self.owners):
                self.owners.append(value)
        elif callable(value):
            value = inspect.unwrap(value)
            code = getattr(getattr(value, "__func__", value), "__code__", None)
            if isinstance(code, types.CodeType) and code.co_filename.startswith(f"{self._root}/"):
                place = f"{code.co_filename[len(self._root) + 1 :]}:{code.co_firstlineno}"
                if place not in self.places:
                    self.places.add(place)
                    self._new.append(getattr(value, "__func__", value))

    def go_deeper(self) -> None:
        """Look up what the functions name that were met last, and their names in all classes and modules."""
        functions, self._new = self._new, []
        for function in functions:
            names = _names_of(function.__code__)
            self._names |= names
            cells = [cell for cell in function.__closure__ or () if _is_filled(cell)]
            for value in (*(function.__globals__.get(name) for name in names), *(c.cell_contents for c in cells)):
                self.meet(value)
        for owner in self.owners:  # grows on the way
            for name in self._names:
                self.meet(_looked_up(owner, name))

    def _is_own(self, value: Any) -> bool:
        """Return True for a class or module of the repository, or of its tests."""
        module = inspect.getmodule(value)
        return str(getattr(module, "__file__", None) or "").startswith(f"{self._root}/")


def _looked_up(owner: Any, name: str) -> Any:
    """The object of a name in a class or module, without asking any descriptor."""
    places = owner.__mro__ if isinstance(owner, type) else (owner,)
    return next((vars(place)[name] for place in places if name in vars(place)), None)


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


@functools.cache
def _names_of(code: types.CodeType) -> frozenset[str]:
    """The names that code has, and the methods that its operators call."""
    return frozenset(_all_names(code))


def _all_names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from (f"__{name}__" for name in code.co_names)  # ``len(x)`` calls ``__len__``
    for instruction in dis.get_instructions(code):
        yield from _ACCESS.get(instruction.opname, ())
        if instruction.opname in ("COMPARE_OP", "BINARY_OP"):
            sign = instruction.argrepr.removeprefix("bool(").removesuffix(")")
            yield from _SIGNS.get(sign, ())
            if sign not in _SIGNS:  # ``+=``
                plain = _SIGNS.get(sign.removesuffix("="), ())
                yield from (*plain, *(f"__i{each[2:]}" for each in plain[:1]))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _all_names(constant)
