"""Objects that are one and the same in all states: a snapshot has a number in the place of each, which is its ``id``.

They are kept for good, so that no other object gets the ``id`` of one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

OUTPUT = 0
"""The number, which is the ``id`` of no object, that stands for ``sys.stdout``: the commands' output at any time."""
ERRORS = 1
"""The same for ``sys.stderr``."""


class KeptObjects:
    """The objects that the snapshots of one namespace have by number.

    Attributes:
        numbered: objects that have a number wherever they stand, by their ``id``. Of others a rule tells by their kind
            (``pickling_rules``). These are:
            * objects that a module of the repository holds in its globals: other modules and functions may hold the
              same ones, so that each state sets their contents in place (``module_tables``);
            * texts and ``object()`` that such a module may compare by identity (``own_code``), and the object by which
              keys of caches are told;
            * signatures that such constants hold, as a library compares those by identity.
        left_out: objects and cached functions of the modules that can't be saved, or are large, by their ``id``.
        handlers: handlers of ``logging`` that were there at the start, and if they can't be saved, by their ``id``.
        resolve: gives the object of a number. Pickles call it, so it is a function, which is kept by number itself.
    """

    def __init__(self) -> None:
        objects: dict[int, object] = {OUTPUT: sys.stdout, ERRORS: sys.__stderr__}
        self.by_number = objects
        self.numbered: dict[int, object] = {}
        self.left_out: dict[int, object] = {}
        self.handlers: dict[int, tuple[object, bool]] = {}

        def resolve(number: int) -> object:
            return objects[number]

        self.resolve = resolve

    def keep(self, value: object) -> int:
        """Keep an object; gives the number that stands for it in snapshots."""
        number = id(value)
        self.by_number[number] = value
        return number

    @contextlib.contextmanager
    def printing_to(self, output: object, errors: object) -> Iterator[None]:
        """Around states whose variables that hold ``sys.stdout`` or ``sys.stderr`` are to hold these streams."""
        objects = self.by_number
        before = objects[OUTPUT], objects[ERRORS]
        objects[OUTPUT], objects[ERRORS] = output, errors
        try:
            yield
        finally:
            objects[OUTPUT], objects[ERRORS] = before
