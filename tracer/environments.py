"""The environment that a script's packages come from, as folders that a jail can show: by where things lie.

Nothing of an environment runs for it, its interpreter's ``site`` included: of ``.pth`` files, by which editable
installations name their sources, the folders are read, and lines of code are left out but for setuptools' own table.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trace_mine.tracer.sandbox.jail import hidden_from_runs, probe_interpreter

MAX_CONFIG_BYTES = 1 << 14
"""How much of a ``pyvenv.cfg`` is read; real ones have some hundred bytes."""

MAX_PTH_FILES, MAX_PTH_BYTES, MAX_LINKED = 200, 1 << 16, 32
"""``.pth`` files of a folder that are read, how much of each, and folders that they may name together."""

_import = re.compile(r"^([ \t]*+)(?:from[ \t]++(\w++)[\w.]*+[ \t]++import\b|import[ \t]++(.++))", re.MULTILINE)
_finder = re.compile(r"^import (__editable___\w{1,200}_finder);")
_table = re.compile(r"^MAPPING(?:: dict\[str, str\])? = (\{[^\n]*\})$", re.MULTILINE)
_entry = re.compile(r"'(\w[\w.]*+)': '([^'\\\0]+)'")
"""How setuptools writes where an editable installation's packages lie."""
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
        return with_linked(folders)
    # not resolved: the link's place says which environment is meant
    prefix = Path(sys.prefix) if python == sys.executable else Path(os.path.abspath(python)).parent.parent
    folders = _below(prefix, minor)
    if not _is_alone(prefix):
        # a user's own packages go before the system's, as in ``site``
        folders = (*_below(Path.home() / ".local", minor), *folders, *_below(Path(installation.prefix), minor))
    return with_linked(tuple(dict.fromkeys(folders)))


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


def with_linked(folders: tuple[Path, ...], *, inside: Path | None = None) -> tuple[Path, ...]:
    """Return the folders, and behind them those that their ``.pth`` files name, as ``site`` adds them to ``sys.path``.

    Lines of code are not run; of setuptools' own ones the table that they import is read.

    Args:
        folders: of installed packages.
        inside: what was installed is a stranger's, and may lead to nothing outside of this folder.
    """
    linked: dict[Path, None] = {}
    base = None if inside is None else Path(os.path.realpath(inside))
    for folder in folders:
        for path in _named_by_pth(folder):
            if len(linked) < MAX_LINKED and path.is_absolute() and path.is_dir() and not hidden_from_runs(path):
                place = Path(os.path.realpath(path))
                if base is None or place.is_relative_to(base):
                    linked[place] = None
    return tuple(dict.fromkeys((*folders, *linked)))


def _named_by_pth(folder: Path) -> Iterator[Path]:
    """Give the folders that the ``.pth`` files of a folder of packages name, in the order of ``site``."""
    try:
        # as ``site``: hidden files don't count
        names = sorted(name for name in os.listdir(folder) if name.endswith(".pth") and name[0] != ".")[:MAX_PTH_FILES]
    except OSError:
        return
    for name in names:
        for line in _beginning_of(folder / name).splitlines():
            finder = _finder.match(line)
            if finder is not None:
                yield from _named_by_table(_beginning_of(folder / f"{finder.group(1)}.py"))
            # as ``site``: what begins so is code, and is not run here
            elif line.strip() and not line.startswith(("#", "import ", "import\t")) and "\0" not in line:
                yield folder / line.rstrip()


def _named_by_table(source: str) -> Iterator[Path]:
    """Give the folders above the packages of setuptools' table, those whose packages have their names there; of a
    package in a namespace (``ns.part``) the folder above the namespace.
    """
    table = _table.search(source)
    for name, place in _entry.findall(table.group(1)) if table is not None else ():
        path, parts = Path(place), tuple(name.split("."))
        if path.parts[-len(parts) :] in (parts, (*parts[:-1], f"{parts[-1]}.py")):
            yield path.parents[len(parts) - 1]


def _beginning_of(path: Path) -> str:
    """The text of a regular file, MAX_PTH_BYTES at most; empty where it can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe is not waited for
    except OSError:
        return ""
    with open(fd, "rb") as file:
        try:
            return file.read(MAX_PTH_BYTES).decode("utf-8-sig", "replace")
        except OSError:
            return ""


def _is_alone(prefix: Path) -> bool:
    """Return True if an environment does without the packages of the interpreter that it was made with."""
    try:
        with open(prefix / "pyvenv.cfg", encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CONFIG_BYTES)
    except OSError:
        return False
    return re.search(r"(?im)^[ \t]*+include-system-site-packages[ \t]*+=[ \t]*+true", text) is None
