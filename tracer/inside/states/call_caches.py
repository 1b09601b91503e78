"""Caches of ``functools.lru_cache`` and ``cache``, read and set: entries in their order, and counts of hits and misses.

The wrapper is written in C and shows its counts alone. What it refers to is what the garbage collector visits: the
dictionary and, where the cache has a limit, keys and results from the oldest to the newest. Without a limit the
dictionary has all there is, and is filled in place. With one, entries are links that the wrapper alone can make: it is
called with the arguments of each, while a function of ours that gives the known results stands for the cached one.
Counts are written where they lie.

Where things lie in a wrapper is found in two that are made for it (``_found``); ``can_be_read`` is False in an
interpreter where they aren't as expected. No audit event tells of any of this, as all functions of C were looked up
before: ``gc.get_referents`` has one, which the guard would take for the program's.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from operator import is_
from typing import Any

CACHE: type = type(functools.lru_cache(len))
"""The type of cached functions."""
Contents = tuple[object, dict[str, object]]
"""``(keys, results, hits, misses)``, the oldest first; and attributes, of which ``__wrapped__`` is one."""
Settings = tuple[object, int | None, bool, object]
"""The arguments of ``CACHE``: the function, the limit, if types count, and the class of what ``cache_info`` gives."""

_TRAVERSE = 71
"""The number of ``Py_tp_traverse``, in CPython's stable interface."""
_words = struct.Struct(f"{CACHE.__basicsize__ // struct.calcsize('n')}n")
_word = struct.Struct("n")
_memory = ctypes.create_string_buffer(_words.size)
_memory_address = ctypes.addressof(_memory)
_copy = ctypes.memmove
_clear: Callable[[object], None] = vars(CACHE)["cache_clear"]
_dictionary: Callable[[object], dict[str, object]] = vars(CACHE)["__dict__"].__get__

_slot = ctypes.pythonapi.PyType_GetSlot
_slot.argtypes, _slot.restype = [ctypes.py_object, ctypes.c_int], ctypes.c_void_p
_Visitor = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_void_p)
_traverse = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, _Visitor, ctypes.c_void_p)(_slot(CACHE, _TRAVERSE))
_visited: list[object] = []


def _noted(value: object, _: object, note: Callable[[object], None] = _visited.append) -> int:
    note(value)
    return 0


_visit = _Visitor(_noted)


def _read(wrapper: object) -> tuple[tuple[int, ...], list[object]]:
    """The words of a wrapper's memory, and the objects that it refers to."""
    _visited.clear()
    _traverse(wrapper, _visit, None)
    referents = _visited.copy()
    _visited.clear()
    _copy(_memory_address, id(wrapper), _words.size)
    return _words.unpack(_memory), referents


def _write(wrapper: object, index: int, value: int) -> None:
    _copy(id(wrapper) + index * _word.size, _word.pack(value), _word.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Where things lie in a wrapper: the indices of words.

    Attributes:
        hits, misses, limit, is_typed: numbers; a limit of -1 is none.
        function, table: addresses, of the cached function and of the dictionary.
        mark: the object that stands between the arguments and the named ones of a key.
        link: the class of the dictionary's values where there is a limit.
    """

    hits: int
    misses: int
    limit: int
    is_typed: int
    function: int
    table: int
    mark: object
    link: type


def _found() -> _Layout | None:
    """Find where things lie, in two wrappers whose contents are known; None where something isn't found."""

    def given(*arguments: object, **named: object) -> object:
        return arguments, named

    def other(*arguments: object, **named: object) -> object:
        return named, arguments

    first: Any = functools.lru_cache(59, True)(given)
    second: Any = functools.lru_cache(None, False)(other)
    for wrapper, misses, hits in ((first, 71, 83), (second, 73, 97)):
        for number in range(1, misses):
            wrapper(number)
        wrapper(0, name=0)
        for _ in range(hits):
            wrapper(0, name=0)
    (first_words, first_seen), (second_words, second_seen) = _read(first), _read(second)
    pairs = [*zip(first_words, second_words, strict=True)]
    tables = [
        [each for each in seen if type(each) is dict and each is not _dictionary(wrapper)]
        for wrapper, seen in ((first, first_seen), (second, second_seen))
    ]
    if [*map(len, tables)] != [1, 1]:
        return None
    (first_table,), (second_table,) = tables
    wanted = [(83, 97), (71, 73), (59, -1), (1, 0), (id(given), id(other)), (id(first_table), id(second_table))]
    *_, key = second_table
    if any(pairs.count(pair) != 1 for pair in wanted) or type(key) is not tuple or key != (0, key[1], "name", 0):
        return None
    hits, misses, limit, is_typed, function, table = map(pairs.index, wanted)
    links = {type(each) for each in first_table.values()}
    return _Layout(
        hits=hits,
        misses=misses,
        limit=limit,
        is_typed=is_typed,
        function=function,
        table=table,
        mark=key[1],
        link=links.pop(),
    )


_layout = _found()
mark: object = None if _layout is None else _layout.mark
"""The object that keys have between arguments and named ones: one of the process, which keys are told by."""


def contents_of(wrapper: object) -> Contents:
    """The contents of a cached function. The lists are new; keys and results are the objects themselves."""
    assert _layout is not None
    words, referents = _read(wrapper)
    keys, results = _entries(referents, _table(words, referents))
    return (keys, results, words[_layout.hits], words[_layout.misses]), _attributes(wrapper, words, referents)


def function_of(wrapper: object) -> object:
    """The cached function."""
    return settings_of(wrapper)[0] if can_be_read else _dictionary(wrapper).get("__wrapped__")


def home_of(wrapper: object) -> str:
    """The name of the module of a cached function; "" where it is another module's and this wrapper isn't."""
    home, name = map(_dictionary(wrapper).get, ("__module__", "__qualname__"))
    if type(home) is not str or type(name) is not str:
        return ""
    # a method is found in no module by its name
    known = home in sys.modules and ("." in name or vars(sys.modules[home]).get(name) is wrapper)
    return home if known or type(function_of(wrapper)) is types.FunctionType else ""


def settings_of(wrapper: object) -> Settings:
    """The arguments with which ``CACHE`` makes an empty wrapper of the same kind."""
    assert _layout is not None
    words, referents = _read(wrapper)
    limit = words[_layout.limit]
    function = _function(words, referents)
    shown_by = next(each for each in reversed(referents) if isinstance(each, type) and issubclass(each, tuple))
    return function, None if limit == -1 else limit, bool(words[_layout.is_typed]), shown_by


def set_contents(wrapper: object, contents: Contents) -> None:
    """Make what a cached function keeps that of ``contents_of``."""
    assert _layout is not None
    kept: Any
    kept, attributes = contents
    keys, results, hits, misses = kept
    words, referents = _read(wrapper)
    table = _table(words, referents)
    now = _entries(referents, table)
    if not (_are_same(now[0], keys) and _are_same(now[1], results)):  # most are
        _clear(wrapper)
        if words[_layout.limit] == -1:
            table.update(zip(keys, results, strict=True))
        elif keys:
            _fill(wrapper, words, keys, results)
    _write(wrapper, _layout.hits, hits)
    _write(wrapper, _layout.misses, misses)
    before = _attributes(wrapper, words, referents)
    if before.keys() != attributes.keys() or not all(map(is_, before.values(), attributes.values())):
        dictionary = _dictionary(wrapper)
        for name in before:
            del dictionary[name]
        dictionary.update(attributes)


def _attributes(wrapper: object, words: tuple[int, ...], referents: list[object]) -> dict[str, object]:
    """Attributes; of a cached class not its members, which the wrapper was given too."""
    function = _function(words, referents)
    given = vars(function) if isinstance(function, type) else {}
    return {name: value for name, value in _dictionary(wrapper).items() if given.get(name, given) is not value}


def _function(words: tuple[int, ...], referents: list[object]) -> object:
    assert _layout is not None
    address = words[_layout.function]
    return next(each for each in referents if id(each) == address)


def _table(words: tuple[int, ...], referents: list[object]) -> dict[object, object]:
    assert _layout is not None
    address = words[_layout.table]
    return next(each for each in referents if type(each) is dict and id(each) == address)


def _entries(referents: list[object], table: dict[object, object]) -> tuple[list[object], list[object]]:
    """Keys and results, the oldest first."""
    assert _layout is not None
    if not table or type(next(iter(table.values()))) is not _layout.link:
        return [*table], [*table.values()]
    # before the dictionary, behind the wrapper's own class: key, result and class of each link
    links = referents[1 : 1 + 3 * len(table)]
    return links[::3], links[1::3]


def _are_same(now: list[object], then: list[object]) -> bool:
    return len(now) == len(then) and all(map(is_, now, then))


def _fill(wrapper: Any, words: tuple[int, ...], keys: list[object], results: list[object]) -> None:
    """Call an empty wrapper for each entry, with another function in the cached one's place."""
    assert _layout is not None
    waiting = iter(results)

    def known(*arguments: object, **named: object) -> object:
        return next(waiting)

    calls = [_call_of(key, bool(words[_layout.is_typed])) for key in keys]
    # the wrapper's reference to its own function is kept, and ours lives as long as this call
    _write(wrapper, _layout.function, id(known))
    try:
        for arguments, named in calls:
            wrapper(*arguments, **named)
    finally:
        _write(wrapper, _layout.function, words[_layout.function])


def _call_of(key: Any, is_typed: bool) -> tuple[tuple[object, ...], dict[str, Any]]:
    """The arguments that have a key: a text or a number, or ``(*arguments, mark, *named ones, *types of all)``."""
    if type(key) is not tuple:
        return (key,), {}
    place = next((index for index, each in enumerate(key) if each is mark), None)
    if place is None:
        return key[: len(key) // 2] if is_typed else key, {}
    behind = key[place + 1 :]
    named = behind[: 2 * (len(behind) - place) // 3] if is_typed else behind
    return key[:place], dict(zip(named[::2], named[1::2], strict=True))


def _works() -> bool:
    """Try all of it on wrappers of each kind."""
    if _layout is None:
        return False
    for limit in (0, 1, 4, None):
        for is_typed in (False, True):

            def given(*arguments: object, **named: object) -> object:
                return [arguments, named]

            wrapper: Any = functools.lru_cache(limit, is_typed)(given)
            calls: list[tuple[tuple[object, ...], dict[str, Any]]] = [
                ((1,), {}),
                ((1.0,), {}),
                (("a", 2), {"b": 3, "c": "d"}),
                ((), {"b": 1}),
                ((1,), {}),
                (((1, 2),), {}),
            ]
            for arguments, named in calls:
                wrapper(*arguments, **named)
            counts = wrapper.cache_info()
            contents: Any = contents_of(wrapper)
            wrapper("else")
            set_contents(wrapper, contents)
            again: Any = contents_of(wrapper)
            facts = (
                settings_of(wrapper) == (given, limit, is_typed, type(counts)),
                (len(contents[0][0]), *contents[0][2:]) == (counts.currsize, counts.hits, counts.misses),
                wrapper.cache_info() == counts,
                again == contents,
                _are_same(again[0][1], contents[0][1]),
            )
            if not all(facts):
                return False
    return True


can_be_read = _works()
"""True if what caches keep can be read and set in this interpreter."""
