"""An ordinary user that tests of root become: ids of its own, and an interpreter that it can start."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

STRANGER: dict[str, Any] = {"user": 54321, "group": 54322, "extra_groups": [54323]}
"""Arguments of ``subprocess.Popen``: ids that no account has, each another one.

Not nobody's: 65534 is also what the kernel answers for an id that a namespace does not map, so code that mixes the two
up works for nobody alone."""


def public_python() -> str:
    """A Python that STRANGER can start; ours may lie in a home folder."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            done = subprocess.run(command, **STRANGER, cwd="/", env={}, capture_output=True)
        except OSError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("no Python 3.11 that an unprivileged user can read")
