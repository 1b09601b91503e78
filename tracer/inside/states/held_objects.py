"""Objects that a repository's module holds in its globals: they stay the objects they are, what is in them is state.

``SEEN = Counter()``, ``CONFIG = Config()``, ``rng = random.Random(7)``: other modules, closures and objects may know
the same one, and a copy of it would part from them. So each state sets its contents in place. What it holds in turn is
copied with the state, as variables are.
"""

from __future__ import annotations

import abc
import collections
import random
import types
import typing
from collections.abc import Callable
from itertools import repeat
from operator import is_
from typing import Any

from trace_mine.tracer.inside.draws.ambient import is_seeded
from trace_mine.tracer.inside.observe.describe import HEAP_TYPE, class_flags, class_mro
from trace_mine.tracer.inside.states.attributes import ATOMS, is_data, set_attributes, state_of

MOST_BYTES = 1 << 16
"""Bytes of an object's contents at the start. A larger one is a table, which programs read: it is no part of states."""

Contents = tuple[object, dict[str, object]]
"""The items of a container (lists of them: of keys and values, or one list), and attributes."""
_Methods = tuple[Callable[[Any], tuple[list[object], ...]], Callable[[Any], object], Callable[..., object]]
"""Functions that read the items of a container, empty it, and fill it with them."""

# Sets are none of them: one that is filled again may have another order, and the session's own run would see it.
# The C methods of each: those of the program's subclasses are not run. The nearest base counts.
_CONTAINERS: dict[type, _Methods] = {
    collections.OrderedDict: (
        lambda value: ([*collections.OrderedDict.keys(value)], [*collections.OrderedDict.values(value)]),
        collections.OrderedDict.clear,
        lambda value, keys, values: [*map(collections.OrderedDict.__setitem__, repeat(value), keys, values)],
    ),
    dict: (
        lambda value: ([*dict.keys(value)], [*dict.values(value)]),
        dict.clear,
        lambda value, keys, values: dict.update(value, zip(keys, values, strict=True)),
    ),
    list: (lambda value: ([*list.__iter__(value)],), list.clear, list.extend),
    collections.deque: (
        lambda value: ([*collections.deque.__iter__(value)],),
        collections.deque.clear,
        collections.deque.extend,
    ),
    bytearray: (lambda value: ([*bytearray.__iter__(value)],), bytearray.clear, bytearray.extend),
}
_LIBRARY = frozenset((*_CONTAINERS, collections.Counter, collections.defaultdict, object, typing.Generic))
"""Classes that an object's class may have among its bases: what they hold is known."""


def can_be_held(value: object, is_own: Callable[[type], bool]) -> bool:
    """Return True for a container, a seeded generator or an object of the repository's whose contents can be set.

    ``is_own`` tells a class of the session or the repository.
    """
    kind = type(value)
    if kind is random.Random:
        return is_seeded(value)  # type: ignore[arg-type]
    if kind in ATOMS or type(kind) not in (type, abc.ABCMeta):
        return False
    bases = class_mro(kind)
    if not all(base in _LIBRARY or is_own(base) or _has_attributes_alone(base) for base in bases):
        return False
    return _container_of(kind) is not None or bool(kind.__dictoffset__) or any(map(is_own, bases))


def _has_attributes_alone(kind: type) -> bool:
    """Return True for a class of a library, of Python or of C, that gives objects nothing but attributes."""
    if class_flags(kind) & HEAP_TYPE:
        return "__slots__" in vars(kind) or any(type(member) is types.FunctionType for member in vars(kind).values())
    return kind.__basicsize__ == object.__basicsize__


def contents_of(value: object) -> Contents:
    """The contents of an object now. The lists are new; the items are the objects themselves."""
    kind = type(value)
    if kind is random.Random:
        return value.getstate(), {}  # type: ignore[attr-defined]
    base = _container_of(kind)
    items = None if base is None else _CONTAINERS[base][0](value)
    return items, state_of(value)


def set_contents(value: object, contents: Contents) -> None:
    """Make what is in an object that of ``contents_of``."""
    items, attributes = contents
    kind = type(value)
    if kind is random.Random:
        value.setstate(items)  # type: ignore[attr-defined]
        return
    base = _container_of(kind)
    if base is not None:
        read, clear, fill = _CONTAINERS[base]
        lists: Any = items
        if not _are_same(read(value), lists):  # most are
            clear(value)
            fill(value, *lists)
    set_attributes(value, attributes)


def _are_same(now: tuple[list[object], ...], then: tuple[list[object], ...]) -> bool:
    """Return True if lists have the same objects in the same order."""
    return all(len(one) == len(other) and all(map(is_, one, other)) for one, other in zip(now, then, strict=True))


def _container_of(kind: type) -> type | None:
    return next((base for base in class_mro(kind) if base in _CONTAINERS), None)


def has_data(kind: type) -> bool:
    """Return True if a class has data among its members, which may be bound anew or change."""
    return any(is_data(key, member) for key, member in vars(kind).items())
