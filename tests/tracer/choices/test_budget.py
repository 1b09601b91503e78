"""Budgets are of processor time: a wait costs nothing, a loop its time, and what forks computed counts too."""

from __future__ import annotations

import time

from trace_mine.tracer.inside.states import budget
from trace_mine.tracer.inside.states.budget import count_forked, process_seconds, spent_seconds


def test_a_wait_is_not_spent() -> None:
    before = spent_seconds()
    time.sleep(0.3)
    assert spent_seconds() - before < 0.2


def test_computing_is_spent_as_the_kernel_counts_it() -> None:
    before, kernel = spent_seconds(), time.process_time()
    while time.process_time() - kernel < 0.1:
        pass
    assert 0.1 <= spent_seconds() - before < 0.2


def test_what_forks_say_is_added() -> None:
    before, alone = spent_seconds(), process_seconds()
    try:
        count_forked(5.0)
        count_forked(-100.0)
        assert 5.0 <= spent_seconds() - before < 5.2
        assert process_seconds() - alone < 0.2
    finally:
        budget._forked_seconds[0] -= 5.0
