"""Simple calls of numpy's generators: those that are made of the same primitives as ``random``'s.

They are the calls for up to MOST_ELEMENTS numbers of ``random uniform normal exponential integers choice shuffle
permutation binomial poisson`` and their older names. A continuous number and a pick with weights is a float each, a
discrete number an int below n. So scalars are choices and lazy reals, and arrays of floats hold sampled numbers.

Every function here looks at all of its arguments before it draws, and raises NotSimple where the call is not one.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import SupportsIndex

from trace_mine.tracer.inside.draws import deciders as draws

MOST_ELEMENTS = 16
"""More numbers than this in one call are not choices each: following them would leave nothing for later draws."""
MOST_COUNTS = 64
"""Outcomes of a binomial or Poisson draw that are told apart: see ``deciders.MOST_OUTCOMES``."""
WEIGHTS_ERROR = 1e-8
"""``numpy.random.choice`` takes weights that sum to 1 within this, and raises ValueError for others."""

Shape = SupportsIndex | tuple[SupportsIndex, ...] | list[SupportsIndex]
Size = Shape | None
"""The parameter ``size``: None is one number and no array."""
Simple = Callable[..., object]
"""A call made of primitives: takes the decider, then what numpy's function takes; may raise NotSimple or TypeError."""


class NotSimple(Exception):
    """The call is not made of primitives: a generator that is seeded by one draw makes it."""


def _number(value: object) -> float:
    """The value as Python's own number.

    Raises:
        NotSimple: the value is an array, which gives each number parameters of its own, or no number.
    """
    if isinstance(value, (int, float)) and type(value) in (int, float, bool):
        return value
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        number: float = value.item()  # of another kind of scalar, arithmetic raises the TypeError that is caught above
        return number
    raise NotSimple


def _check_few(n: int) -> None:
    if not 0 <= n <= MOST_ELEMENTS:
        raise NotSimple


def _shape(size: Shape) -> tuple[int, ...]:
    """The shape that a ``size`` means. Raises NotSimple where it has too many numbers."""
    shape = tuple(map(operator.index, size)) if isinstance(size, (tuple, list)) else (operator.index(size),)
    _check_few(math.prod(shape))
    return shape


def _filled(np: ModuleType, size: Size, draw: Callable[[], float], kind: type[int] | type[float]) -> object:
    """One draw, or an array of them; the shape is known to be small before anything is drawn."""
    if size is None:
        return draw()
    shape = _shape(size)
    numbers = [kind(draw()) for _ in range(math.prod(shape))]
    return np.array(numbers, dtype=np.dtype(kind)).reshape(shape)


def _pick(decider: draws.Decider, cumulated: Sequence[float]) -> int:
    """An index with the weights' law, by one uniform number; a bisection leaves a lazy one lazy."""
    # Up to the last index but one: the weights may sum to a little less than 1, and numpy's own pick is cut off there.
    number = decider.real("uniform") * cumulated[-1]
    return bisect.bisect_right(cumulated, number, 0, len(cumulated) - 1)


def _permuted(decider: draws.Decider, n: int) -> list[int]:
    """The numbers below n in random order.

    Source: Fisher and Yates, from the end, as ``random.shuffle`` draws it.
    """
    order = list(range(n))
    for i in reversed(range(1, n)):
        j = decider.below(i + 1, "randbelow")
        order[i], order[j] = order[j], order[i]
    return order


def _counts(weights: Callable[[int], float], n: int) -> list[float]:
    """The cumulated probabilities of 0..n."""
    return list(itertools.accumulate(weights(k) for k in range(n + 1)))


def _common(np: ModuleType) -> dict[str, Simple]:
    """The simple calls that both interfaces have, with numpy's signatures after the decider."""

    def uniform(decider: draws.Decider, low: float = 0.0, high: float = 1.0, size: Size = None) -> object:
        start, width = _number(low), _number(high) - _number(low)
        # an infinite width is an error of numpy's own, with a message that a session may show
        if not math.isfinite(width):
            raise NotSimple
        return _filled(np, size, lambda: start + width * decider.real("uniform"), float)

    def normal(decider: draws.Decider, loc: float = 0.0, scale: float = 1.0, size: Size = None) -> object:
        mean, spread = _number(loc), _number(scale)
        if not spread >= 0:
            raise NotSimple
        return _filled(np, size, lambda: mean + spread * decider.real("normal"), float)

    def exponential(decider: draws.Decider, scale: float = 1.0, size: Size = None) -> object:
        mean = _number(scale)
        if not mean >= 0:
            raise NotSimple
        return _filled(np, size, lambda: mean * decider.real("exponential"), float)

    def binomial(decider: draws.Decider, n: int, p: float, size: Size = None) -> object:
        count, chance = _number(n), _number(p)
        if not (type(count) is int and 0 <= count < MOST_COUNTS and 0 <= chance <= 1):
            raise NotSimple
        cumulated = _counts(lambda k: math.comb(count, k) * chance**k * (1 - chance) ** (count - k), count)
        return _filled(np, size, lambda: _pick(decider, cumulated), int)

    def poisson(decider: draws.Decider, lam: float = 1.0, size: Size = None) -> object:
        mean = _number(lam)
        if not 0 <= mean <= 20:  # up to here, what lies past MOST_COUNTS weighs less than 1e-13
            raise NotSimple
        cumulated = _counts(lambda k: math.exp(-mean) * mean**k / math.factorial(k), MOST_COUNTS)
        return _filled(np, size, lambda: _pick(decider, cumulated), int)

    def choice(
        decider: draws.Decider,
        a: int | Sequence[object],
        size: Size = None,
        replace: object = True,
        p: Sequence[float] | None = None,
    ) -> object:
        pool = None
        if type(a) is int:
            n = a
        else:
            pool = np.asarray(a)
            n = len(pool) if pool.ndim == 1 else 0
        if n <= 0:
            raise NotSimple
        shape = () if size is None else _shape(size)
        if p is not None:
            weights = [float(each) for each in p]
            # weights without replacement have no law of independent picks; numpy says what is wrong with the others
            if not replace or len(weights) != n or min(weights) < 0 or abs(math.fsum(weights) - 1) > WEIGHTS_ERROR:
                raise NotSimple
            cumulated = list(itertools.accumulate(weights))
            picks = [_pick(decider, cumulated) for _ in range(math.prod(shape))]
        elif replace or size is None:
            picks = [decider.below(n, "randbelow") for _ in range(math.prod(shape))]
        else:
            picks = _without_replacement(decider, n, math.prod(shape))
        if size is None:
            return picks[0] if pool is None else pool[picks[0]]
        chosen = np.array(picks, dtype=int).reshape(shape)  # items of a pool come by index, with the pool's type
        return chosen if pool is None else pool[chosen]

    def shuffle(decider: draws.Decider, x: Sequence[object]) -> None:
        n = len(x)
        _check_few(n)
        if isinstance(x, np.ndarray):  # in place, as others may hold the array
            x[...] = x[_permuted(decider, n)]
        elif type(x) is list:
            x[:] = [x[i] for i in _permuted(decider, n)]
        else:
            raise NotSimple

    def permutation(decider: draws.Decider, x: int | Sequence[object]) -> object:
        pool = np.arange(x) if type(x) is int else np.asarray(x)
        if pool.ndim == 0:
            raise NotSimple
        _check_few(len(pool))
        return pool[_permuted(decider, len(pool))]

    def random(decider: draws.Decider, size: Size = None) -> object:
        return uniform(decider, 0.0, 1.0, size)

    def standard_normal(decider: draws.Decider, size: Size = None) -> object:
        return normal(decider, 0.0, 1.0, size)

    def standard_exponential(decider: draws.Decider, size: Size = None) -> object:
        return exponential(decider, 1.0, size)

    def octets(decider: draws.Decider, length: int) -> bytes:
        return bytes(decider.octets(operator.index(length))) if length > 0 else b""

    return {
        "uniform": uniform,
        "normal": normal,
        "exponential": exponential,
        "binomial": binomial,
        "poisson": poisson,
        "choice": choice,
        "shuffle": shuffle,
        "permutation": permutation,
        "random": random,
        "standard_normal": standard_normal,
        "standard_exponential": standard_exponential,
        "bytes": octets,
    }


def _without_replacement(decider: draws.Decider, n: int, k: int) -> list[int]:
    if k > n:
        raise NotSimple
    left = list(range(n))
    return [left.pop(decider.below(len(left), "randbelow")) for _ in range(k)]


def _integers(
    np: ModuleType, decider: draws.Decider, low: float, high: float | None, size: Size, scalar: Callable[[int], int]
) -> object:
    start, stop = (0, _number(low)) if high is None else (_number(low), _number(high))
    if not (type(start) is int and type(stop) is int and start < stop):
        raise NotSimple
    return _filled(np, size, lambda: scalar(start + decider.below(stop - start, "randbelow")), int)


def legacy(np: ModuleType) -> dict[str, Simple]:
    """The simple calls of ``numpy.random``'s module functions, by name."""
    common = _common(np)

    def randint(decider: draws.Decider, low: float, high: float | None = None, size: Size = None) -> object:
        return _integers(np, decider, low, high, size, int)

    def rand(decider: draws.Decider, *shape: object) -> object:
        return common["random"](decider, shape or None)

    def randn(decider: draws.Decider, *shape: object) -> object:
        return common["standard_normal"](decider, shape or None)

    older = dict.fromkeys(("random_sample", "ranf", "sample"), common["random"])
    return {**common, **older, "randint": randint, "rand": rand, "randn": randn}


def modern(np: ModuleType) -> dict[str, Simple]:
    """The simple calls of a ``Generator``, by name."""

    def integers(
        decider: draws.Decider, low: float, high: float | None = None, size: Size = None, *, endpoint: bool = False
    ) -> object:
        if endpoint:
            low, high = (0, _number(low) + 1) if high is None else (low, _number(high) + 1)
        return _integers(np, decider, low, high, size, np.int64)

    return {**_common(np), "integers": integers}
