"""The interpreters of this machine, and the one that a repository asks for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

SUPPORTED = ("3.11", "3.12", "3.13", "3.14")
"""The versions of Python that sessions are written under."""
SECONDS = 30.0
"""Wall time of an interpreter's answer."""

_PROGRAM = "import platform, sys; print(sys.implementation.name, platform.python_version(), sys.executable)"
_answer = re.compile(r"cpython (\d++\.\d++\.\d++[^ ]*+) /")


@cache
def interpreters() -> Mapping[str, str]:
    """Find CPython's interpreters: from the minor version (``3.12``) to the path.

    Searched are the one that runs this, PATH, and the folders in which pyenv and uv keep theirs; of one minor version
    the first counts.
    """
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    paths_by_version = {minor: sys.executable}
    for version in SUPPORTED:
        for candidate in (shutil.which(f"python{version}"), *_kept(version)):
            if version not in paths_by_version and candidate is not None and _version_of(str(candidate), version):
                paths_by_version[version] = str(candidate)
    return paths_by_version


def interpreter_for(requires_python: str | None) -> str | None:
    """Choose the interpreter for a repository: this one where it will do, else the newest that is there and will.

    Args:
        requires_python: the repository's specifier; None where it has none.

    Returns:
        The path; None where no interpreter of this machine will do.
    """
    try:
        specifier = SpecifierSet(requires_python or "")
    except InvalidSpecifier:
        specifier = SpecifierSet()
    running = ".".join(map(str, sys.version_info[:3]))
    if specifier.contains(running, prereleases=True):
        return sys.executable
    for minor, path in sorted(interpreters().items(), key=lambda item: Version(item[0]), reverse=True):
        version = _version_of(path, minor)
        if version is not None and specifier.contains(version, prereleases=True):
            return path
    return None


def _kept(version: str) -> list[Path]:
    """The interpreters of a minor version in pyenv's and uv's folders, the newest first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    folders = [*pyenv.glob(f"{version}.*"), *data.glob(f"uv/python/cpython-{version}.*")]
    paths = [folder / "bin" / f"python{version}" for folder in folders]
    return sorted((path for path in paths if path.exists()), key=lambda path: _numbers(path), reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d++", path.parent.parent.name)[:3]]


@cache
def _version_of(python: str, minor: str) -> str | None:
    """The version of an interpreter; None where it is none of CPython's, or of another minor version (a shim's)."""
    # isolated and without ``site``, so that nothing that is installed there runs
    command = [python, "-I", "-S", "-c", _PROGRAM]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    answer = _answer.match(done.stdout.strip())
    return answer[1] if answer is not None and answer[1].startswith(f"{minor}.") else None
