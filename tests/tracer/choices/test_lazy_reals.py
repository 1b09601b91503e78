"""Lazy reals: every operation is held against floats, the law of every comparison against the exact one."""

from __future__ import annotations

import array
import bisect
import datetime
import json
import math
import operator
import random
import statistics
import struct
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trace_mine.tracer.inside.draws.deciders import DrawMismatch, Guided, Pinned, SeededDecider, using
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.draws.reals import LazyReal, Variable, share, within
from trace_mine.tracer.inside.states.paths import explore


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def law(run: Callable[[], Any]) -> dict[Any, float]:
    explored = explore(run, max_seconds=30)
    assert explored.unexplored < 1e-9 and explored.is_lazy and not any(path.sampled for path in explored.paths)
    found: dict[Any, float] = {}
    for path in explored.paths:
        found[path.result] = found.get(path.result, 0.0) + path.weight
    return found


NORMAL = statistics.NormalDist()


@pytest.mark.parametrize(
    ("run", "exact"),
    [
        (lambda: random.random() > float("nan"), {False: 1.0}),
        (lambda: random.random() >= float("nan"), {False: 1.0}),
        (lambda: random.random() < math.inf, {True: 1.0}),
        (lambda: random.random() < 10**400, {True: 1.0}),
        (lambda: random.random() > -(10**400), {True: 1.0}),
        (lambda: random.random() < Fraction(1, 3), {True: 1 / 3, False: 2 / 3}),
        (lambda: random.random() * 0 == 0.0, {True: 1.0}),
        (lambda: int(random.uniform(-2, 2)), {-1: 0.25, 0: 0.5, 1: 0.25}),
        (lambda: math.ceil(random.random() * 2), {1: 0.5, 2: 0.5}),
        (lambda: round(random.random(), 1) in (0.0, 1.0), {True: 0.1, False: 0.9}),
        (lambda: round(random.random() * 40, -1), {0.0: 0.125, 10.0: 0.25, 20.0: 0.25, 30.0: 0.25, 40.0: 0.125}),
        (lambda: divmod(random.random() * 3, 1)[0], {0.0: 1 / 3, 1.0: 1 / 3, 2.0: 1 / 3}),
        (lambda: -random.random() // 0.5, {-1.0: 0.5, -2.0: 0.5}),
        (lambda: -random.random() % 1 < 0.25, {True: 0.25, False: 0.75}),
        (lambda: abs(random.random() - 0.5) < 0.1, {True: 0.2, False: 0.8}),
        (lambda: abs(random.gauss(0, 1)) < 1, {True: 2 * NORMAL.cdf(1) - 1, False: 2 - 2 * NORMAL.cdf(1)}),
        (lambda: bisect.bisect([0.1, 0.4, 0.8], random.random()), {0: 0.1, 1: 0.3, 2: 0.4, 3: 0.2}),
        (lambda: max(random.random(), 0.25) > 0.5, {True: 0.5, False: 0.5}),
        (lambda: sorted([0.5, random.random()])[0] == 0.5, {True: 0.5, False: 0.5}),
        (lambda: (lambda r: r - r)(random.random()), {0.0: 1.0}),
        (lambda: (lambda r: r + r < 0.5)(random.random()), {True: 0.25, False: 0.75}),
        (lambda: (lambda r: 1 - r < r)(random.random()), {True: 0.5, False: 0.5}),
        (lambda: bool(random.random()), {True: 1.0}),
        (lambda: random.expovariate(0.5) > 3, {True: math.exp(-1.5), False: -math.expm1(-1.5)}),
    ],
)
def test_exact_laws(run: Callable[[], Any], exact: dict[Any, float]) -> None:
    assert law(run) == pytest.approx(exact, abs=1e-12)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([operator.add, operator.sub, operator.mul, operator.truediv]),
            st.fractions(-4, 4, max_denominator=64),
            st.booleans(),
        ),
        max_size=5,
    ),
    st.fractions(-6, 6, max_denominator=64),
    st.sampled_from([operator.lt, operator.le, operator.gt, operator.ge]),
)
def test_affine_chains_have_the_closed_form(
    chain: list[tuple[Callable[[Any, Any], Any], Fraction, bool]], threshold: Fraction, compare: Any
) -> None:
    """The exact probability, in rational arithmetic, of a comparison after any chain of affine steps."""
    a, b = Fraction(1), Fraction(0)
    for step, number, is_left in chain:
        if step is operator.add:
            b += number
        elif step is operator.sub:
            a, b = (-a, number - b) if is_left else (a, b - number)
        elif step is operator.mul:
            a, b = a * number, b * number
        else:
            assume(number != 0)
            a, b = a / number, b / number
    assume(abs(a) > Fraction(1, 1000))

    def run() -> bool:
        install()  # hypothesis seeds the global generator
        x: Any = random.random()
        for step, number, is_left in chain:
            left = is_left and step in (operator.add, operator.sub, operator.mul)
            x = step(float(number), x) if left else step(x, float(number))
        return bool(compare(x, float(threshold)))

    below = min(max((threshold - b) / a, Fraction(0)), Fraction(1))
    less = compare in (operator.lt, operator.le)
    exact = below if less == (a > 0) else 1 - below
    assert law(run).get(True, 0.0) == pytest.approx(float(exact), abs=1e-12)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(["uniform", "normal", "exponential"]), st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 0.99))
def test_within_inverts_share(kind: str, first: float, second: float, q: float) -> None:
    span = {"uniform": (0, 1), "normal": (-9, 9), "exponential": (0, 30)}[kind]
    low, high = sorted(span[0] + (span[1] - span[0]) * each for each in (first, second))
    assume(high - low > 1e-3)
    x = within(kind, low, high, q)
    assert low <= x < high
    assert share(kind, low, x) / share(kind, low, high) == pytest.approx(q, rel=1e-6)


@pytest.mark.parametrize("far", [6.0, 8.5, 20.0, 35.0])
def test_far_tails_keep_their_mass(far: float) -> None:
    """Differences of distribution functions near 1 would be 0 here."""
    assert share("normal", far, far + 1) == pytest.approx(share("normal", -far - 1, -far), rel=1e-12)
    assert share("normal", far, math.inf) > 0
    assert share("exponential", far, far + 1) == pytest.approx(math.exp(-far) * (1 - math.exp(-1)), rel=1e-12)


def test_a_threshold_in_a_far_tail_has_its_probability() -> None:
    found = explore(lambda: random.gauss(0, 1) > 7, epsilon=1e-15)
    assert {path.result: path.weight for path in found.paths}[True] == pytest.approx(1.2798e-12, rel=1e-4)


USES: dict[str, Callable[[Any], Any]] = {
    "json": json.dumps,
    "Decimal": Decimal,
    "sleep": lambda x: time.sleep(0 * x),
    "sleep a little": lambda x: time.sleep(x * 1e-9),
    "mean": lambda x: statistics.mean([x, 1.0]),
    "struct": lambda x: struct.pack("d", x),
    "percent": lambda x: "%.2f %s %r %d" % (x, x, x, x),  # noqa: UP031  # the C formatter is what is tested
    "f-string": lambda x: f"{x} {x:.3f} {x!r} {x:>12}",
    "format": lambda x: "{:e}".format(x),  # noqa: UP032  # another way in
    "sin": math.sin,
    "log": lambda x: math.log(x + 1),
    "hypot": lambda x: math.hypot(x, 1),
    "isclose": lambda x: math.isclose(x, x),
    "fsum": lambda x: math.fsum([x, x]),
    "round": lambda x: round(x, 5),
    "timedelta": lambda x: datetime.timedelta(seconds=x),
    "timedelta times": lambda x: datetime.timedelta(hours=1) * x,
    "fromtimestamp": lambda x: datetime.datetime.fromtimestamp(x, datetime.UTC),
    "array": lambda x: array.array("d", [x]),
    "sum": lambda x: sum([x, 0.25, x]),
    "max": lambda x: max(x, 0.5),
    "min": lambda x: min([0.5, x]),
    "sorted": lambda x: sorted([0.5, x, 0.25]),
    "key": lambda x: {x: 1, 0.5: 2}[x],
    "set": lambda x: x in {x, 0.5},
    "repr": repr,
    "list": lambda x: str([x]),
    "power": lambda x: x**2 + 2**x + pow(x, 0.5),
    "third power": lambda x: pow(x, 2, 3),
    "range": lambda x: list(range(x)),
    "index": lambda x: [1, 2, 3][x],
    "complex": lambda x: complex(x, x) * 1j,
    "plus complex": lambda x: x + 1j,
    "complex minus": lambda x: 1j - x,
    "Fraction": lambda x: Fraction(x) + 1,
    "plus Fraction": lambda x: x + Fraction(1, 3),
    "plus Decimal": lambda x: x + Decimal(1),
    "less than Decimal": lambda x: (x < Decimal("0.3"), Decimal("0.3") < x),
    "less than text": lambda x: x < "a",
    "plus text": lambda x: "a" + x,
    "list times": lambda x: [1] * x,
    "by zero": lambda x: x / 0,
    "floor by zero": lambda x: x // 0,
    "modulo zero": lambda x: x % 0,
    "divides": lambda x: (1 / x, 5 // x, 5 % x, divmod(5, x), x / 3, x // 0.3, x % 0.3, x % math.inf, x // -math.inf),
    "ratio": lambda x: x.as_integer_ratio(),
    "hex": lambda x: (x.hex(), x.is_integer(), x.conjugate(), x.real, x.imag),
    "class": lambda x: (isinstance(x, float), x.__class__, isinstance(x, int)),
    "bytes": bytes,
    "chr": chr,
    "to float": float,
    "to text": lambda x: float(str(x)),
    "equal": lambda x: (x == x, x != x, x == 0.5, x == "a", x is None),
    "own type": lambda x: type(x)(0.5),
    "insort": lambda x: bisect.insort([0.5], x),
    "more than Fraction": lambda x: (Fraction(1, 3) > x, Fraction(1, 3) * x),
    "infinite": lambda x: (x * math.inf, -x * math.inf, x + math.inf, x - math.inf > x, x * math.nan > 0, x + math.nan),
    "number after all": lambda x: (str(x), x / 3, x * 0.1 * 3, x + 0.1 - 0.1, 1 - x, -x, x - x / 7, abs(-x)),
}


@pytest.mark.parametrize("name", USES)
def test_every_use_computes_what_it_does_for_a_float(name: str) -> None:
    """Errors included; the number is read off at the end. A use may be refused, and is then run with plain floats."""
    use = USES[name]

    def told(x: Any) -> Any:
        try:
            return repr(use(x))
        except Exception as error:
            if isinstance(error, TypeError):
                raise
            return f"{type(error).__name__}: {error}"

    def run() -> Any:
        x = random.random()
        result = told(x)
        return result, float(x)

    try:
        explored = explore(run, max_paths=100)
    except TypeError as error:  # plain floats are refused, too
        with pytest.raises(TypeError) as native:
            use(0.3)
        assert str(native.value) == str(error)
        return
    assert sum(path.weight for path in explored.paths) + explored.unexplored == pytest.approx(1.0)
    for path in explored.paths:
        result, number = path.result
        assert 0.0 <= number < 1.0 and path.sampled
        assert result == told(number)


def test_a_class_of_the_program_gets_the_lazy_number() -> None:
    class Money:
        def __init__(self, amount: Any) -> None:
            self.amount = amount

        def __rmul__(self, factor: Any) -> Money:
            return Money(factor * self.amount)

        def __gt__(self, other: Any) -> bool:
            return bool(self.amount > other)

    assert law(lambda: (random.random() * Money(10)).amount < 3) == pytest.approx({True: 0.3, False: 0.7})
    assert law(lambda: random.random() < Money(0.25)) == pytest.approx({True: 0.25, False: 0.75})


def test_a_number_once_drawn_stays_within_what_was_told() -> None:
    def run() -> tuple[bool, bool, float]:
        x = random.random() * 10 - 5
        return x < 1, x < -3, float(x)

    explored = explore(run)
    assert len(explored.paths) == 3
    for path in explored.paths:
        below, far, number = path.result
        assert (number < 1) == below and (number < -3) == far


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.lists(st.floats(-0.2, 1.2), min_size=1, max_size=4))
def test_pinned_comparisons_come_out_as_the_run_did(seed: int, thresholds: list[float]) -> None:
    def run() -> list[Any]:
        install()
        x, y, z = random.random(), random.gauss(0, 1), random.expovariate(2)
        told: list[Any] = [[each < t for t in thresholds] for each in (x, y, z)]
        return [*told, int(x * 7), round(y) if abs(y) < 0.4 else None, [thresholds[0] < 3 * z + 1]]

    stream = SeededDecider(seed)
    with using(stream):
        native = run()
    pinned = Pinned(stream.values)
    with using(pinned):
        assert run() == native
    assert all(choice.probabilities[choice.taken] > 0 for choice in pinned.log)
    with using(Guided(pinned.outcomes)) as again:  # the path it was
        assert run()[:4] == native[:4] or again.sampled


def test_a_lazy_real_has_no_value_after_its_run() -> None:
    with using(Guided()):
        left = random.random()
    with pytest.raises(DrawMismatch, match="after its run"):
        float(left)


def test_a_copy_is_the_same_draw() -> None:
    import copy
    import pickle

    real = LazyReal(Variable("uniform"))
    assert copy.deepcopy([real])[0] is real
    first, second = pickle.loads(pickle.dumps((real, real * 2)))
    with using(Guided()):
        assert (first < 0.5) == (second < 1.0)
