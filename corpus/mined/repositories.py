"""Opens the repositories that the command line names: ``PATH`` (file, folder, checkout, sdist, wheel) or
``module:NAME``.

A folder without packaging files whose children have them holds several repositories. Archives, single files and
installed modules are staged: copied into the ledger's ``sources``, under names made of their content, so that the
sandbox is shown them and nothing beside them (the rest of site-packages, a home folder).
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.mined.archives import is_archive, unpack
from trace_mine.corpus.mined.files import LEDGER_FOLDER
from trace_mine.corpus.mined.provenance import Provenance, find_provenance
from trace_mine.tracer.atomic import new_folder
from trace_mine.tracer.sandbox import hidden_from_runs

MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO", ".git")
"""A folder with one of these is one repository, whatever its children are."""
MODULE_PREFIX = "module:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A folder to mine, with its provenance.

    Attributes:
        root: the folder, all of which the sandbox shows.
        provenance: the name, version, commit and licence of its rows.
        only: the files to search, relative to the root; None for all of them.
        library: of a module of the standard library, its file or folder in this interpreter; None for all others.

    Raises:
        ValueError: a file of ``only`` is not relative.
    """

    root: Path
    provenance: Provenance
    only: tuple[str, ...] | None = None
    library: str | None = None

    def __post_init__(self) -> None:
        for path in self.only or ():
            if path.startswith("/") or ".." in path.split("/"):
                raise ValueError(f"expected Repository.only relative to the root, got {path!r}; make it relative")

    @property
    def stdlib(self) -> bool:
        """True for a module of the standard library, which the interpreter in the sandbox has by itself."""
        return self.library is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredInput:
    """A file or folder beside repositories that was not mined, with an explanation for whoever named it.

    It is no ``Drop``: how many snippets it would have given is not known, so it is listed in ``stats.json`` and not
    counted.
    """

    name: str
    explanation: str


def open_inputs(inputs: list[str], staging: Path) -> Iterator[Repository | IgnoredInput]:
    """Open every repository that the inputs name, in their order; the children of a folder in the order of their names.

    Args:
        inputs: paths and ``module:NAME``, as they stand on the command line.
        staging: a folder for the copies of what is not a repository's own folder.

    Raises:
        CorpusError: a path is missing (exit code 2), or can't be read or unpacked.
    """
    for text in inputs:
        if text.startswith(MODULE_PREFIX):
            yield open_module(text.removeprefix(MODULE_PREFIX), staging)
            continue
        path = Path(text)
        if not path.exists():
            hint = "for an installed module write module:NAME" if text.isidentifier() else "check the spelling"
            raise CorpusError(f"expected a file or folder, got {text!r}, which does not exist; {hint}", exit_code=2)
        path = path.resolve()
        if path.is_dir():
            yield from _open_folder(path, staging)
        elif is_archive(path.name):
            yield _open_archive(path, staging)
        elif path.is_file() and path.suffix in (".py", ".rst", ".md", ".txt"):
            yield _open_file(path, staging)
        else:
            raise CorpusError(
                f"expected a folder, .py, .rst, .md, .txt, .tar.gz, .zip or .whl, got {text!r}; give one of these",
                exit_code=2,
            )


def open_module(name: str, staging: Path) -> Repository:
    """Open an installed module or package, or one of the standard library; of a dotted name, that part only.

    Only the top-level name is looked up, without importing it: looking up ``a.b`` would run ``a``.

    Args:
        name: without the prefix ``module:``.
        staging: a folder for the copy.

    Raises:
        CorpusError: there is no such module, or it has no Python source.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise CorpusError(
            f"expected module:NAME with a dotted name, got {name!r}; write for example module:heapq", exit_code=2
        )
    top = parts[0]
    source = _source_of_module(top, name)
    # All of the top-level package is staged, since the part imports the rest of it; only the part is searched.
    only = _files_of_part(source, parts, name) if len(parts) > 1 else None
    root = _stage([source], source.parent, staging, label=f"module-{top}")
    if top in sys.stdlib_module_names:
        # All modules of the standard library have one name, so that they share a split.
        provenance = Provenance(name="cpython", version=platform.python_version(), commit=None, licence="PSF-2.0")
        return Repository(root=root, provenance=provenance, only=only, library=str(source))
    return Repository(root=root, provenance=_installed_provenance(top, source), only=only)


def _source_of_module(top: str, name: str) -> Path:
    """The folder or file of a top-level module; ``name`` is the name on the command line, for the error."""
    # PathFinder looks into the folders of `sys.path` alone; `importlib.util.find_spec` would run everybody's finders.
    spec = importlib.machinery.PathFinder.find_spec(top)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        return Path(spec.origin)
    # Two different cures: a compiled module can't be mined at all, a missing one can be installed.
    is_compiled = spec is not None or top in sys.builtin_module_names
    kind = "a built-in or compiled one" if is_compiled else "not installed here"
    raise CorpusError(f"expected a module with Python source, got {name!r}, which is {kind}; name another", exit_code=2)


def _files_of_part(source: Path, parts: list[str], name: str) -> tuple[str, ...]:
    """The files of ``a.b`` in the package ``a``, relative to the folder that holds the package."""
    part = source.parent.joinpath(*parts)
    if part.is_dir():
        return tuple(str(path.relative_to(source.parent)) for path in sorted(part.rglob("*.py")))
    if part.with_suffix(".py").is_file():
        return ("/".join(parts) + ".py",)
    raise CorpusError(
        f"expected a module of {parts[0]}, got {name!r}, which has no Python file; name another", exit_code=2
    )


def _installed_provenance(top: str, source: Path) -> Provenance:
    """The provenance of an installed module, out of the metadata that its installer left."""
    import importlib.metadata

    for distribution in importlib.metadata.packages_distributions().get(top, []):
        # The folder of the metadata has no public name. Its files say the same as `metadata()`, and licence files too.
        folder = getattr(importlib.metadata.distribution(distribution), "_path", None)
        if isinstance(folder, Path) and folder.is_dir():
            return find_provenance(folder, fallback_name=distribution)
    return find_provenance(source if source.is_dir() else source.parent, fallback_name=top)


def _open_folder(folder: Path, staging: Path) -> Iterator[Repository | IgnoredInput]:
    """Open a folder as one repository, or as several where it has no marker and some of its children do."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CorpusError(f"expected a readable folder, got {folder.name!r}; change its permissions")
    if _has_marker(folder):  # before its children are looked at, which may be closed to us
        yield _open_repository(folder)
        return
    children = [
        child for child in sorted(folder.iterdir()) if not child.name.startswith(".") and not _is_dataset(child)
    ]
    if not any(map(_is_repository, children)):
        yield _open_repository(folder)
        return
    for child in children:
        if _is_repository(child):
            yield _open_repository(child) if child.is_dir() else _open_child_archive(child, staging)
        elif child.is_dir() or child.suffix == ".py":  # other files are nothing that could be mined
            explanation = "beside repositories, without packaging files; give its path to mine it"
            yield IgnoredInput(name=child.name, explanation=explanation)


def _open_child_archive(path: Path, staging: Path) -> Repository | IgnoredInput:
    try:
        return _open_archive(path, staging)
    except CorpusError as error:  # one broken download must not stop the others
        return IgnoredInput(name=path.name, explanation=str(error))


def _open_repository(folder: Path) -> Repository | IgnoredInput:
    """Open a folder as one repository, in place."""
    if hidden_from_runs(folder):
        # Root mines as root, but its snippets run as another user (the sandbox gives up root's rights first).
        explanation = "others may not read it, and root's runs are others: chmod -R o+rX it"
        return IgnoredInput(name=folder.name, explanation=explanation)
    return Repository(root=folder, provenance=find_provenance(folder, fallback_name=folder.name))


def _open_archive(path: Path, staging: Path) -> Repository:
    """Unpack an archive; without metadata its name is the file's, up to the version (``boltons-25.0.tar.gz``)."""
    root = unpack(path, staging)
    stem = path.name
    for suffix in (".gz", ".bz2", ".xz", ".tar", ".tgz", ".zip", ".whl"):  # the outer one of `.tar.gz` first
        stem = stem.removesuffix(suffix)
    return Repository(root=root, provenance=find_provenance(root, fallback_name=stem.rpartition("-")[0] or stem))


def _open_file(path: Path, staging: Path) -> Repository:
    """Open a single file.

    Of a package, the whole package is staged, since relative imports of the file need it; only the file is searched.
    """
    base = path.parent
    while (base / "__init__.py").is_file():
        base = base.parent
    top = base / path.relative_to(base).parts[0]
    root = _stage([top], base, staging, label=path.stem)
    provenance = find_provenance(root, fallback_name=top.stem)
    return Repository(root=root, provenance=provenance, only=(path.relative_to(base).as_posix(),))


def _has_marker(folder: Path) -> bool:
    return any((folder / marker).exists() for marker in MARKERS)


def _is_repository(path: Path) -> bool:
    return _has_marker(path) if path.is_dir() else path.is_file() and is_archive(path.name)


def _is_dataset(folder: Path) -> bool:
    """Tell a dataset of ours: its default place is in the working folder, which may be the folder to mine."""
    return (folder / LEDGER_FOLDER).exists()


def _stage(sources: list[Path], base: Path, staging: Path, *, label: str) -> Path:
    """Copy files and folders into a folder that is named for their content; links are left out.

    Args:
        sources: the files and folders.
        base: the folder that paths in the copy are relative to.
        staging: where the copy is made.
        label: the beginning of its name, for people.

    Returns:
        The copy; the one that is there already where nothing has changed.

    Raises:
        CorpusError: a file may not be read.
    """
    files = []
    for source in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            # A link could bring any file of this machine into the sandbox.
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
                files.append(path)
    digest = hashlib.sha256()
    try:
        for path in files:
            digest.update(os.fsencode(path.relative_to(base)) + b"\0")  # no path has a null byte, so it ends the name
            with open(path, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        target = staging / f"{label}-{digest.hexdigest()[:16]}"
        if not target.exists():
            with new_folder(target) as partial:
                # Not by copytree, which keeps modes and times: the copy must not depend on them.
                for path in files:
                    copy = partial / path.relative_to(base)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
    except PermissionError as error:
        raise CorpusError(
            f"{Path(str(error.filename)).name}: expected a readable file, got {error.strerror}; change its permissions"
        ) from error
    return target
