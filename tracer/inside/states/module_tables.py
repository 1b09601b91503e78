"""Which modules are part of a state, and what of them: tables of values by names, one table after the other.

Those of the repository that the namespace knows (the modules themselves, and those whose functions and classes it has),
and those that these know. Of each: plain data and context variables among its globals, what is in its objects
(``held_objects``), what its functions hold (``function_parts``) and keep (``call_caches``), and data of its classes.
The session runs in the same process, and must not see what states' runs did to any of these. Of the standard library it
is what has changed in it (``library_modules``).
"""

from __future__ import annotations

import contextvars
import itertools
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

from trace_mine.tracer.inside.states import call_caches, held_objects
from trace_mine.tracer.inside.states.cache_states import CacheStates
from trace_mine.tracer.inside.states.function_parts import FunctionParts, caches_of_module, parts_of_module
from trace_mine.tracer.inside.states.held_objects import can_be_held, has_data
from trace_mine.tracer.inside.states.kept_objects import KeptObjects
from trace_mine.tracer.inside.states.library_modules import Libraries
from trace_mine.tracer.inside.states.own_code import OwnCode
from trace_mine.tracer.inside.states.start_names import Changed, Namespace, StartNames

MOST_MODULES = 16
"""Modules of the repository whose globals are saved: each costs time at every snapshot, of which a path takes one."""
Tables = dict[str, dict[str, object]]
"""Values by names, of each table: of a module, or of one with a mark before the module's name."""

FUNCTIONS = "<functions> "
"""The mark where a table has parts of a module's functions."""
OBJECTS = "<objects> "
"""The mark where a table has what is in a module's objects."""
LIBRARY = "<library>"
"""The table of what has changed in modules of the standard library."""

_by_identity = (types.FunctionType, types.ModuleType, type, types.CodeType)
_saved = frozenset(
    (
        *(int, float, str, bytes, bool, type(None), list, dict, set, tuple, frozenset),
        *(contextvars.ContextVar, itertools.count),
    )
)
"""Types of a module's globals that are part of the state."""


class ModuleTables:
    """The tables of one namespace.

    Args:
        namespace: that of the session.
        code: tells which modules and classes are the repository's.
        objects: get those that are held, and those that can't be saved.
        caches: what of a cached function is part of states.
        can_save: tells if there are bytes for the contents of an object, and not too many.

    Attributes:
        names: of the repository's modules that are known.
    """

    def __init__(
        self,
        namespace: Namespace,
        code: OwnCode,
        objects: KeptObjects,
        caches: CacheStates,
        can_save: Callable[[object], bool],
    ) -> None:
        self._namespace = namespace
        self._code = code
        self._objects = objects
        self._caches = caches
        self._can_save = can_save
        self._libraries = Libraries()
        self.names: tuple[str, ...] = ()
        self._reached: set[frozenset[str]] = set()
        """Modules by which others were looked for."""
        self._functions: dict[str, dict[str, FunctionParts]] = {}
        """Of each module that is known, the functions in which something may change."""
        self._holders: dict[str, dict[str, object]] = {}
        """Of each module that is known, the objects whose contents are saved, and the classes with data."""
        self._held: set[int] = set()
        self._starts: dict[str, StartNames] = {}

    def of(self, variables: Namespace) -> Tables:
        """All tables, as they are now, where the namespace has these variables.

        A module that was known once stays known: a command that deletes its name does not undo what it changed there.
        """
        names = frozenset(_modules_of(variables.values())) - {*self.names}
        if names not in self._reached:
            self._reached.add(names)
            self.names = tuple(self._reach([*self.names, *sorted(names)])[:MOST_MODULES])
            of_own = [_modules_of(vars(sys.modules[own]).values()) for own in self.names if own in sys.modules]
            self._libraries.meet(sorted(names.union(*of_own)))
        for name in self.names:
            if name not in self._functions:
                self._functions[name] = parts_of_module(sys.modules[name]) if name in sys.modules else {}
                self._hold_objects(name)
        tables = self.now()
        for name, values in tables.items():
            if name not in self._starts:
                self._starts[name] = StartNames(values, self._namespace, self._code)
        return tables

    def now(self) -> Tables:
        """All tables of the modules that are known, as they are now."""
        return {name: self._table(name) for name in self._table_names()}

    def put(self, tables: Tables) -> None:
        """Make modules what they are in these tables."""
        for name, values in tables.items():
            self._set_table(name, values)

    def put_back(self, tables: Tables) -> None:
        """The same; the modules that are known and not in these tables are as they were at the start."""
        self.put({**{name: start.values for name, start in self._starts.items()}, **tables})

    def compacted(self, tables: Tables) -> dict[str, Changed]:
        """The parts of the tables that aren't as they were at the start."""
        starts = self._starts
        return {name: starts[name].compacted(values) for name, values in tables.items()}

    def expanded(self, tables: dict[str, Changed]) -> Tables:
        """The tables that ``compacted`` was given."""
        starts = self._starts
        return {name: starts[name].expanded(changed, gone) for name, (changed, gone) in tables.items()}

    def _reach(self, names: list[str]) -> list[str]:
        """The repository's modules among these, and those that they know, the nearest first."""
        # not the namespace itself, where it is the script's: its variables are saved as such, and once more as globals
        # they would overwrite what a state puts together of numbers has in them (``packing``)
        reached = [name for name in names if name != "__main__" and self._code.is_repository(name)]
        for name in reached:  # which grows
            if len(reached) >= MOST_MODULES:
                break
            known = _modules_of(vars(sys.modules[name]).values()) if name in sys.modules else set()
            new = sorted(known - {*reached, "__main__"})
            reached += [each for each in new if self._code.is_repository(each)]
        return reached

    def _table_names(self) -> list[str]:
        """The modules that are known and, behind a mark each, those with functions in which something may change, and
        those with objects that are held; and modules of the standard library.
        """
        return [
            *self.names,
            *[f"{FUNCTIONS}{name}" for name in self.names if self._functions[name]],
            *[f"{OBJECTS}{name}" for name in self.names if self._holders[name]],
            LIBRARY,
        ]

    def _table(self, name: str) -> Namespace:
        """The plain globals of a module or, behind a mark, the parts of its functions or its objects, by labels."""
        if name.startswith(OBJECTS):
            holders = self._holders[name.removeprefix(OBJECTS)]
            return {
                key: value if isinstance(value, type) else self._contents_of(value) for key, value in holders.items()
            }
        if name == LIBRARY:
            return self._libraries.changes()
        if name.startswith(FUNCTIONS):
            functions = self._functions[name.removeprefix(FUNCTIONS)]
            return {label: function.values() for label, function in functions.items()}
        return _globals_of(name)

    def _set_table(self, name: str, values: Namespace) -> None:
        """Make the globals, the contents of objects, or the parts of functions those of a state."""
        if name.startswith(OBJECTS):
            for key, value in self._holders[name.removeprefix(OBJECTS)].items():
                contents = values[key]
                if type(contents) is tuple:  # else a class, which has its members already
                    self._set_contents(value, contents)
        elif name == LIBRARY:
            self._libraries.put(values)
        elif name.startswith(FUNCTIONS):
            for label, function in self._functions[name.removeprefix(FUNCTIONS)].items():
                parts = values[label]
                assert type(parts) is dict  # as ``_table`` made it
                function.set(parts)
        else:
            _set_globals(name, values)

    def _hold_objects(self, name: str) -> None:
        """Hold the objects of a module's globals whose contents are part of states, and its classes that have data."""
        table = {} if name not in sys.modules else dict(vars(sys.modules[name]))
        own = {key: value for key, value in table.items() if not _is_reserved(key)}
        objects = {key: value for key, value in own.items() if can_be_held(value, self._code.is_own_class)}
        caches = caches_of_module(sys.modules[name]) if call_caches.can_be_read and name in sys.modules else {}
        objects = {label: value for label, value in {**objects, **caches}.items() if id(value) not in self._held}
        self._held.update(map(id, objects.values()))
        numbered = self._objects.numbered
        numbered.update((id(value), value) for value in objects.values())
        # what can't be saved is let go; another one that refers to it may then not be saved, either
        while lost := [key for key, value in objects.items() if not self._can_save(self._contents_of(value))]:
            for key in lost:
                value = objects.pop(key)
                self._held.discard(id(value))
                numbered.pop(id(value), None)
                self._objects.left_out[id(value)] = value
        self._code.constants.update((id(value), value) for value in objects.values())
        classes = {
            key: value
            for key, value in own.items()
            if isinstance(value, type) and value.__dict__.get("__module__") == name and has_data(value)
        }
        self._holders[name] = {**objects, **{key: value for key, value in classes.items() if self._can_save(value)}}

    def _contents_of(self, value: object) -> tuple[object, Namespace]:
        """The contents of an object or of a cached function that is held."""
        is_cache = type(value) is call_caches.CACHE
        return self._caches.contents_of(value) if is_cache else held_objects.contents_of(value)

    def _set_contents(self, value: object, contents: Any) -> None:
        is_cache = type(value) is call_caches.CACHE
        (self._caches.set_contents if is_cache else held_objects.set_contents)(value, contents)


def _modules_of(values: Iterable[object]) -> set[str]:
    """The names of modules among values, and of those that functions and classes among them are of."""
    # by ``type``, as ``isinstance`` would run the program's ``__class__`` or ``__getattribute__``
    known = [value for value in values if issubclass(type(value), _by_identity)]
    names = {str(getattr(value, "__module__", "")) for value in known}
    return names | {value.__name__ for value in known if isinstance(value, types.ModuleType)}


def _globals_of(name: str) -> Namespace:
    """The plain globals of a module; none where the program has taken it out of ``sys.modules``."""
    module = sys.modules.get(name)
    table = {} if module is None else vars(module)
    # the type first, which most globals fail by: this is asked of each at each snapshot
    return {key: value for key, value in table.items() if type(value) in _saved and not _is_reserved(key)}


def _set_globals(name: str, values: Namespace) -> None:
    """Make the plain globals of a module those of a state."""
    module = sys.modules.get(name)
    if module is None:
        return
    table = vars(module)
    # Globals that the state does not have were made after it.
    for gone in [
        key for key, value in table.items() if type(value) in _saved and key not in values and not _is_reserved(key)
    ]:
        del table[gone]
    table.update(values)


def _is_reserved(key: str) -> bool:
    """Return True for a name that is Python's and not the program's."""
    return key.startswith("__") and key.endswith("__")
