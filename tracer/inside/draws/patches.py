"""Puts the interceptable primitives in place of the standard library's: ``install``, once a process.

Here: ``random``'s functions and unseeded generators, ``SystemRandom`` and with it ``secrets``, ``os.urandom`` and with
it ``uuid4``. ``patches_world``: inputs, the environment, clocks. ``patches_numpy``: numpy's generators.

A generator that was seeded (``Random(5)``, ``random.seed(5)``, ``setstate``) is no choice: its numbers are part of the
program. One whose state is asked for (``getstate``, a copy, a pickle) is seeded there and then, with a drawn number of
64 bits. A subclass with a ``random`` of its own draws as it does.

Not covered: randomness of C extensions other than numpy's.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
from typing import Any

from trace_mine.tracer.inside.draws import ambient, patches_numpy, patches_world
from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.ambient import SEEDED

_plain_random = sys.modules["_random"].Random.random
_plain_bits = sys.modules["_random"].Random.getrandbits
_global: Any = vars(random)["_inst"]
_plain: dict[str, Any] = {}


def install() -> None:
    """Patches this process, the first time; every time, the global generator counts as unseeded again.

    Before a repository's imports, so that ``from random import random`` finds the interceptable one. A module that
    seeds at import would switch its importers' draws off: call it again after the imports.
    """
    if not _plain:
        _install_generators()
        _install_system()
        patches_world.install()
        _install_imports()
    patches_numpy.install()
    ambient.forget()


def _open(generator: Any, decider: Any) -> Any:
    """The decider that this generator's draws go to, or None: it is seeded, or its class draws in a way of its own."""
    if vars(generator).get(SEEDED):
        return None
    kind = type(generator)
    return decider if kind is _Random or kind.random in _interceptable else None


_Random = random.Random
_interceptable: list[Any] = []


def _install_generators() -> None:
    cls: Any = _Random
    below, gauss, normal, exponential = cls._randbelow, cls.gauss, cls.normalvariate, cls.expovariate
    seed, getstate, setstate = cls.seed, cls.getstate, cls.setstate
    _plain["below"] = below

    def patched_seed(self: Any, a: Any = None, version: int = 2) -> None:
        vars(self)[SEEDED] = a is not None
        seed(self, a, version)

    def patched_getstate(self: Any) -> Any:
        decider = None if draws.current is None else _open(self, draws.current)
        if decider is not None:
            patched_seed(self, decider.below(1 << 64, "getstate"))
        return getstate(self)

    def patched_setstate(self: Any, state: Any) -> None:
        vars(self)[SEEDED] = True
        setstate(self, state)

    def patched_random(self: Any) -> Any:
        if draws.current is None or vars(self).get(SEEDED):
            return _plain_random(self)
        return draws.current.real("uniform")

    def patched_below(self: Any, n: int) -> int:
        decider = None if draws.current is None else _open(self, draws.current)
        if decider is not None:
            return int(decider.below(n, "randbelow"))
        if type(self) is not _Random or n <= 0:
            return int(below(self, n))
        k = n.bit_length()  # as CPython does it, without its detour through a method that is patched
        r = _plain_bits(self, k)
        while r >= n:
            r = _plain_bits(self, k)
        return int(r)

    def patched_bits(self: Any, k: int, /) -> int:
        decider = None if draws.current is None or k <= 0 else _open(self, draws.current)
        return int(_plain_bits(self, k) if decider is None else decider.below(1 << k, "getrandbits"))

    def patched_gauss(self: Any, mu: float = 0.0, sigma: float = 1.0) -> Any:
        decider = None if draws.current is None else _open(self, draws.current)
        return gauss(self, mu, sigma) if decider is None else mu + decider.real("normal") * sigma

    def patched_normal(self: Any, mu: float = 0.0, sigma: float = 1.0) -> Any:
        decider = None if draws.current is None else _open(self, draws.current)
        return normal(self, mu, sigma) if decider is None else mu + decider.real("normal") * sigma

    def patched_exponential(self: Any, lambd: float = 1.0) -> Any:
        decider = None if draws.current is None else _open(self, draws.current)
        return exponential(self, lambd) if decider is None else decider.real("exponential") / lambd

    methods = {
        "seed": patched_seed,
        "getstate": patched_getstate,
        "setstate": patched_setstate,
        "random": patched_random,
        "_randbelow": patched_below,
        "getrandbits": patched_bits,
        "gauss": patched_gauss,
        "normalvariate": patched_normal,
        "expovariate": patched_exponential,
    }
    for name, method in methods.items():
        method.__name__ = method.__qualname__ = name
        method.__module__ = "random"
        setattr(cls, name, method)
    _interceptable.append(patched_random)
    for name in random.__all__:
        function = getattr(random, name)
        if getattr(function, "__self__", None) is _global:
            setattr(random, name, getattr(_global, name))


def _install_system() -> None:
    cls: Any = random.SystemRandom
    system_random, system_bits, urandom = cls.random, cls.getrandbits, os.urandom
    below = _plain["below"]

    def patched_random(self: Any) -> Any:
        return system_random(self) if draws.current is None else draws.current.real("uniform")

    def patched_bits(self: Any, k: int, /) -> int:
        if draws.current is None or k <= 0:
            return int(system_bits(self, k))
        return draws.current.below(1 << k, "getrandbits")

    def patched_below(self: Any, n: int) -> int:
        return int(below(self, n)) if draws.current is None else draws.current.below(n, "randbelow")

    def patched_urandom(size: int, /) -> bytes:
        if draws.current is None or size <= 0:
            return urandom(size)
        return draws.current.octets(size)

    def randbytes(self: Any, n: int) -> bytes:
        return patched_urandom(n)

    for name, method in (("random", patched_random), ("getrandbits", patched_bits), ("_randbelow", patched_below)):
        method.__name__ = method.__qualname__ = name
        setattr(cls, name, method)
    cls.randbytes = randbytes
    _interceptable.append(patched_random)
    patched_urandom.__name__ = patched_urandom.__qualname__ = "urandom"
    os.urandom = patched_urandom
    random._urandom = patched_urandom  # type: ignore[attr-defined]
    import secrets

    bound: Any = secrets
    bound.randbits, bound.choice = bound._sysrand.getrandbits, bound._sysrand.choice


def _install_imports() -> None:
    """What a module draws while it is imported is nobody's choice: it happens once a process, and not in a replay."""
    machinery: Any = vars(importlib)["_bootstrap"]
    plain = machinery._find_and_load

    def find_and_load(name: str, import_: Any) -> Any:
        before, draws.current = draws.current, None
        try:
            return plain(name, import_)
        finally:
            draws.current = before
            if name == "numpy.random":
                patches_numpy.install()

    machinery._find_and_load = find_and_load
