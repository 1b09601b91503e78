"""The modules that an interpreter can import: where it searches, its standard library's names, what is installed.

All of it is read from files, so that modules are found for another interpreter than the one that runs this, with its
own packages, and nothing of an environment runs: the folders that ``.pth`` files name are searched, their lines of code
and finders are not run.
"""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.tracer.environments import site_folders
from trace_mine.tracer.sandbox.jail import probe_interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSearch:
    """Where an interpreter looks for modules.

    Attributes:
        version: the interpreter's, ``3.12.4``.
        folders: what it searches, in order; the standard library's first, but in a search of our own interpreter.
        library_names: the top-level names of its standard library.
        builtin_names: the modules that are compiled into it.

    Raises:
        ValueError: ``version`` is none.
    """

    version: str
    folders: tuple[str, ...]
    library_names: frozenset[str]
    builtin_names: frozenset[str]

    def __post_init__(self) -> None:
        if self.version.count(".") < 2 or not self.version.split(".")[0].isdecimal():
            raise ValueError(f"expected ImportSearch.version like 3.12.4, got {self.version!r}")

    @property
    def markers(self) -> dict[str, str]:
        """The part of a requirement's environment in which interpreters of one machine differ."""
        minor = ".".join(self.version.split(".")[:2])
        return {
            "python_version": minor,
            "python_full_version": self.version,
            "implementation_version": self.version,
        }

    def source_of(self, name: str) -> Path | None:
        """The folder of a top-level package, or the single ``.py`` file of a module; None where it has neither.

        ``importlib.util.find_spec`` would run the finders on ``sys.meta_path`` as well, among them those that editable
        installations add.
        """
        spec = importlib.machinery.PathFinder.find_spec(name, self.folders)
        if spec is None:
            return None
        if spec.submodule_search_locations:
            # A namespace package may have several folders; the sandbox can bind one name once.
            return Path(next(iter(spec.submodule_search_locations)))
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None

    def has_compiled(self, name: str) -> bool:
        """True for a top-level module that is there, and has no Python source."""
        if name in self.builtin_names:
            return True
        # by the beginnings of their names, since an extension module's suffix is its interpreter's own
        return any(next(Path(folder).glob(f"{name}.*so"), None) is not None for folder in self.folders)

    @property
    def distributions(self) -> Mapping[str, importlib.metadata.Distribution]:
        """The distributions in the folders, by the name that it is installed under."""
        return _distributions(self.folders)

    @property
    def owners(self) -> Mapping[str, Sequence[str]]:
        """By import name, the distributions that install it."""
        return _owners(self.folders)


def search_of(python: str = sys.executable) -> ImportSearch:
    """Where an interpreter looks for modules; our own with all that ``sys.path`` holds now.

    Raises:
        CorpusError: it can't be run, or is too old.
    """
    if python == sys.executable:
        return ImportSearch(
            version=".".join(map(str, sys.version_info[:3])),
            folders=tuple(sys.path),
            library_names=sys.stdlib_module_names,
            builtin_names=frozenset(sys.builtin_module_names),
        )
    try:
        installation = probe_interpreter(python)
        packages = site_folders(python)
    except ValueError as error:
        raise CorpusError(str(error), exit_code=2) from error
    return ImportSearch(
        version=installation.version,
        folders=(*installation.search, *map(str, packages)),
        library_names=installation.library_names,
        builtin_names=installation.builtin_names,
    )


@cache  # 0.2 s, which each repository would pay
def _distributions(folders: tuple[str, ...]) -> Mapping[str, importlib.metadata.Distribution]:
    by_name: dict[str, importlib.metadata.Distribution] = {}
    for distribution in importlib.metadata.distributions(path=list(folders)):
        if name := distribution.name:  # a broken installation has none
            by_name.setdefault(name, distribution)
    return by_name


@cache
def _owners(folders: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    owners: dict[str, list[str]] = {}
    for name, distribution in _distributions(folders).items():
        for module in sorted(_top_level(distribution)):
            owners.setdefault(module, []).append(name)
    return owners


def _top_level(distribution: importlib.metadata.Distribution) -> set[str]:
    """The import names of a distribution: those that it declares, else those of its files."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    files = () if declared else distribution.files or ()
    inferred = (file.parts[0] if len(file.parts) > 1 else file.stem for file in files if file.suffix == ".py")
    return {*declared, *inferred}
