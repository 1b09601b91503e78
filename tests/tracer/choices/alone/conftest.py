"""Fork points are tested one file a process: none is left where there are other threads or children.

Run by test_fork_points.py; by hand, name a file to pytest.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trace_mine.tracer.inside.draws.patches import install
from trace_mine.tracer.inside.states import fork_points
from trace_mine.tracer.inside.states.fork_watch import watch

sys.path.insert(0, str(Path(__file__).resolve().parent))  # forking.py


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    install()
    signal.setitimer(signal.ITIMER_REAL, 0)  # the test runner's own timer would keep fork points away
    yield
    assert not watch.active
    with pytest.raises(ChildProcessError):  # nobody is left, nobody unheard
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every choice is worth a fork point."""
    monkeypatch.setattr(fork_points, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(fork_points, "WORTH", 0.0)
