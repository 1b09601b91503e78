"""Safe representations of values, made without running a line of the snippet's code.

``snapshot(value)`` is cheap and comparable: two equal snapshots mean that nothing visible changed. Plain data (exact
built-in types all the way down) becomes bytes through ``marshal``, which runs in C, is exact about types (1, 1.0 and
True differ) and refuses everything else; the rest becomes the text of ``describe``. ``text(snapshot)`` is for people
and for rows. ``stable(value)`` tells if ``repr(value)`` runs no code of the snippet and is the same in every process
and under every hash seed.

Example: ``snapshot([1, "a"])`` is marshal's bytes, and ``text`` of them ``[1, 'a']``; of an instance of a class of the
snippet ``snapshot`` is the text ``Point(x=1, y=2)``, and ``stable`` False.

Not covered: what only a part of a long value shows (containers of objects past 200 values, sets past 4,096 members,
anything past ``HUGE`` items: there a change in the middle goes unseen); state held by C extensions, by closures and
by iterators: they are described by their type alone.
"""

from __future__ import annotations

import collections
import marshal
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from trace_mine.tracer.inside.observe.describe import (
    ADDRESS,
    ATOMS,
    CONTAINERS,
    LIBRARY_REPR,
    MAX_DEPTH,
    MAX_VALUES,
    USUAL,
    Teller,
    arguments_of,
    attributes,
    digest,
    type_name,
    without_addresses,
    without_identities,
)
from trace_mine.tracer.inside.observe.identity import identity

__all__ = ["ATOMS", "all_atoms", "atom_ids", "attributes", "describe", "snapshot", "stable", "text", "type_name"]

atom_ids = frozenset(map(identity, ATOMS))
_container_ids = frozenset(map(identity, CONTAINERS))
_ordered_ids = frozenset(map(identity, (list, tuple, dict)))
# A class is looked up by its id wherever it may be the snippet's: its metaclass decides how it hashes and compares
# (``tests/tracer/test_hostile_values.py`` has one that raises).

_ADDRESS = ADDRESS.encode()
MAX_TEXT = 300
"""Characters of a text; of a longer one the beginning and a digest are shown."""
LARGE = 4_096
"""Items of a container whose snapshot has all of them."""
SHORT = 1_024
"""Bytes of a snapshot whose text is worth keeping: 4,096 of them take 4 MB at most."""
HUGE = 100_000
"""Items of a container whose snapshot has a digest of all of them."""
MANY = 256
TOLD_AT_ONCE = 4
"""Items of plain data that cost as much as one value of a text."""
CHARACTERS_AT_ONCE = 64
"""Characters of a text that cost as much as one value."""
NESTED = 2
"""Containers that ``marshal`` may take within one another, of at most MANY items each: see ``_is_plain``."""


class Visits:
    """Counts the values that snapshots have looked at: the same number in each run of a program, unlike their time.

    Attributes:
        number: values so far; a microsecond each.
    """

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


visits = Visits()
"""What all snapshots of this process have visited."""


def snapshot(value: Any) -> bytes | str:
    """A value that is equal for two values only if nothing visible differs: bytes of plain data, else a text."""
    kind = type(value)
    key = identity(kind)
    if key in atom_ids or (key in _container_ids and len(value) <= LARGE and _is_plain(value, kind, NESTED)):
        if key in _container_ids:
            visits.number += len(value) // TOLD_AT_ONCE
        return marshal.dumps(value, 2)  # version 2 writes no references: equal values that share objects are equal
    text = describe(value)
    if key in _ordered_ids and LARGE < len(value) <= HUGE and _is_plain(value, kind, 0):
        return f"{text}<all of {len(value)}: {digest(marshal.dumps(value, 2))}>"  # bytes would fill the record
    return text


def all_atoms(values: Iterable[object]) -> bool:
    """Return True if each value is of a plain immutable type; runs no code of theirs."""
    return atom_ids.issuperset(map(identity, map(type, values)))


def _is_plain(value: Any, kind: type, depth: int) -> bool:
    """Return True if the container holds atoms and few, shallow containers.

    ``marshal`` takes exponential time over lists that hold each other (the links of a linked list did it).
    """
    kinds = set(map(identity, map(type, value)))
    if kind is dict:
        kinds.update(map(identity, map(type, value.values())))
    kinds -= atom_ids
    if not kinds:
        return True
    if depth == 0 or len(value) > MANY or not kinds <= _container_ids:
        return False
    inner = [*value, *value.values()] if kind is dict else value
    return all(_is_plain(item, type(item), depth - 1) for item in inner if identity(type(item)) in _container_ids)


def text(shot: bytes | str) -> str:
    """The snapshot as text of at most about ``MAX_TEXT`` characters; what is left out changes the digest at its end."""
    if isinstance(shot, str):
        return shot
    return _short_text(shot) if len(shot) < SHORT else _text(shot)


def _text(shot: bytes) -> str:
    teller = Teller()
    full_text = teller.tell(marshal.loads(shot))
    if teller.cut or len(full_text) > MAX_TEXT:
        if _ADDRESS in shot:
            shot = without_addresses(shot.decode("latin-1")).encode("latin-1")
        if not teller.cut and (alike := without_identities(full_text)) != full_text:
            return f"{full_text[:60]}...<{len(shot)} bytes, {digest(alike)}>"
        return f"{full_text[:60]}...<{len(shot)} bytes, {digest(shot)}>"
    return full_text


_short_text = lru_cache(maxsize=4096)(_text)
"""Kept, since the same few values are made into text again and again, before each statement and after it."""


def describe(value: object) -> str:
    """A bounded text of the value: the same for equal states, without addresses, sets in sorted order."""
    teller = Teller()
    full_text = teller.tell(value)
    visits.number += MAX_VALUES - teller.left + len(full_text) // CHARACTERS_AT_ONCE
    if len(full_text) <= MAX_TEXT:
        return full_text
    return f"{full_text[:60]}...<{len(full_text)} characters, {digest(without_identities(full_text))}>"


def exception_text(error: BaseException) -> str:
    """The type and the arguments of an exception, as ``BaseException.__repr__`` shows them; its own ``__repr__`` and
    ``__str__`` may be the snippet's code.

    >>> exception_text(KeyError("x", 2))
    "KeyError('x', 2)"
    """
    teller = Teller()
    shown = f"{type_name(type(error))}({', '.join(teller.tell(each) for each in arguments_of(error))})"
    return shown if len(shown) <= MAX_TEXT else f"{shown[:60]}...<{len(shown)} characters, {digest(shown)}>"


_TABLES = (dict, collections.OrderedDict, collections.Counter)
_CONTAINERS = frozenset({list, tuple, collections.deque, set, frozenset, *_TABLES})


def stable(value: Any, depth: int = MAX_DEPTH, max_items: int = 400) -> bool:
    """Return True if ``repr(value)`` runs no code of the snippet and is the same in every process.

    So the type is exactly a built-in one, and so are those of all items, down to ``depth`` levels and of at most
    ``max_items`` each. Sets count only with numbers in them (a string's hash, hence its place, changes with the hash
    seed) or with fewer than two members: tracing and replaying under one hash seed once hid that order.

    One function, as each test is a line and their order matters: nothing of the value is looked up before its type is
    known to be harmless.
    """
    kind = type(value)
    if type(kind) not in USUAL:
        return False
    if kind in ATOMS:
        return kind is not int or value.bit_length() < 10_000  # the conversion to text is quadratic, and may be refused
    if kind in LIBRARY_REPR:
        return True
    if depth == 0 or kind not in _CONTAINERS or len(value) > max_items:
        return False
    # The order of integers and bools in a set hangs on their values and the history of the set, but on no hash seed.
    if kind in (set, frozenset) and all(type(item) in (int, bool) for item in value):
        return True
    if kind in (set, frozenset) and len(value) > 1:
        return False
    members = (*value.keys(), *value.values()) if kind in _TABLES else value
    return all(stable(member, depth - 1, max_items) for member in members)
