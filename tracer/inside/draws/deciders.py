"""Draws: who decides what a program's random numbers, inputs and clock readings are.

Nobody, as a rule: then everything is CPython's own. ``using(decider)`` hands the draws to one of four deciders.

``Stream(seed)``     makes plain values from a private generator and logs them in ``values``: an actual run
``Replay(values)``   gives logged values again, in order
``Guided(prefix)``   explores: discrete draws and comparisons of continuous ones are choices, forced along ``prefix``
``Pinned(values)``   makes the same choices as Guided would meet, with the outcomes that the logged values imply

What is logged for each draw is what the primitive gives: ``random`` a float, ``gauss`` a standard normal,
``expovariate`` a standard exponential, ``_randbelow`` and ``getrandbits`` an int, ``os.urandom`` ``{"bytes": hex}``,
``input`` and an environment variable a text or None, a clock a float. ``patches`` puts the primitives in place.
"""

from __future__ import annotations

import _blake2
import contextlib
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trace_mine.tracer.inside.draws import reals
from trace_mine.tracer.inside.draws.reals import LazyReal, Variable, within
from trace_mine.tracer.inside.protocol.jobs import Laws as Laws

MOST_OUTCOMES = 64
"""A discrete draw with more outcomes is sampled: following each would leave nothing for the rest."""

TICK_SECONDS = 0.001
NOON = 1_700_000_000.0
"""Explored clocks start here and move on by twice TICK_SECONDS at most for each reading, never back."""

FAR = 1e-13
"""Weight of a path from which on it goes where chance takes it, and no longer where it is likeliest."""

_Generator = random.Random
_digest = _blake2.blake2b


class DrawMismatch(BaseException):
    """A replay draws something else than was logged; BaseException, so that no snippet swallows it."""


current: Decider | None = None


@contextlib.contextmanager
def using(decider: Decider | None) -> Iterator[Any]:
    """Makes the decider current, and the one before it again at the end; None: draws are CPython's own meanwhile."""
    global current
    before, current = current, decider
    try:
        yield decider
    finally:
        current = before


class Choice:
    """One choice that was met: ``outcomes`` are made into texts only when they are asked for."""

    __slots__ = ("_outcomes", "kind", "probabilities", "taken")

    def __init__(
        self, kind: str, outcomes: Callable[[], Sequence[Any]], probabilities: tuple[float, ...], taken: int
    ) -> None:
        self.kind = kind
        self._outcomes = outcomes
        self.probabilities = probabilities
        self.taken = taken

    def as_json(self) -> dict[str, Any]:
        """As a row has it, without its step."""
        return {
            "kind": self.kind,
            "outcomes": [str(outcome) for outcome in self._outcomes()],
            "probabilities": list(self.probabilities),
            "taken": self.taken,
        }


class Decider:
    """What the patched primitives ask."""

    def __init__(self, laws: Laws | None = None) -> None:
        self.laws = laws or Laws()

    def real(self, law: str) -> Any:
        """A draw from ``uniform`` [0, 1), ``normal`` or ``exponential``, standard."""
        raise NotImplementedError

    def below(self, n: int, kind: str) -> int:
        """One of n numbers from 0, each as likely."""
        raise NotImplementedError

    def octets(self, n: int) -> bytes:
        """n random bytes."""
        raise NotImplementedError

    def declared(self, law: Sequence[tuple[str | None, float]], kind: str) -> str | None:
        """A value of a declared law."""
        raise NotImplementedError

    def clock(self, name: str, reading: float) -> float:
        """A reading, in seconds, of the clock ``time.name`` that stands at ``reading``."""
        raise NotImplementedError

    def sleep(self, seconds: float, wait: Callable[[float], None]) -> None:
        """Lets time go by: really, where ``wait`` is called."""
        wait(seconds)


def _index_of(u: float, weights: Sequence[float]) -> int:
    left = u * sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index
    return max(index for index, weight in enumerate(weights) if weight > 0)


def _from_uniform(u: float, law: str) -> float:
    return u if law == "uniform" else within(law, *reals.BOUNDS[law], u)


class Stream(Decider):
    """Plain values from a private generator, logged."""

    def __init__(self, seed: int, laws: Laws | None = None) -> None:
        super().__init__(laws)
        self.values: list[Any] = []
        self._generator = _Generator(seed)

    def _uniform(self) -> float:
        return float(_plain_uniform(self._generator))

    def _logged(self, value: Any) -> Any:
        self.values.append(value)
        return value

    def real(self, law: str) -> float:
        return float(self._logged(_from_uniform(self._uniform(), law)))

    def below(self, n: int, kind: str) -> int:
        return int(self._logged(_plain_below(self._generator, n)))

    def octets(self, n: int) -> bytes:
        made = bytes(_plain_below(self._generator, 256) for _ in range(n))
        self._logged({"bytes": made.hex()})
        return made

    def declared(self, law: Sequence[tuple[str | None, float]], kind: str) -> str | None:
        value: str | None = self._logged(law[_index_of(self._uniform(), [p for _, p in law])][0])
        return value

    def clock(self, name: str, reading: float) -> float:
        return float(self._logged(reading))


class Replay(Decider):
    """Logged values again, in order.

    Raises:
        DrawMismatch: on a draw past the last value, or of another kind or range than the next one.
    """

    def __init__(self, values: Sequence[Any], laws: Laws | None = None) -> None:
        super().__init__(laws)
        self.values = list(values)
        self._next = 0

    def _take(self, kind: str, fits: Callable[[Any], bool]) -> Any:
        if self._next >= len(self.values):
            raise DrawMismatch(f"expected {len(self.values)} draws, got one more ({kind})")
        value = self.values[self._next]
        self._next += 1
        if not fits(value):
            raise DrawMismatch(f"expected draw {self._next} to fit {kind}, got {value!r}")
        return value

    def real(self, law: str) -> Any:
        return self._take(law, lambda value: type(value) is float)

    def below(self, n: int, kind: str) -> int:
        return int(self._take(f"{kind} below {n}", lambda value: type(value) is int and 0 <= value < n))

    def octets(self, n: int) -> bytes:
        value = self._take(f"{n} bytes", lambda value: type(value) is dict and len(value["bytes"]) == 2 * n)
        return bytes.fromhex(value["bytes"])

    def declared(self, law: Sequence[tuple[str | None, float]], kind: str) -> str | None:
        value: str | None = self._take(kind, lambda value: any(value == each for each, _ in law))
        return value

    def clock(self, name: str, reading: float) -> float:
        return float(self._take("a clock", lambda value: type(value) is float))


class Guided(Decider):
    """Explores one path. ``prefix`` forces the first choices, the likeliest outcome is taken after it.

    ``log`` has the choices, ``weight`` is the product of their probabilities. ``sampled`` names the draws that have no
    outcomes to follow: their values depend on ``seed``, the outcomes so far and their number, and on nothing else.
    ``lazy`` False makes every continuous draw a sampled float: for programs whose C code refuses a lazy one.
    ``before_choice`` is told of each choice that is about to be made; it may lengthen the prefix.
    """

    def __init__(
        self, prefix: Sequence[int] = (), *, seed: int = 0, laws: Laws | None = None, lazy: bool = True
    ) -> None:
        super().__init__(laws)
        self.prefix = tuple(prefix)
        self.seed = seed
        self.lazy = lazy
        self.log: list[Choice] = []
        self.taken: list[int] = []
        self.weight = 1.0
        self.sampled: list[str] = []
        self.before_choice: Callable[[Guided], None] | None = None
        self._elapsed = 0.0
        self._hash = _digest(f"{seed};".encode())
        self._num_hashed = 0

    @property
    def outcomes(self) -> tuple[int, ...]:
        """The index taken at each choice."""
        return tuple(self.taken)

    def choose(
        self,
        kind: str,
        outcomes: Callable[[], Sequence[Any]],
        probabilities: tuple[float, ...],
        pinned: int | None = None,
    ) -> int:
        """One outcome's index: the pinned one, the prefix's, or the likeliest.

        Raises:
            DrawMismatch: the prefix asks for an outcome that this choice doesn't have.
        """
        if self.before_choice is not None:
            self.before_choice(self)
        position = len(self.taken)
        if pinned is not None:
            taken = pinned
        elif position < len(self.prefix):
            taken = self.prefix[position]
            if taken >= len(probabilities) or probabilities[taken] <= 0:
                raise DrawMismatch(f"expected choice {position} ({kind}) to have outcome {taken}, got {probabilities}")
        elif self.weight > FAR:
            taken = probabilities.index(max(probabilities))
        else:  # a loop that the likeliest outcomes never leave is left by chance
            taken = _index_of(self._number(position), probabilities)
        self.log.append(Choice(kind, outcomes, probabilities, taken))
        self.taken.append(taken)
        self.weight *= probabilities[taken]
        return taken

    def sample(self, kind: str) -> float:
        """A number in [0, 1) for a draw that can't be followed."""
        self.sampled.append(kind)
        return self._number(-len(self.sampled))

    def sample_bits(self, kind: str, num_bits: int) -> int:
        """An integer in [0, 2**num_bits) for a draw that can't be followed."""
        self.sampled.append(kind)
        made = b"".join(self._bytes(-len(self.sampled), part) for part in range(-(-num_bits // 512)))
        return int.from_bytes(made) & ((1 << num_bits) - 1)

    def _number(self, index: int) -> float:
        return int.from_bytes(self._bytes(index, 0)[:7]) % (1 << 53) / (1 << 53)

    def _bytes(self, index: int, part: int) -> bytes:
        new = self.taken[self._num_hashed :]
        if new:
            self._hash.update("".join(f"{each}," for each in new).encode())
            self._num_hashed += len(new)
        asked = self._hash.copy()
        asked.update(f"{index} {part}".encode())
        return asked.digest()

    def real(self, law: str) -> Any:
        if not self.lazy:
            return _from_uniform(self.sample(law), law)
        return LazyReal(Variable(law))

    def below(self, n: int, kind: str) -> int:
        if n <= 1:
            return 0
        if n > MOST_OUTCOMES:
            bits = n.bit_length() + 64  # 64 more than n has: the law is even to 2**-64
            return self.sample_bits(kind, bits) * n >> bits
        return self.choose(kind, lambda: range(n), (1.0 / n,) * n)

    def octets(self, n: int) -> bytes:
        if n == 1:
            return bytes([self.choose("urandom", lambda: range(256), (1 / 256,) * 256)])
        return self.sample_bits("urandom", 8 * n).to_bytes(n)

    def declared(self, law: Sequence[tuple[str | None, float]], kind: str) -> str | None:
        probabilities = tuple(p for _, p in law)
        return law[self.choose(kind, lambda: [value for value, _ in law], probabilities)][0]

    def clock(self, name: str, reading: float) -> float:
        self._elapsed += 2 * TICK_SECONDS * self.sample("clock")
        return (NOON if name == "time" else 0.0) + self._elapsed

    def sleep(self, seconds: float, wait: Callable[[float], None]) -> None:
        """Only the clocks notice: thousands of paths would take hours otherwise."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self._elapsed += seconds


class Pinned(Guided):
    """The choices of an actual run, told from its logged values."""

    def __init__(self, values: Sequence[Any], *, laws: Laws | None = None) -> None:
        super().__init__(laws=laws)
        self._replay = Replay(values, laws)

    def real(self, law: str) -> Any:
        return LazyReal(Variable(law, pinned=self._replay.real(law)))

    def below(self, n: int, kind: str) -> int:
        value = self._replay.below(n, kind)
        if 1 < n <= MOST_OUTCOMES:
            self.choose(kind, lambda: range(n), (1.0 / n,) * n, pinned=value)
        return value

    def octets(self, n: int) -> bytes:
        value = self._replay.octets(n)
        if n == 1:
            self.choose("urandom", lambda: range(256), (1 / 256,) * 256, pinned=value[0])
        return value

    def declared(self, law: Sequence[tuple[str | None, float]], kind: str) -> str | None:
        value = self._replay.declared(law, kind)
        index = next(i for i, (each, _) in enumerate(law) if each == value)
        self.choose(kind, lambda: [each for each, _ in law], tuple(p for _, p in law), pinned=index)
        return value

    def clock(self, name: str, reading: float) -> float:
        return self._replay.clock(name, reading)


def _decider_of_reals() -> Guided:
    """The current decider, which a lazy real asks.

    Raises:
        DrawMismatch: a lazy real is left over from a run that is over.
    """
    if isinstance(current, Guided):
        return current
    raise DrawMismatch("a continuous draw was looked at after its run")


reals.ask = _decider_of_reals
_plain_uniform: Any = sys.modules["_random"].Random.random
_plain_below: Any = vars(_Generator)["_randbelow_with_getrandbits"]
