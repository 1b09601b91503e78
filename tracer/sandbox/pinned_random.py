"""Pins the system's randomness of a run: ``os.urandom`` and all that draws from it. Runs inside.

``/dev/urandom`` as a file: ``view`` shows a file of fixed bytes there, at level 3.

Not covered: C extensions that ask the kernel themselves (OpenSSL makes keys so).
"""

from __future__ import annotations

import importlib
import os
import random
import uuid
from collections.abc import Callable

from trace_mine.tracer.inside.draws.replacing import replace

NODE = 0x0300_0000_0001
"""The network address that ``uuid1`` puts into its identifiers: one with the bit that real ones never have, as RFC 4122
wants it where there is no network."""
CLOCK_SEQUENCE = 1


def pin_random(seed: int) -> None:
    """Replace the system's source of randomness, in this process and in what it forks."""
    # The method of the C class, bound now: where draws are choices the one of ``random.Random`` is replaced later, and
    # each seed of a generator would be a draw of the program's, of 2**256 outcomes.
    bits = random.Random(seed).getrandbits

    def urandom(size: int, /) -> bytes:
        if size < 0:
            raise ValueError("negative argument not allowed")
        return bits(8 * size).to_bytes(size, "little")  # as ``Random.randbytes`` makes them

    def getrandom(size: int, flags: int = 0) -> bytes:
        return urandom(size)

    replace(os, "urandom", urandom)
    replace(os, "getrandom", getrandom)
    # ``random`` has bound os.urandom under a name of its own at its import; SystemRandom calls that one
    setattr(random, "_urandom", urandom)  # noqa: B010  # typeshed does not know the name
    _seed_generators_from(bits)
    _pin_identifiers()
    try:
        openssl = importlib.import_module("_ssl")
    except ImportError:
        return  # an interpreter without OpenSSL
    replace(openssl, "RAND_bytes", lambda size, /: urandom(size))


def _seed_generators_from(bits: Callable[[int], int]) -> None:
    """Seed generators that a program gives no seed with 256 ``bits``: CPython asks the kernel in C."""
    plain = random.Random.seed

    def seed(self: random.Random, a: int | float | str | bytes | bytearray | None = None, version: int = 2) -> None:
        plain(self, bits(256) if a is None else a, version)

    seed.__qualname__, seed.__module__ = "Random.seed", "random"
    random.Random.seed = seed  # type: ignore[method-assign]
    # the module's function is a method that was bound before
    random.seed = vars(random)["_inst"].seed


def _pin_identifiers() -> None:
    """Have ``uuid1`` read the pinned clock, and no network address of this machine."""
    plain = uuid.uuid1

    def uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        # with a sequence given it takes neither the C library's identifier nor a draw of ``random``
        return plain(node, CLOCK_SEQUENCE if clock_seq is None else clock_seq)

    replace(uuid, "uuid1", uuid1)
    setattr(uuid, "_node", NODE)  # noqa: B010  # what ``getnode`` remembers; typeshed does not know the name
