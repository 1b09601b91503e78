"""Interceptable draws of numpy: module functions of ``numpy.random`` and generators of an unseeded ``default_rng()``.

``numpy`` is no dependency: ``install`` is called once it has been imported. Simple calls (``numpy_calls``) are made of
the same primitives as ``random``'s. Every other call draws one integer, which seeds a generator that makes the call: it
is sampled.

A generator that the program seeds (``numpy.random.seed(5)``, ``default_rng(5)``, ``set_state``) is no choice. Not
covered: ``RandomState()`` instances, bit generators made without a seed and ``Generator`` over them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws import numpy_calls
from trace_mine.tracer.inside.draws.numpy_calls import NotSimple, Simple
from trace_mine.tracer.inside.draws.replacing import replace

SEEDS = 1 << 32
"""``RandomState`` takes seeds below this."""

# a dictionary, since functions within functions write to it
_state = {"installed": False, "seeded": False}


def is_seeded() -> bool:
    """Return True if the program seeded numpy's global generator: its numbers are then no choices."""
    return _state["seeded"]


def global_state() -> object:
    """The state of the global generator where the program seeded it, else None."""
    return sys.modules["numpy.random"].mtrand._rand.get_state() if _state["seeded"] else None


def put_global_state(state: object) -> None:
    """Give the global generator a state that ``global_state`` gave; None makes it an unseeded one again."""
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
    simple = numpy_calls.legacy(sys.modules["numpy"])
    kept = ("seed", "set_state", "get_state")  # they draw nothing, but say if the generator is seeded
    # By the object that they are bound to, and not by a list of names: numpy adds functions from version to version.
    for name in dir(module):
        plain = getattr(module, name)
        if getattr(plain, "__self__", None) is legacy and name not in kept:
            again = _by_seed(name, lambda seed: module.RandomState(seed))
            replace(module, name, _intercepted(name, plain, simple.get(name), again, _is_global_open))
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
        replace(module, function.__name__, function)


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

    simple = numpy_calls.modern(sys.modules["numpy"])
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
    simple: Simple | None,
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
            except (NotSimple, TypeError):
                # A TypeError: not the arguments that are known here. Nothing was drawn yet: each simple call looks at
                # all of its arguments first, or the log would have draws that no call made.
                return again(decider, *own, **kwargs)
        return again(decider, *own, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    return method
