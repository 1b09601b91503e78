"""The packages that the repository around a script asks for: ``trace-mine environment`` installs and names them.

The tracer asks by that command, as anybody can: what reads repositories and installs packages is no part of it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trace_mine

MARKS = ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", ".git")
"""Names of files by which a folder is known as a repository."""
_PROGRAM = """\
import sys
sys.path.append(sys.argv[1])
from trace_mine.corpus.__main__ import main
sys.exit(main(sys.argv[2:]))
"""
MOST_ABOVE = 20
"""Folders above a script among which its repository is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPackages:
    """The packages of a repository.

    Attributes:
        site_folders: folders of installed packages.
        packages: single packages that the interpreter has besides.

    Raises:
        ValueError: a path is relative.
    """

    site_folders: tuple[Path, ...]
    packages: tuple[Path, ...]

    def __post_init__(self) -> None:
        if not all(path.is_absolute() for path in (*self.site_folders, *self.packages)):
            raise ValueError("expected absolute paths as OwnPackages, got a relative one; resolve them")


def repository_around(script: Path) -> Path:
    """Return the folder of the repository that a script stands in: the nearest one above it that has a packaging file,
    or git's folder; the script itself where there is none.
    """
    place = script.resolve()
    for folder in place.parents[:MOST_ABOVE]:
        if any((folder / name).exists() for name in MARKS):
            return folder
    return place


def own_packages(repository: Path, python: str) -> OwnPackages:
    """Have what a repository asks for installed, and return where it is.

    Args:
        repository: its folder, or a script.
        python: the interpreter that is to import it.

    Raises:
        ValueError: it can't be had; the message is that of ``trace-mine environment``.
    """
    # -P, and its own place last: the working folder may be a stranger's, with a json.py of its own
    command = [sys.executable, "-P", "-c", _PROGRAM, str(Path(trace_mine.__file__).parent.parent)]
    # its standard error is ours: it says what is installed while that takes its time
    done = subprocess.run(
        [*command, "environment", str(repository), "--json", "--python", python],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(
            f"expected an environment of {str(repository)!r}, got none: trace-mine environment ended with "
            f"{done.returncode}; name one by --environment DIR"
        )
    answer = json.loads(done.stdout)
    return OwnPackages(
        site_folders=tuple(map(Path, answer["site_folders"])), packages=tuple(map(Path, answer["packages"]))
    )


def environment_of(
    given: str | None, script: Path | None, root: Path | None, python: str
) -> Path | Callable[[], OwnPackages] | None:
    """Return what ``--environment`` names: a folder, None for the interpreter's own, or, of ``auto``, a function that
    has the packages installed, for where the script imports any.

    Args:
        given: the option.
        script: the script's file; None for a text.
        root: the repository's folder, where it is known.
        python: the interpreter that is to import them.

    Raises:
        ValueError: ``auto``, and there is neither a file nor a folder.
    """
    if given != "auto":
        return None if given is None else Path(given)
    if root is None and script is None:
        raise ValueError("expected a script's file, or --root, with --environment auto, got a text; give one of them")
    place = root if root is not None else repository_around(script)  # type: ignore[arg-type]  # one of them is there
    return partial(own_packages, place.resolve(), python)
