"""Continuous draws that are not drawn until something looks at them.

``LazyReal`` is a*v + b of a ``Variable`` v, which is known to lie in an interval. A comparison with a number is a
choice between two outcomes, whose probability the variable's law gives, and narrows the interval; rounding to integers
is a choice between the cells that it meets. Everything that needs a number (text, hash, products and sums of draws, any
C code, through ``__float__``) draws one within the interval and marks the path as sampled.

It is not a float: C code reads a float subclass's stored value without asking, while a proxy is either asked or refused
with a TypeError that names it; the caller then runs again with plain floats (``is_refusal``). numpy is given a number
through ``__array__``. Once a variable has its number, arithmetic is that of floats, in the program's own order.

Not covered: a program that asks ``type(x) is float`` gets False and goes another way than it would with a float, and so
does one that catches the TypeError itself; neither is detected. Two ways to write one number (``r * 3 - r`` and
``r * 2``) may differ in the last bit until the number is drawn.

Over 400 lines because a number has that many operators, and each is here to be asked or refused.
"""

from __future__ import annotations

import itertools
import math
import operator
import re
import statistics
import sys
from collections.abc import Callable
from fractions import Fraction
from types import FunctionType
from typing import Any

_normal = statistics.NormalDist()
_infinity = math.inf
_root = math.sqrt(2.0)
_least = sys.float_info.min
BOUNDS = {"uniform": (0.0, 1.0), "normal": (-_infinity, _infinity), "exponential": (0.0, _infinity)}
"""Standard laws and where they live."""
MOST_CELLS = 64

ask: Callable[[], Any] = object
"""Gives the decider of the run: ``draws``, which needs this module, sets it."""


_refusal = re.compile(r"LazyReal|\bfloat\b")


def is_refusal(error: BaseException) -> bool:
    """True if this is C code that would not take a lazy real.

    A TypeError of the program's own that mentions floats is taken for one, too: beliefs may then be sampled where they
    could have been exact.
    """
    return isinstance(error, TypeError) and _refusal.search(str(error)) is not None


def share(law: str, low: float, high: float) -> float:
    """P(low <= v < high) of a standard law, without cancellation in a far tail."""
    if law == "uniform":
        return min(high, 1.0) - max(low, 0.0)
    if law == "exponential":
        return math.exp(-low) * -math.expm1(low - high)
    if low > 0:  # as differences of small numbers, not of numbers near 1
        return 0.5 * (math.erfc(low / _root) - math.erfc(high / _root))
    return 0.5 * (math.erfc(-high / _root) - math.erfc(-low / _root))


def within(law: str, low: float, high: float, q: float) -> float:
    """The number below which a part q of the interval's probability lies."""
    if law == "uniform":
        x = low + (high - low) * q
    elif law == "exponential":
        x = low - math.log1p(q * math.expm1(low - high))
    elif low > 0:
        x = -_normal.inv_cdf(max(share(law, high, _infinity) + (1.0 - q) * share(law, low, high), _least))
    else:
        x = _normal.inv_cdf(max(share(law, -_infinity, low) + q * share(law, low, high), _least))
    return min(max(x, low), math.nextafter(high, low))


class Variable:
    """One draw: its law, the interval [low, high) that it is known to lie in, and its value once it has one.

    ``pinned`` is the value that an actual run drew: comparisons come out as it says, and are choices all the same.
    """

    __slots__ = ("high", "law", "low", "pinned", "value")

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

    def __reduce__(self) -> Any:
        return Variable, (self.law, self.low, self.high, self.value, self.pinned)

    def below(self, x: float, pinned: bool | None) -> bool:
        """True if v < x, as a choice where the interval leaves it open. ``pinned`` is what an actual run found."""
        if x <= self.low or x >= self.high:
            return x >= self.high
        p = share(self.law, self.low, x) / share(self.law, self.low, self.high)
        if 0.0 < p < 1.0:
            taken = None if pinned is None else 0 if pinned else 1
            is_below: bool = ask().choose(_names[self.law], lambda: (f"< {x:g}", f">= {x:g}"), (p, 1.0 - p), taken) == 0
        else:
            is_below = p >= 1.0 if pinned is None else pinned
        if is_below:
            self.high = x
        else:
            self.low = x
        return is_below

    def drawn(self, why: str) -> float:
        """A number within the interval, once and for all."""
        if self.value is None:
            if self.pinned is not None:
                self.value = self.pinned
            else:
                q = ask().sample(f"{_names[self.law]} {why}")
                self.value = within(self.law, self.low, self.high, q)
        return self.value


_names = {"uniform": "random", "normal": "gauss", "exponential": "expovariate"}


_orders = (float.__lt__, int.__lt__)
_sums = (float.__add__, int.__add__)
_own_operators = ("__radd__", "__rsub__", "__rmul__", "__rtruediv__", "__rpow__", "__rmod__", "__rfloordiv__")
_own_orders = ("__lt__", "__le__", "__gt__", "__ge__")


def _is_number(value: Any) -> bool:
    """True if comparing and calculating with the value is what it is with a float; not numpy's: its results differ."""
    kind = type(value)
    if kind is float or kind is int or kind is bool or kind is Fraction:
        return True
    if kind is LazyReal or not issubclass(kind, (float, int)):
        return False
    return kind.__lt__ in _orders and kind.__add__ in _sums


def _is_numpy_scalar(value: Any) -> bool:
    kind = type(value)
    return kind.__module__ == "numpy" and hasattr(kind, "as_integer_ratio") | hasattr(kind, "bit_count")


def _is_own(value: Any, methods: tuple[str, ...]) -> bool:
    return any(isinstance(getattr(type(value), name, None), FunctionType) for name in methods)


def _swapped(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda number, other: operation(other, number)


def _affine(variable: Variable, a: float, b: float) -> Any:
    """a*v + b; a float where v doesn't matter or nothing finite is left."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * variable.drawn("made infinite") + b
    return LazyReal(variable, a, b) if a else b


def _order_line(v: Variable, a: float, b: float, other: Any, compare: Callable[[Any, Any], Any]) -> Any:
    """``compare(a * v + b, other)``, with one of < <= > >= and a number: a choice of two outcomes until v is drawn."""
    if v.value is not None:
        return compare(a * v.value + b, other)
    if a == 0 or other != other:
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
    """a*v + b; immutable, the variable is shared."""

    __slots__ = ("_a", "_b", "_v")

    def __new__(cls, variable: Any = 0.0, a: float = 1.0, b: float = 0.0) -> Any:
        """``type(x)(value)``, as library code makes a number of the same type, gives a float."""
        return object.__new__(cls) if type(variable) is Variable else float(variable)

    def __init__(self, variable: Variable, a: float = 1.0, b: float = 0.0) -> None:
        self._v = variable
        self._a = a
        self._b = b

    # what it passes for

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return float

    def __reduce_ex__(self, protocol: Any) -> Any:
        return LazyReal, (self._v, self._a, self._b)

    def __copy__(self) -> LazyReal:
        return self

    def __deepcopy__(self, memo: Any) -> LazyReal:
        return self

    # drawn

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
        return True if self._v.value is None and self._a else bool(self._number("tested"))

    def as_integer_ratio(self) -> tuple[int, int]:
        return self._number("as ratio").as_integer_ratio()

    def hex(self) -> str:
        return self._number("shown").hex()

    def is_integer(self) -> bool:
        return self._number("tested").is_integer() if self._v.value is not None else False

    def conjugate(self) -> LazyReal:
        return self

    @property
    def real(self) -> LazyReal:
        return self

    @property
    def imag(self) -> float:
        return 0.0

    # numpy: gives way to this class's operators, and takes a number where it makes arrays

    __array_priority__ = 1e6

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return sys.modules["numpy"].asarray(self._number("as array"), dtype=dtype)

    # order

    def _order(self, other: Any, compare: Callable[[Any, Any], Any]) -> Any:
        """``compare(self, other)`` for one of < <= > >=."""
        a, b, v = self._a, self._b, self._v
        if type(other) is LazyReal:
            if other._v is not v or v.value is not None:
                return compare(self._number("against another draw"), other._number("against another draw"))
            return _order_line(v, a - other._a, b - other._b, 0.0, compare)
        if _is_numpy_scalar(other):
            return sys.modules["numpy"].bool_(self._order(other.item(), compare))
        if not _is_number(other):
            return NotImplemented if _is_own(other, _own_orders) else self._with("compared", compare, other)
        return _order_line(v, a, b, other, compare)

    def __lt__(self, other: Any) -> Any:
        return self._order(other, operator.lt)

    def __le__(self, other: Any) -> Any:
        return self._order(other, operator.le)

    def __gt__(self, other: Any) -> Any:
        return self._order(other, operator.gt)

    def __ge__(self, other: Any) -> Any:
        return self._order(other, operator.ge)

    def __eq__(self, other: Any) -> Any:
        if type(other) is LazyReal:
            if other._v is self._v:
                return other._a == self._a and other._b == self._b
            drawn = self._v.value is not None and other._v.value is not None
            return drawn and self._number("") == other._number("")
        if isinstance(other, complex) or _is_number(other):
            return self._v.value is not None and self._number("compared") == other
        return NotImplemented

    def __ne__(self, other: Any) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    # affine arithmetic stays lazy

    def __neg__(self) -> Any:
        return LazyReal(self._v, -self._a, -self._b)

    def __pos__(self) -> LazyReal:
        return self

    def __abs__(self) -> Any:
        return self if self >= 0 else -self

    def __add__(self, other: Any) -> Any:
        if type(other) is LazyReal and other._v is self._v and self._v.value is None:
            return _affine(self._v, self._a + other._a, self._b + other._b)
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, self._a, self._b + float(other))
        return self._with("added", operator.add, other)

    def __radd__(self, other: Any) -> Any:
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, self._a, self._b + float(other))
        return self._with("added", _swapped(operator.add), other)

    def __sub__(self, other: Any) -> Any:
        if type(other) is LazyReal and other._v is self._v and self._v.value is None:
            return _affine(self._v, self._a - other._a, self._b - other._b)
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, self._a, self._b - float(other))
        return self._with("added", operator.sub, other)

    def __rsub__(self, other: Any) -> Any:
        if _is_number(other) and self._v.value is None:
            return _affine(self._v, -self._a, float(other) - self._b)
        return self._with("added", _swapped(operator.sub), other)

    def __mul__(self, other: Any) -> Any:
        if _is_number(other) and self._v.value is None and math.isfinite(other):
            factor = float(other)
            return _affine(self._v, self._a * factor, self._b * factor)
        return self._with("multiplied", operator.mul, other)

    def __rmul__(self, other: Any) -> Any:
        if _is_number(other) and self._v.value is None and math.isfinite(other):
            factor = float(other)
            return _affine(self._v, self._a * factor, self._b * factor)
        return self._with("multiplied", _swapped(operator.mul), other)

    def __truediv__(self, other: Any) -> Any:
        if _is_number(other) and self._v.value is None:
            divisor = float(other)
            return _affine(self._v, self._a / divisor, self._b / divisor)
        return self._with("divided", operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with("divided", _swapped(operator.truediv), other)

    def __pow__(self, other: Any, modulus: Any = None) -> Any:
        return self._with("to a power", lambda number, exponent: pow(number, exponent, modulus), other)

    def __rpow__(self, other: Any) -> Any:
        return self._with("to a power", _swapped(operator.pow), other)

    def _with(self, why: str, operation: Callable[[Any, Any], Any], other: Any) -> Any:
        """The operation on a number; a class of the program's own is asked first, with the lazy real, as for a float.

        Source: the rules of ``float``'s operators, which know nothing but numbers.
        """
        if type(other) is LazyReal:
            return operation(self._number(f"{why} with another draw"), other._number(f"{why} with another draw"))
        if other is None or isinstance(other, (str, bytes, list, tuple, dict, set)):
            return NotImplemented
        if not _is_number(other) and _is_own(other, _own_operators):
            return NotImplemented
        return operation(self._number(why), other)

    # to integers: a choice between the cells that the interval meets

    def _cell(self, integer_of: Any, why: str) -> int:
        v = self._v
        a, b = self._a, self._b
        if v.value is not None or math.isinf(v.low) or math.isinf(v.high):
            return int(integer_of(self._number(why)))
        ends = sorted((a * v.low + b, a * v.high + b))
        if not ends[1] - ends[0] < MOST_CELLS:
            return int(integer_of(self._number(why)))
        edges = [ends[0], *(k for k in range(math.floor(ends[0]) + 1, math.ceil(ends[1]))), ends[1]]
        cells: dict[int, tuple[float, float]] = {}
        for low, high in itertools.pairwise(edges):
            x, y = sorted(((low - b) / a, (high - b) / a))
            integer = int(integer_of((low + high) / 2))
            known = cells.get(integer, (x, y))  # both cells beside zero are truncated to it
            cells[integer] = min(x, known[0]), max(y, known[1])
        whole = share(v.law, v.low, v.high)
        probabilities = {integer: share(v.law, *cell) / whole for integer, cell in cells.items()}
        integers = [integer for integer in cells if probabilities[integer] > 0]
        index = 0
        if len(integers) > 1:
            pinned = None
            if v.pinned is not None:
                met = int(integer_of(a * v.pinned + b))
                pinned = integers.index(met) if met in integers else None
            told = tuple(probabilities[integer] for integer in integers)
            index = ask().choose(f"{_names[v.law]} {why}", lambda: integers, told, pinned)
        v.low, v.high = cells[integers[index]]
        return integers[index]

    def __floor__(self) -> int:
        return self._cell(math.floor, "floor")

    def __ceil__(self) -> int:
        return self._cell(math.ceil, "ceil")

    def __trunc__(self) -> int:
        return self._cell(math.trunc, "int")

    __int__ = __trunc__

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return (self + 0.5)._cell(math.floor, "round") if self._v.value is None else round(self._number(""))
        v, scale = self._v, 10 ** abs(digits)
        scaled = self * scale if digits > 0 else self / scale
        if v.value is not None or not abs(scaled._a) * (v.high - v.low) < MOST_CELLS - 1:
            return round(self._number("rounded"), digits)
        integer = (scaled + 0.5)._cell(math.floor, "round")
        return integer / scale if digits > 0 else float(integer * scale)

    def _turns(self, other: Any) -> int | None:
        """How often a finite divisor goes into it, rounded down; None where the interval is not to be split."""
        if self._v.value is not None or not _is_number(other) or not other or not math.isfinite(other):
            return None
        quotient = self / other
        return quotient._cell(math.floor, "floor") if type(quotient) is LazyReal else math.floor(quotient)

    def __floordiv__(self, other: Any) -> Any:
        turns = self._turns(other)
        return self._with("divided", operator.floordiv, other) if turns is None else float(turns)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with("divided", _swapped(operator.floordiv), other)

    def __mod__(self, other: Any) -> Any:
        turns = self._turns(other)
        return self._with("divided", operator.mod, other) if turns is None else self - turns * other

    def __rmod__(self, other: Any) -> Any:
        return self._with("divided", _swapped(operator.mod), other)

    def __divmod__(self, other: Any) -> Any:
        turns = self._turns(other)
        if turns is None:
            return self._with("divided", divmod, other)
        return float(turns), self - turns * other

    def __rdivmod__(self, other: Any) -> Any:
        return self._with("divided", _swapped(divmod), other)
