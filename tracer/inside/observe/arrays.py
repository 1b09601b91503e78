"""Values of numpy, pandas and torch as text: shape, type and content up to a limit, read by C getters alone.

What such a value holds lies in C, where attributes don't show it. It is asked for through the descriptors of the
extension's own types, which no program can make or replace: a class of Python's is none of them, whatever its name.

Not covered: arrays of more than ``MAX_BYTES``, and columns of texts with more than ``MAX_ITEMS``, of which a change in
the middle goes unseen.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable, Iterator
from typing import Any

from trace_mine.tracer.inside.observe.identity import identity

MAX_ITEMS = 64
"""Items of an array whose content is told in full; of a longer one the first three, and a digest of all."""
FIRST_ITEMS = 3
MAX_BYTES = 1 << 20
"""Bytes of an array that are put into a digest, a millisecond each time that the array is looked at."""
MAX_PARTS = 32
"""Axes and blocks of a table that are told."""

_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: of classes that were made by a class statement, or could have been
_flags: Callable[[type], int] = type.__dict__["__flags__"].__get__
_mro: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_dict: Callable[[type], Any] = type.__dict__["__dict__"].__get__
_name: Callable[[type], str] = type.__dict__["__name__"].__get__
_module: Callable[[type], object] = type.__dict__["__module__"].__get__
C_TYPES = frozenset({("numpy", "ndarray"), ("numpy", "generic"), ("torch._C", "TensorBase")})
_bases: dict[int, tuple[type, type | None]] = {}
"""By the class's id, as a metaclass of the program may decide how it hashes; held, so that the id stays its own."""

Tell = Callable[[Any], str]
"""Makes the text of a value inside of another one."""


def shown_by(name: str, value: object) -> list[str] | None:
    """The expressions that show a variable of these libraries; None where it is none, or shows objects.

    They run the libraries' own code for printing, and of a program's nothing but what it put in its place.
    """
    kind = type(value)
    base = _c_base(kind)
    if base is None:
        return _shown_table(name, value, kind)
    if _name(base) == "generic":
        return None if _get(base, "dtype", value).hasobject else [name]
    if _name(base) == "ndarray":
        if _get(base, "dtype", value).hasobject or kind is not base:
            return None
        size = _get(base, "size", value)
    else:
        size = _dict(base)["numel"](value)
    return [name] if size <= MAX_ITEMS else [f"{name}.shape", f"{name}.dtype"]


def _shown_table(name: str, value: object, kind: type) -> list[str] | None:
    if _name(kind) not in ("DataFrame", "Series") or _module(kind) != "pandas":
        return None
    fields = _instance_dict(value)
    if "_mgr" not in fields:
        return None
    lengths = [_length(axis) for axis in _axes(fields["_mgr"])]
    if not lengths or None in lengths:
        return None
    size = 1
    for length in lengths:
        size *= length or 0
    return [name] if size <= MAX_ITEMS else [f"{name}.shape", f"{name}.head(3)"]


def _axes(manager: object) -> list[object]:
    axes = _instance_dict(manager).get("axes", _c_attribute(manager, "axes"))
    return axes if type(axes) is list else []


def _length(axis: object) -> int | None:
    """The number of rows or columns by their labels; None where it is not known."""
    fields = _instance_dict(axis)
    held = fields.get("_range", fields.get("_data"))
    arrow = _instance_dict(held).get("_pa_array")
    try:
        length = _slot(held if arrow is None else arrow, "__len__")()
    except (AttributeError, TypeError):
        return None
    return length if type(length) is int else None


def array_text(value: Any, tell: Tell) -> str | None:
    """The text of an array, a scalar or a table of one of these libraries; None of any other value."""
    kind = type(value)
    base = _c_base(kind)
    if base is None:
        return None
    if _name(base) == "generic":
        item = _dict(base)["item"](value)
        return f"{_name(kind)}({'<itself>' if type(item) is kind else tell(item)})"
    return _numpy_array(value, kind, base, tell) if _name(base) == "ndarray" else _tensor(value, kind, base, tell)


def table_text(fields: dict[str, object], tell: Tell) -> str | None:
    """The text of a pandas table by its attributes; None where they are not those of one."""
    manager = fields["_mgr"]
    # a column alone keeps in its dictionary what a table keeps in C
    blocks = _instance_dict(manager).get("blocks", _c_attribute(manager, "blocks"))
    axes = _axes(manager)
    if type(blocks) is not tuple or not axes:
        return None
    # the columns first, then the index
    parts = [_held(axis, tell) for axis in axes[:MAX_PARTS]]
    parts += [_column(_c_attribute(block, "values"), tell) for block in blocks[:MAX_PARTS]]
    return ", ".join(parts)


def _held(axis: object, tell: Tell) -> str:
    """The labels of rows or columns."""
    fields = _instance_dict(axis)
    return tell(fields["_range"]) if "_range" in fields else _column(fields.get("_data"), tell)


def _column(values: object, tell: Tell) -> str:
    """The values of columns of one type: an array, or what another library keeps."""
    arrow = _instance_dict(values).get("_pa_array")
    if arrow is None:
        return tell(values)
    try:
        size = _slot(arrow, "__len__")()
        if size > MAX_ITEMS:
            return f"<{_name(type(values))} of {size}>"
        item = _slot(arrow, "__getitem__")
        return tell([_slot(each, "__str__")() for each in map(item, range(size))])
    except (AttributeError, TypeError):
        return f"<{_name(type(values))}>"


def _slot(value: object, name: str) -> Callable[..., Any]:
    """A method that C code has for one of Python's operators: a class of Python's has a function there.

    Raises:
        AttributeError: it has another kind of method, or none.
    """
    member = next(_members(type(value), name), None)
    if type(member) is not types.WrapperDescriptorType:
        raise AttributeError(name)
    bound: Callable[..., Any] = member.__get__(value)
    return bound


def _numpy_array(value: Any, kind: type, base: type, tell: Tell) -> str:
    members = _dict(base)
    shape, dtype, size = (members[name].__get__(value) for name in ("shape", "dtype", "size"))
    head = f"{_name(kind)}(shape={shape}, dtype={_dtype(dtype)}"
    if size <= MAX_ITEMS:
        return f"{head}, {tell(members['tolist'](value))})"
    first = [members["item"](value, index) for index in range(FIRST_ITEMS)]
    # objects' bytes are their addresses
    if dtype.hasobject or members["nbytes"].__get__(value) > MAX_BYTES:
        return f"{head}, {tell(first)}...)"
    digest = hashlib.blake2b(members["tobytes"](value), digest_size=6).hexdigest()
    return f"{head}, {tell(first)}...<{digest}>)"


def _dtype(dtype: Any) -> str:
    """``int64`` and the like; other types by numpy's own code of them."""
    words = {"b": "bool", "i": "int", "u": "uint", "f": "float", "c": "complex"}
    word = words.get(dtype.kind)
    return str(dtype.str) if word is None else word if word == "bool" else f"{word}{8 * dtype.itemsize}"


def _tensor(value: Any, kind: type, base: type, tell: Tell) -> str:
    members = _dict(base)
    shape = tuple(members["shape"].__get__(value))
    head = f"{_name(kind)}(shape={shape}, dtype={members['dtype'].__get__(value)!r}"
    if members["numel"](value) > MAX_ITEMS:
        return f"{head})"
    return f"{head}, {tell(members['tolist'](value))})"


def _c_base(kind: type) -> type | None:
    """The type of one of these libraries that an instance of the class is of; None for all other classes."""
    entry = _bases.get(identity(kind))
    if entry is None:
        base = next((each for each in _mro(kind) if _is_c_type(each)), None)
        entry = _bases[identity(kind)] = kind, base
    return entry[1]


def _is_c_type(kind: type) -> bool:
    """Return True if this is a type that an extension made, by its name: no program's class can be one."""
    return not _flags(kind) & _HEAP and (_module(kind), _name(kind)) in C_TYPES


def _get(kind: type, name: str, value: object) -> Any:
    return _dict(kind)[name].__get__(value)


def _c_attribute(value: object, name: str) -> object:
    """An attribute that a C type keeps, of an instance of a class on top of it; None where it has none."""
    for member in _members(type(value), name):
        if type(member) is types.GetSetDescriptorType:
            try:
                return member.__get__(value)
            except (AttributeError, TypeError):
                return None
        return None
    return None


def _members(kind: type, name: str) -> Iterator[object]:
    """What the class and those above it have under this name, in the order in which Python looks."""
    return (_dict(base)[name] for base in _mro(kind) if name in _dict(base))


def _instance_dict(value: object) -> dict[str, object]:
    """The instance's ``__dict__`` where a C getter gives it; else nothing."""
    fields = _c_attribute(value, "__dict__")
    return fields if type(fields) is dict else {}
