"""All that can change in the functions of a repository's module: mutable defaults, attributes, variables of closures.

A module's functions are the same objects in all states, so what they hold would be shared by all of them: ``seen`` of
``def push(x, seen=[])``, ``calls`` of a decorator that counts, ``n`` of a counter with ``nonlocal n``. Only plain data
is a part of the state: an object in a closure may be the module's own, known elsewhere too, and a copy would part from
it. Which parts hold plain data is asked once, when the module is met. Functions that are cached are found here, too:
what they keep is read by ``call_caches``.
"""

from __future__ import annotations

import collections
import dis
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.states.attributes import caches_of, functions_of
from trace_mine.tracer.inside.states.call_caches import CACHE, function_of, home_of

Parts = dict[str, object]
"""The values of a function's parts, by names that say which they are."""

MOST_PARTS = 200
"""Objects in a part: a larger one is a table, which programs read."""
_ATOMS = frozenset((int, float, str, bytes, bool, type(None), complex))
_FROZEN = frozenset((tuple, frozenset))
_DICTS = (dict, collections.Counter, collections.OrderedDict, collections.defaultdict)
_CHANGING = frozenset((list, set, bytearray, collections.deque, *_DICTS))
_WRAPPED = "__wrapped__"
_dictionary = vars(types.FunctionType)["__dict__"].__get__


@dataclass(frozen=True, slots=True)
class FunctionParts:
    """A function of a module, and which of its parts may change.

    Attributes:
        function: it stays the object that it is.
        defaults, keywords, cells: the positions, names and positions of those with plain data.
        has_attributes: it has attributes of its own.
    """

    function: types.FunctionType
    defaults: tuple[int, ...]
    keywords: tuple[str, ...]
    cells: tuple[int, ...]
    has_attributes: bool

    @property
    def is_empty(self) -> bool:
        """True if nothing in the function may change."""
        return not (self.defaults or self.keywords or self.cells or self.has_attributes)

    def values(self) -> Parts:
        """The parts' values, which are the objects themselves."""
        function, parts = self.function, Parts()
        if self.defaults and function.__defaults__ is not None:
            parts["defaults"] = [function.__defaults__[index] for index in self.defaults]
        if self.keywords and function.__kwdefaults__ is not None:
            parts["keywords"] = [function.__kwdefaults__[name] for name in self.keywords]
        if self.cells and function.__closure__ is not None:
            parts["cells"] = [function.__closure__[index].cell_contents for index in self.cells]
        if self.has_attributes:
            parts["attributes"] = {key: value for key, value in _dictionary(function).items() if _is_plain(value)}
        return parts

    def set(self, parts: Parts) -> None:
        """Make the parts those of ``values``."""
        function = self.function
        match parts:
            case {"defaults": list(values)} if function.__defaults__ is not None:
                defaults = [*function.__defaults__]
                for index, value in zip(self.defaults, values, strict=True):
                    defaults[index] = value
                function.__defaults__ = tuple(defaults)
        match parts:
            case {"keywords": list(values)} if function.__kwdefaults__ is not None:
                function.__kwdefaults__.update(zip(self.keywords, values, strict=True))
        match parts:
            case {"cells": list(values)} if function.__closure__ is not None:
                for index, value in zip(self.cells, values, strict=True):
                    function.__closure__[index].cell_contents = value
        match parts:
            case {"attributes": dict(named)}:
                dictionary = _dictionary(function)
                for key in [key for key, value in dictionary.items() if _is_plain(value) and key not in named]:
                    del dictionary[key]
                dictionary.update(named)


def parts_of_module(module: types.ModuleType) -> dict[str, FunctionParts]:
    """Find the functions of a module in which something may change, by a label each."""
    changing: dict[str, FunctionParts] = {}
    for function in _functions(module):
        if type(function) is not types.FunctionType:
            continue
        closure, defaults = function.__closure__ or (), function.__defaults__ or ()
        rebound = _rebound(function.__code__)
        parts = FunctionParts(
            function=function,
            defaults=tuple(index for index, value in enumerate(defaults) if _is_changing(value)),
            keywords=tuple(name for name, value in (function.__kwdefaults__ or {}).items() if _is_changing(value)),
            cells=tuple(
                index
                for index, (name, cell) in enumerate(zip(function.__code__.co_freevars, closure, strict=True))
                if (held := _contents(cell)) is not _empty
                and (_is_changing(held) or (name in rebound and _is_plain(held)))
            ),
            has_attributes=any(key != _WRAPPED and _is_plain(value) for key, value in _dictionary(function).items()),
        )
        if not parts.is_empty:
            changing[f"{function.__qualname__} {len(changing)}"] = parts
    return changing


def caches_of_module(module: types.ModuleType) -> dict[str, object]:
    """Find the cached functions of a module, by a label each."""
    caches = [each for each in _functions(module) if type(each) is CACHE]
    return {f"<cache {number}>": cache for number, cache in enumerate(caches)}


def _functions(module: types.ModuleType) -> Iterator[object]:
    """The functions of a module and of its classes, cached ones, and those that they hold in closures."""
    waiting: list[object] = []
    for value in vars(module).values():
        if type(value) in (types.FunctionType, CACHE):
            waiting.append(value)
        elif isinstance(value, type) and value.__dict__.get("__module__") == module.__name__:
            waiting += functions_of(value)
            waiting += caches_of(value)
    seen: set[int] = set()
    while waiting:
        function = waiting.pop(0)
        # another module's functions are that one's to look at
        if type(function) not in (types.FunctionType, CACHE) or id(function) in seen or len(seen) > 2_000:
            continue
        seen.add(id(function))
        if type(function) is not types.FunctionType:
            waiting.append(function_of(function))
            if home_of(function) in (module.__name__, ""):
                yield function
            continue
        waiting += [_contents(cell) for cell in function.__closure__ or ()]
        if function.__module__ == module.__name__ or function.__globals__ is vars(module):
            yield function


_empty = object()


def _contents(cell: types.CellType) -> object:
    """A cell's contents; an object that is no data where it is empty."""
    try:
        return cell.cell_contents
    except ValueError:  # a variable that is not bound yet, or was deleted
        return _empty


def _rebound(code: types.CodeType) -> frozenset[str]:
    """The variables of functions around it that a function, or one in it, binds anew: by ``nonlocal``."""
    if not code.co_freevars:
        return frozenset()
    names: set[str] = set()
    waiting = [code]
    while waiting:
        inner = waiting.pop()
        names |= {each.argval for each in dis.get_instructions(inner) if each.opname == "STORE_DEREF"}
        waiting += [each for each in inner.co_consts if type(each) is types.CodeType]
    return frozenset(names.intersection(code.co_freevars))


def _is_changing(value: object) -> bool:
    """Return True for plain data that can change in itself."""
    return type(value) in _CHANGING and _is_plain(value)


def _is_plain(value: object) -> bool:
    """Return True for atoms, and for a few of them in containers of the interpreter and of ``collections``."""
    waiting: list[Any] = [value]
    num_parts = 0
    while waiting:
        each = waiting.pop()
        num_parts += 1
        kind = type(each)
        if num_parts > MOST_PARTS:
            return False
        if kind in _ATOMS or kind is bytearray:
            continue
        if kind not in _FROZEN and kind not in _CHANGING:
            return False
        if isinstance(each, dict):
            waiting += each.keys()
            waiting += each.values()
        else:
            waiting += each
    return True
