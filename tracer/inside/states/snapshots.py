"""Snapshots: a namespace as bytes, from which it can be restored. A support's states are snapshots.

One dictionary is the namespace of every state: it is cleared and refilled, because functions keep the dictionary that
they were defined in; with a new one they wrote to a stale ``__globals__``. Functions and classes of the session stay
the objects they are, and all that can change in them (attributes, defaults, closure cells, class attributes) is part of
the snapshot. Without it beliefs were off by 0.5, and called exact. So are the globals of the repository's modules that
the namespace knows, and of those that these know: plain data, context variables (``context_variables``), what is in
other objects (``held_objects``) and in functions (``function_parts``), what cached ones keep (``call_caches``), and
data of classes. The session runs in the same process, and must not see what states' runs did to any of these.

A module may compare some objects by identity: its texts, ``object()``, and instances of the repository's classes
without an equality of their own (sentinels). They stay the objects they are, and their attributes are part of the
snapshot.

Two states that are equal have equal bytes; so states are compared, hashed and merged as bytes. What can't change in
itself (numbers, texts, functions of modules) and is bound as it was at the start has no bytes: of a module's 200 names
a session binds ten anew, and each name costs two calls of a function in Python.

Objects of a class of the repository with pickling hooks of its own are saved by their attributes, without the hooks,
where attributes and slots are all that they have. So are exceptions, whose own ``__init__`` may take other arguments
than those that pickle gives it. Refused, with ``CannotSnapshot``, because restoring would lose something in silence:
generators, files and all else that pickle refuses or can't restore; objects of a class with such hooks and with a
built-in type among its bases; anything past ``LARGEST`` bytes. Not covered: state held by C extensions, by
modules outside the repository, and by objects and caches of its modules that can't be saved.
Over 400 lines because saving and restoring are two halves of one format.
"""

from __future__ import annotations

import ast
import builtins
import codecs
import contextlib
import contextvars
import hashlib
import inspect
import io
import itertools
import pickle
import random
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.draws.ambient import Ambient, is_seeded
from trace_mine.tracer.inside.draws.finalizers import FINALIZER_INFO, holds_constants
from trace_mine.tracer.inside.draws.logging_settings import (
    LoggersDiffer,
    attributes_of_handler,
    kind_of,
    set_handler,
)
from trace_mine.tracer.inside.draws.plain_settings import DECIMAL
from trace_mine.tracer.inside.draws.readings import LazyReading, recipe_of
from trace_mine.tracer.inside.draws.streams import NOWHERE
from trace_mine.tracer.inside.program import Capture
from trace_mine.tracer.inside.states import call_caches, context_variables, held_objects, raised
from trace_mine.tracer.inside.states.attributes import (
    ATOMS,
    METHODS,
    caches_of,
    functions_of,
    has_own_hooks,
    is_of_session,
    methods_with_state,
    set_attributes,
    set_class,
    state_of,
)
from trace_mine.tracer.inside.states.cache_states import CacheStates
from trace_mine.tracer.inside.states.function_parts import FunctionParts, caches_of_module, parts_of_module
from trace_mine.tracer.inside.states.held_objects import MOST_BYTES, can_be_held, has_data
from trace_mine.tracer.inside.states.library_modules import Libraries
from trace_mine.tracer.inside.states.records import OURS

LARGEST = 4 << 20
"""Bytes of a snapshot; 4,096 states of a support are kept at a time, in the memory of one run."""
MOST_MODULES = 16
"""Modules of the repository whose globals are saved: each costs time at every snapshot, of which a path takes one."""

Namespace = dict[str, object]
Globals = dict[str, dict[str, object]]
"""Plain globals by module."""
Shared = tuple[Globals, dict[int, tuple[object, Namespace]]]
"""Plain globals by module, and the attributes of objects by their ``id``."""
FunctionState = tuple[dict[str, object], tuple[object, ...] | None, dict[str, object] | None, list[tuple[bool, object]]]
"""All that can change in a function: attributes, defaults, keyword defaults, closure cells."""

_by_identity = (types.FunctionType, types.ModuleType, type, types.CodeType)
"""Types whose values stand for themselves in a snapshot, by number: see ``Snapshots.keep``."""
_plain = frozenset((int, float, str, bytes, bool, type(None), list, dict, set, tuple, frozenset))
_saved = _plain | {contextvars.ContextVar, itertools.count}
"""Types of a module's globals that are part of the state."""
_data = frozenset((int, float, bool, type(None), list, dict, set, tuple, frozenset, complex, bytearray))
"""Types whose values are pickled by what is in them."""
_attributes_of = vars(types.FunctionType)["__dict__"].__get__
_equal_atoms = frozenset((int, str, bytes, bool))
_without_state = frozenset((str, bytes, object))
"""Exact types of constants that a module may compare by identity, and in which nothing can change."""
_unchanging = (codecs.CodecInfo, type(codecs.charmap_build("".join(map(chr, range(256))))))
"""Types of other libraries whose objects never change, and which pickle refuses or can't restore."""
FUNCTIONS = "<functions> "
"""The mark before a module's name, where a table has parts of its functions and not its globals."""
OBJECTS = "<objects> "
"""The mark where a table has what is in a module's objects."""
LIBRARY = "<library>"
"""The table of what has changed in modules of the standard library."""
OUTPUT = 0
"""The number, which is the ``id`` of no object, that stands for ``sys.stdout``: the commands' output at any time."""
ERRORS = 1
"""The same for ``sys.stderr``."""
_absent = object()
_KEPT = 20_000


class CannotSnapshot(Exception):
    """The namespace holds something that bytes can't carry; the message says what."""


class Snapshots:
    """Saves and restores a namespace, in place.

    Args:
        namespace: that of the session; the same dictionary for good.
        is_own: tells by a file's path if it is the repository's.
        texts: of the program and all that it can call, where they are known: see ``cache_states``.

    Attributes:
        constants: objects that a module of the repository may compare by identity, by their ``id``.
        held: objects of the modules' globals that stay the objects they are, by their ``id``.
        preserved: signatures that these hold, which stand for themselves.
        left_out: objects and caches of the modules that can't be saved, or are large.
    """

    def __init__(self, namespace: Namespace, is_own: Callable[[str], bool], texts: Iterable[str] | None = None) -> None:
        self.namespace = namespace
        self._caches = CacheStates(texts)
        self._is_own = is_own
        # By ``id``, as snapshots name them. They are kept for good, so that no other object gets the id of one.
        self._objects: dict[int, object] = {OUTPUT: sys.stdout, ERRORS: sys.__stderr__}
        self._own_modules: dict[str, bool] = {}
        self._module_names: tuple[str, ...] = ()
        self._reached: set[frozenset[str]] = set()
        """Modules by which others were looked for."""
        self._functions: dict[str, dict[str, FunctionParts]] = {}
        """Of each module that is known, the functions in which something may change."""
        self._holders: dict[str, dict[str, object]] = {}
        """Of each module that is known, the objects whose contents are saved, and the classes with data."""
        self._libraries = Libraries()
        self._kept_handlers: dict[int, tuple[object, bool]] = {}
        """Handlers of ``logging`` that were there at the start, and if they can't be saved."""
        self.held: dict[int, object] = {}
        # keys of caches have an object among them by which they are told
        self.constants: dict[int, object] = {id(call_caches.mark): call_caches.mark}
        self.left_out: dict[int, object] = {}
        self._members: dict[int, object] = {}
        """Cached functions that are members of the session's classes."""
        # What other namespaces of this process have too, as it was before a state was installed for the first time.
        self._first_globals: Globals = {}
        self._first_states: dict[int, tuple[object, Namespace]] = {}
        # What can't change in itself, of the namespace and of these globals, as it was bound then; None before that.
        self._fixed: Namespace | None = None
        self._is_first = True
        # Functions that other functions made before the session began, by ``id``.
        self._first_functions: dict[int, types.FunctionType] = {}
        self._order: tuple[str, ...] = ()
        self._fixed_globals: Globals = {}
        self._same: dict[bytes, bytes] = {}
        """By a digest of a namespace's first bytes, those of the state: most runs end in states that are known."""
        self.preserved: dict[int, object] = {}
        self._first_classes: dict[int, _FirstClass] = {}
        objects = self._objects

        def resolve(number: int) -> object:
            return objects[number]

        def reset(kind: type, state: object) -> None:
            if not self.is_as_at_first(kind):
                set_class(kind, self._first_classes[id(kind)].members)

        caches = self._caches

        def set_cache(cache: object, contents: tuple[object, ...]) -> None:
            caches.set_contents(cache, contents[:2])  # type: ignore[arg-type]  # as ``contents_of`` made it

        # Pickles refer to them, so that pickle itself must get them: as functions they are kept by number, too.
        self.set_cache = set_cache
        self.resolve = resolve
        self.reset = reset

    def save(self) -> bytes:
        """Save the namespace; equal states give equal bytes. The namespace may have copies of its objects then.

        Raises:
            CannotSnapshot: see the module's docstring.
        """
        first = self._dump()
        key = hashlib.blake2b(first, digest_size=20).digest()
        known = self._same.get(key)
        if known is not None:
            return known
        # Pickle writes a text that it has met before as a reference, if it is the same object, and again if it is an
        # equal one: the bytes would tell how a state was reached. A state that was restored from bytes has shared
        # objects where the bytes had, however it was reached.
        try:
            restored = self.load(first)
        except OURS:
            raise
        except BaseException as error:  # constructors of the program's classes, of which pickle calls some
            raise CannotSnapshot(f"it can't be restored: {type(error).__name__}: {error}"[:200]) from None
        self.install(*restored)
        saved = self._dump()
        if len(self._same) >= _KEPT:
            self._same.clear()
        self._same[key] = saved
        return saved

    @contextlib.contextmanager
    def printing_to(self, output: object, errors: object) -> Iterator[None]:
        """Around states whose variables that hold ``sys.stdout`` or ``sys.stderr`` are to hold these streams."""
        before = self._objects[OUTPUT], self._objects[ERRORS]
        self._objects[OUTPUT], self._objects[ERRORS] = output, errors
        try:
            yield
        finally:
            self._objects[OUTPUT], self._objects[ERRORS] = before

    def learned(self) -> object:
        """A value that changes when this process learns of an object or module that later snapshots refer to.

        A fork in which it changed is no use: its snapshots name objects that other processes don't have.
        """
        return len(self._objects), self._module_names

    def restore(self, saved: bytes) -> None:
        """Make the namespace that of a saved state."""
        self.install(*self.load(saved))

    def shared(self) -> Shared:
        """What states restore outside of the namespace, as it is now, for ``put_back``.

        A restored state has copies. The session, which runs in a namespace of its own, may hold the objects themselves,
        and a module that has a copy of a list would from then on change that one.
        """
        return {name: self._table(name) for name in self._table_names()}, {
            # of a class that is as at first its first members, by which ``put_back`` sees that they are these
            number: (value, first if isinstance(value, type) and self.is_as_at_first(value) else self.state_of(value))
            for number, (value, first) in self._first_states.items()
        }

    def put_back(self, shared: Shared) -> None:
        """Undo what was restored outside of the namespace since ``shared`` was asked for."""
        module_globals, states = shared
        for name, values in {**self._first_globals, **module_globals}.items():
            self._set_table(name, values)
        for value, attributes in {**self._first_states, **states}.values():
            if type(value) is call_caches.CACHE:
                self._set_contents(value, attributes["contents"])  # as ``state_of`` made it
            elif not isinstance(value, type):
                set_attributes(value, attributes)
            elif attributes is not self._first_classes[id(value)].members or not self.is_as_at_first(value):
                set_class(value, attributes)

    def _dump(self) -> bytes:
        variables = {name: value for name, value in self.namespace.items() if name != "__builtins__"}
        target = io.BytesIO()
        tables = self._globals(variables)
        if self._fixed is None:
            self._order, self._fixed = (*variables,), self._fixed_of(variables)
            functions = [value for value in variables.values() if type(value) is types.FunctionType]
            self._first_functions.update((id(value), value) for value in functions)
        try:
            _Pickler(target, self).dump(self.compact(variables, tables, Ambient.now()))
        except (CannotSnapshot, *OURS):
            raise
        except BaseException as error:  # pickle raises TypeError, PicklingError, AttributeError, RecursionError, ...
            raise CannotSnapshot(f"{type(error).__name__}: {error}"[:200]) from None
        finally:
            self._is_first = False
        # After the fact: a file that counts while pickle writes would be Python code at each write.
        if target.tell() > LARGEST:
            raise CannotSnapshot(f"{target.tell()} bytes")
        return target.getvalue()

    def load(self, saved: bytes) -> tuple[Namespace, Globals, Ambient]:
        """Variables, globals of modules and state outside namespaces; functions and classes are changed in place."""
        (changed, gone), tables, ambient = _Unpickler(io.BytesIO(saved), self._objects).load()
        module_globals = {
            name: _expanded(changed_there, gone_there, self._fixed_globals[name], self._first_globals[name])
            for name, (changed_there, gone_there) in tables.items()
        }
        return _expanded(changed, gone, self._fixed or {}, self._order), module_globals, Ambient(*ambient)

    def compact(self, variables: Namespace, module_globals: Globals, ambient: Ambient) -> object:
        """The pickled part of a state: all but what is bound as it was at the start, and can't change in itself."""
        return (
            self._compacted(variables, self._fixed or {}),
            {name: self._compacted(values, self._fixed_globals[name]) for name, values in module_globals.items()},
            tuple(ambient),
        )

    def _compacted(self, values: Namespace, fixed: Namespace) -> tuple[Namespace, tuple[str, ...]]:
        """The values that differ from the fixed ones, and the names of fixed ones that are not among them."""
        changed = {
            name: value
            for name, value in values.items()
            if (first := fixed.get(name, _absent)) is not value and not self._is_same(first, value)
        }
        kept = len(values) - len(changed)
        return changed, () if kept == len(fixed) else tuple([name for name in fixed if name not in values])

    def _is_same(self, first: object, value: object) -> bool:
        """Return True if a number or text is an equal one, and nobody tells the two apart by identity."""
        kind = type(value)
        if kind is not type(first) or kind not in _equal_atoms or id(first) in self.constants:
            return False
        return bool(first == value) and id(value) not in self.constants

    def _fixed_of(self, values: Namespace) -> Namespace:
        return {name: value for name, value in values.items() if self._is_fixed(value)}

    def _is_fixed(self, value: object) -> bool:
        """Return True if nothing can change in a value: it is a number or a text, or stands for itself in snapshots."""
        kind = type(value)
        if kind is types.FunctionType:
            return value.__globals__ is not self.namespace  # type: ignore[attr-defined]
        if kind is types.BuiltinFunctionType:
            return isinstance(value.__self__, types.ModuleType | None)  # type: ignore[attr-defined]
        return kind in ATOMS or (kind is type and not self.is_session_class(value))  # type: ignore[arg-type]

    def install(self, variables: Namespace, module_globals: Globals, ambient: Ambient) -> None:
        """Make the namespace, the globals and the state outside namespaces these."""
        ambient.put_back()
        self.namespace.clear()
        self.namespace.update(variables)
        self.namespace["__builtins__"] = builtins  # a module, which no snapshot should have to name
        for name, values in module_globals.items():
            self._set_table(name, values)

    def saving(self) -> Saving:
        """An object that pickles parts of a namespace, and notes the objects in them that can change."""
        return Saving(self)

    def _globals(self, variables: Namespace) -> Globals:
        """The globals of the repository's modules that the namespace knows (the modules themselves, and those whose
        functions or classes it has), and of modules that these know.

        A module that was known once stays known: a command that deletes its name does not undo what it changed there.
        """
        # by ``type``, as ``isinstance`` would run the program's ``__class__`` or ``__getattribute__``
        names = frozenset(_modules_of(variables.values())) - {*self._module_names}
        if names not in self._reached:
            self._reached.add(names)
            self._module_names = tuple(self._reach([*self._module_names, *sorted(names)])[:MOST_MODULES])
            of_own = [_modules_of(vars(sys.modules[own]).values()) for own in self._module_names if own in sys.modules]
            self._libraries.meet(sorted(names.union(*of_own)))
        for name in self._module_names:
            if name not in self._functions:
                self._functions[name] = parts_of_module(sys.modules[name]) if name in sys.modules else {}
                self._hold_objects(name)
        tables = {name: self._table(name) for name in self._table_names()}
        for name in tables.keys() - self._first_globals.keys():
            self._first_globals[name] = tables[name]
            self._fixed_globals[name] = self._fixed_of(tables[name])
        return tables

    def _reach(self, names: list[str]) -> list[str]:
        """The repository's modules among these, and those that they know, the nearest first."""
        # not the namespace itself, where it is the script's: its variables are saved as such, and once more as globals
        # they would overwrite what a state puts together of numbers has in them (``packing``)
        reached = [name for name in names if name != "__main__" and self._is_repository(name)]
        for name in reached:  # which grows
            if len(reached) >= MOST_MODULES:
                break
            known = _modules_of(vars(sys.modules[name]).values()) if name in sys.modules else set()
            new = sorted(known - {*reached, "__main__"})
            reached += [each for each in new if self._is_repository(each)]
        return reached

    def _table_names(self) -> list[str]:
        """The modules that are known and, behind a mark each, those with functions in which something may change, and
        those with objects that are held; and modules of the standard library.
        """
        return [
            *self._module_names,
            *[f"{FUNCTIONS}{name}" for name in self._module_names if self._functions[name]],
            *[f"{OBJECTS}{name}" for name in self._module_names if self._holders[name]],
            LIBRARY,
        ]

    def _hold_objects(self, name: str) -> None:
        """Hold the objects of a module's globals whose contents are part of states, and its classes that have data."""
        table = {} if name not in sys.modules else dict(vars(sys.modules[name]))
        own = {key: value for key, value in table.items() if not (key.startswith("__") and key.endswith("__"))}
        objects = {
            key: value
            for key, value in own.items()
            if id(value) not in self.held and can_be_held(value, self.is_session_class)
        }
        caches = caches_of_module(sys.modules[name]) if call_caches.can_be_read and name in sys.modules else {}
        objects.update((label, value) for label, value in caches.items() if id(value) not in self.held)
        self.held.update((id(value), value) for value in objects.values())
        # what can't be saved is let go; another one that refers to it may then not be saved, either
        while lost := [key for key, value in objects.items() if not self._can_save(self.contents_of(value))]:
            for key in lost:
                value = objects.pop(key)
                self.held.pop(id(value), None)
                self.left_out[id(value)] = value
        self.constants.update((id(value), value) for value in objects.values())
        classes = {
            key: value
            for key, value in own.items()
            if isinstance(value, type) and value.__dict__.get("__module__") == name and has_data(value)
        }
        self._holders[name] = {**objects, **{key: value for key, value in classes.items() if self._can_save(value)}}

    def is_kept_handler(self, handler: object) -> bool:
        """Return True for a handler of ``logging`` that can't be saved, and that was there at the start: one that
        writes to a file. It is one and the same in all states.
        """
        if self._is_first and id(handler) not in self._kept_handlers:
            self._kept_handlers[id(handler)] = handler, False  # while it is tried: it may hold itself
            is_kept = not self._can_save(attributes_of_handler(handler))
            self._kept_handlers[id(handler)] = handler, is_kept
        return self._kept_handlers.get(id(handler), (handler, False))[1]

    def _can_save(self, contents: object) -> bool:
        saving = self.saving()
        try:
            saving.dump(contents)
        except CannotSnapshot:
            return False
        return len(saving.bytes()) <= MOST_BYTES

    def _table(self, name: str) -> Namespace:
        """The plain globals of a module or, behind a mark, the parts of its functions or its objects, by labels."""
        if name.startswith(OBJECTS):
            holders = self._holders[name.removeprefix(OBJECTS)]
            return {
                key: value if isinstance(value, type) else self.contents_of(value) for key, value in holders.items()
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

    def _is_repository(self, name: str) -> bool:
        """Return True if a module is the repository's; the first time, remember its constants."""
        is_own = self._own_modules.get(name)
        if is_own is None:
            file = getattr(sys.modules.get(name), "__file__", None)
            is_own = type(file) is str and self._is_own(file)
            self._own_modules[name] = is_own
            if is_own:
                constants = [value for value in vars(sys.modules[name]).values() if self._is_constant(value)]
                self.constants.update((id(value), value) for value in constants)
                for value in constants:
                    if type(value).__dictoffset__:
                        held = vars(value).values()
                        self.preserved.update((id(each), each) for each in held if type(each) is inspect.Signature)
        return is_own

    def _is_constant(self, value: object) -> bool:
        """Return True if a module may compare a global by identity, and all that can change in it is its attributes.

        So is a global whose author says how it is pickled: a decorated function of a library that currys it.
        """
        kind: Any = type(value)  # mypy takes methods of two classes to be different
        if kind in _without_state:
            return True
        if not self.is_plain_class(kind):
            return False
        return has_own_hooks(kind) or (kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__)

    def is_plain_class(self, kind: type) -> bool:
        """Return True for a class of the session or the repository whose objects have attributes and slots alone."""
        return all(map(self.is_session_class, kind.__mro__[:-1]))

    def note(self, value: object, attributes: Namespace) -> None:
        """Note an object that each state restores in place: a class or a constant of the repository."""
        if isinstance(value, type) and self.is_as_at_first(value):
            attributes = self._first_classes[id(value)].members
        self._first_states.setdefault(id(value), (value, attributes))

    def note_first(self, kind: type) -> None:
        """Note a class that is as it was when it was met."""
        if id(kind) not in self._first_states:
            self._first_states[id(kind)] = kind, self._first_classes[id(kind)].members

    def is_as_at_first(self, kind: type) -> bool:
        """Return True if a class has the members that it had when it was met, none of which can change in itself."""
        first = self._first_classes.get(id(kind))
        members = vars(kind)
        if first is None:
            state = state_of(kind)
            is_plain = all(type(value) in ATOMS for value in state.values()) and not self.methods_of(kind)
            functions = functions_of(kind) if is_of_session(kind) else []
            names, values = (*members,), (*members.values(),)
            first = _FirstClass(is_plain, state, names, values, [*map(id, values)], functions)
            self._first_classes[id(kind)] = first
            self._objects[id(kind)] = kind
        # by identity of the members, at the speed of C: a namespace may have twenty classes of fifty members each
        is_same = first.is_plain and [*map(id, members.values())] == first.ids and (*members,) == first.names
        return is_same and not any(map(_attributes_of, first.functions))

    def methods_of(self, kind: type) -> list[object]:
        """The methods of a class of the session in which something may change, cached ones too."""
        if not is_of_session(kind):
            return []
        caches = caches_of(kind)
        self._members.update((id(each), each) for each in caches)
        return [*methods_with_state(kind), *caches]

    def keep(self, value: object) -> int:
        """Keep an object by identity; gives the number that stands for it in snapshots."""
        self._objects[id(value)] = value
        return id(value)

    def may_change(self, function: types.FunctionType) -> bool:
        """Return True for a function whose attributes and cells are part of the state: one that the session defined, or
        that a function of the repository made since its start, as a decorator does.
        """
        table = function.__globals__
        if table is self.namespace:
            return True
        if "<locals>" not in function.__code__.co_qualname or id(function) in self._first_functions:
            return False
        name = table.get("__name__")
        if self._is_first or table.get(function.__name__) is function or type(name) is not str:
            self._first_functions[id(function)] = function
            return False
        return self._is_repository(name)

    def contents_of(self, value: object) -> tuple[object, Namespace]:
        """What is in a held object or in a cached function, as part of a state."""
        is_cache = type(value) is call_caches.CACHE
        return self._caches.contents_of(value) if is_cache else held_objects.contents_of(value)

    def _set_contents(self, value: object, contents: Any) -> None:
        set_contents = self._caches.set_contents if type(value) is call_caches.CACHE else held_objects.set_contents
        set_contents(value, contents)

    def state_of(self, value: object) -> Namespace:
        """All that can change in a class, an object or a cached function, by name."""
        return {"contents": self.contents_of(value)} if type(value) is call_caches.CACHE else state_of(value)

    def is_followed(self, cache: object) -> bool:
        """Return True if what a cached function keeps is part of the state: one of the session or the repository."""
        if not call_caches.can_be_read or id(cache) in self.left_out:
            return False
        home = call_caches.home_of(cache)
        return home in ("", "__main__") or self._is_repository(home)

    def is_rebuilt(self, cache: object) -> bool:
        """Return True for a cached function that each state has a copy of: one of an object's method, say, which is
        bound to a copy of the object. Those of functions and those that are methods stay the objects they are.
        """
        return id(cache) not in self._members and type(call_caches.function_of(cache)) is not types.FunctionType

    def is_session_class(self, kind: type) -> bool:
        """Return True if a class is the session's or the repository's, so that its attributes are part of the state."""
        # From the class's dictionary: ``kind.__module__`` may be a property of the program's metaclass.
        home = kind.__dict__.get("__module__")
        return type(home) is str and (home == "__main__" or self._is_repository(home))


def _modules_of(values: Iterable[object]) -> set[str]:
    """The names of modules among values, and of those that functions and classes among them are of."""
    # by ``type``, as ``isinstance`` would run the program's ``__class__`` or ``__getattribute__``
    known = [value for value in values if issubclass(type(value), _by_identity)]
    names = {str(getattr(value, "__module__", "")) for value in known}
    return names | {value.__name__ for value in known if isinstance(value, types.ModuleType)}


def _expanded(changed: Namespace, gone: Iterable[str], fixed: Namespace, order: Iterable[str]) -> Namespace:
    """The values that ``Snapshots._compacted`` was given, in the order in which they stood at the start."""
    missing = frozenset(gone)
    values: Namespace = {}
    for name in order:
        if name in changed:
            values[name] = changed[name]
        elif name in fixed and name not in missing:
            values[name] = fixed[name]
    values.update(changed)
    return values


def _globals_of(name: str) -> Namespace:
    """The plain globals of a module; none where the program has taken it out of ``sys.modules``."""
    module = sys.modules.get(name)
    table = {} if module is None else vars(module)
    # the type first, which most globals fail by: this is asked of each at each snapshot
    return {key: value for key, value in table.items() if type(value) in _saved and _is_state(key, value)}


def _set_globals(name: str, values: Namespace) -> None:
    """Make the plain globals of a module those of a state."""
    module = sys.modules.get(name)
    if module is None:
        return
    table = vars(module)
    # Globals that the state does not have were made after it.
    for gone in [k for k, value in table.items() if type(value) in _saved and k not in values and _is_state(k, value)]:
        del table[gone]
    table.update(values)


def _is_state(key: str, value: object) -> bool:
    """Return True if a module's global is part of the state: plain data, under a name of the program's."""
    return not (key.startswith("__") and key.endswith("__")) and type(value) in _saved


class _Pickler(pickle.Pickler):
    """Pickles data by value, and by number what is the same object in each state of a process.

    Functions and classes of the session are both: the object by number, with all that can change in it by value.
    """

    def __init__(self, target: io.BytesIO, snapshots: Snapshots) -> None:
        super().__init__(target, 5)  # fixed, since the default differs between Python versions
        self._snapshots = snapshots

    def persistent_id(self, value: object) -> int | None:
        """The number of an object that stands for itself; None for one that is pickled. Called for every object."""
        kind = type(value)
        if id(value) in self._snapshots.held:
            return self._snapshots.keep(value)
        if kind in _without_state:
            return self._snapshots.keep(value) if id(value) in self._snapshots.constants else None
        if kind in _data:
            return None
        if kind is Capture:
            return OUTPUT
        if kind is call_caches.CACHE:
            return None if self._snapshots.is_followed(value) else self._snapshots.keep(value)
        if value is sys.__stderr__ or value is NOWHERE:
            return ERRORS
        if value is sys.__stdin__:
            return self._snapshots.keep(value)
        if kind is inspect.Signature and id(value) in self._snapshots.preserved:
            return self._snapshots.keep(value)
        if type(value) is types.FunctionType:
            return None if self._snapshots.may_change(value) else self._snapshots.keep(value)
        if isinstance(value, type):
            return None if self._snapshots.is_session_class(value) else self._snapshots.keep(value)
        if value is DECIMAL.first or (type(value) is LoggersDiffer and value.is_plain):
            return self._snapshots.keep(value)
        if kind in _by_identity or kind in _unchanging or kind.__module__ in ("__future__", "sys"):
            return self._snapshots.keep(value)
        # An unseeded generator's next number is no state. Pickled, its state would be asked for, and that would seed it
        # (``patches``); its bound methods are the patched ones, which pickle would look for in vain.
        if (kind is weakref.finalize and holds_constants(value)) or kind is FINALIZER_INFO:
            return self._snapshots.keep(value)
        if known := kind_of(kind):
            is_kept = known == "Logger" or self._snapshots.is_kept_handler(value)
            return self._snapshots.keep(value) if is_kept else None
        owner = value.__self__ if isinstance(value, (types.MethodType, types.BuiltinFunctionType)) else value
        if isinstance(owner, random.Random) and not is_seeded(owner):
            return self._snapshots.keep(value)
        if isinstance(value, types.BuiltinFunctionType) and not self._is_bound(value):
            return self._snapshots.keep(value)
        return None

    def _is_bound(self, method: types.BuiltinFunctionType) -> bool:
        """Return True if a built-in is bound to an object that may change: ``[].append``.

        By number, as other built-ins are, the object would be one and the same in all states: a list that ``append``
        alone held was filled by each path in turn, and beliefs were called exact. What other libraries' C code has is
        no part of a state.
        """
        owner = method.__self__
        if owner is None or isinstance(owner, (types.ModuleType, type)):
            return False
        kind = type(owner)
        home = kind.__module__
        return self._snapshots.is_session_class(kind) or home.partition(".")[0] in sys.stdlib_module_names

    def reducer_override(self, value: object) -> Any:  # pickle's own union of tuples of two to six items
        """The recipe for an object that stands for itself and has a state: find it by number, then set the state."""
        if type(value) is types.FunctionType:
            state = (
                dict(value.__dict__),
                value.__defaults__,
                value.__kwdefaults__,
                [_cell(cell) for cell in value.__closure__ or ()],
            )
            return self._snapshots.resolve, (self._snapshots.keep(value),), state, None, None, _set_function
        if isinstance(value, type):
            is_shared = value.__dict__.get("__module__") != "__main__"
            if self._snapshots.is_as_at_first(value):
                if is_shared:
                    self._snapshots.note_first(value)
                return self._snapshots.resolve, (self._snapshots.keep(value),), True, None, None, self._snapshots.reset
            members = state_of(value)
            if methods := self._snapshots.methods_of(value):
                members[METHODS] = methods
            if is_shared:
                self._snapshots.note(value, members)
            return self._snapshots.resolve, (self._snapshots.keep(value),), members, None, None, set_class
        if type(value) is contextvars.ContextVar:
            number, bound = self._snapshots.keep(value), context_variables.value_of(value)
            return self._snapshots.resolve, (number,), bound, None, None, context_variables.put_back
        if type(value) is call_caches.CACHE:
            contents = self._snapshots.contents_of(value)
            if self._snapshots.is_rebuilt(value):
                settings = call_caches.settings_of(value)
                return call_caches.CACHE, settings, contents, None, None, self._snapshots.set_cache
            number = self._snapshots.keep(value)
            self._snapshots.note(value, self._snapshots.state_of(value))
            kept = *contents, call_caches.function_of(value)  # which is part of the state, too
            return self._snapshots.resolve, (number,), kept, None, None, self._snapshots.set_cache
        if id(value) in self._snapshots.constants:
            attributes = state_of(value)
            self._snapshots.note(value, attributes)
            return self._snapshots.resolve, (self._snapshots.keep(value),), attributes, None, None, set_attributes
        kind = type(value)
        if isinstance(value, types.BuiltinFunctionType):
            if not _is_found_by_name(value):
                raise CannotSnapshot(f"{value.__name__} is bound past a method of its class")
            return getattr, (value.__self__, value.__name__)
        if self._snapshots.is_session_class(kind) and has_own_hooks(kind):
            # Hooks may leave out what their author does not count as state (a cache, a lock).
            if not self._snapshots.is_plain_class(kind):
                raise CannotSnapshot(f"{kind.__name__} has pickling hooks of its own")
            return object.__new__, (kind,), state_of(value), None, None, set_attributes
        if kind is weakref.finalize:
            raise CannotSnapshot("a finalizer of weakref that holds what may change")
        if kind_of(kind):  # a handler
            return object.__new__, (kind,), attributes_of_handler(value), None, None, set_handler
        if kind is itertools.count:  # by its text, as pickle refuses iterators from Python 3.14 on
            return itertools.count, _arguments_of(value)
        if kind is types.TracebackType:
            return raised.some_traceback, ()
        if kind is LazyReading:
            return recipe_of(value)
        if isinstance(value, BaseException):
            return raised.recipe_of(value)
        if kind is types.MappingProxyType:
            mapping = _mapping_of(value)
            if type(mapping) is not dict or "__module__" in mapping:  # of a class: its members are not copied
                raise CannotSnapshot("a view of a class's members")
            return types.MappingProxyType, (mapping,)
        return NotImplemented


@dataclass(frozen=True, slots=True)
class _FirstClass:
    """The members of a class when it was met.

    Attributes:
        is_plain: nothing can change in its data.
        members: the data.
        names, values, ids: of all members; the values, so that no other object gets the ``id`` of one.
        functions: of a class of the session, its methods; they had no attributes if the class ``is_plain``.
    """

    is_plain: bool
    members: Namespace
    names: tuple[str, ...]
    values: tuple[object, ...]
    ids: list[int]
    functions: list[types.FunctionType]


class Saving:
    """Pickles parts of a namespace once.

    Attributes:
        ids: of the lists, dictionaries, sets and the like that were pickled.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots
        self._target = io.BytesIO()
        self.ids: set[int] = set()

    def dump(self, parts: object) -> None:
        """Pickle.

        Raises:
            CannotSnapshot: as ``Snapshots.save``.
        """
        ids = self.ids

        class Noting(_Pickler):
            def persistent_id(self, value: object) -> int | None:
                number = super().persistent_id(value)
                if number is None:
                    ids.add(id(value))
                return number

        try:
            Noting(self._target, self._snapshots).dump(parts)
        except (CannotSnapshot, *OURS):
            raise
        except BaseException as error:
            raise CannotSnapshot(f"{type(error).__name__}: {error}"[:200]) from None

    def bytes(self) -> bytes:
        """The bytes of all that was pickled."""
        return self._target.getvalue()


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, objects: dict[int, object]) -> None:
        super().__init__(source)
        self._objects = objects

    def persistent_load(self, number: int) -> object:
        """The object that a number stands for."""
        return self._objects[number]


def _arguments_of(counter: object) -> tuple[object, ...]:
    """The arguments that make an ``itertools.count`` that goes on where this one is."""
    try:
        arguments = ast.literal_eval(repr(counter).removeprefix("count") or "()")
    except (ValueError, SyntaxError):  # of numbers of another kind
        raise CannotSnapshot("a count of numbers that are not plain") from None
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _is_found_by_name(method: types.BuiltinFunctionType) -> bool:
    """Return True if a bound built-in is what its object gives for its name.

    ``super().append`` of a class with an ``append`` of its own is not.
    """
    kind = type(method.__self__)
    member = next((vars(base)[method.__name__] for base in kind.__mro__ if method.__name__ in vars(base)), None)
    return isinstance(member, types.MethodDescriptorType)


def _mapping_of(proxy: object) -> object:
    """The mapping that a proxy shows. Not by ``gc``, of which the guard would think that the program asked for it: a
    proxy that is compared hands its mapping on.
    """
    seen: list[object] = []

    class Other:
        def __eq__(self, other: object) -> bool:
            seen.append(other)
            return True

        __hash__ = None  # type: ignore[assignment]

    return seen[0] if proxy == Other() and seen else None


def _cell(cell: types.CellType) -> tuple[bool, object]:
    """If a closure cell is full, and its contents."""
    try:
        return True, cell.cell_contents
    except ValueError:  # a variable that is not bound yet, or was deleted
        return False, None


def _set_function(function: types.FunctionType, state: FunctionState) -> None:
    attributes, defaults, keyword_defaults, cells = state
    function.__dict__.clear()
    function.__dict__.update(attributes)
    function.__defaults__ = defaults
    function.__kwdefaults__ = keyword_defaults
    for cell, (is_full, contents) in zip(function.__closure__ or (), cells, strict=True):
        if is_full:
            cell.cell_contents = contents
