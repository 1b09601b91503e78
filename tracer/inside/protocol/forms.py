"""Forms: the ways in which values of one annotation are checked, read from JSON and written to it.

``form_of`` turns an annotation into a ``Form`` once, when the class of a record is defined. ``codec`` adds the forms of
records to those that stand here, and has the table of annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isfinite
from types import NoneType, UnionType

# ``Any`` stands in this file for values that came out of JSON: each function below is what finds out their type.
from typing import Annotated, Any, Literal, Union, get_args, get_origin

MAX_CHARACTERS = 1 << 26
"""No text of a record is longer: twice what a run may send by default (``Limits.record_bytes``)."""

MAX_ITEMS = 1 << 24
"""No tuple or mapping of a record has more items: of such a run's bytes, each item takes two at least."""

LARGEST_EXACT_INT = 1 << 53
"""Up to here each int is a float exactly, so an int may stand where a float is expected."""


class ProtocolError(ValueError):
    """A value is not what its record says: of another type or shape, out of range, too long, unknown."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class AtMost:
    """A text of at most ``length`` characters, or a tuple of at most so many items."""

    length: int


# Not slotted: the classes of this file are made in each process that starts, and slots make a class twice.
@dataclass(frozen=True, eq=False, repr=False)
class Form:
    """The way in which values of one annotation are checked, read and written.

    Attributes:
        types: the types that such a value may have.
        check: raises ProtocolError where a value is no such value; its second argument names the field in errors.
        are_good: true only if each of many values would pass ``check``. It takes a few loops in C where a call for each
            value would cost five times as much (50,000 lines of a frame with four locals). Where it is false, ``check``
            looks at each value and says which one is wrong, if any is.
        read: JSON's value as ours, unchecked but for what it has to take apart; None where they are the same.
        write: our value as JSON's; None where they are the same, or where ``json`` writes an array of a tuple.
        of_many: the form of a tuple of such values, where it is not sent as an array with an item for each.
    """

    types: frozenset[type]
    check: Callable[[Any, str], None]
    are_good: Callable[[Sequence[Any]], bool]
    read: Callable[[Any, str], object] | None = None
    write: Callable[[Any], object] | None = None
    of_many: Form | None = None


def shown(value: object) -> str:
    """A value as an error may name it: short, whatever it holds."""
    if type(value) is str:
        return repr(value[:40]) + ("..." if len(value) > 40 else "")
    if type(value) is int and abs(value) >= 1 << 64:  # CPython refuses to write ints of more than 4,300 digits
        return f"an int of {value.bit_length()} bits"
    if value is None or type(value) in (bool, int, float):
        return repr(value)
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def refusal(where: str, expected: str, value: object) -> ProtocolError:
    """The error for a value that is not what the field ``where`` may hold; the caller raises it."""
    return ProtocolError(f"expected {where} to be {expected}, got {shown(value)}; send what the record says")


def form_of(annotation: object, of_records: Callable[[tuple[object, ...]], Form | None]) -> Form:
    """The form of an annotation.

    ``of_records`` gives the form of a record, or of one of several records (None where the classes are no records).

    Raises:
        TypeError: the table of ``codec`` has no such annotation.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    # first: what stands in ``Annotated`` is one of the others
    if origin is Annotated:
        return _limited(arguments[0], form_of(arguments[0], of_records), arguments[1])
    if origin is Literal:
        return _literal(arguments)
    # ``Optional[A]`` is the first, ``A | B`` the second; from 3.14 on they are one
    if origin in (Union, UnionType):
        return _union(arguments, of_records)
    if origin is tuple and arguments[1:] == (...,):
        item = form_of(arguments[0], of_records)
        return item.of_many or _many(item)
    if origin is tuple:
        return _several([form_of(each, of_records) for each in arguments])
    if origin is Mapping:
        return _mapping(form_of(arguments[0], of_records), form_of(arguments[1], of_records))
    if isinstance(annotation, type) and annotation in _PLAIN:
        return _PLAIN[annotation]
    form = of_records((annotation,))
    if form is None:
        raise TypeError(f"expected an annotation of the codec's table, got {annotation!r}; use one or extend the codec")
    return form


def _kinds(values: Sequence[object]) -> set[type]:
    return {*map(type, values)}


# single values --------------------------------------------------------------------------------------------------------


def _of_type(kind: type) -> Form:
    def check(value: object, where: str) -> None:
        if type(value) is not kind:  # not isinstance: a bool is no int here, and a subclass of int is foreign code
            raise refusal(where, f"of type {kind.__name__}", value)

    return Form(frozenset((kind,)), check, are_good=lambda values: _kinds(values) <= {kind})


def _text(longest: int | None) -> Form:
    """Texts of at most ``longest`` characters; None: of MAX_CHARACTERS, which tests make smaller."""

    def check(value: object, where: str) -> None:
        if type(value) is not str or len(value) > (MAX_CHARACTERS if longest is None else longest):
            most = MAX_CHARACTERS if longest is None else longest
            raise refusal(where, f"a text of at most {most} characters", value)

    def are_good(values: Sequence[str]) -> bool:
        most = MAX_CHARACTERS if longest is None else longest
        return _kinds(values) <= {str} and max(map(len, values), default=0) <= most

    return Form(frozenset((str,)), check, are_good)


def _int(low: float, high: float) -> Form:
    def check(value: object, where: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise refusal(where, f"an int from {shown(low)} to {shown(high)}", value)

    def are_good(values: Sequence[int]) -> bool:
        return _kinds(values) <= {int} and (not values or (low <= min(values) and max(values) <= high))

    return Form(frozenset((int,)), check, are_good)


def _float(low: float | None = None, high: float | None = None, *, takes_ints: bool = True) -> Form:
    """Finite numbers. Where an int may stand for one, it is taken: JSON of other writers has 1 for 1.0."""

    def check(value: object, where: str) -> None:
        # Python's ``json`` reads NaN and Infinity, which no limit of a field would refuse where it has none.
        is_number = (type(value) is float and isfinite(value)) or (
            takes_ints and type(value) is int and abs(value) <= LARGEST_EXACT_INT
        )
        if not is_number:
            raise refusal(where, "a finite number" if takes_ints else "a finite number with a point", value)
        if low is not None and high is not None and not low <= value <= high:  # type: ignore[operator]
            raise refusal(where, f"from {low} to {high}", value)

    def are_good(values: Sequence[float]) -> bool:
        if not _kinds(values) <= {float} or not all(map(isfinite, values)):
            return False  # ints may be good too; they are rare, so that ``check`` may look at each
        return low is None or high is None or not values or (low <= min(values) and max(values) <= high)

    return Form(frozenset((float, int) if takes_ints else (float,)), check, are_good)


_PLAIN: dict[object, Form] = {
    str: _text(None),
    int: _of_type(int),
    float: _float(),
    bool: _of_type(bool),
    NoneType: _of_type(NoneType),
}
# in ``int | float``, 1 must stay an int: a draw that gave 1 shows another text than one that gave 1.0
_FLOAT_BESIDE_INT = _float(takes_ints=False)


def _limited(annotation: object, form: Form, limit: object) -> Form:
    """The form with a limit; text and numbers have one of their own, which looks at a value in one call, not two."""
    if isinstance(limit, Between) and annotation is int:
        return _int(limit.low, limit.high)
    if isinstance(limit, Between) and annotation is float:
        return _float(limit.low, limit.high)
    if not isinstance(limit, AtMost):
        raise TypeError(f"expected Between of a number or AtMost, got {limit!r} of {annotation!r}; use one of them")
    length = limit.length
    if annotation is str:
        return _text(length)

    def check(value: Any, where: str) -> None:
        form.check(value, where)
        if len(value) > length:
            raise refusal(where, f"of length {length} at most", value)

    def are_good(values: Sequence[Any]) -> bool:
        return form.are_good(values) and max(map(len, values), default=0) <= length

    return Form(form.types, check, are_good, form.read, form.write)


def _literal(allowed: tuple[object, ...]) -> Form:
    words = frozenset(allowed)

    def check(value: object, where: str) -> None:
        if type(value) is not str or value not in words:
            raise refusal(where, f"one of {sorted(map(str, words))}", value)

    # the types come first: a list among the values has no hash
    return Form(frozenset((str,)), check, are_good=lambda values: _kinds(values) <= {str} and words.issuperset(values))


# values that hold others ----------------------------------------------------------------------------------------------


def _many(item: Form) -> Form:
    read_item, write_item = item.read, item.write

    def check(value: object, where: str) -> None:
        if type(value) is not tuple or len(value) > MAX_ITEMS:
            raise refusal(where, f"a tuple of at most {MAX_ITEMS}", value)
        if not item.are_good(value):  # else they are good, all of them, and no call was made for each
            for each in value:
                item.check(each, where)

    def are_good(values: Sequence[tuple[object, ...]]) -> bool:
        return (
            _kinds(values) <= {tuple}
            and max(map(len, values), default=0) <= MAX_ITEMS
            and item.are_good([*chain.from_iterable(values)])
        )

    def read(value: object, where: str) -> object:
        if type(value) is not list:
            raise refusal(where, "an array", value)
        return tuple(value) if read_item is None else tuple([read_item(each, where) for each in value])

    def write(value: tuple[object, ...]) -> object:
        return [write_item(each) for each in value]  # type: ignore[misc]

    return Form(frozenset((tuple,)), check, are_good, read, None if write_item is None else write)


def _several(items: list[Form]) -> Form:
    num_items = len(items)
    reads = [(index, item.read) for index, item in enumerate(items) if item.read is not None]
    if any(item.write is not None for item in items):
        raise TypeError("expected no records in a tuple of fixed length; give them a record of their own")

    def check(value: object, where: str) -> None:
        if type(value) is not tuple or len(value) != num_items:
            raise refusal(where, f"a tuple of {num_items}", value)
        for item, each in zip(items, value, strict=True):
            item.check(each, where)

    def are_good(values: Sequence[tuple[object, ...]]) -> bool:
        if not _kinds(values) <= {tuple} or not {*map(len, values)} <= {num_items}:
            return False
        columns = zip(*values, strict=True)  # none of them where there are no values
        return all(item.are_good(column) for item, column in zip(items, columns, strict=False))

    def read(value: object, where: str) -> object:
        if type(value) is not list or len(value) != num_items:
            raise refusal(where, f"an array of {num_items}", value)
        if reads:
            value = [*value]
            for index, read_item in reads:
                value[index] = read_item(value[index], where)
        return tuple(value)

    return Form(frozenset((tuple,)), check, are_good, read)


def _mapping(key: Form, item: Form) -> Form:
    if key.types != {str}:
        raise TypeError("expected a mapping's keys to be texts, which are all that JSON has; use a tuple of pairs")
    read_item, write_item = item.read, item.write

    def check(value: object, where: str) -> None:
        if type(value) is not dict or len(value) > MAX_ITEMS:
            raise refusal(where, f"a dict of at most {MAX_ITEMS}", value)
        if not key.are_good([*value]):
            for each in value:
                key.check(each, f"a key of {where}")
        if not item.are_good([*value.values()]):
            for each in value.values():
                item.check(each, where)

    def are_good(values: Sequence[dict[str, object]]) -> bool:
        return (
            _kinds(values) <= {dict}
            and max(map(len, values), default=0) <= MAX_ITEMS
            and key.are_good([*chain.from_iterable(values)])
            and item.are_good([*chain.from_iterable(map(dict.values, values))])
        )

    def read(value: object, where: str) -> object:
        # what is no dict is left for ``check``, which says so
        if type(value) is not dict or read_item is None:
            return value
        return {key: read_item(each, where) for key, each in value.items()}

    def write(value: dict[str, object]) -> object:
        return {key: write_item(each) for key, each in value.items()}  # type: ignore[misc]

    return Form(
        frozenset((dict,)),
        check,
        are_good,
        None if read_item is None else read,
        None if write_item is None else write,
    )


# one of several -------------------------------------------------------------------------------------------------------


def _union(members: tuple[object, ...], of_records: Callable[[tuple[object, ...]], Form | None]) -> Form:
    # Several records are one form with a tag: in JSON all of them are objects, so that no type tells them apart.
    records = tuple(each for each in members if isinstance(each, type) and of_records((each,)) is not None)
    tagged = of_records(records) if len(records) > 1 else None
    forms = [form_of(each, of_records) for each in members if tagged is None or each not in records]
    # not ``int in members``: an int with a range is another annotation
    if any(form.types == {int} for form in forms):
        forms = [_FLOAT_BESIDE_INT if form is _PLAIN[float] else form for form in forms]
    return _one_of([*forms, tagged] if tagged is not None else forms)


def _type_in_json(kind: type) -> type:
    """The type of what JSON has for values of this one: tuples are arrays; records, of whatever class, objects."""
    return list if kind is tuple else kind if kind in (dict, str, int, float, bool, NoneType) else dict


def _one_of(forms: list[Form]) -> Form:
    """One of several forms, told apart by the value's type, in JSON too."""
    by_type: dict[type, Form] = {}
    by_json: dict[type, Form] = {}
    for form in forms:
        for each in form.types:
            in_json = _type_in_json(each)
            if by_type.setdefault(each, form) is not form or by_json.setdefault(in_json, form) is not form:
                raise TypeError(f"expected a union whose members JSON tells apart, got two for {in_json.__name__}")
    names = ", ".join(sorted(each.__name__ for each in by_type))

    def check(value: object, where: str) -> None:
        form = by_type.get(type(value))
        if form is None:
            raise refusal(where, f"one of {names}", value)
        form.check(value, where)

    def are_good(values: Sequence[object]) -> bool:
        kinds = _kinds(values)
        if not kinds <= by_type.keys():
            return False
        if len(kinds) == 1:
            return by_type[kinds.pop()].are_good(values)
        used = [form for form in forms if not kinds.isdisjoint(form.types)]
        return all(form.are_good([each for each in values if type(each) in form.types]) for form in used)

    def read(value: object, where: str) -> object:
        form = by_json.get(type(value))
        return value if form is None or form.read is None else form.read(value, where)

    def write(value: object) -> object:
        form = by_type[type(value)]
        return value if form.write is None else form.write(value)

    return Form(
        frozenset(by_type),
        check,
        are_good,
        read if any(form.read for form in forms) else None,
        write if any(form.write for form in forms) else None,
    )
