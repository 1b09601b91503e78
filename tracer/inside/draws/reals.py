"""Continuous draws that are not drawn until something looks at them.

``LazyReal`` is a*v + b of a ``Variable`` v, which is known to lie in an interval. A comparison with a number is a
choice between two outcomes, whose probabilities the variable's law gives, and narrows the interval; rounding to
integers is a choice between the cells that the interval meets. Everything that needs a number (text, hash, products
and sums of draws, any C code, through ``__float__``) draws one within the interval and marks the path as sampled.

Example: with ``r = random()``, the test ``r < 0.3`` is a choice of probabilities 0.3 and 0.7. On the path where it is
true r lies in [0, 0.3), so that a later ``r < 0.1`` is a choice of 1/3 and 2/3, and ``r < 0.5`` none.

A LazyReal is a proxy and no subclass of float. C code reads a float subclass's stored value without asking (``math``,
``'%.2f'``, ``json``, ``struct``, ``Decimal``, ``timedelta`` all did, and gave a wrong number in silence), while it asks
a proxy for a number, or refuses it with a TypeError that names it; the caller then runs again with plain floats
(``refusals``). numpy is given a number through ``__array__``. Once a variable has its number, arithmetic is that of
floats, in the program's own order.

Not covered: a program that asks ``type(x) is float`` gets False and goes another way than it would with a float, and so
does one that catches the TypeError itself; neither is detected. Two ways to write one number (``r * 3 - r`` and
``r * 2``) may differ in the last bit until the number is drawn.

Over 400 lines because a number has that many operators, and each is here to be asked or refused.
"""

from __future__ import annotations

import itertools
import math
import operator
import statistics
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from types import FunctionType
from typing import Any, ClassVar, Protocol, TypeGuard

_normal = statistics.NormalDist()
_infinity = math.inf
_root = math.sqrt(2.0)
_least = sys.float_info.min
BOUNDS = {"uniform": (0.0, 1.0), "normal": (-_infinity, _infinity), "exponential": (0.0, _infinity)}
"""The standard laws, each with the interval that it gives numbers of."""
MOST_CELLS = 64
"""Rounding that meets more integers than this draws a number: see ``deciders.MOST_OUTCOMES``."""
MOST_DIGITS = 300
"""``round`` to more digits, before or after the point, than a float's range has draws a number."""

Number = float | Fraction
Operation = Callable[[Any, Any], Any]
"""A function of ``operator``. Any, because an operand is whatever the program puts beside the draw: its class decides
which operations it has and what they give."""


class Explorer(Protocol):
    """The part of a decider that lazy reals ask: ``deciders.Guided``."""

    def choose(
        self,
        kind: str,
        outcomes: Callable[[], Sequence[object]],
        probabilities: tuple[float, ...],
        pinned: int | None = None,
    ) -> int:
        """Make a choice; gives the index of its outcome."""

    def sample(self, kind: str) -> float:
        """A number in [0, 1) for a draw that can't be followed."""


def _nobody() -> Explorer:
    raise AssertionError("expected ``deciders`` to say who decides, got a lazy real before its import")


ask: Callable[[], Explorer] = _nobody
"""Gives the decider of the run. ``deciders`` sets it, as it imports this module and can't be imported from here."""


class NumpyScalar(Protocol):
    """A number of numpy, which is not imported here."""

    def item(self) -> object:
        """The number as Python's own type."""


def share(law: str, low: float, high: float) -> float:
    """P(low <= v < high) of a standard law, without cancellation in a far tail."""
    if law == "uniform":
        return min(high, 1.0) - max(low, 0.0)
    if law == "exponential":
        return math.exp(-low) * -math.expm1(low - high)
    # The side is chosen so that small numbers are subtracted: beyond 8 standard deviations both of the cdf's values
    # are 1 as floats, and their difference would be 0.
    if low > 0:
        return 0.5 * (math.erfc(low / _root) - math.erfc(high / _root))
    return 0.5 * (math.erfc(-high / _root) - math.erfc(-low / _root))


def within(law: str, low: float, high: float, q: float) -> float:
    """The number below which a part q of the interval's probability lies: the quantile function of a truncated law."""
    if law == "uniform":
        x = low + (high - low) * q
    elif law == "exponential":
        x = low - math.log1p(q * math.expm1(low - high))
    elif low > 0:  # from the upper tail, for the same reason as in ``share``
        x = -_normal.inv_cdf(max(share(law, high, _infinity) + (1.0 - q) * share(law, low, high), _least))
    else:
        x = _normal.inv_cdf(max(share(law, -_infinity, low) + q * share(law, low, high), _least))
    # The interval is half open, and rounding must not lead out of it: the path's choices have said where v lies.
    return min(max(x, low), math.nextafter(high, low))


class Variable:
    """One draw: its law, the interval [low, high) that it is known to lie in, and its value once it has one.

    Attributes:
        pinned: the value that an actual run drew. Comparisons come out as it says, and are choices all the same.
        num_restored: those without a value that snapshots brought back so far, of all.
    """

    __slots__ = ("high", "law", "low", "pinned", "value")
    num_restored: ClassVar[int] = 0

    def __init__(
        self,
        law: str,
        low: float | None = None,
        high: float | None = None,
        value: float | None = None,
        pinned: float | None = None,
    ) -> None:
        bounds = BOUNDS[law]
        self.law = law
        self.low = bounds[0] if low is None else low
        self.high = bounds[1] if high is None else high
        self.value = value
        self.pinned = pinned

    def __reduce__(self) -> tuple[object, ...]:
        # Snapshots pickle variables: what is known of a draw that a variable of the program holds is part of the state.
        return _restored, (self.law, self.low, self.high, self.value, self.pinned)

    def below(self, x: float, pinned: bool | None) -> bool:
        """Return True if v < x: a choice where the interval leaves that open.

        ``pinned`` is the answer of an actual run, None where there is none.
        """
        if x <= self.low or x >= self.high:
            return x >= self.high
        p = share(self.law, self.low, x) / share(self.law, self.low, self.high)
        if 0.0 < p < 1.0:
            taken = None if pinned is None else 0 if pinned else 1
            is_below = ask().choose(_names[self.law], lambda: (f"< {x:g}", f">= {x:g}"), (p, 1.0 - p), taken) == 0
        else:  # one side is lighter than a float can say: no choice, but a run may have gone there
            is_below = p >= 1.0 if pinned is None else pinned
        if is_below:
            self.high = x
        else:
            self.low = x
        return is_below

    def drawn(self, why: str) -> float:
        """Draw the number within the interval, the first time; ``why`` stands in the kind of the sampled draw."""
        if self.value is None:
            if self.pinned is not None:
                self.value = self.pinned
            else:
                q = ask().sample(f"{_names[self.law]} {why}")
                self.value = within(self.law, self.low, self.high, q)
        return self.value


def _restored(law: str, low: float, high: float, value: float | None, pinned: float | None) -> Variable:
    """A variable out of a snapshot."""
    Variable.num_restored += value is None
    return Variable(law, low, high, value, pinned)


_names = {"uniform": "random", "normal": "gauss", "exponential": "expovariate"}
"""The function of ``random`` that a law is the primitive of: the kind of its choices."""

_orders = (float.__lt__, int.__lt__)
_sums = (float.__add__, int.__add__)
_own_operators = ("__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rpow__", "__rmod__", "__rfloordiv__")
_own_orders = ("__lt__", "__le__", "__gt__", "__ge__")


def _is_number(value: object) -> TypeGuard[Number]:
    """Return True if comparing and calculating with the value is what it is with a float.

    Not numpy's numbers: results with them are numpy's, too. Not a subclass that orders or adds in a way of its own.
    """
    kind: type = type(value)
    if kind is float or kind is int or kind is bool or kind is Fraction:
        return True
    # LazyReal is no subclass of float, but its instances say that it is
    if kind is LazyReal or not issubclass(kind, (float, int)):
        return False
    return kind.__lt__ in _orders and kind.__add__ in _sums


def _is_numpy_scalar(value: object) -> TypeGuard[NumpyScalar]:
    kind = type(value)
    return kind.__module__ == "numpy" and hasattr(kind, "as_integer_ratio") | hasattr(kind, "bit_count")


def _has_own(value: object, methods: tuple[str, ...]) -> bool:
    """Return True if the value's class defines one of the methods in Python."""
    return any(isinstance(getattr(type(value), name, None), FunctionType) for name in methods)


def _swapped(operation: Operation) -> Operation:
    return lambda number, other: operation(other, number)


def _affine(variable: Variable, a: float, b: float) -> LazyReal | float:
    """a*v + b; a float where v doesn't matter or nothing finite is left."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * variable.drawn("made infinite") + b
    return LazyReal(variable, a, b) if a else b


def _order_line(v: Variable, a: float, b: float, other: Number, compare: Operation) -> object:
    """``compare(a * v + b, other)``, with one of < <= > >= and a number: a choice of two outcomes until v is drawn."""
    if v.value is not None:
        return compare(a * v.value + b, other)
    if a == 0 or other != other:  # a NaN is in no order with anything
        return compare(b, other)
    try:
        x = (other - b) / a
    except OverflowError:  # an integer that no float is as large as
        return compare(b, other)
    pinned = None if v.pinned is None else bool(compare(a * v.pinned + b, other))
    # true above x instead of below it; at x itself the draw has no mass, so < and <= are one question
    is_true_above = (compare is operator.gt or compare is operator.ge) == (a > 0)
    if is_true_above:
        return not v.below(x, None if pinned is None else not pinned)
    return v.below(x, pinned)


class LazyReal:
    """a*v + b; immutable, the variable is shared between all numbers that are made of one draw."""

    __slots__ = ("_a", "_b", "_v")

    # Any: library code makes a number of the same type by ``type(x)(value)``, and has to be given a float
    def __new__(cls, variable: Any = 0.0, a: float = 1.0, b: float = 0.0) -> Any:
        """A LazyReal of a Variable; ``float(variable)`` of anything else, as ``type(x)(value)`` has it."""
        return object.__new__(cls) if type(variable) is Variable else float(variable)

    def __init__(self, variable: Variable, a: float = 1.0, b: float = 0.0) -> None:
        self._v = variable
        self._a = a
        self._b = b

    # the type that it passes for

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # for ``isinstance(x, float)``, with which programs tell numbers from other arguments
        return float

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        # not ``__reduce__``: pickle and copy would find float's by the class that it passes for
        return LazyReal, (self._v, self._a, self._b)

    def __copy__(self) -> LazyReal:
        return self

    def __deepcopy__(self, memo: object) -> LazyReal:
        # A copy of a number is the same number: a copied variable would be drawn a second time.
        return self

    # operations that need the number

    def _number(self, why: str) -> float:
        return self._a * self._v.drawn(why) + self._b

    def __float__(self) -> float:
        return self._number("as float")

    def __repr__(self) -> str:
        return repr(self._number("shown"))

    def __str__(self) -> str:
        return repr(self._number("shown"))

    def __format__(self, spec: str) -> str:
        return format(self._number("shown"), spec)

    def __hash__(self) -> int:
        return hash(self._number("hashed"))

    def __bool__(self) -> bool:
        # A continuous draw is 0 with probability 0; so is it an integer, below, or equal to a number.
        return True if self._v.value is None and self._a else bool(self._number("tested"))

    def as_integer_ratio(self) -> tuple[int, int]:
        """As of a float; draws the number."""
        return self._number("as ratio").as_integer_ratio()

    def hex(self) -> str:
        """As of a float; draws the number."""
        return self._number("shown").hex()

    def is_integer(self) -> bool:
        """As of a float; False until the number is drawn."""
        return self._number("tested").is_integer() if self._v.value is not None else False

    # Libraries ask these of any number (``statistics``, numpy): without them a lazy real would be refused.

    def conjugate(self) -> LazyReal:
        """Itself, as of a float."""
        return self

    @property
    def real(self) -> LazyReal:
        """Itself, as of a float."""
        return self

    @property
    def imag(self) -> float:
        """Zero, as of a float."""
        return 0.0

    # numpy gives way to this class's operators, and takes a number where it makes arrays. An array of objects keeps the
    # lazy reals themselves, and compares them one by one.

    __array_priority__ = 1e6

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        return sys.modules["numpy"].asarray(self._number("as array"), dtype=dtype)

    # order

    def _order(self, other: object, compare: Operation) -> object:
        """``compare(self, other)`` for one of < <= > >=."""
        a, b, v = self._a, self._b, self._v
        if type(other) is LazyReal:
            # Of two draws both are drawn: the region where one is below the other is no interval of either.
            if other._v is not v or v.value is not None:
                return compare(self._number("against another draw"), other._number("against another draw"))
            return _order_line(v, a - other._a, b - other._b, 0.0, compare)
        if _is_numpy_scalar(other):
            return sys.modules["numpy"].bool_(self._order(other.item(), compare))
        if not _is_number(other):
            return NotImplemented if _has_own(other, _own_orders) else self._with("compared", compare, other)
        return _order_line(v, a, b, other, compare)

    def __lt__(self, other: object) -> object:
        return self._order(other, operator.lt)

    def __le__(self, other: object) -> object:
        return self._order(other, operator.le)

    def __gt__(self, other: object) -> object:
        return self._order(other, operator.gt)

    def __ge__(self, other: object) -> object:
        return self._order(other, operator.ge)

    def __eq__(self, other: object) -> bool:
        # A draw that nobody has seen equals a number, or another draw, with probability 0; looking draws nothing.
        if type(other) is LazyReal:
            if other._v is self._v:
                return other._a == self._a and other._b == self._b
            drawn = self._v.value is not None and other._v.value is not None
            return drawn and self._number("") == other._number("")
        if isinstance(other, complex) or _is_number(other):
            return self._v.value is not None and self._number("compared") == other
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    # affine arithmetic stays lazy

    def __neg__(self) -> LazyReal:
        return LazyReal(self._v, -self._a, -self._b)

    def __pos__(self) -> LazyReal:
        return self

    def __abs__(self) -> LazyReal:
        return self if self >= 0 else -self

    def __add__(self, other: object) -> object:
        if type(other) is LazyReal and other._v is self._v and self._v.value is None:
            return _affine(self._v, self._a + other._a, self._b + other._b)
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, self._a, self._b + float(other))
        return self._with("added", operator.add, other)

    def __radd__(self, other: object) -> object:
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, self._a, self._b + float(other))
        return self._with("added", _swapped(operator.add), other)

    def __sub__(self, other: object) -> object:
        if type(other) is LazyReal and other._v is self._v and self._v.value is None:
            return _affine(self._v, self._a - other._a, self._b - other._b)
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, self._a, self._b - float(other))
        return self._with("added", operator.sub, other)

    def __rsub__(self, other: object) -> object:
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, -self._a, float(other) - self._b)
        return self._with("added", _swapped(operator.sub), other)

    def __mul__(self, other: object) -> object:
        # infinity and NaN times the draw are no line: the product hangs on the sign of the number
        if _is_number(other) and self._v.value is None and math.isfinite(other):
            factor = float(other)
            return _affine(self._v, self._a * factor, self._b * factor)
        return self._with("multiplied", operator.mul, other)

    def __rmul__(self, other: object) -> object:
        if _is_number(other) and self._v.value is None and math.isfinite(other):
            factor = float(other)
            return _affine(self._v, self._a * factor, self._b * factor)
        return self._with("multiplied", _swapped(operator.mul), other)

    def __truediv__(self, other: object) -> object:
        if _is_number(other) and self._v.value is None:
            divisor = float(other)  # zero raises ZeroDivisionError below, as of a float
            return _affine(self._v, self._a / divisor, self._b / divisor)
        return self._with("divided", operator.truediv, other)

    def __rtruediv__(self, other: object) -> object:
        return self._with("divided", _swapped(operator.truediv), other)

    def __pow__(self, other: object, modulus: object = None) -> object:
        return self._with("to a power", lambda number, exponent: pow(number, exponent, modulus), other)

    def __rpow__(self, other: object) -> object:
        return self._with("to a power", _swapped(operator.pow), other)

    def _with(self, why: str, operation: Operation, other: object) -> object:
        """The operation on a number; a class of the program's own is asked first, with the lazy real, as for a float.

        Source: the rules of ``float``'s operators, which know nothing but numbers.
        """
        if type(other) is LazyReal:
            return operation(self._number(f"{why} with another draw"), other._number(f"{why} with another draw"))
        if other is None or isinstance(other, (str, bytes, list, tuple, dict, set)):
            return NotImplemented  # so that the error is the one that a float gives
        if not _is_number(other) and _has_own(other, _own_operators):
            return NotImplemented
        return operation(self._number(why), other)

    # to integers: a choice between the cells that the interval meets

    def _cell(self, integer_of: Callable[[float], int], why: str) -> int:
        """The integer that ``integer_of`` (floor, ceil or trunc) gives, as a choice between all that it may be.

        The interval of a*v + b is cut at the integers. Each part between two cuts gives one integer, which is asked for
        in its middle; parts with the same integer are joined, and the probability of an integer is that of its part.
        """
        v = self._v
        a, b = self._a, self._b
        if v.value is not None or math.isinf(v.low) or math.isinf(v.high):  # a normal's integers have no end
            return int(integer_of(self._number(why)))
        ends = sorted((a * v.low + b, a * v.high + b))
        if not ends[1] - ends[0] < MOST_CELLS:
            return int(integer_of(self._number(why)))
        edges = [ends[0], *(k for k in range(math.floor(ends[0]) + 1, math.ceil(ends[1]))), ends[1]]
        intervals: dict[int, tuple[float, float]] = {}  # of v, by integer
        for low, high in itertools.pairwise(edges):
            x, y = sorted(((low - b) / a, (high - b) / a))
            integer = int(integer_of((low + high) / 2))
            joined = intervals.get(integer, (x, y))  # both cells beside zero are truncated to it
            intervals[integer] = min(x, joined[0]), max(y, joined[1])
        total = share(v.law, v.low, v.high)
        probabilities = {integer: share(v.law, *interval) / total for integer, interval in intervals.items()}
        integers = [integer for integer in intervals if probabilities[integer] > 0]
        index = 0
        if len(integers) > 1:
            pinned = None
            if v.pinned is not None:
                drawn = int(integer_of(a * v.pinned + b))
                pinned = integers.index(drawn) if drawn in integers else None
            law = tuple(probabilities[integer] for integer in integers)
            index = ask().choose(f"{_names[v.law]} {why}", lambda: integers, law, pinned)
        # One interval even where two cells were joined: those beside zero touch each other.
        v.low, v.high = intervals[integers[index]]
        return integers[index]

    def __floor__(self) -> int:
        return self._cell(math.floor, "floor")

    def __ceil__(self) -> int:
        return self._cell(math.ceil, "ceil")

    def __trunc__(self) -> int:
        return self._cell(math.trunc, "int")

    __int__ = __trunc__

    def __round__(self, digits: int | None = None) -> float:
        v = self._v
        if v.value is not None or (digits is not None and abs(digits) > MOST_DIGITS):
            return round(self._number("rounded"), digits)
        scale = 10 ** abs(digits or 0)
        factor = float(scale)
        # A half has no mass, so that rounding half to even is rounding down the number and a half.
        if digits is None or digits > 0:
            scaled = _affine(v, self._a * factor, self._b * factor + 0.5)
        else:
            scaled = _affine(v, self._a / factor, self._b / factor + 0.5)
        if type(scaled) is not LazyReal:
            return round(self._number("rounded"), digits)
        if digits is None:
            return scaled._cell(math.floor, "round")
        if not abs(scaled._a) * (v.high - v.low) < MOST_CELLS - 1:
            return round(self._number("rounded"), digits)
        integer = scaled._cell(math.floor, "round")
        return integer / scale if digits > 0 else float(integer * scale)

    def _num_turns(self, other: object) -> int | None:
        """The quotient by a finite divisor, rounded down; None where the interval is not to be split."""
        if self._v.value is not None or not _is_number(other) or not other or not math.isfinite(other):
            return None
        divisor = float(other)
        quotient = _affine(self._v, self._a / divisor, self._b / divisor)
        return quotient._cell(math.floor, "floor") if type(quotient) is LazyReal else math.floor(quotient)

    def __floordiv__(self, other: object) -> object:
        turns = self._num_turns(other)
        return self._with("divided", operator.floordiv, other) if turns is None else float(turns)

    def __rfloordiv__(self, other: object) -> object:
        return self._with("divided", _swapped(operator.floordiv), other)

    def __mod__(self, other: object) -> object:
        turns = self._num_turns(other)
        if turns is None or not _is_number(other):
            return self._with("divided", operator.mod, other)
        return self - turns * other  # stays lazy: ``r * 4 % 1 < 0.25`` is a choice

    def __rmod__(self, other: object) -> object:
        return self._with("divided", _swapped(operator.mod), other)

    def __divmod__(self, other: object) -> object:
        turns = self._num_turns(other)
        if turns is None or not _is_number(other):
            return self._with("divided", divmod, other)
        return float(turns), self - turns * other

    def __rdivmod__(self, other: object) -> object:
        return self._with("divided", _swapped(divmod), other)
