"""A step of reading ends within its limits, and another one's clock is as it was."""

from __future__ import annotations

import signal
import threading

import pytest

from trace_mine.corpus.mined.clock import OutOfTime, cpu_clock, within_limits
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop


def forever() -> None:
    while True:
        pass


def too_deep() -> None:
    too_deep()


def too_large() -> None:
    raise MemoryError


@pytest.mark.parametrize(("step", "reason"), [(forever, "too_slow"), (too_deep, "too_deep"), (too_large, "too_large")])
def test_what_goes_over_a_limit_is_a_drop(step: object, reason: str) -> None:
    made = within_limits(step, 0.05)  # type: ignore[arg-type]
    assert isinstance(made, Drop) and made.reason == reason
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0), "no clock is left running"
    assert within_limits(lambda: 3, 0.05) == 3


def test_what_catches_every_exception_does_not_catch_the_clock() -> None:
    def stubborn() -> None:
        while True:
            try:
                forever()
            except Exception:
                continue

    made = within_limits(stubborn, 0.05)
    assert isinstance(made, Drop) and made.reason == "too_slow"


def test_an_inner_clock_stops_the_outer_one() -> None:
    with cpu_clock(100.0):
        with pytest.raises(OutOfTime), cpu_clock(0.05):
            forever()
        left, _ = signal.getitimer(signal.ITIMER_PROF)
        # in ticks of the kernel, by which it may be rounded up
    assert 99.0 < left < 100.5, "what an inner clock bounds is not counted twice"


def test_only_the_main_thread_has_a_clock() -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            within_limits(lambda: 3, 1.0)
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors


def test_a_parser_that_hides_the_end_of_the_time_is_too_slow():
    """CPython's ``compile`` raises SystemError where a signal's exception comes while it makes a tree."""

    def step() -> None:
        try:
            while True:
                pass
        except OutOfTime:
            raise SystemError("AST constructor recursion depth mismatch") from None

    assert within_limits(step, 0.05).reason == Reason.TOO_SLOW
    with pytest.raises(SystemError):
        within_limits(lambda: exec("raise SystemError('of its own')"), 5)


def test_an_end_that_is_swallowed_comes_again():
    swallowed = []

    def step() -> None:
        while True:
            try:
                while True:
                    pass
            except OutOfTime:
                if swallowed:
                    raise
                swallowed.append(True)

    assert within_limits(step, 0.05).reason == Reason.TOO_SLOW and swallowed
