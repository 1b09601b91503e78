"""A namespace as bytes that can be taken up again: what a support's states are made of.

One dictionary is the namespace of every state: it is cleared and refilled, because functions keep the dictionary that
they were defined in. Functions and classes of the session stay the objects they are, and what can change in them
(attributes, defaults, closure cells, class attributes) is part of the snapshot; so are plain globals of the
repository's modules that the namespace knows. What those modules may tell by identity (their texts, ``object()``, and
instances of the repository's classes without an equality of their own: sentinels) stays the object that it is; its
attributes are part of the snapshot. Two states that are equal have equal bytes.

Refused, with ``CannotSnapshot``, because restoring them would lose something in silence: generators, files and what
else pickle refuses; objects whose class in the repository has pickling hooks of its own; anything past ``LARGEST``
bytes. Not covered: state held by C extensions, by caches (``lru_cache``) and by modules outside the repository.
"""

from __future__ import annotations

import builtins
import io
import pickle
import random
import sys
import types
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.draws.ambient import Ambient, is_seeded

LARGEST = 4 << 20
MOST_MODULES = 16

_kept_whole = (types.FunctionType, types.ModuleType, types.BuiltinFunctionType, type, types.CodeType)
_hooks = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__getnewargs__", "__getnewargs_ex__")
_plain = (int, float, str, bytes, bool, type(None), list, dict, set, tuple, frozenset)
_without_state = (str, bytes, object)
_absent = object()


class CannotSnapshot(Exception):
    """The namespace holds something that bytes can't carry; the message says what."""


class Snapshots:
    """Saves and restores ``namespace``, in place."""

    def __init__(self, namespace: dict[str, Any], is_own: Callable[[str], bool]) -> None:
        self.namespace = namespace
        self._is_own = is_own
        self._objects: dict[int, Any] = {}
        self._own_modules: dict[str, bool] = {}
        self._module_names: tuple[str, ...] = ()
        self.constants: dict[int, Any] = {}
        objects = self._objects

        def resolve(number: int) -> Any:
            return objects[number]

        self.resolve = resolve

    def save(self) -> bytes:
        """The namespace's bytes; equal states give equal bytes.

        Raises:
            CannotSnapshot: see the module's docstring.
        """
        first = self._dump()
        # pickle's memo tells strings that are one object from equal ones: bytes of restored bytes don't
        self._install(*self._load(first))
        return self._dump()

    def learned(self) -> object:
        """What saving in this process has added to what every saved state leans on: objects kept, modules known."""
        return len(self._objects), self._module_names

    def restore(self, saved: bytes) -> None:
        """Fills the namespace with a saved state."""
        self._install(*self._load(saved))

    def _dump(self) -> bytes:
        held = {name: value for name, value in self.namespace.items() if name != "__builtins__"}
        target = io.BytesIO()
        try:
            _Pickler(target, self).dump((held, self._globals(held), tuple(Ambient.now())))
        except CannotSnapshot:
            raise
        except Exception as error:  # pickle raises TypeError, PicklingError, AttributeError, RecursionError, ...
            raise CannotSnapshot(f"{type(error).__name__}: {error}"[:200]) from None
        if target.tell() > LARGEST:
            raise CannotSnapshot(f"{target.tell()} bytes")
        return target.getvalue()

    def _load(self, saved: bytes) -> tuple[dict[str, Any], dict[str, dict[str, Any]], Ambient]:
        held, extra, ambient = _Unpickler(io.BytesIO(saved), self._objects).load()
        return held, extra, Ambient(*ambient)

    def _install(self, held: dict[str, Any], extra: dict[str, dict[str, Any]], ambient: Ambient) -> None:
        ambient.put_back()
        self.namespace.clear()
        self.namespace.update(held)
        self.namespace["__builtins__"] = builtins
        for name, values in extra.items():
            module = sys.modules.get(name)
            if module is None:
                continue
            table = vars(module)
            for gone in [key for key in table if key not in values and _counts(key, table[key])]:
                del table[gone]
            table.update(values)

    def _globals(self, held: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Plain globals of the repository's modules whose functions, classes or selves the namespace knows."""
        names = {str(getattr(value, "__module__", "")) for value in held.values() if isinstance(value, _kept_whole)}
        names |= {value.__name__ for value in held.values() if isinstance(value, types.ModuleType)}
        known = sorted(name for name in names | set(self._module_names) if self._is_repository(name))[:MOST_MODULES]
        self._module_names = tuple(known)
        return {
            name: {key: value for key, value in vars(sys.modules[name]).items() if _counts(key, value)}
            for name in known
        }

    def _is_repository(self, name: str) -> bool:
        known = self._own_modules.get(name)
        if known is None:
            file = getattr(sys.modules.get(name), "__file__", None)
            known = type(file) is str and self._is_own(file)
            self._own_modules[name] = known
            if known:
                constants = [value for value in vars(sys.modules[name]).values() if self._is_constant(value)]
                self.constants.update((id(value), value) for value in constants)
        return known

    def _is_constant(self, value: Any) -> bool:
        """True if a module's global may be told by identity, and all that can change in it is its attributes."""
        kind: Any = type(value)
        if kind in _without_state:
            return True
        plain = all(self.is_session_class(base) and not vars(base).get("__slots__") for base in kind.__mro__[:-1])
        return plain and kind.__eq__ is object.__eq__ and kind.__hash__ is object.__hash__

    def keep(self, value: Any) -> int:
        """Keeps an object by identity; gives the number that stands for it."""
        self._objects[id(value)] = value
        return id(value)

    def is_session_class(self, kind: type) -> bool:
        """True if a class belongs to the session or the repository, so that its attributes are part of the state."""
        home = kind.__dict__.get("__module__")
        return type(home) is str and (home == "__main__" or self._is_repository(home))


def _counts(key: str, value: Any) -> bool:
    return not (key.startswith("__") and key.endswith("__")) and type(value) in _plain


class _Pickler(pickle.Pickler):
    def __init__(self, target: io.BytesIO, snapshots: Snapshots) -> None:
        super().__init__(target, 5)
        self._snapshots = snapshots

    def persistent_id(self, value: Any) -> int | None:
        kind = type(value)
        if kind in _without_state and id(value) in self._snapshots.constants:
            return self._snapshots.keep(value)
        if kind is types.FunctionType:
            own = value.__globals__ is self._snapshots.namespace
            return None if own else self._snapshots.keep(value)
        if isinstance(value, type):
            return None if self._snapshots.is_session_class(value) else self._snapshots.keep(value)
        if kind in _kept_whole or kind.__module__ == "__future__":
            return self._snapshots.keep(value)
        owner = value.__self__ if kind is types.MethodType else value
        if isinstance(owner, random.Random) and not is_seeded(owner):
            return self._snapshots.keep(value)  # what it draws next is no state, and its methods may be patched ones
        return None

    def reducer_override(self, value: Any) -> Any:
        if type(value) is types.FunctionType:
            state = (
                dict(value.__dict__),
                value.__defaults__,
                value.__kwdefaults__,
                [_cell(cell) for cell in value.__closure__ or ()],
            )
            return self._snapshots.resolve, (self._snapshots.keep(value),), state, None, None, _set_function
        if isinstance(value, type):
            members = {key: member for key, member in vars(value).items() if _is_class_state(key, member)}
            return self._snapshots.resolve, (self._snapshots.keep(value),), members, None, None, _set_class
        if id(value) in self._snapshots.constants:
            attributes = dict(vars(value))
            return self._snapshots.resolve, (self._snapshots.keep(value),), attributes, None, None, _set_attributes
        kind = type(value)
        if self._snapshots.is_session_class(kind) and _has_own_hooks(kind):
            raise CannotSnapshot(f"{kind.__name__} has pickling hooks of its own")
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, source: io.BytesIO, objects: dict[int, Any]) -> None:
        super().__init__(source)
        self._objects = objects

    def persistent_load(self, number: int) -> Any:
        return self._objects[number]


def _has_own_hooks(kind: type) -> bool:
    """True if the class's author says how it is pickled; what the standard library puts on a class does not count."""
    for base in kind.__mro__[:-1]:
        for hook in _hooks:
            member = vars(base).get(hook)
            home = getattr(member, "__module__", None)
            if isinstance(member, types.FunctionType) and home not in sys.stdlib_module_names - {"__main__"}:
                return True
    return False


def _is_class_state(key: str, member: Any) -> bool:
    reserved = key.startswith("_") and key.endswith("_")  # dunder names, and those of enumerations
    return not reserved and not key.startswith("_abc") and not hasattr(member, "__get__")


def _cell(cell: types.CellType) -> tuple[bool, Any]:
    try:
        return True, cell.cell_contents
    except ValueError:
        return False, None


def _set_function(function: Any, state: Any) -> None:
    attributes, defaults, keyword_defaults, cells = state
    function.__dict__.clear()
    function.__dict__.update(attributes)
    function.__defaults__ = defaults
    function.__kwdefaults__ = keyword_defaults
    for cell, (full, held) in zip(function.__closure__ or (), cells, strict=True):
        if full:
            cell.cell_contents = held


def _set_attributes(value: Any, attributes: dict[str, Any]) -> None:
    vars(value).clear()
    vars(value).update(attributes)


def _set_class(kind: Any, state: dict[str, Any]) -> None:
    for key in [key for key, member in vars(kind).items() if _is_class_state(key, member) and key not in state]:
        delattr(kind, key)
    for key, member in state.items():
        if vars(kind).get(key, _absent) is not member:
            setattr(kind, key, member)
