"""The text of any value, made by C-level getters alone: no ``repr``, property or iterator of the snippet runs.

A tracer that calls the program's own methods changes the program: a ``__repr__`` may print, count, raise or never
return. So attributes are read through the descriptors of the C types, contents through the built-in's own iterator.

Equal states give equal text: there are no addresses in it and sets are sorted. The text is bounded by the number of
values visited, so that linked structures, which a depth alone would not stop, cost little.

Example: an instance with the attributes x = 1 and next = itself is ``Node(x=1, next=<itself>)``.
"""

from __future__ import annotations

import abc
import collections
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from trace_mine.tracer.inside.draws.c_functions import is_function_of_c
from trace_mine.tracer.inside.observe import arrays
from trace_mine.tracer.inside.observe.identity import identity

ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None), type(Ellipsis)})
CONTAINERS = frozenset({list, tuple, dict, set, frozenset})

LIBRARY_REPR = frozenset(
    {
        decimal.Decimal,
        fractions.Fraction,
        datetime.date,
        datetime.time,
        datetime.datetime,
        datetime.timedelta,
        datetime.timezone,
        range,
        bytearray,
    }
)
"""Standard-library types whose ``repr`` shows plain data and runs none of the snippet's code."""

USUAL = (type, abc.ABCMeta)
"""Metaclasses that hash and compare classes as ``type`` does (numbers' classes have the second)."""

OFFSETS = frozenset(("__vectorcalloffset__", "__dictoffset__", "__weaklistoffset__"))
"""Members by which a C class says where in its objects something lies: read from an object, an address of this process.
``functools.partial`` has one.
"""

MAX_DEPTH = 5
MAX_VALUES = 200
"""Values that one text visits; 5 levels of 200 items each would be 3.2e11."""
MAX_SET = 4_096
"""Members of a set that are sorted by their texts, all of which have to be made."""
LONG_ATOM = 16_384
"""Characters from which on a text stands for itself by its digest."""

_OF_WRAPPED = frozenset((*functools.WRAPPER_ASSIGNMENTS, "__annotations__", "__annotate__", "__type_params__"))
"""Attributes that a wrapper copies from the function that it wraps, of which its ``__wrapped__`` is told by name. A
function that a session defines again has another module and another qualified name.
"""

ADDRESS = " at 0x"
"""The beginning of an address in a default ``repr``. Other hexadecimal numbers may be the program's own."""
_address = re.compile(r" at 0x[0-9a-fA-F]{8,16}\b")

_identity = re.compile(r"\b1(?:39[6-9]|40[0-7])\d{11}\b")
"""The numbers of 0x7ef7 to 0x7fff followed by eight digits, where Linux puts a process's objects."""

Item = TypeVar("Item")

Getter = Callable[[object], Any]
"""A C getter bound to no instance. Any, because it gives whatever the snippet has put there."""
Layout = tuple[type, Getter | None, list[tuple[str, Getter]]]
"""A class, the getter of its instances' ``__dict__``, and the getters of their slots by name."""

# Bound through the types' own dictionaries: ``value.__name__`` would ask the metaclass of the snippet.
_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
class_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
class_dict: Callable[[type], Mapping[str, object]] = type.__dict__["__dict__"].__get__
class_flags: Callable[[type], int] = type.__dict__["__flags__"].__get__
HEAP_TYPE = 1 << 9
"""The flag of classes that a program makes (``Py_TPFLAGS_HEAPTYPE``), and of some of C."""
_module_dict: Callable[[object], dict[str, object]] = vars(types.ModuleType)["__dict__"].__get__
_arguments: Callable[[BaseException], tuple[object, ...]] = BaseException.__dict__["args"].__get__
_enum_reprs = (vars(enum.Enum)["__repr__"], vars(enum.Flag)["__repr__"])
_layouts: dict[int, Layout] = {}
"""By the class's id, as a metaclass of the snippet may decide how the class hashes."""


_outputs: dict[int, object] = {}


def note_output(capture: object) -> None:
    """Have an object told as ``<stdout>``: a program's ``sys.stdout``, which is ours."""
    _outputs[identity(capture)] = capture


def forget_output(capture: object) -> None:
    """Have it told as any other object again."""
    del _outputs[identity(capture)]


def type_name(kind: type) -> str:
    """The class's name, read by the C getter: no property of a metaclass runs."""
    return _type_name(kind)


def attributes(value: object) -> dict[str, object]:
    """The instance attributes of a value (``__dict__`` and slots), read by C getters.

    A ``__dict__`` is left out where a class overrides it: the override is the snippet's code.
    """
    kind = type(value)
    layout = _layouts.get(identity(kind))
    if layout is None:
        layout = _layouts[identity(kind)] = _layout(kind)
    _, getter, slots = layout
    own: dict[str, object] = {}
    if getter is not None:
        instance_dict = getter(value)
        # A key of a subclass of str would be compared by its own ``__eq__``.
        if type(instance_dict) is dict:
            own = {key: field for key, field in instance_dict.items() if type(key) is str}
    for name, slot in slots:
        if name not in own:
            try:
                own[name] = slot(value)
            except AttributeError:
                continue  # a slot that holds nothing yet
    return own


def arguments_of(error: BaseException) -> tuple[object, ...]:
    """The arguments of an exception, read by the C getter."""
    arguments: tuple[object, ...] = BaseException.__dict__["args"].__get__(error)
    return arguments


_GENERIC = (
    object, dict, list, set, frozenset, tuple, str, bytes, bytearray, int, float, complex, BaseException,
    collections.deque, collections.defaultdict, functools.partial, property,
)  # fmt: skip
"""Classes that read attributes by CPython's ``PyObject_GenericGetAttr``, though each names it once more."""


def plain_access(kind: type) -> bool:
    """Return True if the class reads attributes as ``object`` does: no ``__getattribute__`` of its own would run."""
    for base in class_mro(kind):
        if "__getattribute__" in class_dict(base):
            return any(base is each for each in _GENERIC)
    return False


def has_plain_metaclass(kind: type) -> bool:
    """Return True if a class is called, and gives its attributes, as ``type`` has it: so do those of ``ABCMeta``, by
    which the library's abstract collections are made.
    """
    return all(
        next(base for base in class_mro(type(kind)) if name in class_dict(base)) is type
        for name in ("__call__", "__getattribute__")
    )


def reads_as_type(metaclass: type) -> bool:
    """Return True if a class of this metaclass gives its attributes as ``type`` has it."""
    return next(base for base in class_mro(metaclass) if "__getattribute__" in class_dict(base)) is type


def is_plain_member(value: object) -> bool:
    """Return True if the value is a member of an enumeration whose ``repr`` runs none of the program's code: it is the
    library's own, and what it shows is plain data.
    """
    kind = type(value)
    if not issubclass(kind, enum.Enum):
        return False
    shown_by, value_shown_by = (
        next((class_dict(base)[name] for base in class_mro(kind) if name in class_dict(base)), None)
        for name in ("__repr__", "_value_repr_")
    )
    held = type(attributes(value).get("_value_"))
    return (
        any(shown_by is each for each in _enum_reprs)
        and (value_shown_by is None or type(value_shown_by) is types.WrapperDescriptorType)
        and type(held) is type
        and held in ATOMS
    )


def _layout(kind: type) -> Layout:
    """The getters of the attributes of a class's instances; holds the class, so that its id stays its own."""
    getter: Getter | None = None
    seen_dict = False
    slots: list[tuple[str, Getter]] = []
    for base in class_mro(kind):
        for name, member in class_dict(base).items():
            if name == "__dict__" and not seen_dict:
                seen_dict = True
                if type(member) is types.GetSetDescriptorType:
                    getter = member.__get__
            elif type(member) is types.MemberDescriptorType and base.__module__ != "builtins" and name not in OFFSETS:
                slots.append((name, member.__get__))
    return kind, getter, slots


class Teller:
    """Makes the text of one value.

    Attributes:
        left: the number of values that may still be visited.
        cut: True once something was left out.
    """

    def __init__(self) -> None:
        self.left = MAX_VALUES
        self.cut = False
        self._above: list[int] = []

    def tell(self, value: Any, depth: int = MAX_DEPTH) -> str:
        """The value's text; ``depth`` is the number of levels inside of it that are shown.

        The cases go from those that are certainly harmless to those that are looked into: exact built-in types by their
        own ``repr``; classes, modules and functions by their name; all else by its contents and attributes.
        """
        self.left -= 1
        kind = type(value)
        usual = type(kind) in USUAL  # a metaclass decides how its classes hash: others are not looked up in a set
        if usual and kind in ATOMS:
            return atom(value, kind)
        if usual and kind in LIBRARY_REPR:
            try:
                return repr(value)
            except AttributeError:
                return f"<{_type_name(kind)}>"  # seen from inside its own __new__, before its fields are set
        if issubclass(kind, type):
            return f"<class {_type_name(value)}>"
        if kind is types.ModuleType:
            return f"<module {_module_dict(value).get('__name__')}>"
        if kind is types.FunctionType or is_function_of_c(value):
            return f"<function {value.__name__}>"
        if kind is types.MethodType:
            return f"<method {getattr(value.__func__, '__name__', '?')}>"
        if kind is dict and _is_namespace(value):
            return f"<namespace of {_shown_name(value)}>"
        itself = identity(value)
        if itself in _outputs:
            return "<stdout>"  # ours: what it holds says how far a session was written
        # Of the values around it only: one that is met twice side by side is told twice, as aliasing is no part of it.
        if itself in self._above:
            return "<itself>"
        if depth == 0 or self.left <= 0:
            self.cut = True
            return f"<{_type_name(kind)}>"
        self._above.append(itself)
        text = self._inside(value, kind, depth - 1)
        self._above.pop()
        return text

    def _inside(self, value: object, kind: type, depth: int) -> str:
        plain = type(kind) in USUAL and kind in CONTAINERS
        parts = self._contents(value, kind, depth)
        if plain:
            return parts[0]
        text = arrays.array_text(value, lambda held: self.tell(held, depth))
        if text is not None:
            return text
        name = _type_name(kind)
        fields = attributes(value)
        # A member of an enumeration is its name and value; its other attributes lead to all other members.
        if issubclass(kind, enum.Enum):
            return f"<{name}.{fields.get('_name_')}: {self.tell(fields.get('_value_'), depth)}>"
        table = arrays.table_text(fields, lambda held: self.tell(held, depth)) if "_mgr" in fields else None
        if table is not None:
            parts.append(table)
        elif fields:
            parts.append(self._fields(fields, depth))
        return f"{name}({'; '.join(filter(None, parts))})" if parts else f"<{name}>"

    def _fields(self, fields: dict[str, object], depth: int) -> str:
        if "__wrapped__" in fields:
            fields = {key: field for key, field in fields.items() if key not in _OF_WRAPPED}
        return ", ".join(f"{key}={self.tell(field, depth)}" for key, field in self._some(fields.items()))

    def _contents(self, value: Any, kind: type, depth: int) -> list[str]:
        """The text of the items of a container or of the built-in value that a subclass holds; [] of anything else.

        Subclasses are read by the built-in's own methods (``list.__iter__(value)``), never by theirs. One case a type,
        in one function, since the first that fits counts.
        """
        if issubclass(kind, dict):
            pairs = (
                f"{self.tell(k, depth)}: {self.tell(v, depth)}"
                for k, v in self._some(dict.items(value))
                if not (type(k) is str and k == "__builtins__")  # of a namespace: the same in each
            )
            return ["{" + ", ".join(pairs) + "}"]
        if issubclass(kind, list):
            return ["[" + self._items(list.__iter__(value), depth) + "]"]
        if issubclass(kind, collections.deque):
            return ["[" + self._items(collections.deque.__iter__(value), depth) + "]"]
        if issubclass(kind, tuple):
            comma = "," if tuple.__len__(value) == 1 else ""
            return ["(" + self._items(tuple.__iter__(value), depth) + comma + ")"]
        if issubclass(kind, set):
            return [self._set(set.__iter__(value), set.__len__(value), depth)]
        if issubclass(kind, frozenset):
            return [f"frozenset({self._set(frozenset.__iter__(value), frozenset.__len__(value), depth)})"]
        if issubclass(kind, BaseException):  # its arguments and not its text: ``__str__`` is the snippet's
            return [self._items(_arguments(value), depth)]
        for base in (int, float, str, bytes, complex):
            if issubclass(kind, base):
                return [base.__repr__(value)]
        return []

    def _items(self, items: Iterable[object], depth: int) -> str:
        return ", ".join(self.tell(item, depth) for item in self._some(items))

    def _set(self, items: Iterable[object], length: int, depth: int) -> str:
        if length == 0:
            return "set()"
        if length > MAX_SET or length > self.left:
            self.cut = True
            return f"<set of {length}>"
        # of a WeakSet's own set, in an event loop, items go while texts are made: the collector may run
        return "{" + ", ".join(sorted(self.tell(item, depth) for item in [*items])) + "}"

    def _some(self, items: Iterable[Item]) -> list[Item]:
        """As many of the items as values may still be visited."""
        shown: list[Item] = []
        for item in items:
            if len(shown) >= self.left:
                self.cut = True
                break
            shown.append(item)
        return shown


def _is_namespace(names: dict[object, object]) -> bool:
    """Return True if the dictionary is that of a module, as ``globals()`` and ``vars(module)`` give it.

    A module's own begins with its name. Keys are looked at one by one before anything is looked up: a key of the
    snippet's own class, of the same hash, would be compared by its ``__eq__``.
    """
    first = next(iter(names), None)
    if type(first) is not str or first != "__name__" or any(type(key) is not str for key in names):
        return False
    return "__builtins__" in names and type(names["__name__"]) is str


def _shown_name(names: dict[object, object]) -> str:
    return str(names["__name__"])


def atom(value: Any, kind: type) -> str:
    """The text of a plain immutable value; a very long one by its length and digest."""
    # Decimal digits take quadratic time, and Python refuses more than 4,300 of them (14,000 bits).
    if kind is int and value.bit_length() > 4_000:
        return f"<int of {value.bit_length()} bits, {value % 1_000_003} modulo 1000003>"
    if kind is str and ADDRESS in value:
        value = without_addresses(value)
    if kind in (str, bytes) and len(value) > LONG_ATOM:
        return f"<{kind.__name__} of {len(value)}, {digest(value)}>"
    return repr(value)


def without_addresses(text: str) -> str:
    """Return the text without the addresses that default reprs end with: they are others in each process."""
    return _address.sub(ADDRESS, text)


def without_identities(text: str) -> str:
    """Return the text without the numbers that ``id`` gives: in a session other objects were made before.

    For comparisons alone, as a number of a program's own may be as large.
    """
    return _identity.sub("id", text)


def digest(data: str | bytes) -> str:
    """Twelve hexadecimal digits that tell two long values apart."""
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return hashlib.blake2b(raw, digest_size=6).hexdigest()
