"""Records that check themselves, and their one way to and from JSON. Used at both ends, so standard library only.

A record is a frozen, slotted, keyword-only dataclass below ``Record`` whose annotations say what each field may hold:

=========================  ==================================  ======================
annotation                 value                               in JSON
=========================  ==================================  ======================
``str``                    text of at most MAX_CHARACTERS      string
``int``, ``float``         never a bool; floats are finite     number
``bool``, ``None``         themselves                          true, false, null
``Literal["a", "b"]``      one of these texts                  string
``Annotated[T, limit]``    ``Between`` for a number, ``AtMost`` for a length
``tuple[T, ...]``          a tuple                             array
``tuple[A, B]``            a tuple of just these               array
``Mapping[str, T]``        a dict                              object
a record                   the record                          object with its fields
``A | B`` of two records   one of them                         ``{"a": {fields}}``
``T | None``, ``int | str``  one of them, told apart by type   as that one
=========================  ==================================  ======================

A field is checked when its record is made, whoever makes it; ``from_json`` only turns arrays into tuples and objects
into records on the way. So each value is looked at once, and a record that exists is a good one. How deep a value may
nest is bounded by the annotations, not by the sender.

Everything is compiled when a class is defined: inside the jail that is before any code of a snippet runs, so that
nothing that a snippet patches is called later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import chain
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MAX_CHARACTERS = 1 << 26
"""No text of a record is longer: twice what a run may send by default (``Limits.record_bytes``)."""

R = TypeVar("R", bound="Record")


class ProtocolError(ValueError):
    """A value is not what its record says: of another type or shape, out of range, too long, unknown."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """A text of at most ``length`` characters, or so many items."""

    length: int


@dataclass(frozen=True, slots=True)
class _Form:
    """How values of one annotation are checked, read and written; ``read`` and ``write`` are None where JSON's value
    and ours are the same. The text that ``check`` and ``read`` get names the field in errors.

    ``are_good`` says of many values at once that each would pass ``check``, in a few loops in C: the 50,000 lines of a
    frame with four locals each take a fifth of what a call for each value does. Where it says no, ``check`` finds out
    why. ``is_array``: reading is turning an array into a tuple, and no more.
    """

    types: frozenset[type]
    check: Callable[[object, str], None]
    read: Callable[[object, str], object] | None = None
    write: Callable[[object], object] | None = None
    are_good: Callable[[Sequence[Any]], bool] | None = None
    is_array: bool = False


def shown(value: object) -> str:
    """A value as an error may name it: short, whatever it holds."""
    if type(value) is str:
        return repr(value[:40]) + ("..." if len(value) > 40 else "")
    if type(value) is int and abs(value) >= 1 << 64:
        return f"an int of {value.bit_length()} bits"
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _refuse(where: str, expected: str, value: object) -> ProtocolError:
    return ProtocolError(f"expected {where} to be {expected}, got {shown(value)}; send what the record says")


class Record:
    """What every record has: ``__post_init__`` checks each field by its annotation, then ``agree``."""

    __slots__ = ()
    # Name of each field to its name in errors and its form. Without an annotation: inside the jail a subclass's hints
    # are looked up where this module is no longer in ``sys.modules``.
    _forms = cast("Mapping[str, tuple[str, _Form]]", {})

    def __post_init__(self) -> None:
        for field, (where, form) in self._forms.items():
            form.check(getattr(self, field), where)
        self.agree()

    def agree(self) -> None:
        """What holds between fields. Raises ProtocolError."""


def checked(cls: type[R]) -> type[R]:
    """Class decorator, above ``dataclass``: compiles what the annotations say.

    Raises:
        TypeError: an annotation that the table above does not have.
    """
    hints = get_type_hints(cls, include_extras=True)
    cls._forms = {
        field.name: (f"{cls.__name__}.{field.name}", _form(hints[field.name]))
        for field in fields(cls)  # type: ignore[arg-type]
    }
    return cls


def tag_of(cls: type[Record]) -> str:
    """A record's name in JSON where it is one of several: ``NativeJob`` is ``native_job``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in cls.__name__)[1:]


def to_json(value: Record) -> dict[str, object]:
    """The record's fields as values that ``json`` writes; where it is one of several, see ``OneOf``.

    Tuples that hold no records stay what they are: ``json`` writes arrays for them, and bulk is not copied.
    """
    return {
        name: getattr(value, name) if form.write is None else form.write(getattr(value, name))
        for name, (_, form) in value._forms.items()
    }


def from_json(cls: type[R], value: object) -> R:
    """The record that ``to_json`` wrote.

    Raises:
        ProtocolError: it did not: a key too many or too few, or a value that the record may not hold.
    """
    return _read_record(cls, value)


class OneOf:
    """Several records of which one is sent, as ``{tag: {fields}}``."""

    def __init__(self, *records: type[Record]) -> None:
        self._by_tag = {tag_of(cls): cls for cls in records}
        self._tags = {cls: tag for tag, cls in self._by_tag.items()}

    def to_json(self, value: Record) -> dict[str, object]:
        """The record under its tag."""
        return {self._tags[type(value)]: to_json(value)}

    def from_json(self, value: object, where: str = "a record") -> Record:
        """The record that ``to_json`` wrote. Raises ProtocolError."""
        if type(value) is not dict or len(value) != 1:
            raise _refuse(where, f"an object with one key of {', '.join(self._by_tag)}", value)
        ((tag, body),) = value.items()
        cls = self._by_tag.get(tag)
        if cls is None:
            raise _refuse(where, f"one of {', '.join(self._by_tag)}", tag)
        return _read_record(cls, body)


def _read_record(cls: type[R], value: object) -> R:
    if type(value) is not dict:
        raise _refuse(cls.__name__, "an object with its fields", value)
    forms = cls._forms
    if value.keys() != forms.keys():
        missing = sorted(forms.keys() - value.keys())
        extra = [shown(key) for key in sorted(value.keys() - forms.keys())[:3]]
        raise ProtocolError(f"expected the fields of {cls.__name__}, got {extra or 'none'} more and {missing} missing")
    read = {
        field: value[field] if form.read is None else form.read(value[field], where)
        for field, (where, form) in forms.items()
    }
    return cls(**read)


# annotations ----------------------------------------------------------------------------------------------------------


def _form(annotation: object) -> _Form:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _limited(_form(arguments[0]), arguments[1])
    if origin is Literal:
        return _literal(arguments)
    if origin in (Union, UnionType):
        return _union(arguments)
    if origin is tuple:
        return _many(_form(arguments[0])) if arguments[1:] == (...,) else _several([_form(each) for each in arguments])
    if origin is Mapping and arguments[0] is str:
        return _mapping(_form(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return _record(annotation)
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    raise TypeError(f"expected an annotation of the codec's table, got {annotation!r}; use one or extend the codec")


def _of_type(kind: type) -> _Form:
    def check(value: object, where: str) -> None:
        if type(value) is not kind:
            raise _refuse(where, f"of type {kind.__name__}", value)

    return _Form(frozenset((kind,)), check, are_good=lambda values: {*map(type, values)} <= {kind})


def _are_texts(values: Sequence[Any]) -> bool:
    return {*map(type, values)} <= {str} and max(map(len, values), default=0) <= MAX_CHARACTERS


def _check_text(value: object, where: str) -> None:
    if type(value) is not str or len(value) > MAX_CHARACTERS:
        raise _refuse(where, f"a text of at most {MAX_CHARACTERS} characters", value)


def _check_float(value: object, where: str) -> None:
    if type(value) is not float or not isfinite(value):
        raise _refuse(where, "a finite number with a point", value)


def _check_number(value: object, where: str) -> None:
    if type(value) is int and -(1 << 53) <= value <= 1 << 53:  # any int of these is a float exactly
        return
    _check_float(value, where)


_TEXT = _Form(frozenset((str,)), _check_text, are_good=_are_texts)
_FLOAT = _Form(frozenset((float,)), _check_float)
_PLAIN = {
    str: _TEXT,
    int: _of_type(int),
    float: _Form(frozenset((float, int)), _check_number),
    bool: _of_type(bool),
    NoneType: _of_type(NoneType),
}


def _limited(form: _Form, limit: object) -> _Form:
    inner = form.check

    def check_range(value: object, where: str) -> None:
        inner(value, where)
        if not limit.low <= cast(float, value) <= limit.high:  # type: ignore[attr-defined]
            raise _refuse(where, f"from {limit.low} to {limit.high}", value)  # type: ignore[attr-defined]

    def check_length(value: object, where: str) -> None:
        inner(value, where)
        if len(cast(str, value)) > limit.length:  # type: ignore[attr-defined]
            raise _refuse(where, f"of length {limit.length} at most", value)  # type: ignore[attr-defined]

    def are_in_range(values: Sequence[Any]) -> bool:
        good = are_good(values)  # type: ignore[misc]
        return good and (not values or (limit.low <= min(values) and max(values) <= limit.high))  # type: ignore[attr-defined]

    def are_short(values: Sequence[Any]) -> bool:
        return are_good(values) and max(map(len, values), default=0) <= limit.length  # type: ignore[misc,attr-defined]

    are_good = form.are_good
    if isinstance(limit, Between):
        return _Form(form.types, check_range, form.read, form.write, are_good and are_in_range)
    if isinstance(limit, AtMost):
        return _Form(form.types, check_length, form.read, form.write, are_good and are_short)
    raise TypeError(f"expected Between or AtMost, got {limit!r}; use one of them")


def _literal(allowed: tuple[object, ...]) -> _Form:
    known = frozenset(allowed)

    def check(value: object, where: str) -> None:
        if type(value) is not str or value not in known:
            raise _refuse(where, f"one of {sorted(map(str, known))}", value)

    return _Form(frozenset((str,)), check)


def _many(item: _Form) -> _Form:
    check_item, read_item, write_item, are_good = item.check, item.read, item.write, item.are_good

    def check(value: object, where: str) -> None:
        if type(value) is not tuple:
            raise _refuse(where, "a tuple", value)
        if are_good is not None and are_good(value):
            return
        for each in value:
            check_item(each, where)

    def read(value: object, where: str) -> object:
        if type(value) is not list:
            raise _refuse(where, "an array", value)
        if read_item is None:
            return tuple(value)
        if item.is_array and {*map(type, value)} <= {list}:  # ``check`` looks at their lengths
            return tuple(map(tuple, value))
        return tuple([read_item(each, where) for each in value])

    def write(value: object) -> object:
        return [write_item(each) for each in cast(tuple[object, ...], value)]  # type: ignore[misc]

    # JSON has arrays for tuples too: what holds nothing to be turned is written as it is
    return _Form(frozenset((tuple,)), check, read, None if write_item is None else write)


def _several(items: list[_Form]) -> _Form:
    checks, num_items = [item.check for item in items], len(items)
    columns = [item.are_good for item in items]
    reads = [(index, item.read) for index, item in enumerate(items) if item.read is not None]
    if any(item.write is not None for item in items):
        raise TypeError("expected no records in a tuple of fixed length; give them a record of their own")

    def check(value: object, where: str) -> None:
        if type(value) is not tuple or len(value) != num_items:
            raise _refuse(where, f"a tuple of {num_items}", value)
        for check_item, each in zip(checks, value, strict=True):
            check_item(each, where)

    def read(value: object, where: str) -> object:
        if type(value) is not list or len(value) != num_items:
            raise _refuse(where, f"an array of {num_items}", value)
        if reads:
            value = [*value]
            for index, read_item in reads:
                value[index] = read_item(value[index], where)
        return tuple(value)

    def are_good(values: Sequence[Any]) -> bool:
        return (
            {*map(type, values)} <= {tuple}
            and {*map(len, values)} <= {num_items}
            and all(good(column) for good, column in zip(columns, zip(*values, strict=True), strict=False))  # type: ignore[misc]
        )

    return _Form(frozenset((tuple,)), check, read, are_good=are_good if all(columns) else None, is_array=not reads)


def _mapping(item: _Form) -> _Form:
    check_item, read_item, write_item, are_good_items = item.check, item.read, item.write, item.are_good

    def check(value: object, where: str) -> None:
        if type(value) is not dict:
            raise _refuse(where, "a dict", value)
        if not {*map(type, value)} <= {str}:
            raise _refuse(where, "a dict with texts as keys", value)
        if are_good_items is not None and are_good_items([*value.values()]):
            return
        for each in value.values():
            check_item(each, where)

    def read(value: object, where: str) -> object:
        if type(value) is not dict or read_item is None:
            return value
        return {key: read_item(each, where) for key, each in value.items()}

    def write(value: object) -> object:
        return {key: write_item(each) for key, each in cast(dict[str, object], value).items()}  # type: ignore[misc]

    def are_good(values: Sequence[Any]) -> bool:
        return (
            {*map(type, values)} <= {dict}
            and {*map(type, chain.from_iterable(values))} <= {str}
            and are_good_items([*chain.from_iterable(map(dict.values, values))])  # type: ignore[misc]
        )

    return _Form(
        frozenset((dict,)),
        check,
        None if read_item is None else read,
        None if write_item is None else write,
        are_good_items and are_good,
    )


def _record(cls: type[Record]) -> _Form:
    def check(value: object, where: str) -> None:
        if type(value) is not cls:
            raise _refuse(where, f"a {cls.__name__}", value)

    def write(value: object) -> object:
        return to_json(cast(Record, value))

    return _Form(frozenset((cls,)), check, lambda value, where: _read_record(cls, value), write)


def _union(members: tuple[object, ...]) -> _Form:
    records = [each for each in members if isinstance(each, type) and issubclass(each, Record)]
    tagged = records if len(records) > 1 else []
    forms = [_FLOAT if each is float and int in members else _form(each) for each in members if each not in tagged]
    return _told_apart([*forms, _tagged(tagged)] if tagged else forms)


def _tagged(records: list[type[Record]]) -> _Form:
    choice = OneOf(*records)
    known = frozenset(records)

    def check(value: object, where: str) -> None:
        if type(value) not in known:
            raise _refuse(where, f"one of {sorted(cls.__name__ for cls in records)}", value)

    def write(value: object) -> object:
        return choice.to_json(cast(Record, value))

    return _Form(frozenset(records), check, choice.from_json, write)


def _told_apart(forms: list[_Form]) -> _Form:
    """One of several forms, by the value's type; in JSON an array is a tuple's, an object a mapping's or a record's."""
    by_type: dict[type, _Form] = {}
    by_json: dict[type, _Form] = {}
    for form in forms:
        for each in form.types:
            in_json = list if each is tuple else dict if issubclass(each, Record) else each
            if by_type.setdefault(each, form) is not form or by_json.setdefault(in_json, form) is not form:
                raise TypeError(f"expected a union whose members JSON tells apart, got two for {in_json.__name__}")
    names = ", ".join(sorted(each.__name__ for each in by_type))

    def check(value: object, where: str) -> None:
        form = by_type.get(type(value))
        if form is None:
            raise _refuse(where, f"one of {names}", value)
        form.check(value, where)

    def read(value: object, where: str) -> object:
        form = by_json.get(type(value))
        return value if form is None or form.read is None else form.read(value, where)

    def write(value: object) -> object:
        form = by_type[type(value)]
        return value if form.write is None else form.write(value)

    return _Form(
        frozenset(by_type),
        check,
        read if any(form.read for form in forms) else None,
        write if any(form.write for form in forms) else None,
    )
