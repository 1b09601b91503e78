"""Safe representations of values: what a variable holds, told without running a line of the snippet's code.

``snapshot(value)`` is cheap and comparable: two equal snapshots mean that nothing visible changed. Plain data (exact
built-in types all the way down) becomes bytes through ``marshal``, which runs in C, is exact about types (1, 1.0 and
True differ) and refuses everything else; the rest becomes the text of ``describe``. ``text(snapshot)`` is for people
and for rows. ``stable(value)`` says whether ``repr(value)`` runs no code of the snippet and is the same in every
process and under every hash seed.

Not covered: state held by C extensions, by closures and by iterators: they are described by their type alone.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import hashlib
import marshal
import types
from collections.abc import Callable
from typing import Any

ATOMS = frozenset({int, float, complex, str, bytes, bool, type(None), type(Ellipsis)})
CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
DATA = ATOMS | CONTAINERS

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
        slice,
    }
)
"""Standard-library types whose ``repr`` shows plain data and runs none of the snippet's code."""

LIBRARY_CONTAINERS = frozenset(
    {collections.deque, collections.OrderedDict, collections.Counter, collections.defaultdict}
)

MAX_DEPTH = 5
MAX_ITEMS = 64
MAX_TEXT = 300
LARGE = 4_096

_type_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_type_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_type_dict: Callable[[type], Any] = type.__dict__["__dict__"].__get__
_getset = types.GetSetDescriptorType
_member = types.MemberDescriptorType


def type_name(kind: type) -> str:
    """The class's name, read by the C getter: a metaclass's property is not asked."""
    return _type_name(kind)


def snapshot(value: Any) -> bytes | str:
    """Bytes for plain data, ``describe``'s text for anything else."""
    kind = type(value)
    if kind in DATA:
        if kind in CONTAINERS and len(value) > LARGE:
            return describe(value)
        try:
            return marshal.dumps(value, 2)
        except ValueError:
            pass  # something in it is not plain data, or it holds itself: described below
    return describe(value)


def text(shot: bytes | str) -> str:
    """The snapshot as text of at most about ``MAX_TEXT`` characters; a longer one ends in its length and digest."""
    if isinstance(shot, str):
        return shot
    return _bounded(describe(marshal.loads(shot)))


def _bounded(told: str) -> str:
    if len(told) <= MAX_TEXT:
        return told
    digest = hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{told[:60]}...<{len(told)} characters, {digest}>"


def describe(value: Any) -> str:
    """A bounded text of the value: the same for equal states, without addresses, sets in sorted order."""
    return _bounded(_tell(value, MAX_DEPTH, ()))


def _tell(value: Any, depth: int, above: tuple[int, ...]) -> str:
    kind = type(value)
    if kind in ATOMS:
        return _atom(value, kind)
    if kind in LIBRARY_REPR:
        return repr(value)
    if issubclass(kind, type):
        return f"<class {_type_name(value)}>"
    if kind is types.ModuleType:
        return f"<module {types.ModuleType.__dict__['__dict__'].__get__(value).get('__name__')}>"
    if kind in (types.FunctionType, types.BuiltinFunctionType):
        return f"<function {value.__name__}>"
    if kind is types.MethodType:
        return f"<method {getattr(value.__func__, '__name__', '?')}>"
    if id(value) in above:
        return "<itself>"
    if depth == 0:
        return f"<{_type_name(kind)}>"
    return _tell_container(value, kind, depth - 1, (*above, id(value)))


def _atom(value: Any, kind: type) -> str:
    if kind is int and value.bit_length() > 4_000:
        return f"<int of {value.bit_length()} bits, {value % 1_000_003} modulo 1000003>"
    if kind in (str, bytes) and len(value) > 4 * LARGE:
        raw = value.encode("utf-8", "surrogatepass") if kind is str else value
        return f"<{kind.__name__} of {len(value)}, {hashlib.blake2b(raw, digest_size=6).hexdigest()}>"
    return repr(value)


def _tell_container(value: Any, kind: type, depth: int, above: tuple[int, ...]) -> str:
    name = "" if kind in CONTAINERS else _type_name(kind)
    parts: list[str] = []
    if issubclass(kind, dict):
        parts.append(
            _braced(f"{_tell(k, depth, above)}: {_tell(v, depth, above)}" for k, v in _some(dict.items(value)))
        )
        parts[-1] += _more(dict.__len__(value))
    elif issubclass(kind, (list, collections.deque)):
        base: Any = list if issubclass(kind, list) else collections.deque
        items = ", ".join(_tell(item, depth, above) for item in _some(base.__iter__(value)))
        parts.append(f"[{items}]" + _more(base.__len__(value)))
    elif issubclass(kind, tuple):
        items = ", ".join(_tell(item, depth, above) for item in _some(tuple.__iter__(value)))
        comma = "," if tuple.__len__(value) == 1 else ""
        parts.append(f"({items}{comma})" + _more(tuple.__len__(value)))
    elif issubclass(kind, (set, frozenset)):
        base = set if issubclass(kind, set) else frozenset
        if base.__len__(value) > LARGE:
            return f"<{_type_name(kind)} of {base.__len__(value)}>"
        told = sorted(_tell(item, depth, above) for item in base.__iter__(value))
        shown = "{" + ", ".join(told[:MAX_ITEMS]) + "}" + _more(len(told)) if told else "set()"
        parts.append(f"frozenset({shown})" if kind is frozenset else shown)
    elif issubclass(kind, enum.Enum):
        return f"<{_type_name(kind)}.{attributes(value).get('_name_')}>"
    elif issubclass(kind, BaseException):
        parts.append(_tell(BaseException.__dict__["args"].__get__(value), depth, above))
    else:
        for base in (int, float, str, bytes, complex):
            if issubclass(kind, base):
                parts.append(base.__repr__(value))
                break
    fields = attributes(value)
    if fields:
        parts.append(", ".join(f"{key}={_tell(field, depth, above)}" for key, field in _some(fields.items())))
    if not parts and not name:
        return f"<{_type_name(kind)}>"
    if not name:
        return parts[0]
    return f"{name}({'; '.join(parts)})" if parts else f"<{name}>"


def _some(items: Any) -> Any:
    """The first MAX_ITEMS items; a container that changes while it is read ends early."""
    shown = []
    for item in items:
        if len(shown) == MAX_ITEMS:
            break
        shown.append(item)
    return shown


def _more(length: int) -> str:
    return f"...<{length}>" if length > MAX_ITEMS else ""


def _braced(parts: Any) -> str:
    return "{" + ", ".join(parts) + "}"


def attributes(value: Any) -> dict[str, Any]:
    """Instance attributes (``__dict__`` and slots) read by C getters only; {} where a class overrides ``__dict__``."""
    found: dict[str, Any] = {}
    seen_dict = False
    for base in _type_mro(type(value)):
        for key, member in _type_dict(base).items():
            if key == "__dict__" and not seen_dict:
                seen_dict = True
                if type(member) is _getset:
                    inner = member.__get__(value)
                    if type(inner) is dict:
                        found.update((k, v) for k, v in inner.items() if type(k) is str)
            elif (
                type(member) is _member and key not in found and key != "__weakref__" and base.__module__ != "builtins"
            ):
                try:
                    found[key] = member.__get__(value)
                except AttributeError:
                    continue  # a slot that holds nothing yet
    return found


def stable(value: Any, depth: int = MAX_DEPTH, max_items: int = 400) -> bool:
    """Whether ``repr(value)`` is free of side effects and the same everywhere.

    Sets count only with numbers in them (a string's hash, hence its place, changes with the hash seed) or with fewer
    than two members.
    """
    kind = type(value)
    if kind in ATOMS:
        return kind is not int or value.bit_length() < 10_000
    if kind in LIBRARY_REPR:
        return True
    if depth == 0:
        return False
    if kind in (list, tuple, collections.deque):
        return len(value) <= max_items and all(stable(item, depth - 1, max_items) for item in value)
    if kind in (set, frozenset):
        return len(value) <= max_items and (
            all(type(item) in (int, bool) for item in value)
            or (len(value) < 2 and all(stable(item, depth - 1, max_items) for item in value))
        )
    if kind in (dict, collections.OrderedDict, collections.Counter):
        return len(value) <= max_items and all(
            stable(key, depth - 1, max_items) and stable(item, depth - 1, max_items) for key, item in value.items()
        )
    return False
