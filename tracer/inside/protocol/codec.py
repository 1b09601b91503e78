"""Records that check themselves, and their one way to and from JSON. Used at both ends, so standard library only.

A record is a class below ``Record`` under the decorator ``record``: a frozen, slotted, keyword-only dataclass whose
annotations say what each field may hold:

==========================  ==================================  ======================
annotation                  value                               in JSON
==========================  ==================================  ======================
``str``                     text of at most MAX_CHARACTERS      string
``int``, ``float``          never a bool; floats are finite     number
``bool``, ``None``          themselves                          true, false, null
``Literal["a", "b"]``       one of these texts                  string
``Annotated[T, limit]``     ``Between`` for a number, ``AtMost`` for a length
``tuple[T, ...]``           a tuple of at most MAX_ITEMS        array
``tuple[A, B]``             a tuple of just these               array
``Mapping[str, T]``         a dict of at most MAX_ITEMS         object
a record                    the record                          object with its fields
``tuple[R, ...]``, R a record  a tuple of records               object with a column for each field
``A | B`` of two records    one of them                         ``{"a": {fields}}``
``T | None``, ``int | str``   one of them, told apart by type   as that one
==========================  ==================================  ======================

A field is checked when its record is made, whoever makes it; ``from_json`` only turns arrays into tuples and objects
into records on the way. So each value is looked at once, and a record that exists is a good one. How deep a value may
nest is bounded by the annotations, not by the sender.

Many records of one class are sent as columns, because checking a column takes a loop in C, and a field of each record
a call: a session of 100 commands is read in a quarter of the time.

Everything is compiled when a class is defined: inside the jail that is before any code of a snippet runs, so that
nothing that a snippet patches is called later.

Example:
    >>> @record
    ... class Point(Record):
    ...     x: int
    ...     label: str = ""
    >>> to_json(Point(x=3))
    {'x': 3, 'label': ''}
    >>> try:
    ...     from_json(Point, {"x": "3", "label": ""})
    ... except ProtocolError as error:
    ...     print(error)
    expected Point.x to be of type int, got '3'; send what the record says
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields
from itertools import chain
from typing import Any, NamedTuple, TypeVar, cast, dataclass_transform, get_type_hints

from trace_mine.tracer.inside.protocol.forms import MAX_ITEMS, Form, form_of, refusal, shown
from trace_mine.tracer.inside.protocol.forms import AtMost as AtMost
from trace_mine.tracer.inside.protocol.forms import Between as Between
from trace_mine.tracer.inside.protocol.forms import ProtocolError as ProtocolError

R = TypeVar("R", bound="Record")


class _Field(NamedTuple):
    """A field of a record: its place in errors, its form, its slot, and what makes its default (None: it has none)."""

    where: str
    form: Form
    get: Callable[[Record], object]
    put: Callable[[Record, object], None]
    default: Callable[[], object] | None


class Record:
    """The base of all records: checks each field by its annotation, then ``agree``.

    The methods that ``dataclass`` would generate for each class stand here once, because each is compiled anew in each
    process that starts: 38 records cost 17 ms that way, and 1 ms this way. The constructor checks a value and stores
    it in one pass.

    Raises:
        TypeError: a field without a default is missing, or there is no field of a given name.
        ProtocolError: a value is not what its annotation says, or the fields don't agree.
    """

    __slots__ = ()
    # Without an annotation: inside the jail a subclass's hints are looked up where this module is no longer in
    # ``sys.modules`` (see ``sandbox.loader``), so ``get_type_hints`` would not find the annotation's names.
    _fields = cast("Mapping[str, _Field]", {})

    def __init__(self, **values: object) -> None:
        num_given = 0  # counted, so that no set is made of the names where all is well
        for name, (where, form, _, put, default) in self._fields.items():
            if name in values:
                num_given += 1
                value = values[name]
            elif default is not None:
                value = default()
            else:
                raise TypeError(f"expected a value for {where}, got none; pass it by its name")
            form.check(value, where)
            put(self, value)  # the slot's own setter, which goes past ``__setattr__`` below
        if num_given != len(values):
            extra = ", ".join(sorted(values.keys() - self._fields.keys()))
            raise TypeError(f"expected the fields of {type(self).__name__}, got {extra} too; leave it out")
        self.agree()

    def agree(self) -> None:
        """Checks what holds between fields; a record that has something to check overrides this.

        Raises:
            ProtocolError: the fields don't agree.
        """

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"expected no assignment to a {type(self).__name__}, got one to {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"expected a {type(self).__name__} to keep its fields, got `del` of {name!r}")

    def _values(self) -> tuple[object, ...]:
        return tuple([field.get(self) for field in self._fields.values()])

    def __eq__(self, other: object) -> bool:
        # classes may have the same fields: a driven path must not equal a recorded one by that alone
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={field.get(self)!r}" for name, field in self._fields.items())
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> tuple[object, ...]:
        # The default way restores slots by ``setattr``, which a frozen record refuses; this one checks them once more.
        return _unpickled, (type(self), dict(zip(self._fields, self._values(), strict=True)))


def _unpickled(cls: type[R], values: dict[str, object]) -> R:
    return cls(**values)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[R]) -> type[R]:
    """Class decorator: a dataclass with slots, whose annotations are compiled into checks.

    Raises:
        TypeError: an annotation that the table above does not have.
    """
    made = dataclass(slots=True, kw_only=True, init=False, repr=False, eq=False)(cls)
    hints = get_type_hints(made, include_extras=True)  # the extras are the limits of ``Annotated``
    compiled: dict[str, _Field] = {}
    for field in fields(made):  # type: ignore[arg-type]  # mypy: a type variable is no dataclass
        slot = getattr(made, field.name)  # of a slotted class this is the slot, not the default
        default: Callable[[], object] | None = None
        if field.default is not MISSING:
            default = _always(field.default)
        elif field.default_factory is not MISSING:
            default = field.default_factory
        compiled[field.name] = _Field(
            f"{made.__name__}.{field.name}",
            form_of(hints[field.name], _of_records),
            slot.__get__,
            slot.__set__,
            default,
        )
    made._fields = compiled
    return made


def _always(value: object) -> Callable[[], object]:
    return lambda: value


def tag_of(cls: type[Record]) -> str:
    """A record's name in JSON where it is one of several: ``NativeJob`` is ``native_job``."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in cls.__name__)[1:]


def to_json(value: Record) -> dict[str, object]:
    """The record's fields as values that ``json`` writes; where it is one of several, see ``OneOf``.

    Tuples that hold no records stay tuples: ``json`` writes arrays for them, and bulk is not copied.
    """
    return {
        name: get(value) if form.write is None else form.write(get(value))
        for name, (_, form, get, _, _) in value._fields.items()
    }


def from_json(cls: type[R], value: object) -> R:
    """The record that ``to_json`` wrote.

    Raises:
        ProtocolError: a key too many or too few, or a value that the record may not hold.
    """
    body = _fields_in(cls, value)
    made = _blank(cls)
    # read, check, store, field by field: a record of which one field is bad is never seen by anyone
    for name, (where, form, _, put, _) in cls._fields.items():
        item = body[name] if form.read is None else form.read(body[name], where)
        form.check(item, where)
        put(made, item)
    made.agree()
    return made


_blank = object.__new__  # without ``__init__``: what is read is checked and stored field by field


def _fields_in(cls: type[Record], value: object) -> dict[str, Any]:
    """The JSON object that has just the fields of a record. Raises ProtocolError."""
    # ``type``, here and below: what ``json`` reads has exact types, and any other would be foreign code
    if type(value) is not dict:
        raise refusal(cls.__name__, "an object with its fields", value)
    # All of them, defaults too: both ends are of one version, so a sender that leaves one out is not ours.
    if value.keys() != cls._fields.keys():
        missing = sorted(cls._fields.keys() - value.keys())
        # three, each cut short: there may be a million of them
        extra = [shown(key) for key in sorted(value.keys() - cls._fields.keys())[:3]]
        raise ProtocolError(f"expected the fields of {cls.__name__}, got {extra or 'none'} more and {missing} missing")
    return value


class OneOf:
    """Several classes of records of which one is sent, as ``{tag: {fields}}``."""

    def __init__(self, *records: type[Record]) -> None:
        self._by_tag = {tag_of(cls): cls for cls in records}
        self._tags = {cls: tag for tag, cls in self._by_tag.items()}

    def to_json(self, value: Record) -> dict[str, object]:
        """The record under its tag."""
        return {self._tags[type(value)]: to_json(value)}

    def from_json(self, value: object, where: str = "a record") -> Record:
        """The record that ``to_json`` wrote. Raises ProtocolError."""
        if type(value) is not dict or len(value) != 1:
            raise refusal(where, f"an object with one key of {', '.join(self._by_tag)}", value)
        ((tag, body),) = value.items()
        cls = self._by_tag.get(tag)
        if cls is None:
            raise refusal(where, f"one of {', '.join(self._by_tag)}", tag)
        return from_json(cls, body)


# forms of records -----------------------------------------------------------------------------------------------------


def _of_records(classes: tuple[object, ...]) -> Form | None:
    """The form of a record of one of these classes; None where one of them is no record."""
    records = [each for each in classes if isinstance(each, type) and issubclass(each, Record)]
    if len(records) < len(classes):
        return None
    if len(records) > 1:
        return _tagged(records)
    (cls,) = records

    def check(value: object, where: str) -> None:
        if type(value) is not cls:
            raise refusal(where, f"a {cls.__name__}", value)

    return Form(
        frozenset((cls,)),
        check,
        are_good=lambda values: {*map(type, values)} <= {cls},
        read=lambda value, where: from_json(cls, value),
        write=to_json,
        of_many=_columns(cls),
    )


def _tagged(classes: Sequence[type[Record]]) -> Form:
    choice = OneOf(*classes)
    allowed = frozenset(classes)

    def check(value: object, where: str) -> None:
        if type(value) not in allowed:
            raise refusal(where, f"one of {sorted(cls.__name__ for cls in classes)}", value)

    def are_good(values: Sequence[object]) -> bool:
        return {*map(type, values)} <= allowed

    return Form(frozenset(classes), check, are_good, choice.from_json, choice.to_json)


def _columns(cls: type[Record]) -> Form:
    """The form of a tuple of records of one class: in JSON an object that has an array for each field.

    Reading makes the records, so it checks their fields; ``check`` has only their class left to look at.
    """

    def check(value: object, where: str) -> None:
        if type(value) is not tuple:
            raise refusal(where, f"a tuple of {cls.__name__}", value)
        for each in value:
            if type(each) is not cls:
                raise refusal(where, f"a tuple of {cls.__name__}", each)

    def are_good(values: Sequence[tuple[object, ...]]) -> bool:
        return {*map(type, values)} <= {tuple} and {*map(type, chain.from_iterable(values))} <= {cls}

    def read(value: object, where: str) -> tuple[Record, ...]:
        body = _fields_in(cls, value)
        sizes = {len(column) if type(column) is list else -1 for column in body.values()}
        # before any record is made: columns of unequal length would leave slots empty
        if len(sizes) != 1 or -1 in sizes or max(sizes) > MAX_ITEMS:
            raise refusal(where, f"arrays of one length for the fields of {cls.__name__}", value)
        made = [_blank(cls) for _ in range(sizes.pop())]
        for name, (column_name, form, _, put, _) in cls._fields.items():
            column = body[name]
            if form.read is not None:
                column = [form.read(each, column_name) for each in column]
            # in a few loops in C; only a column that fails is looked at value by value, to name the one that is wrong
            if not form.are_good(column):
                for each in column:
                    form.check(each, column_name)
            deque(map(put, made, column), maxlen=0)  # calls ``put`` for each, in C
        # most classes have nothing to agree on, and a call for each of a long run's records shows in its time
        if cls.agree is not Record.agree:
            for each in made:
                each.agree()
        return tuple(made)

    def write(value: tuple[Record, ...]) -> dict[str, object]:
        return {
            name: [*map(get, value)] if form.write is None else [form.write(get(each)) for each in value]
            for name, (_, form, get, _, _) in cls._fields.items()
        }

    return Form(frozenset((tuple,)), check, are_good, read, write)
