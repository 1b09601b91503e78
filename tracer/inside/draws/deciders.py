"""Draws: who decides the values of a program's random numbers, inputs and clock readings.

As a rule nobody does, and everything is CPython's own. ``using(decider)`` hands the draws to one of four deciders.

``SeededDecider(seed)``      makes plain values from a private generator and logs them in ``values``: an actual run
``Replay(values)``    gives logged values again, in order
``Guided(prefix)``    explores: discrete draws and comparisons of continuous ones are choices, forced along ``prefix``
``Pinned(values)``    makes the choices that Guided would meet, with the outcomes that the logged values imply

The value that is logged for a draw is that of the primitive: of ``random`` a float, of ``gauss`` a standard normal, of
``expovariate`` a standard exponential, of ``_randbelow`` and ``getrandbits`` an int, of ``os.urandom``
``{"bytes": hex}``, of ``input`` and an environment variable a text or None, of a clock a float. All other functions of
``random`` are the standard library's own Python above these. ``patches`` puts the primitives in place.

Over 400 lines because the four deciders are one interface, method by method, and are read side by side.
"""

from __future__ import annotations

import _blake2
import contextlib
import random
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from trace_mine.tracer.inside.draws import readings, reals
from trace_mine.tracer.inside.draws.readings import TICK_SECONDS, LazyReading
from trace_mine.tracer.inside.draws.reals import LazyReal, Variable, within
from trace_mine.tracer.inside.protocol.jobs import DrawnOutcome, Law
from trace_mine.tracer.inside.protocol.jobs import Laws as Laws

MOST_OUTCOMES = 64
"""A discrete draw with more outcomes is sampled: following each would leave nothing of the budget for later draws."""

NOON = 1_700_000_000.0
"""Explored clocks start here and move on by at most twice ``readings.TICK_SECONDS`` for each reading, never back."""

FAR = 1e-13
"""The weight of a path from which on its outcomes are chosen by chance, and no longer as the likeliest."""

# Bound before ``patches`` replaces them: a decider's own numbers must not be draws.
_Generator = random.Random
_digest = _blake2.blake2b
_plain_uniform: Callable[[random.Random], float] = sys.modules["_random"].Random.random
_plain_below: Callable[[random.Random, int], int] = vars(random.Random)["_randbelow_with_getrandbits"]


class DrawMismatch(BaseException):
    """A replay draws something else than was logged; BaseException, so that no snippet swallows it."""


current: Decider | None = None
"""The decider of this process; None: draws are CPython's own."""

D = TypeVar("D", bound="Decider | None")
V = TypeVar("V", bound=DrawnOutcome)


@contextlib.contextmanager
def using(decider: D) -> Iterator[D]:
    """Make the decider current, and at the end the one before it again, whatever happens in between.

    None lets draws be CPython's own meanwhile, as our own code needs it that runs in the midst of a program.
    """
    global current
    before, current = current, decider
    try:
        yield decider
    finally:
        current = before


class DrawnChoice:
    """One choice that was met: its kind, its law, and the index of the outcome that was taken."""

    __slots__ = ("_outcomes", "kind", "probabilities", "taken")

    def __init__(
        self, kind: str, outcomes: Callable[[], Sequence[object]], probabilities: tuple[float, ...], taken: int
    ) -> None:
        self.kind = kind
        # Made into texts only when asked for: of the choices that are explored, 10,000 a second, few ever are.
        self._outcomes = outcomes
        self.probabilities = probabilities
        self.taken = taken

    def outcome_texts(self) -> tuple[str, ...]:
        """The outcomes, as a row has them."""
        return tuple(str(outcome) for outcome in self._outcomes())


_NONE_DECLARED = Laws()
"""One for all: a decider is made for each of thousands of paths, and a record checks its fields."""


class Decider(ABC):
    """The interface that the patched primitives ask; each method is one primitive."""

    def __init__(self, laws: Laws | None = None) -> None:
        self.laws = laws or _NONE_DECLARED

    @abstractmethod
    def real(self, law: str) -> float:
        """A draw from the standard law ``uniform`` [0, 1), ``normal`` or ``exponential``.

        Deciders that explore give a ``LazyReal``, which passes for a float.
        """

    @abstractmethod
    def below(self, n: int, kind: str) -> int:
        """One of the n numbers from 0, each as likely.

        ``kind`` is that of the choice: ``randbelow``, ``getrandbits``, or the function of numpy that is being called.
        """

    @abstractmethod
    def octets(self, n: int) -> bytes:
        """The next n random bytes, as the operating system's generator gives them: all that ``secrets`` is made of."""

    @abstractmethod
    def declared(self, law: Law, kind: str) -> str | None:
        """A value of a declared law: an input's text, or that of an environment variable (None: it is not set).

        ``kind`` is that of the choice: ``input``, or ``environ`` and the variable's name.
        """

    @abstractmethod
    def clock(self, name: str, reading: float) -> float:
        """A reading, in seconds, of the clock ``time.name`` that stands at ``reading``."""

    def sleep(self, seconds: float, wait: Callable[[float], None]) -> None:
        """Let so many seconds go by, for a program that calls ``time.sleep``; ``wait`` is CPython's own."""
        wait(seconds)


def _index_of(u: float, weights: Sequence[float]) -> int:
    """The index that a uniform number u in [0, 1) picks from weights, by inversion."""
    remaining = u * sum(weights)
    for index, weight in enumerate(weights):
        remaining -= weight
        if remaining < 0:
            return index
    # Rounding can leave something over after the last weight; an outcome of weight 0 must not come out.
    return max(index for index, weight in enumerate(weights) if weight > 0)


def _from_uniform(u: float, law: str) -> float:
    """The number of a standard law that a uniform number u gives, by inversion."""
    return u if law == "uniform" else within(law, *reals.BOUNDS[law], u)


class SeededDecider(Decider):
    """Plain values from a private generator, logged in ``values``: the decider of an actual run."""

    def __init__(self, seed: int, laws: Laws | None = None) -> None:
        super().__init__(laws)
        self.values: list[DrawnOutcome] = []
        self._generator = _Generator(seed)

    def _uniform(self) -> float:
        return float(_plain_uniform(self._generator))

    def _log(self, value: V) -> V:
        self.values.append(value)
        return value

    def real(self, law: str) -> float:
        return self._log(_from_uniform(self._uniform(), law))

    def below(self, n: int, kind: str) -> int:
        return self._log(int(_plain_below(self._generator, n)))

    def octets(self, n: int) -> bytes:
        octets = bytes(_plain_below(self._generator, 256) for _ in range(n))
        self._log({"bytes": octets.hex()})
        return octets

    def declared(self, law: Law, kind: str) -> str | None:
        return self._log(law[_index_of(self._uniform(), [p for _, p in law])][0])

    def clock(self, name: str, reading: float) -> float:
        return self._log(float(reading))


class Replay(Decider):
    """Logged values again, in order.

    Each method raises DrawMismatch on a draw past the last value, or of another kind or range than the next value. The
    types are compared exactly: a bool, which JSON would have kept apart, is no int here.
    """

    def __init__(self, values: Sequence[DrawnOutcome], laws: Laws | None = None) -> None:
        super().__init__(laws)
        self.values = list(values)
        self._next = 0

    def _take(self, kind: str) -> DrawnOutcome:
        if self._next >= len(self.values):
            raise DrawMismatch(f"expected {len(self.values)} draws, got one more ({kind})")
        self._next += 1
        return self.values[self._next - 1]

    def _mismatch(self, kind: str, value: DrawnOutcome) -> DrawMismatch:
        return DrawMismatch(f"expected draw {self._next} to fit {kind}, got {value!r}")

    def _take_float(self, kind: str) -> float:
        value = self._take(kind)
        if type(value) is not float:
            raise self._mismatch(kind, value)
        return value

    def real(self, law: str) -> float:
        return self._take_float(law)

    def below(self, n: int, kind: str) -> int:
        value = self._take(f"{kind} below {n}")
        if type(value) is not int or not 0 <= value < n:
            raise self._mismatch(f"{kind} below {n}", value)
        return value

    def octets(self, n: int) -> bytes:
        value = self._take(f"{n} bytes")
        if not isinstance(value, dict) or len(value["bytes"]) != 2 * n:
            raise self._mismatch(f"{n} bytes", value)
        return bytes.fromhex(value["bytes"])

    def declared(self, law: Law, kind: str) -> str | None:
        value = self._take(kind)
        if not (value is None or isinstance(value, str)) or not any(value == each for each, _ in law):
            raise self._mismatch(kind, value)
        return value

    def clock(self, name: str, reading: float) -> float:
        return self._take_float("a clock")


class Guided(Decider):
    """Explores one path: ``prefix`` forces the first choices, the likeliest outcome is taken at each one after it.

    A number is sampled as a hash of (``seed``, outcomes so far, number of the draw) and of nothing else. Seeded by the
    forced prefix instead, two runs of one path would get other numbers, and paths' weights summed to 1.21.

    Attributes:
        log: the choices in order; ``weight`` is the product of their probabilities.
        sampled: the draws that have no outcomes to follow, by kind.
        lazy: False makes every continuous draw a sampled float, for programs whose C code refuses a lazy one.
        before_choice: called with the decider before each choice; it may lengthen the prefix.
    """

    def __init__(
        self, prefix: Sequence[int] = (), *, seed: int = 0, laws: Laws | None = None, lazy: bool = True
    ) -> None:
        super().__init__(laws)
        self.prefix = tuple(prefix)
        self.seed = seed
        self.lazy = lazy
        self.log: list[DrawnChoice] = []
        self.taken: list[int] = []
        self.weight = 1.0
        self.sampled: list[str] = []
        self.before_choice: Callable[[Guided], None] | None = None
        self._elapsed = 0.0
        self._num_readings = 0
        self._stands = False
        self._hash = _digest(f"{seed};".encode())
        self._num_hashed = 0

    @property
    def outcomes(self) -> tuple[int, ...]:
        """The index of the outcome taken at each choice so far, those of the prefix included."""
        return tuple(self.taken)

    def choose(
        self,
        kind: str,
        outcomes: Callable[[], Sequence[object]],
        probabilities: tuple[float, ...],
        pinned: int | None = None,
    ) -> int:
        """Make a choice; gives the index of its outcome: the pinned one, the prefix's, or the likeliest.

        Raises:
            DrawMismatch: the prefix asks for an outcome that this choice does not have.
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
        else:
            # A loop that the likeliest outcomes never leave (``while random() < 0.9``) is left by chance. The path
            # weighs next to nothing by now, so that it does not matter where it ends, but that it does.
            taken = _index_of(self._number(position), probabilities)
        self.log.append(DrawnChoice(kind, outcomes, probabilities, taken))
        self.taken.append(taken)
        self.weight *= probabilities[taken]
        return taken

    def sample(self, kind: str) -> float:
        """A number in [0, 1) for a draw that can't be followed, and whose path is a sampled one from here on.

        ``kind`` says which draw it is and why it needs a number: ``random shown``, ``clock``.
        """
        self.sampled.append(kind)
        return self._number(-len(self.sampled))  # negative: choices by chance have the numbers from 0

    def sample_bits(self, kind: str, num_bits: int) -> int:
        """An integer in [0, 2**num_bits) for a draw that can't be followed."""
        self.sampled.append(kind)
        # blake2b gives 512 bits at a time
        octets = b"".join(self._bytes(-len(self.sampled), part) for part in range(-(-num_bits // 512)))
        return int.from_bytes(octets) & ((1 << num_bits) - 1)

    def _number(self, index: int) -> float:
        # 53 bits, as many as a float's mantissa holds and as ``random.random`` gives
        return int.from_bytes(self._bytes(index, 0)[:7]) % (1 << 53) / (1 << 53)

    def _bytes(self, index: int, part: int) -> bytes:
        # The hash of the outcomes so far is carried on: hashing all of them for each number would take quadratic time.
        new = self.taken[self._num_hashed :]
        if new:
            self._hash.update("".join(f"{each}," for each in new).encode())
            self._num_hashed += len(new)
        keyed = self._hash.copy()
        keyed.update(f"{index} {part}".encode())
        return keyed.digest()

    def real(self, law: str) -> float:
        if not self.lazy:
            return _from_uniform(self.sample(law), law)
        return LazyReal(Variable(law))  # type: ignore[return-value]  # passes for a float

    def below(self, n: int, kind: str) -> int:
        if n <= 1:
            return 0
        if n > MOST_OUTCOMES:
            bits = n.bit_length() + 64  # 64 more than n has: the law is even to 2**-64
            return self.sample_bits(kind, bits) * n >> bits
        return self.choose(kind, lambda: range(n), (1.0 / n,) * n)

    def octets(self, n: int) -> bytes:
        if n == 1:  # the only number of bytes whose outcomes are few enough to follow
            return bytes([self.choose("urandom", lambda: range(256), (1 / 256,) * 256)])
        return self.sample_bits("urandom", 8 * n).to_bytes(n)

    def declared(self, law: Law, kind: str) -> str | None:
        probabilities = tuple(p for _, p in law)
        return law[self.choose(kind, lambda: [value for value, _ in law], probabilities)][0]

    def clock(self, name: str, reading: float) -> float:
        # Not ``reading``: two runs of one path would get other times, and any test of a duration another way.
        start = NOON if name == "time" else 0.0
        if self._stands:
            return start
        if self.lazy and readings.are_followed:
            self._num_readings += 1
            return readings.read(start + self._elapsed, self._num_readings)  # type: ignore[return-value]  # passes for one
        self._elapsed += 2 * TICK_SECONDS * self.sample("clock")
        return start + self._elapsed

    @contextlib.contextmanager
    def standing(self) -> Iterator[None]:
        """Have clocks stand still meanwhile, and draw nothing."""
        self._stands = True
        try:
            yield
        finally:
            self._stands = False

    def sleep(self, seconds: float, wait: Callable[[float], None]) -> None:
        """Only the clocks move on: waiting on each of thousands of paths would take hours."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")  # CPython's words: the session may show them
        self._elapsed += float(seconds) if type(seconds) is LazyReading else seconds


class Pinned(Guided):
    """The choices of an actual run, with the outcomes that its logged values imply.

    Raises:
        DrawMismatch: at a draw that is not the one that was logged next.
    """

    def __init__(self, values: Sequence[DrawnOutcome], *, laws: Laws | None = None) -> None:
        super().__init__(laws=laws)
        self._replay = Replay(values, laws)

    def real(self, law: str) -> float:
        value = LazyReal(Variable(law, pinned=self._replay.real(law)))
        return value  # type: ignore[return-value]  # passes for a float

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

    def declared(self, law: Law, kind: str) -> str | None:
        value = self._replay.declared(law, kind)
        index = next(i for i, (each, _) in enumerate(law) if each == value)
        self.choose(kind, lambda: [each for each, _ in law], tuple(p for _, p in law), pinned=index)
        return value

    def clock(self, name: str, reading: float) -> float:
        return self._replay.clock(name, reading)


def _decider_of_reals() -> Guided:
    """The current decider, for a lazy real that has to be decided.

    Raises:
        DrawMismatch: a lazy real is left over from a run that is over.
    """
    if isinstance(current, Guided):
        return current
    raise DrawMismatch("a continuous draw was looked at after its run")


reals.ask = _decider_of_reals  # set from here, as ``reals`` is below this module and can't import it
