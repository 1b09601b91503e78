"""Runs ``fork_points_alone.py`` in a process of its own: no fork point is left where there are other threads, and its
tests count children, of which other tests leave both behind.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_fork_points_in_a_process_of_their_own() -> None:
    file = Path(__file__).with_name("fork_points_alone.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
    told = subprocess.run(command, cwd=file.parents[3], capture_output=True, text=True, timeout=280)
    assert told.returncode == 0, told.stdout[-6000:]
    assert " passed" in told.stdout
