"""Puts the interceptable primitives in place of the standard library's: ``install``, once a process.

Here: ``random``'s functions and unseeded generators, ``SystemRandom`` and with it ``secrets``, ``os.urandom`` and with
it ``uuid4``. ``patches_world``: inputs, the environment, clocks. ``patches_numpy``: numpy's generators.

A generator that was seeded (``Random(5)``, ``random.seed(5)``, ``setstate``) is no choice: its numbers are part of the
program. One whose state is asked for (``getstate``, a copy, a pickle) is seeded there and then, with a drawn number of
64 bits. A subclass with a ``random`` of its own draws as it does.

The primitives are the methods that the standard library's own Python builds on: ``randint``, ``choice``, ``shuffle``
and ``sample`` call ``_randbelow``; ``uniform``, ``choices`` and ``triangular`` call ``random``. So the n! outcomes of
a ``shuffle`` become n - 1 draws of few outcomes each.

Not covered: randomness of C extensions other than numpy's.
"""

from __future__ import annotations

import importlib
import os
import random
import secrets
import sys
from collections.abc import Callable
from types import ModuleType

from trace_mine.tracer.inside.draws import (
    ambient,
    exit_functions,
    log_records,
    patches_numpy,
    patches_world,
    readings,
    resting,
    task_names,
)
from trace_mine.tracer.inside.draws import deciders as draws
from trace_mine.tracer.inside.draws.ambient import SEEDED
from trace_mine.tracer.inside.draws.replacing import replace
from trace_mine.tracer.inside.program import Capture

_Random = random.Random
_plain_random: Callable[[random.Random], float] = sys.modules["_random"].Random.random
_plain_bits: Callable[[random.Random, int], int] = sys.modules["_random"].Random.getrandbits
_global: random.Random = vars(random)["_inst"]

Below = Callable[[random.Random, int], int]
_interceptable: list[object] = []
"""The functions ``random`` that were put in place: a class that has another one draws in a way of its own."""
_installed: list[bool] = []


def install() -> None:
    """Patch this process, the first time; every time, count the global generator as unseeded again.

    Call it before a repository's imports, so that ``from random import random`` finds the interceptable function, and
    once more after them: a module that seeds at import would switch its importers' draws off.
    """
    if not _installed:
        _installed.append(True)
        plain_below = _install_generators()
        _install_system(plain_below)
        patches_world.install()
        exit_functions.install()
        _install_imports()
    patches_numpy.install()
    log_records.install()
    task_names.install()
    readings.begin()
    task_names.begin()
    ambient.forget()


def _decider_of(generator: random.Random) -> draws.Decider | None:
    """The decider of this generator's draws; None where it is seeded, or its class draws in a way of its own."""
    decider = draws.current
    if decider is None or vars(generator).get(SEEDED):
        return None
    kind = type(generator)
    return decider if kind is _Random or kind.random in _interceptable else None


def _install_generators() -> Below:
    """Replace the primitives of ``random.Random`` and rebind the module's functions; gives the plain ``_randbelow``."""
    methods = vars(_Random)
    plain_below: Below = methods["_randbelow"]
    gauss, normal, exponential = _Random.gauss, _Random.normalvariate, _Random.expovariate
    seed, getstate, setstate = _Random.seed, _Random.getstate, _Random.setstate

    def patched_seed(
        self: random.Random, a: int | float | str | bytes | bytearray | None = None, version: int = 2
    ) -> None:
        vars(self)[SEEDED] = a is not None  # ``seed()`` takes entropy: unseeded again
        seed(self, a, version)

    def patched_getstate(self: random.Random) -> tuple[object, ...]:
        # The state of an unseeded generator comes from the operating system: a program that stores it would have other
        # numbers in each replay. With a drawn seed it is a choice like any other, and then CPython's own numbers.
        decider = _decider_of(self)
        if decider is not None:
            patched_seed(self, decider.below(1 << 64, "getstate"))
        return getstate(self)

    # A state that the program stores and sets again is one of its own making: the numbers after it are no choices.
    def patched_setstate(self: random.Random, state: tuple[object, ...]) -> None:
        vars(self)[SEEDED] = True
        setstate(self, state)

    def patched_random(self: random.Random) -> float:
        # the most frequent draw, so that nothing is called for it; a subclass that overrides it does not come here
        if draws.current is None or vars(self).get(SEEDED):
            return _plain_random(self)
        return draws.current.real("uniform")

    def patched_below(self: random.Random, n: int) -> int:
        decider = _decider_of(self)
        if decider is not None:
            return int(decider.below(n, "randbelow"))
        if type(self) is not _Random or n <= 0:
            return int(plain_below(self, n))
        # as CPython does it, without its detour through ``getrandbits``, which is patched
        k = n.bit_length()
        r = _plain_bits(self, k)
        while r >= n:
            r = _plain_bits(self, k)
        return int(r)

    def patched_bits(self: random.Random, k: int, /) -> int:
        decider = None if k <= 0 else _decider_of(self)  # k = 0 gives 0 without a draw, below it CPython's error
        return int(_plain_bits(self, k) if decider is None else decider.below(1 << k, "getrandbits"))

    # ``gauss`` and ``expovariate`` are primitives though they are Python: made of uniform numbers, through logarithms
    # and cosines, a comparison with them would be no comparison of a draw with a number.

    def patched_gauss(self: random.Random, mu: float = 0.0, sigma: float = 1.0) -> float:
        decider = _decider_of(self)
        return gauss(self, mu, sigma) if decider is None else mu + decider.real("normal") * sigma

    def patched_normal(self: random.Random, mu: float = 0.0, sigma: float = 1.0) -> float:
        decider = _decider_of(self)
        return normal(self, mu, sigma) if decider is None else mu + decider.real("normal") * sigma

    def patched_exponential(self: random.Random, lambd: float = 1.0) -> float:
        decider = _decider_of(self)
        return exponential(self, lambd) if decider is None else decider.real("exponential") / lambd

    replacements: dict[str, Callable[..., object]] = {
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
    for name, method in replacements.items():
        method.__name__ = method.__qualname__ = name  # for tracebacks and ``help``, which sessions show
        method.__module__ = "random"
        setattr(_Random, name, method)
    _interceptable.append(patched_random)
    # The module's functions are methods that were bound before: they would go on with the plain ones.
    for name in random.__all__:
        function = getattr(random, name)
        if getattr(function, "__self__", None) is _global:
            setattr(random, name, getattr(_global, name))
    return plain_below


def _install_system(plain_below: Below) -> None:
    """Replace the operating system's randomness.

    ``SystemRandom`` has primitives of its own. It inherits from ``Random``, so that it would also take those above;
    with them ``secrets.choice`` drew from a Mersenne twister, and was 54 standard errors off its law.
    """
    system_random, system_bits = random.SystemRandom.random, random.SystemRandom.getrandbits
    urandom = os.urandom

    def patched_random(self: random.SystemRandom) -> float:
        return system_random(self) if draws.current is None else draws.current.real("uniform")

    def patched_bits(self: random.SystemRandom, k: int, /) -> int:
        if draws.current is None or k <= 0:
            return int(system_bits(self, k))
        return draws.current.below(1 << k, "getrandbits")

    def patched_below(self: random.SystemRandom, n: int) -> int:
        return int(plain_below(self, n)) if draws.current is None else draws.current.below(n, "randbelow")

    def patched_urandom(size: int, /) -> bytes:
        if draws.current is None or size <= 0:
            return urandom(size)
        return draws.current.octets(size)

    def randbytes(self: random.SystemRandom, n: int) -> bytes:
        return patched_urandom(n)

    replacements: dict[str, Callable[..., object]] = {
        "random": patched_random,
        "getrandbits": patched_bits,
        "_randbelow": patched_below,
    }
    for name, method in replacements.items():
        method.__name__ = method.__qualname__ = name
        setattr(random.SystemRandom, name, method)
    random.SystemRandom.randbytes = randbytes  # type: ignore[assignment, method-assign]  # whatever CPython's calls
    _interceptable.append(patched_random)
    replace(os, "urandom", patched_urandom)
    # ``random`` and ``secrets`` bound functions of theirs when they were imported.
    vars(random)["_urandom"] = patched_urandom
    system: random.SystemRandom = vars(secrets)["_sysrand"]
    secrets.randbits, secrets.choice = system.getrandbits, system.choice


def _install_imports() -> None:
    """Let nobody decide the draws of a module that is being imported, and note what it prints.

    It is imported once a process: a second run in it, and a replay, would miss draws that the first one logged.
    """
    # The one function that ``import``, ``importlib.import_module`` and imports in C go through where a module is new.
    machinery: ModuleType = vars(importlib)["_bootstrap"]
    plain = machinery._find_and_load

    def find_and_load(name: str, import_: object) -> object:
        before, draws.current = draws.current, None
        output = sys.stdout
        left = output.left if type(output) is Capture else 0
        try:
            return plain(name, import_)
        finally:
            draws.current = before
            if type(output) is Capture and output.left != left:
                resting.note_import(name)
            if name == "numpy.random":  # it is not there before the program imports it
                patches_numpy.install()
            elif name == "logging":
                log_records.install()
            elif name == "asyncio.tasks":
                task_names.install()

    vars(machinery)["_find_and_load"] = find_and_load
