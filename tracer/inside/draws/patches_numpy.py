"""Interceptable draws of numpy: module functions of ``numpy.random`` and generators of an unseeded ``default_rng()``.

``numpy`` is no dependency: ``install`` is called once it has been imported. Calls for up to MOST_ELEMENTS numbers of
``random uniform normal exponential integers choice shuffle permutation binomial poisson`` and their older names are
*simple*: they are made of the same primitives as ``random``'s, a float for each continuous number and each pick with
weights, an int below n for each discrete one. So scalars are choices and lazy reals, and arrays of floats hold sampled
numbers. Every other call draws one integer, which seeds a generator that makes the call: it is sampled.

A generator that the program seeds (``numpy.random.seed(5)``, ``default_rng(5)``, ``set_state``) is no choice. Not
covered: ``RandomState()`` instances, bit generators made without a seed and ``Generator`` over them.
"""

from __future__ import annotations

import bisect
import itertools
import math
import operator
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, SupportsIndex

from trace_mine.tracer.inside.draws import deciders as draws

MOST_ELEMENTS = 16
"""More numbers than this in one call are not choices each: following them would leave nothing for later draws."""
MOST_COUNTS = 64
"""Outcomes of a binomial or Poisson draw that are told apart: see ``deciders.MOST_OUTCOMES``."""
SEEDS = 1 << 32
"""``RandomState`` takes seeds below this."""
WEIGHTS_ERROR = 1e-8
"""``numpy.random.choice`` takes weights that sum to 1 within this, and raises ValueError for others."""

Shape = SupportsIndex | tuple[SupportsIndex, ...] | list[SupportsIndex]
Size = Shape | None
"""The parameter ``size``: None is one number and no array."""
Simple = Callable[..., object]
"""A call made of primitives: takes the decider, then what numpy's function takes; may raise _NotSimple or TypeError."""

# a dictionary, since functions within functions write to it
_state = {"installed": False, "seeded": False}


class _NotSimple(Exception):
    """The call is not made of primitives: a generator that is seeded by one draw makes it."""


def is_seeded() -> bool:
    """Return True if the program seeded numpy's global generator."""
    return _state["seeded"]


def global_state() -> object:
    """The state of the global generator where the program seeded it, else None."""
    return sys.modules["numpy.random"].mtrand._rand.get_state() if _state["seeded"] else None


def put_global_state(state: object) -> None:
    """Give the global generator a state that ``global_state`` gave."""
    _state["seeded"] = state is not None
    if state is not None:
        sys.modules["numpy.random"].mtrand._rand.set_state(state)


def install() -> None:
    """Patch numpy where it has been imported, once a process; count its global generator as unseeded again."""
    module = sys.modules.get("numpy.random")
    # While numpy is being imported ``numpy.random`` is in ``sys.modules`` before it has its functions.
    if module is None or not hasattr(module, "default_rng"):
        return
    _state["seeded"] = False
    if not _state["installed"]:
        _state["installed"] = True
        _install_functions(module)
        _install_generators(module)


def _install_functions(module: ModuleType) -> None:
    """Replace the functions of ``numpy.random``, which are bound methods of one hidden ``RandomState``."""
    legacy = module.mtrand._rand
    simple = _legacy(sys.modules["numpy"])
    kept = ("seed", "set_state", "get_state")  # they draw nothing, but say if the generator is seeded
    # By the object that they are bound to, and not by a list of names: numpy adds functions from version to version.
    for name in dir(module):
        plain = getattr(module, name)
        if getattr(plain, "__self__", None) is legacy and name not in kept:
            again = _by_seed(name, lambda seed: module.RandomState(seed))
            setattr(module, name, _intercepted(name, plain, simple.get(name), again, _is_global_open))
    plain_seed, plain_set, plain_get = module.seed, module.set_state, module.get_state

    def seed(seed: object = None) -> None:
        _state["seeded"] = seed is not None
        plain_seed(seed)

    def set_state(state: object) -> None:
        _state["seeded"] = True
        plain_set(state)

    # As ``random.getstate``: an unseeded generator whose state is asked for is seeded, by a draw.
    def get_state(legacy: bool = True) -> object:
        if draws.current is not None and not _state["seeded"]:
            seed(draws.current.below(SEEDS, "numpy get_state"))
        return plain_get(legacy)

    for function in (seed, set_state, get_state):
        function.__module__ = "numpy.random"
        function.__qualname__ = function.__name__
        setattr(module, function.__name__, function)


def _is_global_open(_: object) -> bool:
    return not _state["seeded"]


def _install_generators(module: ModuleType) -> None:
    """Let an unseeded ``default_rng()`` give a subclass of ``Generator`` whose methods can be intercepted.

    numpy's own class is a C type, whose methods can't be replaced.
    """
    base: Any = module.Generator
    plain_default = module.default_rng

    class Generator(base):  # type: ignore[misc]  # a class of Any: numpy is not there when types are checked
        def __reduce__(self) -> tuple[Callable[..., object], tuple[()]]:
            # An unseeded generator has no state of its own: what it draws next is not in it. Copies and snapshots of it
            # are other unseeded ones, which draw from the decider too.
            return default_rng, ()

    simple = _modern(sys.modules["numpy"])
    for name in dir(base):
        plain = getattr(base, name)
        if not name.startswith("_") and callable(plain):
            again = _by_seed(name, lambda seed: base(module.PCG64(seed)))
            setattr(Generator, name, _intercepted(name, plain, simple.get(name), again, lambda self: True))
    # Sessions show ``Generator(PCG64)`` by this name.
    Generator.__module__, Generator.__qualname__ = base.__module__, base.__qualname__

    def default_rng(seed: object = None) -> object:
        if seed is not None:
            return plain_default(seed)
        with draws.using(None):  # its entropy decides nothing
            return Generator(module.PCG64())

    default_rng.__module__, default_rng.__qualname__ = "numpy.random", "default_rng"
    vars(module)["default_rng"] = default_rng


def _by_seed(name: str, make: Callable[[int], object]) -> Callable[..., object]:
    """The call of the method ``name`` of a generator that one drawn integer seeds."""

    def again(decider: draws.Decider, *args: object, **kwargs: object) -> object:
        seed = decider.below(SEEDS, f"numpy {name}")
        with draws.using(None):  # constructors fetch entropy before they are seeded
            return getattr(make(seed), name)(*args, **kwargs)

    return again


def _intercepted(
    name: str,
    plain: Callable[..., object],
    simple: Callable[..., object] | None,
    again: Callable[..., object],
    is_open: Callable[[object], bool],
) -> Callable[..., object]:
    """A function that calls ``plain`` where nobody decides, ``simple`` where the call is simple, else ``again``.

    ``plain`` may be a bound method or a method of a class; then ``self`` is dropped for the other two. ``is_open``
    tells by the arguments if the generator is unseeded.
    """
    is_bound = getattr(plain, "__self__", None) is not None

    def method(*args: object, **kwargs: object) -> object:
        decider = draws.current
        if decider is None or not is_open(args):
            return plain(*args, **kwargs)
        own = args if is_bound else args[1:]
        # Simple or not is decided by the arguments alone, and so the same in a run, its replay and each path.
        if simple is not None:
            try:
                return simple(decider, *own, **kwargs)
            except (_NotSimple, TypeError):
                # A TypeError: not the arguments that are known here. Nothing was drawn yet: each simple call looks at
                # all of its arguments first, or the log would have draws that no call made.
                return again(decider, *own, **kwargs)
        return again(decider, *own, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method


def _number(value: object) -> float:
    """The value as Python's own number.

    Raises:
        _NotSimple: the value is an array, which gives each number parameters of its own, or no number.
    """
    if isinstance(value, (int, float)) and type(value) in (int, float, bool):
        return value
    if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        number: float = value.item()  # of another kind of scalar, arithmetic raises the TypeError that is caught above
        return number
    raise _NotSimple


def _check_few(n: int) -> None:
    if not 0 <= n <= MOST_ELEMENTS:
        raise _NotSimple


def _shape(size: Shape) -> tuple[int, ...]:
    """The shape that a ``size`` means. Raises _NotSimple where it has too many numbers."""
    shape = tuple(map(operator.index, size)) if isinstance(size, (tuple, list)) else (operator.index(size),)
    _check_few(math.prod(shape))
    return shape


def _filled(np: ModuleType, size: Size, draw: Callable[[], float], kind: type[int] | type[float]) -> object:
    """One draw, or an array of them; the shape is known to be small before anything is drawn."""
    if size is None:
        return draw()
    shape = _shape(size)
    made = [kind(draw()) for _ in range(math.prod(shape))]
    return np.array(made, dtype=np.dtype(kind)).reshape(shape)


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


def _common(np: ModuleType) -> dict[str, Callable[..., object]]:
    """The simple calls that both interfaces have, with numpy's signatures after the decider."""

    def uniform(decider: draws.Decider, low: float = 0.0, high: float = 1.0, size: Size = None) -> object:
        start, width = _number(low), _number(high) - _number(low)
        # an infinite width is an error of numpy's own, with a message that a session may show
        if not math.isfinite(width):
            raise _NotSimple
        return _filled(np, size, lambda: start + width * decider.real("uniform"), float)

    def normal(decider: draws.Decider, loc: float = 0.0, scale: float = 1.0, size: Size = None) -> object:
        mean, spread = _number(loc), _number(scale)
        if not spread >= 0:
            raise _NotSimple
        return _filled(np, size, lambda: mean + spread * decider.real("normal"), float)

    def exponential(decider: draws.Decider, scale: float = 1.0, size: Size = None) -> object:
        mean = _number(scale)
        if not mean >= 0:
            raise _NotSimple
        return _filled(np, size, lambda: mean * decider.real("exponential"), float)

    def binomial(decider: draws.Decider, n: int, p: float, size: Size = None) -> object:
        count, chance = _number(n), _number(p)
        if not (type(count) is int and 0 <= count < MOST_COUNTS and 0 <= chance <= 1):
            raise _NotSimple
        cumulated = _counts(lambda k: math.comb(count, k) * chance**k * (1 - chance) ** (count - k), count)
        return _filled(np, size, lambda: _pick(decider, cumulated), int)

    def poisson(decider: draws.Decider, lam: float = 1.0, size: Size = None) -> object:
        mean = _number(lam)
        if not 0 <= mean <= 20:  # up to here, what lies past MOST_COUNTS weighs less than 1e-13
            raise _NotSimple
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
            raise _NotSimple
        shape = () if size is None else _shape(size)
        if p is not None:
            weights = [float(each) for each in p]
            # weights without replacement have no law of independent picks; numpy says what is wrong with the others
            if not replace or len(weights) != n or min(weights) < 0 or abs(math.fsum(weights) - 1) > WEIGHTS_ERROR:
                raise _NotSimple
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
            raise _NotSimple

    def permutation(decider: draws.Decider, x: int | Sequence[object]) -> object:
        pool = np.arange(x) if type(x) is int else np.asarray(x)
        if pool.ndim == 0:
            raise _NotSimple
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
        raise _NotSimple
    left = list(range(n))
    return [left.pop(decider.below(len(left), "randbelow")) for _ in range(k)]


def _integers(
    np: ModuleType, decider: draws.Decider, low: float, high: float | None, size: Size, scalar: Callable[[int], int]
) -> object:
    start, stop = (0, _number(low)) if high is None else (_number(low), _number(high))
    if not (type(start) is int and type(stop) is int and start < stop):
        raise _NotSimple
    return _filled(np, size, lambda: scalar(start + decider.below(stop - start, "randbelow")), int)


def _legacy(np: ModuleType) -> dict[str, Callable[..., object]]:
    common = _common(np)

    def randint(decider: draws.Decider, low: float, high: float | None = None, size: Size = None) -> object:
        return _integers(np, decider, low, high, size, int)

    def rand(decider: draws.Decider, *shape: object) -> object:
        return common["random"](decider, shape or None)

    def randn(decider: draws.Decider, *shape: object) -> object:
        return common["standard_normal"](decider, shape or None)

    older = dict.fromkeys(("random_sample", "ranf", "sample"), common["random"])
    return {**common, **older, "randint": randint, "rand": rand, "randn": randn}


def _modern(np: ModuleType) -> dict[str, Callable[..., object]]:
    def integers(
        decider: draws.Decider, low: float, high: float | None = None, size: Size = None, *, endpoint: bool = False
    ) -> object:
        if endpoint:
            low, high = (0, _number(low) + 1) if high is None else (low, _number(high) + 1)
        return _integers(np, decider, low, high, size, np.int64)

    return {**_common(np), "integers": integers}
