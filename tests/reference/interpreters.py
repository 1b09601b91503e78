"""The interpreters that tests and continuous integration run under: every minor version of Python that is found here.

python tests/reference/interpreters.py 3.12     # its path, or a line that says that there is none and exit code 1
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

MINORS = ("3.11", "3.12", "3.13", "3.14")
"""Oldest first. A minor version that none of these is has never been tried."""


OWN_ALONE = "TRACE_MINE_OWN_INTERPRETER"
"""The environment variable that is 1 where a suite runs under each interpreter in turn: a test with the parameter
``interpreter`` then runs for its own one, and for the others in their turns."""


@cache
def found(minor: str) -> str | None:
    """The interpreter of a minor version: this one, else pyenv's newest, else the one on PATH; None without any.

    A pyenv command of that name may be there though no such version is: what does not start as it is passed over.
    """
    if sys.version_info[:2] == tuple(int(part) for part in minor.split(".")):
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(f"{minor}.*/bin/python")
    newest_first = sorted(versions, key=_patch_number, reverse=True)
    for candidate in (*map(str, newest_first), shutil.which(f"python{minor}")):
        if candidate is not None and _starts_as(minor, candidate):
            return candidate
    return None


def is_between(minor: str) -> bool:
    """True for one of the other interpreters that is not the newest of them: what runs under all of them is a slow test
    there, and a quick one under this one and the newest.
    """
    others = [each for each in MINORS if found(each) not in (None, sys.executable)]
    return minor in others[:-1]


@cache
def version_of(python: str) -> tuple[int, ...]:
    """The minor version of an interpreter, as ``(3, 12)``."""
    if python == sys.executable:
        return sys.version_info[:2]
    command = [python, "-I", "-S", "-c", "import sys; print(*sys.version_info[:2])"]
    return tuple(map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()))


def not_found(minor: str) -> str:
    """What a skip or a run without the interpreter says."""
    return f"no Python {minor} here, neither among pyenv's versions nor as python{minor} on PATH"


def _patch_number(python: Path) -> int:
    """The last part of a version's folder; a pre-release (``3.14.0rc1``) comes before all releases."""
    patch = python.parents[1].name.rpartition(".")[2]
    return int(patch) if patch.isdecimal() else -1


def _starts_as(minor: str, python: str) -> bool:
    command = [python, "-I", "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip() == minor
    except (OSError, subprocess.SubprocessError):
        return False


if __name__ == "__main__":
    (asked,) = sys.argv[1:]
    place = found(asked)
    if place is None:
        sys.exit(not_found(asked))
    print(place)
