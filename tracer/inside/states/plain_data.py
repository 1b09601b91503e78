"""Plain data: values of the ``KINDS`` below, all the way down. Such a variable can be told by a number (``packing``).

Variables that share a list, a dictionary or a set (or one of which iterates over another's) are one *group*: to change
one is to change the other, so that they have one number. Equal values have a key in common, and are made anew from it.
"""

from __future__ import annotations

import collections
import io
import marshal
import pickle
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_PARTS = 2_000
"""Objects in a variable's data; past it the variable is not told by a number."""

Group = tuple[str, ...]
"""Names of variables, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainKind:
    """A kind of plain data.

    Attributes:
        types: exact ones, as a subclass may have attributes, and code of the program.
        is_spelt: equal values of a type may be shown as different texts (0.0 and -0.0): they are told by their text.
        is_tree: ``marshal`` writes the values, whose bytes are the same for texts that are one object or two, unlike
            pickle's. Not those whose equal values may have another order, or whose class marshal doesn't know.
        can_change: in itself, so that two variables may share it.
        parts: the objects in a value, None if they are no plain data; no function for an atom, which has none.
    """

    types: tuple[type, ...]
    is_spelt: bool = False
    is_tree: bool = False
    can_change: bool = False
    parts: Callable[[Any], Iterable[object] | None] | None = None


def _items_of(value: Iterable[object]) -> Iterable[object]:
    return value


def _items_of_dict(value: dict[object, object]) -> Iterable[object]:
    return *value.keys(), *value.values()


def _items_of_default_dict(value: collections.defaultdict[object, object]) -> Iterable[object] | None:
    return _items_of_dict(value) if value.default_factory in _FACTORIES else None


def _items_of_iterator(value: Any) -> Iterable[object]:
    """The object that a built-in iterator goes through, and where the iterator is."""
    items: Iterable[object] = value.__reduce__()[1]
    return items


_FACTORIES = (None, int, float, str, list, dict, set, tuple, bool)
_ITERATORS: tuple[Any, ...] = ((), [], "", "\u00e9", range(0), b"")

KINDS = (
    PlainKind(types=(int, str, bool, types.NoneType, bytes, types.EllipsisType), is_tree=True),
    PlainKind(types=(float, complex), is_spelt=True, is_tree=True),
    PlainKind(types=(range,), is_spelt=True),
    PlainKind(types=(tuple,), is_tree=True, parts=_items_of),
    PlainKind(types=(frozenset,), parts=_items_of),
    PlainKind(types=(list,), is_tree=True, can_change=True, parts=_items_of),
    PlainKind(types=(set, collections.deque), can_change=True, parts=_items_of),
    PlainKind(types=(dict,), is_tree=True, can_change=True, parts=_items_of_dict),
    PlainKind(types=(collections.Counter, collections.OrderedDict), can_change=True, parts=_items_of_dict),
    PlainKind(types=(collections.defaultdict,), can_change=True, parts=_items_of_default_dict),
    PlainKind(
        types=(*(type(iter(each)) for each in _ITERATORS), type(reversed([])), enumerate, zip),
        can_change=True,
        parts=_items_of_iterator,
    ),
)
"""All kinds of plain data."""
_kinds = {each: kind for kind in KINDS for each in kind.types}


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a variable's plain data.

    Attributes:
        ids: of the objects in it that can change.
        is_atom: it is one object that can't.
        is_tree: it is made of atoms, tuples, lists and dictionaries, none of which stands in two places.
    """

    ids: frozenset[int]
    is_atom: bool
    is_tree: bool


def parts_of(value: object, constants: Mapping[int, object]) -> Parts | None:
    """The parts of a value; None where it isn't plain data, or is large.

    An object that a module compares by identity (one of the constants) is none, as it stays the object that it is.
    """
    kind = _kinds.get(type(value))
    if kind is None or id(value) in constants:
        return None
    if kind.parts is None:
        return _ATOM
    ids: set[int] = set()
    is_tree = True
    num_parts = 0
    waiting = [value]
    while waiting:
        value = waiting.pop()
        num_parts += 1
        kind = _kinds.get(type(value))
        if kind is None or id(value) in constants or num_parts > MOST_PARTS:
            return None
        is_tree = is_tree and kind.is_tree
        if kind.can_change:
            if id(value) in ids:
                is_tree = False
                continue
            ids.add(id(value))
        if kind.parts is not None:
            items = kind.parts(value)
            if items is None:
                return None
            waiting.extend(items)
    return Parts(frozenset(ids), False, is_tree)


_ATOM = Parts(frozenset(), True, True)


def groups_of(parts: Mapping[str, Parts]) -> Iterator[Group]:
    """The groups of variables: those that share an object that can change are in one."""
    owners: dict[int, str] = {}
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while leaders.get(name, name) != name:
            name = leaders[name]
        return name

    for name, made_of in parts.items():
        for each in made_of.ids:
            other = owners.setdefault(each, name)
            if other != name:
                leaders[leader(name)] = leader(other)
    members: dict[str, list[str]] = {}
    for name in parts:
        members.setdefault(leader(name), []).append(name)
    # by name, as the order in which the variables were bound is the rest's
    return (tuple(sorted(group)) for group in members.values())


def coded(values: tuple[object, ...], parts: Sequence[Parts]) -> tuple[object, Callable[[], Sequence[object]]]:
    """A key that equal values have in common, and what makes copies of them."""
    if len(values) == 1 and parts[0].is_atom:
        value = values[0]
        # 1, True and 1.0 are equal, 0.0 and -0.0, too
        key = (type(value), repr(value) if _kinds[type(value)].is_spelt else value)
        return key, lambda: values
    if all(each.is_tree for each in parts) and len(values) == 1:
        plain: Any = values
        data = marshal.dumps(plain, 2)  # texts that are one object or two give the same bytes, unlike pickle's
        return data, lambda: marshal.loads(data)
    target = io.BytesIO()
    pickle.Pickler(target, 5).dump(values)
    pickled = target.getvalue()
    return pickled, lambda: pickle.loads(pickled)
