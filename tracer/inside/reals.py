"""Continuous draws that are not drawn until something looks at them.

``LazyReal`` is a*v + b of a ``Variable`` v, which is known to lie in an interval. A comparison with a number is a
choice between two outcomes, whose probability the variable's law gives, and narrows the interval; rounding to integers
is a choice between the cells that it meets. Everything that needs a number (text, hash, products and sums of draws, any
C code, through ``__float__``) draws one within the interval and marks the path as sampled.

It is not a float: C code reads a float subclass's stored value without asking, while a proxy is either asked or refused
with a TypeError that names it; the caller then runs again with plain floats.
"""

from __future__ import annotations

import itertools
import math
import statistics
from typing import Any

_normal = statistics.NormalDist()
_infinity = math.inf
_bounds = {"uniform": (0.0, 1.0), "normal": (-_infinity, _infinity), "exponential": (0.0, _infinity)}
MOST_CELLS = 64


def cumulative(law: str, x: float) -> float:
    """P(v < x) of a standard law."""
    if law == "uniform":
        return min(max(x, 0.0), 1.0)
    if law == "normal":
        return 0.5 * math.erfc(-x / math.sqrt(2.0))
    return -math.expm1(-x) if x > 0 else 0.0


def quantile(law: str, q: float) -> float:
    """The inverse of ``cumulative``."""
    if law == "uniform":
        return q
    if law == "normal":
        return _normal.inv_cdf(min(max(q, 1e-300), 1 - 2**-53))
    return -math.log1p(-min(q, 1 - 2**-53))


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
        bounds = _bounds[law]
        self.law = law
        self.low = bounds[0] if low is None else low
        self.high = bounds[1] if high is None else high
        self.value = value
        self.pinned = pinned

    def __reduce__(self) -> Any:
        return Variable, (self.law, self.low, self.high, self.value, self.pinned)

    def below(self, x: float) -> bool:
        """Whether v < x, as a choice where the interval leaves it open."""
        if self.value is not None:
            return self.value < x
        if x <= self.low or x >= self.high:
            return x >= self.high
        from_, to = cumulative(self.law, self.low), cumulative(self.law, self.high)
        p = (cumulative(self.law, x) - from_) / (to - from_)
        if 0.0 < p < 1.0:
            pinned = None if self.pinned is None else 0 if self.pinned < x else 1
            told = (f"< {x:g}", f">= {x:g}")
            is_below: bool = _decider().choose(_names[self.law], lambda: told, (p, 1.0 - p), pinned) == 0
        else:
            is_below = p >= 1.0 if self.pinned is None else self.pinned < x
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
                from_, to = cumulative(self.law, self.low), cumulative(self.law, self.high)
                self.value = quantile(self.law, from_ + (to - from_) * _decider().sample(f"{_names[self.law]} {why}"))
        return self.value


_names = {"uniform": "random", "normal": "gauss", "exponential": "expovariate"}


def _decider() -> Any:
    from tracer.inside.draws import decider_of_reals

    return decider_of_reals()


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool)


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

    # order

    def _below(self, other: Any, strict: bool) -> Any:
        if type(other) is LazyReal:
            if other._v is self._v:
                a, b = self._a - other._a, other._b - self._b
                if a == 0:
                    return b > 0 if strict else b >= 0
                return LazyReal(self._v, a)._below(b, strict)
            other = other._number("against another draw")
            return self._number("against another draw") < other if strict else self._number("") <= other
        if not _is_number(other):
            return (
                NotImplemented
                if isinstance(other, (str, bytes, list, tuple, complex))
                else self._compare(other, strict)
            )
        if other != other:
            return False
        if self._a == 0:
            return self._b < other if strict else self._b <= other
        x = (other - self._b) / self._a
        return self._v.below(x) if self._a > 0 else not self._v.below(x)

    def _compare(self, other: Any, strict: bool) -> Any:
        number = self._number("compared")
        return number < other if strict else number <= other

    def __lt__(self, other: Any) -> Any:
        return self._below(other, True)

    def __le__(self, other: Any) -> Any:
        return self._below(other, False)

    def __gt__(self, other: Any) -> Any:
        below = self._below(other, False)
        return below if below is NotImplemented else not below

    def __ge__(self, other: Any) -> Any:
        below = self._below(other, True)
        return below if below is NotImplemented else not below

    def __eq__(self, other: Any) -> Any:
        if type(other) is LazyReal:
            return other._v is self._v and other._a == self._a and other._b == self._b
        if not _is_number(other):
            return NotImplemented
        return self._v.value is not None and self._number("compared") == other

    def __ne__(self, other: Any) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    # affine arithmetic stays lazy

    def __neg__(self) -> LazyReal:
        return LazyReal(self._v, -self._a, -self._b)

    def __pos__(self) -> LazyReal:
        return self

    def __abs__(self) -> LazyReal:
        return self if self >= 0 else -self

    def __add__(self, other: Any) -> Any:
        if type(other) is LazyReal:
            if other._v is self._v:
                return LazyReal(self._v, self._a + other._a, self._b + other._b)
            return self._number("added to another draw") + other._number("added to another draw")
        if _is_number(other):
            return LazyReal(self._v, self._a, self._b + other)
        return self._with("added", lambda number: number + other, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if _is_number(other) or type(other) is LazyReal:
            return self + (-other)
        return self._with("added", lambda number: number - other, other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other if _is_number(other) else self._with("added", lambda number: other - number, other)

    def __mul__(self, other: Any) -> Any:
        if _is_number(other):
            return LazyReal(self._v, self._a * other, self._b * other)
        if type(other) is LazyReal:
            return self._number("times another draw") * other._number("times another draw")
        return self._with("multiplied", lambda number: number * other, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        if _is_number(other):
            return LazyReal(self._v, self._a / other, self._b / other)
        return self._with("divided", lambda number: number / other, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._with("divided", lambda number: other / number, other)

    def __pow__(self, other: Any) -> Any:
        return self._with("to a power", lambda number: number**other, other)

    def __rpow__(self, other: Any) -> Any:
        return self._with("to a power", lambda number: other**number, other)

    def _with(self, why: str, operation: Any, other: Any) -> Any:
        if isinstance(other, (str, bytes, list, tuple, dict, set)) or other is None:
            return NotImplemented
        return operation(self._number(why))

    # to integers: a choice between the cells that the interval meets

    def _cell(self, integer_of: Any, why: str) -> int:
        v = self._v
        if v.value is not None or self._a == 0 or math.isinf(v.low) or math.isinf(v.high):
            return int(integer_of(self._number(why)))
        ends = sorted((self._a * v.low + self._b, self._a * v.high + self._b))
        first, last = math.floor(ends[0]), math.ceil(ends[1])
        if last - first > MOST_CELLS:
            return int(integer_of(self._number(why)))
        edges = [ends[0], *(k for k in range(first, last + 1) if ends[0] < k < ends[1]), ends[1]]
        width = cumulative(v.law, v.high) - cumulative(v.law, v.low)
        cells: list[tuple[float, float, int]] = []
        probabilities: list[float] = []
        for low, high in itertools.pairwise(edges):
            x, y = sorted(((low - self._b) / self._a, (high - self._b) / self._a))
            share = (cumulative(v.law, y) - cumulative(v.law, x)) / width
            if share > 0:
                cells.append((x, y, int(integer_of((low + high) / 2))))
                probabilities.append(share)
        index = 0
        if len(cells) > 1:
            pinned = None
            if v.pinned is not None:
                pinned = next((i for i, (x, y, _) in enumerate(cells) if x <= v.pinned < y), len(cells) - 1)
            told = [cell[2] for cell in cells]
            index = _decider().choose(f"{_names[v.law]} {why}", lambda: told, tuple(probabilities), pinned)
        v.low, v.high = cells[index][:2]
        return cells[index][2]

    def __floor__(self) -> int:
        return self._cell(math.floor, "floor")

    def __ceil__(self) -> int:
        return self._cell(math.ceil, "ceil")

    def __trunc__(self) -> int:
        return self._cell(math.trunc, "int")

    __int__ = __trunc__

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return (self + 0.5).__floor__()
        scale = 10**digits
        if abs(self._a) * (self._v.high - self._v.low) * scale <= MOST_CELLS:
            return (self * scale + 0.5).__floor__() / scale
        return round(self._number("rounded"), digits)

    def __floordiv__(self, other: Any) -> Any:
        if _is_number(other):
            return float((self / other).__floor__())
        return self._with("divided", lambda number: number // other, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._with("divided", lambda number: other // number, other)

    def __mod__(self, other: Any) -> Any:
        if _is_number(other):
            return self - (self / other).__floor__() * other
        return self._with("divided", lambda number: number % other, other)

    def __rmod__(self, other: Any) -> Any:
        return self._with("divided", lambda number: other % number, other)

    def __divmod__(self, other: Any) -> Any:
        quotient = self // other
        return quotient, self - quotient * other
