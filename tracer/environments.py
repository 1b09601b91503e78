"""The environment that a script's packages come from, as folders that a jail can show: by where things lie.

Nothing of an environment runs for it, ``.pth`` files and its interpreter's ``site`` included.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from trace_mine.tracer.sandbox.jail import hidden_from_runs, probe_interpreter

MAX_CONFIG_BYTES = 1 << 14
"""How much of a ``pyvenv.cfg`` is read; real ones have some hundred bytes."""

_import = re.compile(r"^([ \t]*+)(?:from[ \t]++(\w++)[\w.]*+[ \t]++import\b|import[ \t]++(.++))", re.MULTILINE)
_dynamic = re.compile(r"\b(?:importlib|__import__|runpy|pkgutil)\b")


def site_folders(python: str, environment: Path | None = None) -> tuple[Path, ...]:
    """Return the folders of installed packages that an interpreter imports from, those that every user can read.

    Args:
        python: the interpreter; its link in a virtual environment means that environment.
        environment: another environment's folder; None: the interpreter's own.

    Raises:
        ValueError: ``python`` is no interpreter, or ``environment`` has no packages for its version.
    """
    installation = probe_interpreter(python)
    minor = ".".join(installation.version.split(".")[:2])
    if environment is not None:
        folders = _below(environment, minor)
        if not folders:
            raise ValueError(
                f"expected an environment of Python {minor}, got {str(environment)!r} without "
                f"lib/python{minor}/site-packages; make one, or name its interpreter by --python"
            )
        return folders
    # not resolved: the link's place says which environment is meant
    prefix = Path(sys.prefix) if python == sys.executable else Path(os.path.abspath(python)).parent.parent
    folders = _below(prefix, minor)
    if _is_alone(prefix):
        return folders
    # a user's own packages go before the system's, as in ``site``
    return tuple(
        dict.fromkeys((*_below(Path.home() / ".local", minor), *folders, *_below(Path(installation.prefix), minor)))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignImports:
    """What programs import that is neither of the standard library nor beside them.

    ``at_top`` are names of modules that they import when they begin, ``others`` those that they may import later;
    ``computed``: they may import modules that their text does not name.

    Raises:
        ValueError: a name is no word.
    """

    at_top: frozenset[str]
    others: frozenset[str]
    computed: bool

    def __post_init__(self) -> None:
        if not all(name.isidentifier() for name in self.at_top | self.others):
            raise ValueError("expected names of modules in ForeignImports")

    def __bool__(self) -> bool:
        return self.computed or bool(self.at_top or self.others)


def foreign_imports(
    sources: Iterable[str], neighbours: Iterable[str], library: Iterable[str] = sys.stdlib_module_names
) -> ForeignImports:
    """Find what programs import, by their text: a line of a string that looks like an import counts.

    So that a script of the standard library does not wait for a search through all packages.

    Args:
        sources: the script's text, and that of modules beside it.
        neighbours: the names of the modules and packages beside the script.
        library: those of the standard library of the interpreter that runs them.
    """
    known = {*library, *neighbours}
    at_top: set[str] = set()
    others: set[str] = set()
    computed = False
    for source in sources:
        computed = computed or _dynamic.search(source) is not None
        for indent, one, several in _import.findall(source):
            names = [one] if one else [part.split()[0].split(".")[0] for part in several.split(",") if part.split()]
            (others if indent else at_top).update(name for name in names if name.isidentifier() and name not in known)
    return ForeignImports(at_top=frozenset(at_top), others=frozenset(others), computed=computed)


def installed(names: Iterable[str], folders: Iterable[Path]) -> tuple[str, ...]:
    """Those of the modules that one of the folders has, sorted."""
    places = tuple(folders)
    return tuple(
        sorted(
            name
            for name in names
            if any((place / name / "__init__.py").is_file() or (place / f"{name}.py").is_file() for place in places)
        )
    )


def _below(prefix: Path, minor: str) -> tuple[Path, ...]:
    """The folders of packages in an installation; those that a jail's runs could not read are left out."""
    places = [f"{lib}/python{minor}/site-packages" for lib in ("lib", "lib64", "local/lib")]
    # Debian's
    places += [f"local/lib/python{minor}/dist-packages", "lib/python3/dist-packages"]
    places_there = (Path(os.path.realpath(prefix / place)) for place in places)
    return tuple(dict.fromkeys(place for place in places_there if place.is_dir() and not hidden_from_runs(place)))


def _is_alone(prefix: Path) -> bool:
    """Return True if an environment does without the packages of the interpreter that it was made with."""
    try:
        with open(prefix / "pyvenv.cfg", encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CONFIG_BYTES)
    except OSError:
        return False
    return re.search(r"(?im)^[ \t]*+include-system-site-packages[ \t]*+=[ \t]*+true", text) is None
