"""A fork that the kernel refuses is asked for again, for a while."""

from __future__ import annotations

import types

import pytest

from trace_mine.tracer.sandbox import forking
from trace_mine.tracer.sandbox.forking import CLONE_ATTEMPTS, SiblingForks


@pytest.fixture
def forks(monkeypatch):
    """Forks whose clone is refused as often as ``refused`` says; none takes place."""
    made = object.__new__(SiblingForks)
    made._arguments = ()
    made.refused, made.slept = 0, []

    def clone(*words):
        made.refused -= 1
        return -1 if made.refused >= 0 else 4_321

    nothing = types.SimpleNamespace(PyOS_BeforeFork=lambda: None, PyOS_AfterFork_Parent=lambda: None)
    monkeypatch.setattr(forking, "_python", nothing)
    monkeypatch.setattr(forking, "_syscall", clone)
    monkeypatch.setattr(forking, "_sleep", made.slept.append)
    return made


@pytest.mark.parametrize("refused", [0, 1, CLONE_ATTEMPTS - 1])
def test_a_refused_fork_is_tried_again(forks, refused):
    forks.refused = refused
    assert forks._clone(lambda: None) == 4_321
    assert len(forks.slept) == refused


def test_a_fork_that_is_refused_for_good(forks):
    forks.refused = CLONE_ATTEMPTS
    with pytest.raises(OSError, match="too many processes"):
        forks._clone(lambda: None)
    assert 0.5 < sum(forks.slept) < 2
