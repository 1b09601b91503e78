"""Modules of the standard library that a program names: what it binds, adds and removes there is state.

``math.tau = 3``, ``calendar.setfirstweekday(6)``, ``mimetypes.add_type(...)``: names of the module, the items of its
lists and dictionaries, and the attributes of its objects, as far as they are not what they were when the module was
met. All is compared by identity, so that an unchanged module costs little; what lies deeper is not looked at. Caches
are left as they are, and so are modules that the interpreter and this package work with.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import ModuleType

from trace_mine.tracer.inside.draws import resting
from trace_mine.tracer.inside.draws.module_names import ModuleNames, are_same
from trace_mine.tracer.inside.states.attributes import ATOMS
from trace_mine.tracer.inside.states.held_objects import can_be_held, contents_of, set_contents

Changes = dict[str, object]
"""The differences of a module: names under "", the contents of a list, dictionary or object under its name."""

MOST_ITEMS = 1_000
"""Items of a list or dictionary; a larger one is a table, which programs read."""

_LEFT = frozenset(
    [
        "__future__",
        "abc",
        "ast",
        "asyncio",
        "atexit",
        "builtins",
        "codecs",
        "contextlib",
        "contextvars",
        "copy",
        "dis",
        "doctest",
        "encodings",
        "functools",
        "gc",
        "importlib",
        "inspect",
        "io",
        "itertools",
        "linecache",
        "logging",
        "marshal",
        "operator",
        "os",
        "pickle",
        "posix",
        "random",
        "re",
        "sys",
        "threading",
        "time",
        "traceback",
        "types",
        "typing",
        "unittest",
        "warnings",
        "weakref",
        "zipimport",
    ]
)
"""Packages that are not looked at: settings of the process have their own place (``draws.settings``)."""


def is_looked_at(name: str) -> bool:
    """Return True for a module of the standard library whose contents are state."""
    package = name.partition(".")[0]
    return package in sys.stdlib_module_names and package not in _LEFT and not package.startswith("_")


class LibraryModule:
    """The changes of one module since it was met."""

    def __init__(self, module: ModuleType) -> None:
        table = vars(module)
        names = frozenset(name for name in table if "cache" in name.lower() or name.startswith("__"))
        self._names = ModuleNames(table, names)
        # constants by their name, of which a module may have dozens, are left
        held = {name: each for name, each in table.items() if name not in names and name.strip("_").islower()}
        self._held = {
            name: (value, contents_of(value), _reader_of(value))
            for name, value in held.items()
            if _is_held(value, module)
        }
        self._first = [reader() for _, _, reader in self._held.values()]
        self._readers = [reader for _, _, reader in self._held.values()]

    def changes(self) -> Changes:
        """The differences, by labels; nothing where nothing does."""
        names = self._names.changed()
        changes: Changes = {} if names is None else {"": names}
        for (name, (value, _, reader)), first in zip(self._held.items(), self._first, strict=True):
            now = reader()
            if not are_same(now, first):
                changes[name] = contents_of(value)
        return changes

    def put(self, changes: Changes) -> None:
        """Make what differs this."""
        now = self.changes()
        names = changes.get("")
        self._names.put(names if isinstance(names, tuple) else None)
        for name, (value, first, _) in self._held.items():
            wanted = changes.get(name, first)
            assert isinstance(wanted, tuple)
            if name in changes or name in now:
                set_contents(value, wanted)


class Libraries:
    """The modules of the standard library that were met, and what has changed in them."""

    def __init__(self) -> None:
        self._modules: dict[str, LibraryModule] = {}
        self._known: tuple[int, dict[str, object]] = 0, {}

    def meet(self, names: Iterable[str]) -> None:
        """Look at these modules from now on, where they are loaded and of the standard library."""
        for name in names:
            if name not in self._modules and name in sys.modules and is_looked_at(name):
                self._modules[name] = LibraryModule(sys.modules[name])

    def changes(self) -> dict[str, object]:
        """The changes of the modules that have some, by module."""
        token = resting.token()
        if not token or token != self._known[0]:
            each = {name: module.changes() for name, module in self._modules.items()}
            self._known = token, {name: changes for name, changes in each.items() if changes}
        return self._known[1]

    def put(self, wanted: dict[str, object]) -> None:
        """Make the changes these."""
        now = self.changes()
        if not now and not wanted:
            return
        for name in now.keys() | wanted.keys():
            changes = wanted.get(name, {})
            assert isinstance(changes, dict)
            self._modules[name].put(changes)
        self._known = 0, {}


def _is_held(value: object, module: ModuleType) -> bool:
    kind = type(value)
    if kind is list or kind is dict:
        return len(value) <= MOST_ITEMS  # type: ignore[arg-type]  # of either kind
    is_own = kind not in ATOMS and vars(kind).get("__module__") == module.__name__
    if not is_own or not can_be_held(value, lambda other: vars(other).get("__module__") == module.__name__):
        return False
    try:
        set_contents(value, contents_of(value))
    except (AttributeError, TypeError):  # attributes that can be read alone
        return False
    return True


def _reader_of(value: object) -> Callable[[], list[object]]:
    """A function that gives the items and attributes of an object in one list, for a comparison by identity."""
    kind = type(value)
    if kind is dict:
        return lambda: [*value, *value.values()]  # type: ignore[misc, attr-defined]
    if kind is list:
        return lambda: [*value]  # type: ignore[misc]

    def read() -> list[object]:
        items, attributes = contents_of(value)
        lists = items if isinstance(items, tuple) else ()
        return [*[each for one in lists if isinstance(one, list) for each in one], *attributes, *attributes.values()]

    return read
