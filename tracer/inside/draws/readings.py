"""Readings of clocks that are not made until something looks at them.

No law of a clock is known, so what shows one is sampled. But most readings are shown by nobody: each record of
``logging`` has one, dataclasses keep when they were made, durations are added up and left. A ``LazyReading`` is such a
number, or one that was calculated from some; only who looks draws it, and marks the path as sampled.

A look is all that needs the number: text, a comparison, a hash, ``int``, any C code. Storing, copying and passing it on
are none, and neither are sums, differences, products with a number, ``round`` to some digits and ``abs``: these are
calculated when the result is looked at. That a clock's reading is true is certain.

Unlike a ``LazyReal`` a reading is never compared by a law: where its clock stood decides nothing that would be called
exact. Like one it is a proxy, since C code reads the number of a float's subclass without asking.

Not covered: ``datetime.now()`` and ``int(time.time())`` need the number at once; ``type(x) is float`` is False.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from typing import Any

from trace_mine.tracer.inside.draws import reals
from trace_mine.tracer.inside.draws.refusals import Refused

TICK_SECONDS = 0.001
"""Explored clocks move on by at most twice this for each reading."""
MOST_STEPS = 50
"""Operations one behind the other that are kept; a longer calculation (a sum in a loop) draws the number."""

are_followed = True
"""False once C code refused a number in this process: clocks are then read at once."""
_num_made = 0

_READ = "read"
_Operation = Callable[..., Any]
_operations: dict[str, _Operation] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "neg": operator.neg,
    "abs": operator.abs,
    "round": round,
    "int": int,
}
"""The operations that are done later, by name: the name is part of a state."""
_divisions = ("truediv", "floordiv", "mod")
_numbers = (float, int, bool)


def begin() -> None:
    """Follow readings, in a new program."""
    global are_followed, _num_made
    are_followed, _num_made = True, 0


def give_up() -> bool:
    """Read clocks at once from now on; False where none was read otherwise, so that they were not what is refused."""
    global are_followed
    was = are_followed and _num_made > 0
    are_followed = False
    return was


class LazyReading:
    """A reading, or the result of an operation on some; immutable but for the number, once it has one."""

    __slots__ = ("_is_whole", "_name", "_num_steps", "_operands", "_value")

    _name: str
    _operands: tuple[Any, ...]
    _is_whole: bool
    _num_steps: int
    _value: float | int | None

    def __new__(cls, number: Any = 0.0) -> Any:
        """A float, as ``type(x)(value)`` of library code has it; ``read`` and operations make readings."""
        return float(number)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return int if self._is_whole else float

    # A copy of a number is the same number.

    def __copy__(self) -> LazyReading:
        return self

    def __deepcopy__(self, memo: object) -> LazyReading:
        return self

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        """As the program pickles it: its number. Snapshots ask ``recipe_of``."""
        number = self._number("pickled")
        return type(number), (number,)

    # looks

    def _number(self, why: str) -> Any:
        """The number; drawn, or calculated from others, the first time."""
        if self._value is None:
            if self._name == _READ:
                start, order = self._operands
                # By the order in which clocks were read, whichever is looked at first: time never goes back.
                self._value = float(start) + TICK_SECONDS * (order + reals.ask().sample(f"clock {why}"))
            else:
                numbers = [each._number(why) if type(each) is LazyReading else each for each in self._operands]
                plain = [float(each) if type(each) is reals.LazyReal else each for each in numbers]
                self._value = _operations[self._name](*plain)
        return self._value

    def whole(self) -> Any:
        """The number without what is behind its point, as an int."""
        return _later("int", self)

    def __float__(self) -> float:
        return float(self._number("as float"))

    def __int__(self) -> int:
        return int(self._number("as int"))

    def __index__(self) -> int:
        if not self._is_whole:
            # of C code that wants an integer; a plain float is refused as well, or taken after all (``localtime``)
            raise Refused
        return int(self._number("as int"))

    def __complex__(self) -> complex:
        return complex(self._number("as complex"))

    def __repr__(self) -> str:
        return repr(self._number("shown"))

    def __str__(self) -> str:
        return str(self._number("shown"))

    def __format__(self, spec: str) -> str:
        return format(self._number("shown"), spec)

    def __hash__(self) -> int:
        return hash(self._number("hashed"))

    def __bool__(self) -> bool:
        return self._name == _READ or bool(self._number("tested"))

    def __eq__(self, other: object) -> Any:
        if other is self:
            return True
        return self._compared(operator.eq, other)

    def __ne__(self, other: object) -> Any:
        return False if other is self else self._compared(operator.ne, other)

    def _compared(self, compare: _Operation, other: object) -> Any:
        if other is None or isinstance(other, (str, bytes, list, tuple, dict, set)):
            return NotImplemented  # which looks at no number
        return compare(self._number("compared"), _plain(other))

    def __lt__(self, other: object) -> Any:
        return self._now("compared", operator.lt, other)

    def __le__(self, other: object) -> Any:
        return self._now("compared", operator.le, other)

    def __gt__(self, other: object) -> Any:
        return self._now("compared", operator.gt, other)

    def __ge__(self, other: object) -> Any:
        return self._now("compared", operator.ge, other)

    def _now(self, why: str, operation: _Operation, *others: object) -> Any:
        return operation(self._number(why), *map(_plain, others))

    def __getattr__(self, name: str) -> Any:
        """Other attributes and methods of a float, or of an int: those of the number."""
        if not hasattr(int if self._is_whole else float, name):
            kind = "int" if self._is_whole else "float"
            raise AttributeError(f"{kind!r} object has no attribute {name!r}")
        return getattr(self._number("asked"), name)

    # numpy gives way to this class's operators, and takes a number where it makes arrays

    __array_priority__ = 1e6

    def __array__(self, dtype: object = None, copy: object = None) -> Any:
        return sys.modules["numpy"].asarray(self._number("as array"), dtype=dtype)

    # operations that wait

    def __neg__(self) -> Any:
        return _later("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return _later("abs", self)

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return round(self._number("rounded"))
        return _later("round", self, operator.index(digits))

    def __trunc__(self) -> int:
        number: float = self._number("as int")
        return math.trunc(number)

    def __floor__(self) -> int:
        number: float = self._number("as int")
        return math.floor(number)

    def __ceil__(self) -> int:
        number: float = self._number("as int")
        return math.ceil(number)


def _plain(value: object) -> object:
    return value._number("compared") if type(value) is LazyReading else value


def _made(name: str, operands: tuple[Any, ...], is_whole: bool, num_steps: int) -> LazyReading:
    reading: LazyReading = object.__new__(LazyReading)
    reading._name, reading._operands, reading._is_whole, reading._num_steps = name, operands, is_whole, num_steps
    reading._value = None
    return reading


def read(start: Any, order: int) -> LazyReading:
    """A reading of a clock.

    Args:
        start: where the clock stands, without what readings moved it on.
        order: how many readings there were before it; of one that a snapshot brings back none, so that it is before
            those that are made then.
    """
    global _num_made
    _num_made += 1
    return _made(_READ, (start, order), False, 0)


def recipe_of(reading: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """How a snapshot keeps a reading, as pickle has it: the number where there is one.

    Not how many readings there were before: states that differ in that alone are one.
    """
    if reading._value is not None:
        return type(reading._value), (reading._value,)
    operands = (reading._operands[0], 0) if reading._name == _READ else reading._operands
    return _restored, (reading._name, operands, reading._is_whole, reading._num_steps)


def _restored(name: str, operands: tuple[Any, ...], is_whole: bool, num_steps: int) -> LazyReading:
    """A reading out of a snapshot."""
    reals.Variable.num_restored += 1
    return _made(name, operands, is_whole, num_steps)


def _later(name: str, *operands: Any) -> Any:
    """An operation that is done when its result is looked at."""
    steps = 1 + max(each._num_steps for each in operands if type(each) is LazyReading)
    are_whole = all(each._is_whole if type(each) is LazyReading else type(each) is int for each in operands)
    is_whole = name == "int" or (name != "truediv" and are_whole)
    made = _made(name, operands, is_whole, steps)
    if steps > MOST_STEPS:
        made._number("added up")
    return made


def _may_wait(name: str, left: object, right: object) -> bool:
    """Return True if an operation of two operands can wait: it raises nothing, and has a number as its result."""
    if name in _divisions and (type(right) not in _numbers or not right):
        return False
    return all(type(each) in _numbers or type(each) in (LazyReading, reals.LazyReal) for each in (left, right))


def _binary(name: str) -> None:
    """Give the class an operator and the one whose operands are swapped."""
    operation: _Operation = getattr(operator, {"and": "and_", "or": "or_"}.get(name, name))
    waits = name in _operations

    def of_left(self: LazyReading, other: object) -> Any:
        if other is None or isinstance(other, (str, bytes, list, tuple, dict, set)):
            return NotImplemented  # so that the error is the one that a float gives
        if waits and _may_wait(name, self, other):
            return _later(name, self, other)
        return operation(self._number("calculated with"), _plain(other))

    def of_right(self: LazyReading, other: object) -> Any:
        if other is None or isinstance(other, (str, bytes, list, tuple, dict, set)):
            return NotImplemented
        if waits and _may_wait(name, other, self):
            return _later(name, other, self)
        return operation(_plain(other), self._number("calculated with"))

    setattr(LazyReading, f"__{name}__", of_left)
    setattr(LazyReading, f"__r{name}__", of_right)


for _each in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift"):
    _binary(_each)


def _divmod(self: LazyReading, other: object) -> Any:
    return divmod(self._number("calculated with"), _plain(other))


def _divmod_of_right(self: LazyReading, other: object) -> Any:
    return divmod(_plain(other), self._number("calculated with"))


setattr(LazyReading, "__divmod__", _divmod)  # noqa: B010  # as the operators above
setattr(LazyReading, "__rdivmod__", _divmod_of_right)  # noqa: B010
