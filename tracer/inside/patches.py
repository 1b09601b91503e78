"""Puts the interceptable primitives in place of the standard library's: ``install``, once a process.

``random``'s functions and unseeded generators, ``SystemRandom`` and with it ``secrets``, ``os.urandom`` and with it
``uuid4``, ``input``, reads of the environment, ``time.time``, ``time_ns`` and ``perf_counter``. A generator that was
seeded (``Random(5)``, ``random.seed(5)``, ``setstate``) is no choice: its numbers are part of the program.

Not covered: ``datetime.now`` (a C type; replacing it would change ``type(x) is datetime``), ``time.monotonic`` (locks
wait on it), randomness of C extensions other than numpy's, see ``patches_numpy``.
"""

from __future__ import annotations

import builtins
import importlib
import os
import random
import sys
import time
from typing import Any

from tracer.inside import draws

_SEEDED = "_trace_seeded"
_plain_random = sys.modules["_random"].Random.random
_plain_bits = sys.modules["_random"].Random.getrandbits
_global: Any = vars(random)["_inst"]
_plain: dict[str, Any] = {}


def is_seeded(generator: Any) -> bool:
    """Whether a ``random.Random`` was seeded by the program."""
    return bool(vars(generator).get(_SEEDED))


def install() -> None:
    """Patches this process, the first time; every time, the global generator counts as unseeded again.

    Before a repository's imports, so that ``from random import random`` finds the interceptable one. A module that
    seeds at import would switch its importers' draws off: call it again after the imports.
    """
    if not _plain:
        _install_generators()
        _install_system()
        _install_world()
        _install_imports()
    vars(_global)[_SEEDED] = False
    draws.ambient.inputs_read = 0
    draws.ambient.environ.clear()


def _open(generator: Any) -> Any:
    """The decider that this generator's draws go to, or None."""
    decider = draws.current
    return None if decider is None or vars(generator).get(_SEEDED) else decider


def _install_generators() -> None:
    cls: Any = random.Random
    below, gauss, normal, exponential = cls._randbelow, cls.gauss, cls.normalvariate, cls.expovariate
    seed, setstate = cls.seed, cls.setstate
    _plain["below"] = below

    def patched_seed(self: Any, a: Any = None, version: int = 2) -> None:
        vars(self)[_SEEDED] = a is not None
        seed(self, a, version)

    def patched_setstate(self: Any, state: Any) -> None:
        vars(self)[_SEEDED] = True
        setstate(self, state)

    def patched_random(self: Any) -> Any:
        decider = _open(self)
        return _plain_random(self) if decider is None else decider.real("uniform")

    def patched_below(self: Any, n: int) -> int:
        decider = _open(self)
        return below(self, n) if decider is None else decider.below(n, "randbelow")  # type: ignore[no-any-return]

    def patched_bits(self: Any, k: int) -> int:
        decider = _open(self)
        if decider is None or k <= 0:
            return _plain_bits(self, k)  # type: ignore[no-any-return]
        return decider.below(1 << k, "getrandbits")  # type: ignore[no-any-return]

    def patched_gauss(self: Any, mu: float = 0.0, sigma: float = 1.0) -> Any:
        decider = _open(self)
        return gauss(self, mu, sigma) if decider is None else decider.real("normal") * sigma + mu

    def patched_normal(self: Any, mu: float = 0.0, sigma: float = 1.0) -> Any:
        decider = _open(self)
        return normal(self, mu, sigma) if decider is None else decider.real("normal") * sigma + mu

    def patched_exponential(self: Any, lambd: float = 1.0) -> Any:
        decider = _open(self)
        return exponential(self, lambd) if decider is None else decider.real("exponential") / lambd

    methods = {
        "seed": patched_seed,
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

    def patched_bits(self: Any, k: int) -> int:
        if draws.current is None or k <= 0:
            return system_bits(self, k)  # type: ignore[no-any-return]
        return draws.current.below(1 << k, "getrandbits")

    def patched_below(self: Any, n: int) -> int:
        return int(below(self, n)) if draws.current is None else draws.current.below(n, "randbelow")

    def patched_urandom(size: int, /) -> bytes:
        if draws.current is None or size <= 0:
            return urandom(size)
        return draws.current.octets(size)

    for name, method in (("random", patched_random), ("getrandbits", patched_bits), ("_randbelow", patched_below)):
        setattr(cls, name, method)
    cls.randbytes = lambda self, n: patched_urandom(n)
    os.urandom = patched_urandom
    random._urandom = patched_urandom  # type: ignore[attr-defined]
    import secrets

    bound: Any = secrets
    bound.randbits, bound.choice = bound._sysrand.getrandbits, bound._sysrand.choice


def _install_world() -> None:
    plain_input, plain_item = builtins.input, os._Environ.__getitem__
    clocks: Any = time

    def patched_input(prompt: object = "", /) -> str:
        decider = draws.current
        if decider is None or not decider.laws.inputs:
            return plain_input(prompt)
        sys.stdout.write(str(prompt))
        laws, number = decider.laws.inputs, draws.ambient.inputs_read
        draws.ambient.inputs_read += 1
        value = decider.declared(laws[min(number, len(laws) - 1)], "input")
        sys.stdout.write("\n")
        return str(value)

    def patched_item(self: Any, key: Any) -> Any:
        decider = draws.current
        law = None if decider is None or self is not os.environ else decider.laws.environ.get(key)
        if decider is None or law is None:
            return plain_item(self, key)
        decided = draws.ambient.environ
        if key not in decided:
            decided[key] = decider.declared(law, f"environ {key}")
        if decided[key] is None:
            raise KeyError(key)
        return decided[key]

    patched_input.__name__ = patched_input.__qualname__ = "input"
    builtins.input = patched_input
    os._Environ.__getitem__ = patched_item  # type: ignore[method-assign]
    plain_contains = os._Environ.__contains__

    def patched_contains(self: Any, key: object) -> bool:
        decider = draws.current
        if decider is None or self is not os.environ or key not in decider.laws.environ:
            return plain_contains(self, key)
        try:
            patched_item(self, key)
        except KeyError:
            return False
        return True

    os._Environ.__contains__ = patched_contains  # type: ignore[method-assign]
    for name in ("time", "perf_counter"):
        setattr(clocks, name, _clock(getattr(time, name), name))
    clocks.time_ns = _clock_ns(clocks.time, "time_ns")
    clocks.perf_counter_ns = _clock_ns(clocks.perf_counter, "perf_counter_ns")


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

    machinery._find_and_load = find_and_load


def _clock(plain: Any, name: str) -> Any:
    def read() -> float:
        return float(plain()) if draws.current is None else draws.current.clock(name, plain())

    read.__name__ = read.__qualname__ = name
    return read


def _clock_ns(seconds: Any, name: str) -> Any:
    def read() -> int:
        return int(seconds() * 1e9)

    read.__name__ = read.__qualname__ = name
    return read
