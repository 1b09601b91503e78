"""Interceptable draws of numpy: module functions of ``numpy.random`` and generators of an unseeded ``default_rng()``.

``numpy`` is no dependency: ``install`` is called once it has been imported. What a draw logs: up to MOST_ELEMENTS
numbers of ``random uniform normal exponential integers choice shuffle permutation binomial poisson`` and their older
names are made of the same primitives as ``random``'s (a float for each continuous one and each pick with weights, an
int below n for each discrete one); so scalars are choices and lazy reals, arrays of floats hold sampled numbers. Every
other call logs one integer, from which a generator is seeded that makes the call: sampled.

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
from typing import Any

from trace_mine.tracer.inside.draws import deciders as draws

MOST_ELEMENTS = 16
MOST_COUNTS = 64
SEEDS = 1 << 32

_state = {"installed": False, "seeded": False}


class _NotSimple(Exception):
    """The call is not made of primitives: a generator seeded by one draw makes it."""


def is_seeded() -> bool:
    """True if the program seeded numpy's global generator."""
    return _state["seeded"]


def global_state() -> Any:
    """State of the global generator, where the program seeded it; else None."""
    return sys.modules["numpy.random"].mtrand._rand.get_state() if _state["seeded"] else None


def put_global_state(state: Any) -> None:
    """The inverse of ``global_state``."""
    _state["seeded"] = state is not None
    if state is not None:
        sys.modules["numpy.random"].mtrand._rand.set_state(state)


def install() -> None:
    """Patches numpy where it has been imported, once a process; its global generator counts as unseeded again."""
    module: Any = sys.modules.get("numpy.random")
    if module is None or not hasattr(module, "default_rng"):
        return
    _state["seeded"] = False
    if not _state["installed"]:
        _state["installed"] = True
        _install_functions(module)
        _install_generators(module)


def _install_functions(module: Any) -> None:
    legacy = module.mtrand._rand
    simple = _legacy(sys.modules["numpy"])
    kept = ("seed", "set_state", "get_state")
    for name in dir(module):
        plain = getattr(module, name)
        if getattr(plain, "__self__", None) is legacy and name not in kept:
            again = _by_seed(name, lambda seed: module.RandomState(seed))
            setattr(module, name, _intercepted(name, plain, simple.get(name), again, _is_global_open))
    plain_seed, plain_set, plain_get = module.seed, module.set_state, module.get_state

    def seed(seed: Any = None) -> None:
        _state["seeded"] = seed is not None
        plain_seed(seed)

    def set_state(state: Any) -> None:
        _state["seeded"] = True
        plain_set(state)

    def get_state(legacy: bool = True) -> Any:
        if draws.current is not None and not _state["seeded"]:
            seed(draws.current.below(SEEDS, "numpy get_state"))
        return plain_get(legacy)

    for function in (seed, set_state, get_state):
        function.__module__ = "numpy.random"
        function.__qualname__ = function.__name__
        setattr(module, function.__name__, function)


def _is_global_open(_: Any) -> bool:
    return not _state["seeded"]


def _install_generators(module: Any) -> None:
    base: Any = module.Generator
    plain_default = module.default_rng

    class Generator(base):  # type: ignore[misc]  # a class of Any: numpy is not there when types are checked
        def __reduce__(self) -> Any:
            return default_rng, ()

    simple = _modern(sys.modules["numpy"])
    for name in dir(base):
        plain = getattr(base, name)
        if not name.startswith("_") and callable(plain):
            again = _by_seed(name, lambda seed: base(module.PCG64(seed)))
            setattr(Generator, name, _intercepted(name, plain, simple.get(name), again, lambda self: True))
    Generator.__module__, Generator.__qualname__ = base.__module__, base.__qualname__

    def default_rng(seed: Any = None) -> Any:
        if seed is not None:
            return plain_default(seed)
        with draws.using(None):  # its entropy decides nothing
            return Generator(module.PCG64())

    default_rng.__module__, default_rng.__qualname__ = "numpy.random", "default_rng"
    module.default_rng = default_rng


def _by_seed(name: str, make: Callable[[int], Any]) -> Callable[..., Any]:
    def again(decider: Any, *args: Any, **kwargs: Any) -> Any:
        seed = decider.below(SEEDS, f"numpy {name}")
        with draws.using(None):  # constructors fetch entropy before they are seeded
            return getattr(make(seed), name)(*args, **kwargs)

    return again


def _intercepted(
    name: str,
    plain: Callable[..., Any],
    simple: Callable[..., Any] | None,
    again: Callable[..., Any],
    is_open: Callable[[Any], bool],
) -> Callable[..., Any]:
    """``plain`` where nobody decides; bound methods and methods of a class alike (then ``self`` is dropped)."""
    is_bound = getattr(plain, "__self__", None) is not None

    def method(*args: Any, **kwargs: Any) -> Any:
        decider = draws.current
        if decider is None or not is_open(args):
            return plain(*args, **kwargs)
        own = args if is_bound else args[1:]
        if simple is not None:
            try:
                return simple(decider, *own, **kwargs)
            except (_NotSimple, TypeError):  # a TypeError: not the arguments that are known here
                return again(decider, *own, **kwargs)
        return again(decider, *own, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method


def _number(value: Any) -> Any:
    if type(value) not in (int, float, bool) and type(value).__module__ != "numpy":
        raise _NotSimple
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else _plain(value)


def _plain(value: Any) -> Any:
    if type(value) not in (int, float, bool):
        raise _NotSimple
    return value


def _few(n: int) -> None:
    if not 0 <= n <= MOST_ELEMENTS:
        raise _NotSimple


def _shape(size: Any) -> tuple[int, ...]:
    shape = (operator.index(size),) if not isinstance(size, tuple | list) else tuple(map(operator.index, size))
    _few(math.prod(shape))
    return shape


def _filled(np: Any, size: Any, draw: Callable[[], Any], kind: Any) -> Any:
    """One draw, or an array of them; the shape is known to be small before anything is drawn."""
    if size is None:
        return draw()
    shape = _shape(size)
    made = [kind(draw()) for _ in range(math.prod(shape))]
    return np.array(made, dtype=np.dtype(kind)).reshape(shape)


def _pick(decider: Any, cumulated: Sequence[float]) -> int:
    """An index with the weights' law, by one uniform number; a bisection leaves a lazy one lazy."""
    number = decider.real("uniform") * cumulated[-1]
    return bisect.bisect_right(cumulated, number, 0, len(cumulated) - 1)


def _permuted(decider: Any, n: int) -> list[int]:
    """Source: Fisher and Yates, from the end, as ``random.shuffle`` draws it."""
    order = list(range(n))
    for i in reversed(range(1, n)):
        j = decider.below(i + 1, "randbelow")
        order[i], order[j] = order[j], order[i]
    return order


def _counts(weights: Callable[[int], float], n: int) -> list[float]:
    """Cumulated probabilities of 0..n."""
    return list(itertools.accumulate(weights(k) for k in range(n + 1)))


def _common(np: Any) -> dict[str, Callable[..., Any]]:
    """What both interfaces have, with numpy's signatures after the decider."""

    def uniform(decider: Any, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        start, width = _number(low), _number(high) - _number(low)
        if not math.isfinite(width):
            raise _NotSimple
        return _filled(np, size, lambda: start + width * decider.real("uniform"), float)

    def normal(decider: Any, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        mean, spread = _number(loc), _number(scale)
        if not spread >= 0:
            raise _NotSimple
        return _filled(np, size, lambda: mean + spread * decider.real("normal"), float)

    def exponential(decider: Any, scale: Any = 1.0, size: Any = None) -> Any:
        mean = _number(scale)
        if not mean >= 0:
            raise _NotSimple
        return _filled(np, size, lambda: mean * decider.real("exponential"), float)

    def binomial(decider: Any, n: Any, p: Any, size: Any = None) -> Any:
        count, chance = _number(n), _number(p)
        if not (type(count) is int and 0 <= count < MOST_COUNTS and 0 <= chance <= 1):
            raise _NotSimple
        cumulated = _counts(lambda k: math.comb(count, k) * chance**k * (1 - chance) ** (count - k), count)
        return _filled(np, size, lambda: _pick(decider, cumulated), int)

    def poisson(decider: Any, lam: Any = 1.0, size: Any = None) -> Any:
        mean = _number(lam)
        if not 0 <= mean <= 20:  # up to here, what lies past MOST_COUNTS weighs less than 1e-13
            raise _NotSimple
        cumulated = _counts(lambda k: math.exp(-mean) * mean**k / math.factorial(k), MOST_COUNTS)
        return _filled(np, size, lambda: _pick(decider, cumulated), int)

    def choice(decider: Any, a: Any, size: Any = None, replace: Any = True, p: Any = None) -> Any:
        pool = None if type(a) is int else np.asarray(a)
        if not (a > 0 if pool is None else pool.ndim == 1 and len(pool) > 0):
            raise _NotSimple
        n = a if pool is None else len(pool)
        shape = () if size is None else _shape(size)
        if p is not None:
            weights = [float(each) for each in p]
            if not replace or len(weights) != n or min(weights) < 0 or abs(math.fsum(weights) - 1) > 1e-8:
                raise _NotSimple
            cumulated = list(itertools.accumulate(weights))
            picks = [_pick(decider, cumulated) for _ in range(math.prod(shape))]
        elif replace or size is None:
            picks = [decider.below(n, "randbelow") for _ in range(math.prod(shape))]
        else:
            picks = _without_replacement(decider, n, math.prod(shape))
        if size is None:
            return picks[0] if pool is None else pool[picks[0]]
        chosen = np.array(picks, dtype=int).reshape(shape)
        return chosen if pool is None else pool[chosen]

    def shuffle(decider: Any, x: Any) -> None:
        n = len(x)
        _few(n)
        if isinstance(x, np.ndarray):
            x[...] = x[_permuted(decider, n)]
        elif type(x) is list:
            x[:] = [x[i] for i in _permuted(decider, n)]
        else:
            raise _NotSimple

    def permutation(decider: Any, x: Any) -> Any:
        pool = np.arange(x) if type(x) is int else np.asarray(x)
        if pool.ndim == 0:
            raise _NotSimple
        _few(len(pool))
        return pool[_permuted(decider, len(pool))]

    def random(decider: Any, size: Any = None) -> Any:
        return uniform(decider, 0.0, 1.0, size)

    def standard_normal(decider: Any, size: Any = None) -> Any:
        return normal(decider, 0.0, 1.0, size)

    def standard_exponential(decider: Any, size: Any = None) -> Any:
        return exponential(decider, 1.0, size)

    def octets(decider: Any, length: Any) -> bytes:
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


def _without_replacement(decider: Any, n: int, k: int) -> list[int]:
    if k > n:
        raise _NotSimple
    left = list(range(n))
    return [left.pop(decider.below(len(left), "randbelow")) for _ in range(k)]


def _integers(np: Any, decider: Any, low: Any, high: Any, size: Any, scalar: Any) -> Any:
    start, stop = (0, _number(low)) if high is None else (_number(low), _number(high))
    if not (type(start) is int and type(stop) is int and start < stop):
        raise _NotSimple
    return _filled(np, size, lambda: scalar(start + decider.below(stop - start, "randbelow")), int)


def _legacy(np: Any) -> dict[str, Callable[..., Any]]:
    common = _common(np)

    def randint(decider: Any, low: Any, high: Any = None, size: Any = None) -> Any:
        return _integers(np, decider, low, high, size, int)

    def rand(decider: Any, *shape: Any) -> Any:
        return common["random"](decider, shape or None)

    def randn(decider: Any, *shape: Any) -> Any:
        return common["standard_normal"](decider, shape or None)

    older = dict.fromkeys(("random_sample", "ranf", "sample"), common["random"])
    return {**common, **older, "randint": randint, "rand": rand, "randn": randn}


def _modern(np: Any) -> dict[str, Callable[..., Any]]:
    def integers(decider: Any, low: Any, high: Any = None, size: Any = None, *, endpoint: bool = False) -> Any:
        if endpoint:
            low, high = (0, _number(low) + 1) if high is None else (low, _number(high) + 1)
        return _integers(np, decider, low, high, size, np.int64)

    return {**_common(np), "integers": integers}
