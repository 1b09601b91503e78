"""The state of an object as a value that can be compared, known without running any code of the object's class."""

from __future__ import annotations

import _thread
import collections
import datetime
import decimal
import enum
import fractions
import pathlib
import re
import types
import uuid
from collections.abc import Callable

MAX_NODES = 500
"""Values that a state is made of; an object that holds more is a store of data, and no argument of an example."""
MAX_DEPTH = 40

PLAIN = frozenset((int, bool, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented), range))
"""Classes whose values have no state besides themselves, and whose ``repr`` is the interpreter's own."""
REPEATABLE = frozenset(
    (
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        datetime.timezone,
        decimal.Decimal,
        fractions.Fraction,
        uuid.UUID,
        pathlib.PosixPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
    )
)
"""Classes of the standard library whose values never change, and whose ``repr`` makes them again."""
BY_IDENTITY = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    type,
    enum.Enum,
)
_LOCKS = (_thread.LockType, _thread.RLock)
ITERATORS = frozenset(map(type, (iter([]), iter(()), iter(""), iter("\xe9"), iter(range(0)))))
"""Iterators that tell by ``__reduce__`` what is left of them."""
_VALUES: dict[type, Callable[..., object]] = {
    str: str.__str__,
    bytes: bytes.__bytes__,
    int: int.__int__,
    float: float.__repr__,  # by its text, since no NaN equals itself
    complex: complex.__repr__,
}
"""Built-in classes of values: an object of a class below them is such a value, with attributes."""
_CONTAINERS = (list, tuple, set, frozenset, dict, collections.deque)


class Opaque(Exception):
    """The state can't be told; the message is a word for what is in it."""


class StateReader:
    """Reads the state of one object.

    Attributes:
        num_nodes: the values that were looked at.
        paths: of each object of a class of Python within it, by identity, the expression behind the object that leads
            there (``.items[0]``).
    """

    def __init__(self) -> None:
        self.num_nodes = 0
        self.paths: dict[int, str] = {}
        self._met: dict[int, int] = {}

    def of(self, value: object, depth: int = 0, path: str | None = "") -> object:
        """Return what the value holds, down to plain values; equal for equal states, whatever ``__eq__`` says.

        Raises:
            Opaque: something in it has a state that can't be looked at, or there is too much of it.
        """
        self.num_nodes += 1
        if self.num_nodes > MAX_NODES or depth > MAX_DEPTH:
            raise Opaque("large")
        kind = type(value)
        if kind is int:
            return value  # a large one has no text
        if kind in PLAIN or kind in REPEATABLE:
            return (id(kind), repr(value))
        if kind is re.Pattern or isinstance(value, BY_IDENTITY):
            return ("is", id(value))
        if isinstance(value, _LOCKS):
            return "lock"
        if id(value) in self._met:
            return ("met", self._met[id(value)])
        self._met[id(value)] = len(self._met)
        if kind in ITERATORS:
            return (id(kind), self.of(value.__reduce__(), depth + 1))
        if type(value) is types.MethodType:
            return ("method", id(value.__func__), self.of(value.__self__, depth + 1))
        if type(value) is bytearray:
            return ("bytearray", bytes(value))
        if path and kind.__flags__ & HEAP:
            self.paths[id(value)] = path
        parts = self._contents(value, depth + 1, path)
        if parts is None:
            parts = next((plain(value) for base, plain in _VALUES.items() if isinstance(value, base)), None)
        fields = fields_of(value)
        if parts is None and fields is None:
            raise Opaque("opaque")
        inner = [(name, self.of(field, depth + 1, _attribute(path, name))) for name, field in (fields or {}).items()]
        return (id(kind), parts, tuple(inner))

    def _contents(self, value: object, depth: int, path: str | None) -> object:
        """What a container, or an object of a class below one, holds; None for others.

        By the built-in classes' own methods: those of a class below them are the repository's.
        """
        for base in _CONTAINERS:
            if isinstance(value, base):
                break
        else:
            return None
        if isinstance(value, dict):
            items = tuple(
                (self.of(key, depth, None), self.of(item, depth, _item(path, key))) for key, item in dict.items(value)
            )
            factory = value.default_factory if isinstance(value, collections.defaultdict) else None
            return (items, id(factory))
        if isinstance(value, (set, frozenset)):
            members = base.__iter__(value)  # type: ignore[arg-type]
            return tuple(sorted(repr(self.of(item, depth, None)) for item in members))
        assert isinstance(value, (list, tuple, collections.deque))
        return tuple(
            self.of(item, depth, _item(path, number))
            for number, item in enumerate(base.__iter__(value))  # type: ignore[arg-type]
        )


def is_python_object(value: object) -> bool:
    """Return True for an object of a class that a ``class`` statement made, and that is no class itself."""
    return bool(type(value).__flags__ & HEAP) and not isinstance(value, BY_IDENTITY)


def _attribute(path: str | None, name: str) -> str | None:
    name = name.rpartition(".")[2]
    return None if path is None or name.startswith("__") or not name.isidentifier() else f"{path}.{name}"


def _item(path: str | None, key: object) -> str | None:
    return None if path is None or type(key) not in (int, str) or len(str(key)) > 40 else f"{path}[{key!r}]"


def fields_of(value: object) -> dict[str, object] | None:
    """Return the attributes of an object by name; None where it may have a state besides them.

    An object of a class that C code made may hold what nobody sees; only those with a base of a known kind are looked
    at.
    """
    kind = type(value)
    if not _is_known(kind):
        return None
    fields: dict[str, object] = {}
    try:
        inner = object.__getattribute__(value, "__dict__")
    except AttributeError:
        inner = None
    if type(inner) is dict:
        fields.update(inner)
    for base in kind.__mro__:
        for name, slot in vars(base).items():
            # a name with underscores is an offset of the class's own (functools.partial): an address, no state
            if type(slot) is types.MemberDescriptorType and base.__flags__ & HEAP and not name.endswith("offset__"):
                try:
                    fields[f"{base.__name__}.{name}"] = slot.__get__(value)
                except AttributeError:
                    continue  # a slot without a value
    return fields


HEAP = 1 << 9
"""The flag of a class that was made by a ``class`` statement (``Py_TPFLAGS_HEAPTYPE``)."""
_KNOWN_BASES = frozenset(
    (object, *_CONTAINERS, *_VALUES, collections.OrderedDict, collections.defaultdict, Exception, BaseException)
)


def _is_known(kind: type) -> bool:
    """Return True if all that objects of a class hold is in their attributes, or in the container that they are."""
    for base in kind.__mro__:
        if base.__flags__ & HEAP:
            continue
        if base not in _KNOWN_BASES and not issubclass(base, BaseException):
            return False
    return True
