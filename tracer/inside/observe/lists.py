"""Whether a list of atoms still holds the very objects that it held, without asking any of them.

``==`` takes 60 ns on 90 items and calls ``__eq__`` of whatever the snippet has put into the list since; comparing item
by item with ``is`` takes 2 microseconds. So a list that is looked at again and again is watched through its memory: its
size, the address of its items and the items' addresses, 100 ns. A copy keeps the objects alive, so that no address is
used twice.

The reads are attribute loads in one expression, between which the interpreter switches no thread, runs no finalizer and
collects no garbage, so the items can't move between them. Whether lists are laid out as this needs is tried at import;
where they are not (another interpreter, free threads), items are compared with ``is``.
"""

from __future__ import annotations

import ctypes
import sys
from itertools import compress
from operator import is_not
from typing import Any

from trace_mine.tracer.inside.observe.values import LARGE, all_atoms, atom_ids

WORD_BYTES = ctypes.sizeof(ctypes.c_void_p)
SIZE_OFFSET = object.__basicsize__
"""Where a list keeps its size; the address of its items comes next."""
SHORTEST = 12
"""Below this many items comparing them is as cheap, and making a view takes 1 microsecond."""

_Header = ctypes.c_char * (2 * WORD_BYTES)
_no_header = _Header()
_views: dict[int, Any] = {}


class ListWatch:
    """Watches one list of atoms. ``copy`` holds its items as they were when ``changed`` last looked.

    ``index`` is the place of the only item that ``changed`` found to differ; -1 where more than one does.

    Where ``header.raw == known_header and items.raw == known_items``, in that order, the list is unchanged; otherwise
    only ``changed`` can tell.
    """

    __slots__ = ("_last", "_list", "copy", "header", "index", "items", "known_header", "known_items")

    def __init__(self, watched: list[Any]) -> None:
        self._list = watched
        self._last = 0
        self.index = -1
        self.copy = watched[:]
        self.header: Any = _no_header
        self.known_header = b""
        self.items: Any = None
        self.known_items = b""

    def changed(self) -> bool | None:
        """True if the list holds other objects than before; None where it cannot be watched any longer: it is longer
        than ``LARGE``, or one of the objects is no atom.

        One function in spite of its length, as it runs for each watched list at each line that settrace reports.
        """
        watched, known = self._list, self.copy
        if self.header.raw == self.known_header:
            # loops store item after item: look beside the last change first
            now, before = self.items.raw, self.known_items
            first = self._last - 1 if self._last else 0
            low, high = first * WORD_BYTES, (first + 3) * WORD_BYTES
            if now[:low] == before[:low] and now[high:] == before[high:]:
                self.index = -2
                for index in range(first, min(first + 3, len(known))):
                    item = watched[index]
                    if item is not known[index]:
                        if id(type(item)) not in atom_ids:
                            return None
                        known[index] = item
                        self._last = index
                        self.index = index if self.index == -2 else -1
                self.known_items = now
                return True
        changes = [*map(is_not, watched, known)]
        if len(watched) == len(known) and True not in changes:
            if _readable and len(watched) >= SHORTEST:
                self._view()  # it held still for once: it is likely to again
            return False
        if len(watched) > LARGE or not all_atoms([*compress(watched, changes), *watched[len(known) :]]):
            return None
        self.index = -1
        self.copy = watched[:]
        if self.header.raw == self.known_header:
            self._last = changes.index(True)
            self.known_items = self.items.raw
        else:
            self.header, self.known_header = _no_header, b""
        return True

    def _view(self) -> None:
        length = len(self._list)
        self.header = _Header.from_address(id(self._list) + SIZE_OFFSET)
        self.known_header = self.header.raw
        kind = _views.get(length)
        if kind is None:
            kind = _views[length] = ctypes.c_char * (length * WORD_BYTES)
        self.items = kind.from_address(int.from_bytes(self.known_header[WORD_BYTES:], sys.byteorder))
        self.known_items = self.items.raw


def _layout_is_known() -> bool:
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
