"""Readings of clocks that wait: every operation is held against that of a float or int, and what draws is known."""

from __future__ import annotations

import copy
import functools
import json
import math
import operator
import pickle
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from trace_mine.tracer.inside.draws import readings
from trace_mine.tracer.inside.draws.deciders import Guided, using
from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.draws.reals import LazyReal, Variable
from trace_mine.tracer.inside.draws.refusals import Refused, is_refusal

OTHERS = (2, -3, 0.5, True, 1e300)
WAITING = (operator.add, operator.sub, operator.mul)
BINARY = (
    *WAITING,
    *(operator.truediv, operator.floordiv, operator.mod, divmod, operator.pow),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
)
UNARY: tuple[Callable[[Any], Any], ...] = (
    *(operator.neg, operator.pos, abs, float, int, bool, complex, repr, str, hash, math.floor, math.ceil, math.trunc),
    *(round, lambda x: round(x, 2), lambda x: f"{x:.3f}", math.sqrt),
    lambda x: "%.2f %d %s" % (x, x, x),  # noqa: UP031  # C code of its own
    *(lambda x: x.is_integer(), lambda x: x.as_integer_ratio(), lambda x: x.hex(), lambda x: x.real, lambda x: x.imag),
    *(
        lambda x: isinstance(x, float),
        lambda x: pickle.loads(pickle.dumps(x)),
        lambda x: copy.deepcopy([x])[0],
        lambda x: sum([x, x]),
    ),
    *(lambda x: sorted([x, 3.0]), lambda x: {x: 1}[x], lambda x: Fraction(x), lambda x: max(x, 1)),
)
WHOLE: tuple[Callable[[Any], Any], ...] = (
    *(lambda x: x & 255, lambda x: x | 1, lambda x: x ^ 3, lambda x: x >> 3, lambda x: 5 << (x % 7), hex, bin),
    *(lambda x: x // 1000 % 7, lambda x: x.bit_length(), lambda x: isinstance(x, int), operator.index, lambda x: x % 9),
)


@pytest.fixture(autouse=True)
def fresh() -> None:
    install()


def outcome(run: Callable[[], Any]) -> tuple[type, object]:
    """A result's type and text, or an exception's."""
    try:
        result = run()
    except Exception as error:
        return type(error), ""
    return (float if type(result) is readings.LazyReading and isinstance(result, float) else
            int if type(result) is readings.LazyReading else type(result)), repr(result)  # fmt: skip


def drawn(decider: Guided) -> tuple[Any, float]:
    """A reading that waits, and its number; another one of the same place has it."""
    with using(Guided(seed=decider.seed)):
        number = float(readings.read(5.0, 1))
    return readings.read(5.0, 1), number


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("operation", BINARY)
def test_operations_of_two_are_those_of_floats(operation: Callable[..., Any], other: Any) -> None:
    for swapped in (False, True):
        decider = Guided(seed=3)
        reading, number = drawn(decider)
        (left, right), plain = ((other, reading), (other, number)) if swapped else ((reading, other), (number, other))
        with using(decider):
            mine = outcome(functools.partial(operation, left, right))
            assert mine == outcome(functools.partial(operation, *plain))


@pytest.mark.parametrize("operation", WAITING)
def test_sums_and_products_wait(operation: Callable[..., Any]) -> None:
    with using(Guided()) as decider:
        operation(operation(time.time(), time.time()), 2.5)
        assert decider.sampled == []


@pytest.mark.parametrize("number", range(len(UNARY)))
def test_operations_of_one_are_those_of_floats(number: int) -> None:
    decider = Guided(seed=4)
    reading, value = drawn(decider)
    with using(decider):
        assert outcome(lambda: UNARY[number](reading)) == outcome(lambda: UNARY[number](value))


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_operations_of_nanoseconds_are_those_of_ints(number: int) -> None:
    decider = Guided(seed=5)
    reading, value = drawn(decider)
    with using(decider):
        whole, plain = (reading * 1e9).whole(), int(value * 1e9)
        assert not decider.sampled and isinstance(whole, int) and not isinstance(whole, float)
        assert outcome(lambda: WHOLE[number](whole)) == outcome(lambda: WHOLE[number](plain))


@pytest.mark.parametrize("other", [None, "a", b"a", [1], (1,), {}, 1j, Decimal(1), Fraction(1, 3)])
@pytest.mark.parametrize("operation", [*BINARY, operator.contains, operator.getitem])
def test_what_a_float_refuses_is_refused(operation: Callable[..., Any], other: Any) -> None:
    decider = Guided(seed=6)
    reading, number = drawn(decider)
    with using(decider):
        try:
            mine = outcome(lambda: operation(other, reading))
        except Refused:
            return  # all runs again with floats
        assert mine == outcome(lambda: operation(other, number))


def test_storing_draws_nothing_and_looking_draws_once() -> None:
    with using(Guided(seed=1)) as decider:
        began, ns = time.time(), time.time_ns()
        kept = {"at": began, "ns": ns, "took": round(abs(time.perf_counter() - began) * 1000 + 1, 3)}
        assert began and isinstance(began, float) and isinstance(ns, int) and copy.copy(began) is began
        assert began is not None and began != "now" and [began, began].count(None) == 0
        assert decider.sampled == []
        assert kept["at"] == began and decider.sampled == []  # the same object
        assert str(began) == str(began) and decider.sampled == ["clock shown"]
        assert time.time() >= began, "time never goes back"


def test_time_goes_on_whichever_reading_is_looked_at_first() -> None:
    for seed in range(50):
        with using(Guided(seed=seed)):
            first, second, third = time.time(), time.time(), time.time()
            assert third >= second >= first and 0 <= third - first <= 0.004


def test_a_draw_and_a_reading_wait_together() -> None:
    with using(Guided(seed=2)) as decider:
        late = time.time() + LazyReal(Variable("uniform")) * 10
        assert type(late) is readings.LazyReading and decider.sampled == []
        assert 0 <= late - 1_700_000_000.0 <= 10.1


def test_a_long_sum_is_drawn() -> None:
    with using(Guided(seed=2)) as decider:
        total = 0.0
        for _ in range(readings.MOST_STEPS - 1):
            total += time.time() - 1.0
        assert decider.sampled == []
        total += 1
        assert decider.sampled


def test_code_that_takes_no_reading_is_heard_of() -> None:
    with using(Guided()):
        with pytest.raises(TypeError) as raised:
            json.dumps(time.time())
        assert is_refusal(raised.value)
        with pytest.raises(TypeError) as raised:
            Decimal(time.time())
        assert is_refusal(raised.value)
        for call in (time.localtime, time.ctime, range, [1].__getitem__):
            with pytest.raises(Refused):
                call(time.time())
    assert readings.give_up() and not readings.give_up()
    with using(Guided(seed=1)) as decider:
        assert type(time.time()) is float and decider.sampled == ["clock"]
