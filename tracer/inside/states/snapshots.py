"""Snapshots: a namespace as bytes, from which it can be restored. A support's states are snapshots.

One dictionary is the namespace of every state: it is cleared and refilled, because functions keep the dictionary that
they were defined in; with a new one they wrote to a stale ``__globals__``. Functions and classes of the session stay
the objects they are, and all that can change in them (attributes, defaults, closure cells, class attributes) is part of
the snapshot. Without it beliefs were off by 0.5, and called exact. So are plain globals of the repository's modules
that the namespace knows.

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
built-in type among its bases; anything past ``LARGEST`` bytes. Not covered: state held by C extensions, by caches
(``lru_cache``) and by modules outside the repository.
Over 400 lines because saving and restoring are two halves of one format.
"""

from __future__ import annotations

import builtins
import codecs
import contextlib
import hashlib
import inspect
import io
import pickle
import random
import sys
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from trace_mine.tracer.inside.draws.ambient import Ambient, is_seeded

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
_hooks = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
"""Types whose values stand for themselves in a snapshot, by number: see ``Snapshots.keep``."""
_plain = frozenset((int, float, str, bytes, bool, type(None), list, dict, set, tuple, frozenset))
_data = frozenset((int, float, bool, type(None), list, dict, set, tuple, frozenset, complex, bytearray))
"""Types whose values are pickled by what is in them."""
_atoms = frozenset((int, float, str, bytes, bool, type(None), complex, types.ModuleType, types.CodeType))
"""Types of values in which nothing can change."""
_equal_atoms = frozenset((int, str, bytes, bool))
_without_state = frozenset((str, bytes, object))
"""Exact types of constants that a module may compare by identity, and in which nothing can change."""
_unchanging = (codecs.CodecInfo, type(codecs.charmap_build("".join(map(chr, range(256))))))
"""Types of other libraries whose objects never change, and which pickle refuses or can't restore."""
SLOT = "<slot> "
"""How the keys of slots begin among those of attributes: no program's attribute does."""
_absent = object()
_KEPT = 20_000


class CannotSnapshot(Exception):
    """The namespace holds something that bytes can't carry; the message says what."""


class Snapshots:
    """Saves and restores a namespace, in place.

    Args:
        namespace: that of the session; the same dictionary for good.
        is_own: tells by a file's path if it is the repository's.

    Attributes:
        constants: objects that a module of the repository may compare by identity, by their ``id``.
        preserved: signatures that these hold, which stand for themselves.
    """

    def __init__(self, namespace: Namespace, is_own: Callable[[str], bool]) -> None:
        self.namespace = namespace
        self._is_own = is_own
        # By ``id``, as snapshots name them. They are kept for good, so that no other object gets the id of one.
        self._objects: dict[int, object] = {}
        self._own_modules: dict[str, bool] = {}
        self._module_names: tuple[str, ...] = ()
        self.constants: dict[int, object] = {}
        # What other namespaces of this process have too, as it was before a state was installed for the first time.
        self._first_globals: Globals = {}
        self._first_states: dict[int, tuple[object, Namespace]] = {}
        # What can't change in itself, of the namespace and of these globals, as it was bound then; None before that.
        self._fixed: Namespace | None = None
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
                _set_class(kind, self._first_classes[id(kind)].members)

        # Pickles refer to them, so that pickle itself must get them: as functions they are kept by number, too.
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
        except Exception as error:  # constructors of the program's classes, of which pickle calls some
            raise CannotSnapshot(f"it can't be restored: {type(error).__name__}: {error}"[:200]) from None
        self.install(*restored)
        saved = self._dump()
        if len(self._same) >= _KEPT:
            self._same.clear()
        self._same[key] = saved
        return saved

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
        return {name: _globals_of(name) for name in self._module_names}, {
            # of a class that is as at first its first members, by which ``put_back`` sees that they are these
            number: (value, first if isinstance(value, type) and self.is_as_at_first(value) else _state_of(value))
            for number, (value, first) in self._first_states.items()
        }

    def put_back(self, shared: Shared) -> None:
        """Undo what was restored outside of the namespace since ``shared`` was asked for."""
        module_globals, states = shared
        for name, values in {**self._first_globals, **module_globals}.items():
            _set_globals(name, values)
        for value, attributes in {**self._first_states, **states}.values():
            if not isinstance(value, type):
                _set_attributes(value, attributes)
            elif attributes is not self._first_classes[id(value)].members or not self.is_as_at_first(value):
                _set_class(value, attributes)

    def _dump(self) -> bytes:
        variables = {name: value for name, value in self.namespace.items() if name != "__builtins__"}
        target = io.BytesIO()
        tables = self._globals(variables)
        if self._fixed is None:
            self._order, self._fixed = (*variables,), self._fixed_of(variables)
        try:
            _Pickler(target, self).dump(self.compact(variables, tables, Ambient.now()))
        except CannotSnapshot:
            raise
        except Exception as error:  # pickle raises TypeError, PicklingError, AttributeError, RecursionError, ...
            raise CannotSnapshot(f"{type(error).__name__}: {error}"[:200]) from None
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
        return kind in _atoms or (kind is type and not self.is_session_class(value))  # type: ignore[arg-type]

    def install(self, variables: Namespace, module_globals: Globals, ambient: Ambient) -> None:
        """Make the namespace, the globals and the state outside namespaces these."""
        ambient.put_back()
        self.namespace.clear()
        self.namespace.update(variables)
        self.namespace["__builtins__"] = builtins  # a module, which no snapshot should have to name
        for name, values in module_globals.items():
            _set_globals(name, values)

    def saving(self) -> Saving:
        """An object that pickles parts of a namespace, and notes the objects in them that can change."""
        return Saving(self)

    def _globals(self, variables: Namespace) -> Globals:
        """The plain globals of the repository's modules that the namespace knows: the modules themselves, and those
        whose functions or classes it has.

        A module that was known once stays known: a command that deletes its name does not undo what it changed there.
        """
        # by ``type``, as ``isinstance`` would run the program's ``__class__`` or ``__getattribute__``
        values = [value for value in variables.values() if issubclass(type(value), _by_identity)]
        names = {str(getattr(value, "__module__", "")) for value in values}
        names |= {value.__name__ for value in values if isinstance(value, types.ModuleType)}
        names |= set(self._module_names)
        own_names = sorted(name for name in names if self._is_repository(name))[:MOST_MODULES]
        self._module_names = tuple(own_names)
        tables = {name: _globals_of(name) for name in own_names}
        for name in tables.keys() - self._first_globals.keys():
            self._first_globals[name] = tables[name]
            self._fixed_globals[name] = self._fixed_of(tables[name])
        return tables

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
        return _has_own_hooks(kind) or (kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__)

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
            state = _state_of(kind)
            is_plain = all(type(value) in _atoms for value in state.values())
            first = _FirstClass(is_plain, state, (*members,), (*members.values(),), [*map(id, members.values())])
            self._first_classes[id(kind)] = first
            self._objects[id(kind)] = kind
        # by identity of the members, at the speed of C: a namespace may have twenty classes of fifty members each
        return first.is_plain and [*map(id, members.values())] == first.ids and (*members,) == first.names

    def keep(self, value: object) -> int:
        """Keep an object by identity; gives the number that stands for it in snapshots."""
        self._objects[id(value)] = value
        return id(value)

    def is_session_class(self, kind: type) -> bool:
        """Return True if a class is the session's or the repository's, so that its attributes are part of the state."""
        # From the class's dictionary: ``kind.__module__`` may be a property of the program's metaclass.
        home = kind.__dict__.get("__module__")
        return type(home) is str and (home == "__main__" or self._is_repository(home))


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
    return {key: value for key, value in table.items() if type(value) in _plain and _is_state(key, value)}


def _set_globals(name: str, values: Namespace) -> None:
    """Make the plain globals of a module those of a state."""
    module = sys.modules.get(name)
    if module is None:
        return
    table = vars(module)
    # Globals that the state does not have were made after it.
    for gone in [k for k, value in table.items() if type(value) in _plain and k not in values and _is_state(k, value)]:
        del table[gone]
    table.update(values)


def _state_of(value: object) -> Namespace:
    """All that can change in a class or a constant: attributes."""
    if isinstance(value, type):
        return {key: member for key, member in vars(value).items() if _is_class_state(key, member)}
    attributes = dict(vars(value)) if type(value).__dictoffset__ else {}
    for name, slot in _slots_of(type(value)):
        try:
            attributes[f"{SLOT}{name}"] = slot.__get__(value)
        except AttributeError:
            continue  # a slot without a value
    return attributes


def _slots_of(kind: type) -> list[tuple[str, types.MemberDescriptorType]]:
    """The slots of a class and its bases, by number of the base and name: two bases may have slots of one name."""
    return [
        (f"{number}.{name}", member)
        for number, base in enumerate(kind.__mro__[:-1])
        for name, member in vars(base).items()
        if type(member) is types.MemberDescriptorType
    ]


def _is_state(key: str, value: object) -> bool:
    """Return True if a module's global is part of the state: plain data, under a name of the program's."""
    return not (key.startswith("__") and key.endswith("__")) and type(value) in _plain


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
        if kind in _without_state:
            return self._snapshots.keep(value) if id(value) in self._snapshots.constants else None
        if kind in _data:
            return None
        if kind is inspect.Signature and id(value) in self._snapshots.preserved:
            return self._snapshots.keep(value)
        if type(value) is types.FunctionType:
            own = value.__globals__ is self._snapshots.namespace  # defined by the session, so that it may change
            return None if own else self._snapshots.keep(value)
        if isinstance(value, type):
            return None if self._snapshots.is_session_class(value) else self._snapshots.keep(value)
        if kind in _by_identity or kind in _unchanging or kind.__module__ in ("__future__", "sys"):
            return self._snapshots.keep(value)
        # An unseeded generator's next number is no state. Pickled, its state would be asked for, and that would seed it
        # (``patches``); its bound methods are the patched ones, which pickle would look for in vain.
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
            members = _state_of(value)
            if is_shared:
                self._snapshots.note(value, members)
            return self._snapshots.resolve, (self._snapshots.keep(value),), members, None, None, _set_class
        if id(value) in self._snapshots.constants:
            attributes = _state_of(value)
            self._snapshots.note(value, attributes)
            return self._snapshots.resolve, (self._snapshots.keep(value),), attributes, None, None, _set_attributes
        kind = type(value)
        if isinstance(value, types.BuiltinFunctionType):
            if not _is_found_by_name(value):
                raise CannotSnapshot(f"{value.__name__} is bound past a method of its class")
            return getattr, (value.__self__, value.__name__)
        if self._snapshots.is_session_class(kind) and _has_own_hooks(kind):
            # Hooks may leave out what their author does not count as state (a cache, a lock).
            if not self._snapshots.is_plain_class(kind):
                raise CannotSnapshot(f"{kind.__name__} has pickling hooks of its own")
            return object.__new__, (kind,), _state_of(value), None, None, _set_attributes
        if isinstance(value, BaseException) and _is_plain_exception(type(value)):
            # not by its class: what its own ``__init__`` takes need not be what it gave to ``args``
            return BaseException.__new__, (kind, *value.args), _state_of(value), None, None, _set_attributes
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
    """

    is_plain: bool
    members: Namespace
    names: tuple[str, ...]
    values: tuple[object, ...]
    ids: list[int]


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
        except CannotSnapshot:
            raise
        except Exception as error:
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


def _is_plain_exception(kind: type[BaseException]) -> bool:
    """Return True for exceptions that have nothing but ``args`` and attributes, and no word on how they are pickled.

    An OSError has fields in C, as other built-in ones do that are larger than their base.
    """
    is_built_in = kind.__module__ == "builtins"
    return (
        not is_built_in
        and next(base for base in kind.__mro__ if base.__module__ == "builtins").__basicsize__
        == BaseException.__basicsize__
        and not any(vars(base).keys() & {*_hooks} for base in kind.__mro__ if base.__module__ != "builtins")
    )


def _has_own_hooks(kind: type) -> bool:
    """Return True if the class's author says how it is pickled.

    Hooks that the standard library puts on a class (``dataclass(slots=True)`` makes two) do not count.
    """
    for base in kind.__mro__[:-1]:
        for hook in _hooks:
            member = vars(base).get(hook)
            home = getattr(member, "__module__", None)
            if isinstance(member, types.FunctionType) and home not in sys.stdlib_module_names - {"__main__"}:
                return True
    return False


# By descriptor and name, since a class's dictionary holds methods and Python's own bookkeeping beside its data.
def _is_class_state(key: str, member: object) -> bool:
    """Return True if a member of a class is data that may change: no method, property or name of Python's own."""
    reserved = key.startswith("_") and key.endswith("_")  # dunder names, and those of enumerations
    return not reserved and not key.startswith("_abc") and not hasattr(member, "__get__")


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


def _set_attributes(value: object, state: Namespace) -> None:
    """Make attributes and slots of an object those of ``_state_of``."""
    if type(value).__dictoffset__:
        vars(value).clear()
        vars(value).update({name: member for name, member in state.items() if not name.startswith(SLOT)})
    for name, slot in _slots_of(type(value)):
        if f"{SLOT}{name}" in state:
            slot.__set__(value, state[f"{SLOT}{name}"])
        else:
            with contextlib.suppress(AttributeError):  # it is empty already
                slot.__delete__(value)


def _set_class(kind: type, state: Namespace) -> None:
    for key in [key for key, member in vars(kind).items() if _is_class_state(key, member) and key not in state]:
        delattr(kind, key)
    for key, member in state.items():
        # Setting an equal member again would invalidate the type's method cache, for every state.
        if vars(kind).get(key, _absent) is not member:
            setattr(kind, key, member)
