"""Tells if a list of atoms still holds the same objects as before, without asking any of them.

``==`` takes 60 ns on 90 items and calls ``__eq__`` of whatever the snippet has put into the list since; comparing item
by item with ``is`` takes 2 microseconds. So a list that is looked at again and again is watched through its memory: its
size, the address of its items and the items' addresses, 100 ns. A copy keeps the objects alive, so that no address is
used twice.

The reads are attribute loads in one expression, between which the interpreter switches no thread, runs no finalizer and
collects no garbage, so the items can't move between them. A trial at import tells if lists are laid out as this needs;
where they are not (another interpreter, free threads), items are compared with ``is``.
"""

from __future__ import annotations

import ctypes
import sys
from itertools import compress
from operator import is_not

from trace_mine.tracer.inside.observe.identity import identity
from trace_mine.tracer.inside.observe.values import LARGE, all_atoms, atom_ids

WORD_BYTES = ctypes.sizeof(ctypes.c_void_p)
SIZE_OFFSET = object.__basicsize__
"""The offset of a list's size in its memory; the address of its items comes next."""
SHORTEST = 12
"""Below this many items comparing them is as cheap, and making a view takes 1 microsecond."""

# Made once for each length and not for each list: a type takes longer to make than a view.
_Header = ctypes.c_char * (2 * WORD_BYTES)
_no_header = _Header()
_views: dict[int, type[ctypes.Array[ctypes.c_char]]] = {}


class ListWatch:
    """Watches one list of atoms.

    Where ``header.raw == known_header and items.raw == known_items``, in that order, the list is unchanged; otherwise
    only ``changed`` can tell. The recorder makes that comparison itself, since a call would cost as much again.

    Attributes:
        copy: the items as they were when ``changed`` last looked.
        index: the place of the only item that ``changed`` found to differ; -1 where more than one does.
        header: the memory of the list's size and of the address of its items.
        items: the memory of its items' addresses.
    """

    __slots__ = ("_last", "_list", "copy", "header", "index", "items", "known_header", "known_items")

    def __init__(self, watched: list[object]) -> None:
        self._list = watched
        self._last = 0
        self.index = -1
        self.copy = watched[:]
        self.header: ctypes.Array[ctypes.c_char] = _no_header
        self.known_header = b""
        self.items: ctypes.Array[ctypes.c_char] = _no_header
        self.known_items = b""

    def changed(self) -> bool | None:
        """Return True if the list holds other objects than before; None where it can't be watched any longer: it is
        longer than ``LARGE``, or one of the objects is no atom.

        The three items beside the last change are looked at first, since loops store item after item. Where others
        differ as well, or the list was resized, all are compared with ``is``. A list that held still is given a view of
        its memory, since it is likely to hold still again.

        One function in spite of its length, as it runs for each watched list at each line that settrace reports: on
        sorting a list, calls would cost more than they save.
        """
        watched, items = self._list, self.copy
        if self.header.raw == self.known_header:
            now, before = self.items.raw, self.known_items
            first = self._last - 1 if self._last else 0
            low, high = first * WORD_BYTES, (first + 3) * WORD_BYTES
            if now[:low] == before[:low] and now[high:] == before[high:]:
                self.index = -2  # no difference yet
                for index in range(first, min(first + 3, len(items))):
                    item = watched[index]
                    if item is not items[index]:
                        if identity(type(item)) not in atom_ids:
                            return None
                        items[index] = item
                        self._last = index
                        self.index = index if self.index == -2 else -1
                self.known_items = now
                return True
        changes = [*map(is_not, watched, items)]
        if len(watched) == len(items) and True not in changes:
            if _readable and len(watched) >= SHORTEST:
                self._view()
            return False
        if len(watched) > LARGE or not all_atoms([*compress(watched, changes), *watched[len(items) :]]):
            return None
        self.index = -1
        self.copy = watched[:]
        if self.header.raw == self.known_header:  # neither resized nor moved: the view stays right
            self._last = changes.index(True)
            self.known_items = self.items.raw
        else:
            self.header, self.known_header = _no_header, b""
        return True

    def _view(self) -> None:
        length = len(self._list)
        self.header = _Header.from_address(id(self._list) + SIZE_OFFSET)
        self.known_header = self.header.raw
        # By address: the view keeps no buffer locked, so that the program can resize the list as ever.
        kind = _views.get(length)
        if kind is None:
            kind = _views[length] = ctypes.c_char * (length * WORD_BYTES)
        self.items = kind.from_address(int.from_bytes(self.known_header[WORD_BYTES:], sys.byteorder))
        self.known_items = self.items.raw


def _layout_is_known() -> bool:
    """Return True if a list's memory is, where CPython keeps it, the size and then the address of the items."""
    # Without the interpreter lock another thread may move the items between the two reads.
    if sys.implementation.name != "cpython" or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return False
    if list.__basicsize__ < SIZE_OFFSET + 2 * WORD_BYTES:
        return False
    tried = [object() for _ in range(SHORTEST)]
    header = _Header.from_address(id(tried) + SIZE_OFFSET).raw
    if header[:WORD_BYTES] != len(tried).to_bytes(WORD_BYTES, sys.byteorder):
        return False
    first = ctypes.c_void_p.from_address(int.from_bytes(header[WORD_BYTES:], sys.byteorder))
    return first.value == id(tried[0])


_readable = _layout_is_known()
