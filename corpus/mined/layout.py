"""Where a repository's modules live: folders for ``sys.path``, and the importable name of each file.

A file's *base* is the first folder upwards that is not a package, as pytest and ``python FILE`` take it. The *main
roots* are what an installation would put on the path (``src``, a declared package folder, the repository itself).
"""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How a file is imported: with ``sys_path`` set up, ``module`` is its name; None when no name leads to it."""

    sys_path: tuple[str, ...]
    module: str | None


class Layout:
    """Names for the Python files of one repository.

    Args:
        root: the repository's folder, read only for its packaging files.
        paths: all its Python files, relative with ``/``.
    """

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        self._files = frozenset(paths)
        self._packages = frozenset(
            path.rpartition("/")[0] for path in self._files if path.rpartition("/")[2] == "__init__.py"
        )
        declared = [folder for folder in _declared_roots(root) if self._holds_code(folder)]
        if "src" not in self._packages and self._holds_code("src"):
            declared.append("src")
        self.main_roots = tuple(dict.fromkeys([*declared, ""]))

    def place(self, path: str) -> Place:
        """The file's ``sys.path`` and module name. Files below a main root share that root's path; a file whose
        base lies elsewhere (``tests/``, ``examples/``) gets its base in front, as it would have when it is run.
        """
        base = self.base(path)
        sys_path = self.main_roots if base in self.main_roots else (base, *self.main_roots)
        name = module_name(path, base)
        if name is None or self.find(name, sys_path) != path:
            name = None
        return Place(sys_path=sys_path, module=name)

    def base(self, path: str) -> str:
        """The first folder upwards that is not a package."""
        folder = path.rpartition("/")[0]
        while folder in self._packages and folder:
            folder = folder.rpartition("/")[0]
        return folder

    def find(self, name: str, sys_path: Iterable[str]) -> str | None:
        """The file that ``import name`` would load, None when it isn't one of ours."""
        relative = name.replace(".", "/")
        for folder in sys_path:
            stem = f"{folder}/{relative}" if folder else relative
            for candidate in (f"{stem}/__init__.py", f"{stem}.py"):
                if candidate in self._files:
                    return candidate
        return None

    def top_level_names(self) -> frozenset[str]:
        """Every name that some file of the repository could be importing from the repository itself."""
        names = set()
        for path in self._files:
            names.update((module_name(path, self.base(path)) or "").split(".")[:1])
            names.add(path.partition("/")[0].removesuffix(".py"))
        return frozenset(names - {""})

    def _holds_code(self, folder: str) -> bool:
        prefix = f"{folder}/" if folder else ""
        return any(path.startswith(prefix) for path in self._files)


def module_name(path: str, base: str) -> str | None:
    """``a/b/c.py`` seen from ``a`` is ``b.c``; None when a part is no identifier."""
    relative = path.removeprefix(f"{base}/") if base else path
    parts = relative.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def load_toml(file: Path) -> Mapping[str, Any]:
    """A TOML file as a dict, empty when it is missing or broken: packaging data is a help, never a condition."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError, RecursionError):
        return {}


def load_config(file: Path) -> configparser.RawConfigParser:
    """An INI file, empty when it is missing or broken."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, configparser.Error):
        return configparser.RawConfigParser()
    return parser


def dig(value: object, *keys: str) -> object:
    """``value[k1][k2]...``, None where a level is missing or of another type."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _declared_roots(root: Path) -> list[str]:
    project = load_toml(root / "pyproject.toml")
    folders: list[object] = []
    where = dig(project, "tool", "setuptools", "packages", "find", "where")
    folders += where if isinstance(where, list) else []
    folders.append(dig(project, "tool", "setuptools", "package-dir", ""))
    poetry = dig(project, "tool", "poetry", "packages")
    folders += [dig(item, "from") for item in poetry] if isinstance(poetry, list) else []
    config = load_config(root / "setup.cfg")
    folders.append(config.get("options.packages.find", "where", fallback=None))
    for line in config.get("options", "package_dir", fallback="").splitlines():
        package, _, folder = line.partition("=")
        if not package.strip():
            folders.append(folder)
    clean = [item.strip().strip("/").removeprefix("./") for item in folders if isinstance(item, str)]
    return [item for item in clean if item and item != "." and ".." not in item.split("/")]
