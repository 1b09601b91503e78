"""Values as source text with marks: literals, containers, objects by the calls that made them."""

from __future__ import annotations

import collections
import enum
import functools
import io
import math
import operator
import re
import types
from collections.abc import Callable
from typing import Any

from trace_mine_harvest.names import NAMED, Names
from trace_mine_harvest.objects import Objects
from trace_mine_harvest.state import ITERATORS, REPEATABLE
from trace_mine_harvest.targets import WatchedFunctions
from trace_mine_harvest.texts import SELF, Made, Registry, Unspelt

MAX_NODES = 200
"""Values of all arguments of one call together, each with what it holds."""
MAX_DEPTH = 8
"""Values within each other."""
MAX_TEXT = 1_000
"""Characters of one text or number."""
_BITS = 512
"""Bits of an int: some 150 digits, and far below the 4,300 that CPython refuses to write."""
_CHANGING = (
    list,
    dict,
    set,
    bytearray,
    collections.deque,
    collections.OrderedDict,
    collections.defaultdict,
    collections.Counter,
)


def is_changing(value: object) -> bool:
    """Return True if a function could change the value, so that it is worth a variable."""
    return type(value) in _CHANGING


class CallSpeller:
    """Spells values.

    Args:
        registry: gives out the marks.
        objects: how objects of the repository's classes were made.
        targets: tells which modules are the repository's own.
    """

    def __init__(self, registry: Registry, objects: Objects, targets: WatchedFunctions) -> None:
        self._registry = registry
        self._objects = objects
        self._targets = targets
        self._num_left = 0
        self._met: dict[int, str] = {}
        self._names = Names(registry, objects, targets)

    def begin(self) -> None:
        """Begin a call: an object that is met twice in it is one object."""
        self._num_left = MAX_NODES
        self._met = {}

    def spell(self, value: object, depth: int = 0) -> str:
        """Return an expression for a value.

        Raises:
            Unspelt: there is none.
        """
        self._num_left -= 1
        if self._num_left < 0 or depth > MAX_DEPTH:
            raise Unspelt("large_argument")
        kind = type(value)
        if kind in _SIMPLE:
            return self._without_place(_simple(value))
        way = _WAYS.get(kind)
        if way is not None:
            return way(self, value, depth)
        if kind in ITERATORS:
            return self._iterator(value, depth)
        if kind in REPEATABLE:
            return f"{self._names.imported(kind)}{self._without_place(_behind_name(kind, repr(value)))}"
        if isinstance(value, enum.Enum):
            if type(value).__members__.get(value._name_ or "") is not value:
                raise Unspelt("flags")
            return f"{self._names.of(kind)}.{value._name_}"
        if isinstance(value, types.BuiltinMethodType) and isinstance(value.__self__, (str, bytes)):
            return f"{self.spell(value.__self__)}.{value.__name__}"
        if isinstance(value, NAMED):
            return self._names.of(value)
        if type(value) is types.MethodType:
            return f"{self.spell(value.__self__, depth + 1)}.{value.__name__}"
        return self._object(value, depth)

    def _without_place(self, text: str) -> str:
        if self._targets.names_place(text):
            raise Unspelt("path_of_the_sandbox")
        return text

    def _items(self, values: collections.abc.Iterable[object], depth: int) -> str:
        return ", ".join(self.spell(item, depth + 1) for item in values)

    def _list(self, value: list[object], depth: int) -> str:
        return f"[{self._items(value, depth)}]"

    def _tuple(self, value: tuple[object, ...], depth: int) -> str:
        return f"({self._items(value, depth)}{',' if len(value) == 1 else ''})"

    def _set(self, value: set[object] | frozenset[object], depth: int) -> str:
        # a set's order differs from run to run, and the text must not
        inner = ", ".join(sorted(self.spell(item, depth + 1) for item in value))
        if type(value) is set:
            return f"{{{inner}}}" if inner else "set()"
        return f"frozenset({{{inner}}})" if inner else "frozenset()"

    def _dict(self, value: dict[object, object], depth: int) -> str:
        pairs = [f"{self.spell(key, depth + 1)}: {self.spell(item, depth + 1)}" for key, item in dict.items(value)]
        return "{" + ", ".join(pairs) + "}"

    def _deque(self, value: collections.deque[object], depth: int) -> str:
        limit = "" if value.maxlen is None else f", maxlen={value.maxlen}"
        return f"{self._names.imported(collections.deque)}([{self._items(value, depth)}]{limit})"

    def _default_dict(self, value: collections.defaultdict[object, object], depth: int) -> str:
        factory = self.spell(value.default_factory, depth + 1)
        return f"{self._names.imported(collections.defaultdict)}({factory}, {self._dict(value, depth)})"

    def _table(self, value: dict[object, object], depth: int) -> str:
        return f"{self._names.imported(type(value))}({self._dict(value, depth)})"

    def _pattern(self, value: re.Pattern[str], depth: int) -> str:
        default = re.compile(value.pattern).flags if len(value.pattern) <= MAX_TEXT else value.flags
        flags = "" if value.flags == default else f", {value.flags & ~32}"
        return f"{self._registry.imported('re', '')}.compile({self.spell(value.pattern, depth + 1)}{flags})"

    def _partial(self, value: functools.partial[object], depth: int) -> str:
        parts = [value.func, *value.args]
        texts = [self.spell(part, depth + 1) for part in parts]
        texts += [f"{name}={self.spell(item, depth + 1)}" for name, item in value.keywords.items()]
        return f"{self._names.imported(functools.partial)}({', '.join(texts)})"

    def _getter(self, value: object, depth: int) -> str:
        kind, arguments = _reduced(value)[:2]
        if kind is not type(value) or type(arguments) is not tuple:
            raise Unspelt("argument_of_another_class")
        return f"{self._names.imported(type(value))}({self._items(arguments, depth)})"

    def _text_file(self, value: io.StringIO | io.BytesIO, depth: int) -> str:
        if value.closed or value.tell() != 0:
            raise Unspelt("file")
        return f"{self._names.imported(type(value))}({self.spell(value.getvalue(), depth + 1)})"

    def _iterator(self, value: object, depth: int) -> str:
        function, arguments, *rest = _reduced(value)
        if function is not iter or type(arguments) is not tuple or len(arguments) != 1:
            raise Unspelt("iterator")
        start = rest[0] if rest and type(rest[0]) is int else 0
        items = arguments[0]
        if start:
            items = items[start:]
        return f"iter({self.spell(items, depth + 1)})"

    def _object(self, value: object, depth: int) -> str:
        """An object of a class, by the calls that made it."""
        if id(value) in self._met:
            return self._met[id(value)]
        kind = type(value)
        if (text := self._names.of_constant(value)) is not None:
            return text
        steps = self._objects.steps(value)
        if steps is None and (place := self._objects.path(value)) is not None:
            text = self._met[id(value)] = f"{self._object(place[0], depth + 1)}{place[1]}"
            return text
        if steps is None:
            steps = (f"{SELF} = {self._directly(value, depth)}",)
        mark = self._registry.made(Made(_variable_of(kind), steps))
        self._met[id(value)] = mark
        return mark

    def _directly(self, value: object, depth: int) -> str:
        """The construction of an object whose state says how: a named tuple, a data class, one without a state."""
        kind: type = type(value)
        if isinstance(value, tuple) and type(vars(kind).get("_fields")) is tuple and kind.__bases__ == (tuple,):
            return f"{self._names.of(kind)}({self._items(tuple.__iter__(value), depth)})"
        why = self._objects.why_not(value)
        if _is_made_like(kind, object) and self._objects.is_empty(value):
            return f"{self._names.of(kind)}()"
        for base, way in _BELOW.items():
            if isinstance(value, base) and _is_made_like(kind, base):
                if not self._objects.has_no_fields(value):
                    raise Unspelt("changed_object")
                return f"{self._names.of(kind)}({way(self, value, depth)})"
        is_plain = _constructors(kind)[0] in (BaseException.__init__, Exception.__init__)
        if isinstance(value, BaseException) and is_plain and self._objects.has_no_fields(value):
            return f"{self._names.of(kind)}({self._items(value.args, depth)})"
        raise Unspelt(why)


_Way = Callable[[CallSpeller, Any, int], str]
"""Spells a value of a class that it is entered under, at a depth."""
_SIMPLE = frozenset(
    (int, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented), float, complex, range, slice, bytearray)
)
_WAYS: dict[type, _Way] = {
    list: CallSpeller._list,
    tuple: CallSpeller._tuple,
    set: CallSpeller._set,
    frozenset: CallSpeller._set,
    dict: CallSpeller._dict,
    collections.deque: CallSpeller._deque,
    collections.defaultdict: CallSpeller._default_dict,
    collections.OrderedDict: CallSpeller._table,
    collections.Counter: CallSpeller._table,
    re.Pattern: CallSpeller._pattern,
    functools.partial: CallSpeller._partial,
    operator.itemgetter: CallSpeller._getter,
    operator.attrgetter: CallSpeller._getter,
    operator.methodcaller: CallSpeller._getter,
    io.StringIO: CallSpeller._text_file,
    io.BytesIO: CallSpeller._text_file,
}
_BELOW: dict[type, _Way] = {
    list: lambda speller, value, depth: f"[{speller._items(list.__iter__(value), depth)}]",
    dict: CallSpeller._dict,
    set: lambda speller, value, depth: speller._set(set(set.__iter__(value)), depth),
    str: lambda speller, value, depth: speller._without_place(_simple(str.__str__(value))),
    int: lambda speller, value, depth: _simple(int.__int__(value)),
    float: lambda speller, value, depth: _simple(float.__float__(value)),
}
"""Built-in classes with the text of what an object of a class below them holds."""


def _simple(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise Unspelt("large_argument")
    if isinstance(value, (str, bytes, bytearray)) and len(value) > MAX_TEXT:
        raise Unspelt("large_argument")
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, complex) and not (math.isfinite(value.real) and math.isfinite(value.imag)):
        raise Unspelt("no_literal")
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        if not all(part is None or type(part) is int for part in parts):
            raise Unspelt("no_literal")
    text = repr(value)
    if "\x01" in text or "\x02" in text:  # no literal has them, whatever made this text
        raise Unspelt("no_literal")
    return text


def _behind_name(kind: type, text: str) -> str:
    """What of a ``repr`` stands behind the class's name: ``datetime.date(2024, 1, 1)`` gives ``(2024, 1, 1)``."""
    start = text.find("(")
    if start < 0 or len(text) > MAX_TEXT:
        raise Unspelt("no_literal")
    rest = text[start:]
    # `datetime.timezone.utc` within another's text would need its module's name
    if "datetime." in rest or "zoneinfo" in rest:
        raise Unspelt("no_literal")
    return rest


def _constructors(kind: type[object]) -> tuple[object, object]:
    """The two functions that make objects of a class, its own or a base's."""
    return kind.__init__, kind.__new__


def _is_made_like(kind: type[object], base: type[object]) -> bool:
    """Return True if a class has the constructors of another one."""
    return all(mine is its for mine, its in zip(_constructors(kind), _constructors(base), strict=True))


def _reduced(value: object) -> tuple[Any, ...]:
    """The parts by which a value of a built-in class is made again."""
    parts = value.__reduce__()
    if type(parts) is not tuple:
        raise Unspelt("no_literal")
    return parts


def _variable_of(kind: type) -> str:
    """The name of a variable for an object: ``LRUCache`` gives ``lru_cache``."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__.strip("_")).lower()
    return name if name.isidentifier() else "value"
