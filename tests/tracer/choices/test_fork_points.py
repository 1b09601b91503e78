"""Runs each file of ``alone`` in a process of its own: no fork point is left where there are other threads, and its
tests count children, of which other tests leave both behind.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ALONE = Path(__file__).with_name("alone")


@pytest.mark.parametrize(
    "name",
    [pytest.param("same_paths", marks=pytest.mark.slow), pytest.param("lost_forks", marks=pytest.mark.slow), "worlds"],
)
def test_fork_points_in_a_process_of_their_own(name: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(ALONE / f"{name}.py")]
    told = subprocess.run(command, cwd=ALONE.parents[3], capture_output=True, text=True, timeout=280)
    assert told.returncode == 0, told.stdout[-6000:]
    assert " passed" in told.stdout
