"""Finds where a repository's modules live: the folders for ``sys.path``, and the importable name of each file.

A file's *base* is the first folder upwards that is not a package, as pytest takes it. The *main roots* are the folders
that an installation would put on the path (``src``, a declared package folder, the repository itself).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trace_mine.corpus.mined.packaging_files import PackagingFiles, dig

MAX_DECLARED = 50
"""Folders that packaging files may declare; each is compared with all files of the repository."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlace:
    """The folders and the name with which a file is imported.

    Attributes:
        sys_path: folders for ``sys.path``, relative to the repository's root; the empty string is the root itself.
        module: the name that leads to the file with these folders; None when no name does.

    Raises:
        ValueError: the name is no dotted name, so that an import of it could not be written.
    """

    sys_path: tuple[str, ...]
    module: str | None

    def __post_init__(self) -> None:
        if self.module is not None and not all(part.isidentifier() for part in self.module.split(".")):
            raise ValueError(
                f"expected Place.module to be a dotted name, got {self.module!r}; give None where no name leads here"
            )


class Layout:
    """Names for the Python files of one repository.

    Args:
        root: the repository's folder, in which only the packaging files are read.
        paths: all its Python files, relative with ``/``.
        packaging: the packaging files, where the caller has read some of them already.

    Attributes:
        main_roots: the folders that an installation would put on the path, the repository itself last.
    """

    def __init__(self, root: Path, paths: Iterable[str], packaging: PackagingFiles | None = None) -> None:
        self._files = frozenset(paths)
        self._packages = frozenset(
            path.rpartition("/")[0] for path in self._files if path.rpartition("/")[2] == "__init__.py"
        )
        roots = dict.fromkeys(_declared_roots(packaging or PackagingFiles(root)))
        declared = [folder for folder in islice(roots, MAX_DECLARED) if self._holds_code(folder)]
        # The layout is common enough to count without being declared; a package that is called src is no root.
        if "src" not in self._packages and self._holds_code("src"):
            declared.append("src")
        # The root stays on the path, last: tests and examples import helpers from it (`from tests.util import x`).
        self.main_roots = tuple(dict.fromkeys([*declared, ""]))

    def place(self, path: str) -> ImportPlace:
        """The file's ``sys.path`` and module name.

        Files below a main root share one path, and so one warm sandbox. A file whose base lies elsewhere (``tests/``,
        ``examples/``) gets its base in front, as it would have when it is run.

        Example:
            In a repository with ``src/pkg/__init__.py``, ``src/pkg/a.py`` has the path ``("src", "")`` and the name
            ``pkg.a``; ``tests/test_a.py`` has ``("tests", "src", "")`` and ``test_a``.
        """
        base = self.base(path)
        sys_path = self.main_roots if base in self.main_roots else (base, *self.main_roots)
        name = module_name(path, base)
        # Another file may stand before it: of `a.py` and `a/__init__.py` an import loads the package.
        if name is None or self.find(name, sys_path) != path:
            name = None
        return ImportPlace(sys_path=sys_path, module=name)

    def base(self, path: str) -> str:
        """The first folder upwards that is not a package."""
        folder = path.rpartition("/")[0]
        # A repository whose root has an `__init__.py` is its own base: the folder above is not ours to put on a path.
        while folder in self._packages and folder:
            folder = folder.rpartition("/")[0]
        return folder

    def find(self, name: str, sys_path: Iterable[str]) -> str | None:
        """The file that ``import name`` would load; None when it is not one of the repository's."""
        relative = name.replace(".", "/")
        for folder in sys_path:
            stem = f"{folder}/{relative}" if folder else relative
            for file in (f"{stem}/__init__.py", f"{stem}.py"):  # a package comes before a module, as for Python
                if file in self._files:
                    return file
        return None

    def top_level_names(self) -> frozenset[str]:
        """Every top-level name under which a file of the repository could import from the repository itself.

        Both a file's own top-level name and its first folder count: which of the two a repository uses depends on where
        its tests are started.
        """
        names = set()
        for path in self._files:
            names.update((module_name(path, self.base(path)) or "").split(".")[:1])
            names.add(path.partition("/")[0].removesuffix(".py"))
        return frozenset(names - {""})

    def _holds_code(self, folder: str) -> bool:
        prefix = f"{folder}/" if folder else ""
        return any(path.startswith(prefix) for path in self._files)


def module_name(path: str, base: str) -> str | None:
    """The dotted name of a file seen from the folder ``base``; None when a part is no identifier.

    Example:
        >>> module_name("a/b/c.py", "a")
        'b.c'
    """
    relative = path.removeprefix(f"{base}/") if base else path
    parts = relative.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def _declared_roots(packaging: PackagingFiles) -> list[str]:
    """Folders that the packaging files declare as the place of packages (setuptools and poetry), relative to the root.

    The values are whatever stands in the files: only texts count, and none that leaves the repository.
    """
    project = packaging.toml("pyproject.toml")
    folders: list[object] = []
    # Values have any type that TOML has, whatever setuptools would say of them, so `dig` checks each level.
    where = dig(project, "tool", "setuptools", "packages", "find", "where")
    folders += where if isinstance(where, list) else []
    folders.append(dig(project, "tool", "setuptools", "package-dir", ""))
    poetry = dig(project, "tool", "poetry", "packages")
    folders += [dig(item, "from") for item in poetry] if isinstance(poetry, list) else []
    config = packaging.config("setup.cfg")
    folders.append(config.get("options.packages.find", "where", fallback=None))
    for line in config.get("options", "package_dir", fallback="").splitlines():
        package, _, folder = line.partition("=")
        if not package.strip():  # ` = src`: the folder of all packages that are not named
            folders.append(folder)
    relative = [folder.strip().strip("/").removeprefix("./") for folder in folders if isinstance(folder, str)]
    return [folder for folder in relative if folder and folder != "." and ".." not in folder.split("/")]
