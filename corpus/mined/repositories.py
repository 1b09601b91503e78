"""Finds the repositories that the command line names: ``PATH`` (file, folder, checkout, sdist, wheel), ``module:NAME``.

A folder without packaging files whose children have them holds several repositories. Nothing of a repository is read
here: folders are listed, one level deep, and paths are looked at with ``stat``. Archives, single files and installed
modules are staged: copied into the ledger's ``sources``, under names made of their content, so that the sandbox is
shown them, with a script's own folder within bounds, and nothing beside them (the rest of site-packages).

Over 400 lines because each kind of input is a few lines, and none stands alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

from trace_mine.corpus.errors import CorpusError
from trace_mine.corpus.hashing import content_key
from trace_mine.corpus.mined.archives import is_archive
from trace_mine.corpus.mined.files import LEDGER_FOLDER, NOTEBOOK_SUFFIXES, PYTHON_SUFFIXES, TEXT_SUFFIXES
from trace_mine.corpus.mined.ignore_file import IGNORE_FILE, IgnoreRules, ignore_lines
from trace_mine.corpus.mined.import_search import ImportSearch, search_of
from trace_mine.corpus.mined.snippets.file_roles import ScriptRule
from trace_mine.corpus.mined.snippets.names import is_test_file
from trace_mine.corpus.mined.staging import stage_files, stage_script_folder
from trace_mine.corpus.rows import printable
from trace_mine.tracer.sandbox import hidden_from_runs
from trace_mine.tracer.schema import Drop

MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO", ".git")
"""A folder with one of these is one repository, whatever its children are."""
MODULE_PREFIX = "module:"
LINK = "a symbolic link; give the path that it leads to, to mine that"
MAX_CHILDREN = 100_000
"""Names of a folder that is looked through for repositories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedInput:
    """An input of the command line, or a child of it that is a repository, before anything of it is read.

    Attributes:
        kind: what ``path`` is; a module's is its name.
        path: the folder or file.
        shown: the folder or file to show to the reader, ``path`` or one above it; None for what is staged.
        others: further scripts of the same folder that were named too, which share its copy.
        ignore: patterns of a ``.trace-mine-ignore`` beside it.
    """

    kind: Literal["folder", "archive", "file", "module"]
    path: Path
    shown: Path | None = None
    others: tuple[Path, ...] = ()
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A folder to read and to mine.

    Attributes:
        root: the folder, all of which the sandbox shows.
        fallback_name: the project's name where no file tells it.
        metadata: the folder whose packaging files tell the provenance; None: the root.
        checkout: of a cleaned copy, the folder that it is a copy of, which has git's files.
        origin: name, version and licence, where they are known without looking.
        only: the files to search, relative to the root; None for all of them.
        library: of a module of the standard library, its file or folder in the interpreter that runs the snippets;
            None for all others.
        script_rule: how its scripts are told from its modules.

    Raises:
        ValueError: a file of ``only`` is not relative.
    """

    root: Path
    fallback_name: str
    metadata: Path | None = None
    checkout: Path | None = None
    origin: tuple[str, str, str] | None = None
    only: tuple[str, ...] | None = None
    library: str | None = None
    script_rule: ScriptRule = "all"

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


class Unpacker(Protocol):
    """The part of ``reader.RepositoryReader`` by which archives are unpacked."""

    def unpack(self, archive: Path) -> Path | Drop:
        """Unpack an archive into the staging folder; return the repository's root."""


def find_targets(inputs: Sequence[str], search: ImportSearch | None = None) -> Iterator[NamedInput | IgnoredInput]:
    """Find every repository that the inputs name, in their order; the children of a folder in the order of their names.

    Args:
        inputs: paths and ``module:NAME``, as they stand on the command line.
        search: where the interpreter that runs the snippets finds modules; None: our own.

    Raises:
        CorpusError: a path is missing (exit code 2) or can't be read, or there is no such module.
    """
    for named in _all_targets(inputs, search):
        if isinstance(named, IgnoredInput) or named.kind == "module":
            yield named
            continue
        lines = ignore_lines(named.path.parent)
        rules = IgnoreRules(lines)
        if rules.ignores(named.path.name + "/" * (named.kind == "folder")):
            yield IgnoredInput(name=named.path.name, explanation=f"a {IGNORE_FILE} beside it names it")
        else:
            others = tuple(path for path in named.others if not rules.ignores(path.name))
            yield replace(named, ignore=lines, others=others)


def _all_targets(inputs: Sequence[str], search: ImportSearch | None) -> Iterator[NamedInput | IgnoredInput]:
    """The targets of ``find_targets``, ignored ones too."""
    scripts: dict[Path, dict[Path, None]] = {}
    for text in inputs:
        path = Path(text)
        if not text.startswith(MODULE_PREFIX) and is_loose(path) and path.is_file():
            group = scripts.setdefault(path.resolve().parent, {})
            group[path.resolve()] = None
    for text in inputs:
        if text.startswith(MODULE_PREFIX):
            name = text.removeprefix(MODULE_PREFIX)
            find_module(name, search or search_of())
            yield NamedInput(kind="module", path=Path(name))
            continue
        path = Path(text)
        if not path.exists():
            hint = "for an installed module write module:NAME" if text.isidentifier() else "check the spelling"
            raise CorpusError(f"expected a file or folder, got {text!r}, which does not exist; {hint}", exit_code=2)
        path = path.resolve()
        if path.is_dir():
            yield from _targets_in(path)
        elif path.is_file() and is_archive(path.name):
            yield NamedInput(kind="archive", path=path, shown=None if hidden_from_runs(path) else path)
        elif path.is_file() and path.suffix in PYTHON_SUFFIXES + TEXT_SUFFIXES + NOTEBOOK_SUFFIXES:
            if not is_loose(path):
                yield NamedInput(kind="file", path=path)
            elif path.parent in scripts:  # the others come with the first one
                first, *others = scripts.pop(path.parent)
                yield NamedInput(kind="file", path=first, others=tuple(others))
        else:
            raise CorpusError(
                f"expected a folder, .py, .ipynb, .rst, .md, .txt, .tar.gz, .zip or .whl, got {text!r}; "
                "give one of these",
                exit_code=2,
            )


def _targets_in(folder: Path) -> Iterator[NamedInput | IgnoredInput]:
    """A folder as one repository, or as several where it has no marker and some of its children do."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise CorpusError(f"expected a readable folder, got {folder.name!r}; change its permissions")
    if _has_marker(folder):  # before its children are looked at, which may be closed to us
        yield _folder_target(folder, folder)
        return
    with os.scandir(folder) as entries:
        listed = sorted(islice(entries, MAX_CHILDREN), key=lambda entry: os.fsencode(entry.name))
    children = [(entry, _kind_of(entry)) for entry in listed if not entry.name.startswith(".")]
    if not any(kind in ("folder", "archive") for _, kind in children):
        yield _folder_target(folder, folder)
        yield from (IgnoredInput(name=entry.name, explanation=kind) for entry, kind in children if kind == LINK)
        return
    # Root's runs are another user's, to whom a closed folder can't be shown: each of its open children is.
    is_closed = hidden_from_runs(folder)
    for entry, kind in children:
        child = Path(entry.path)
        if kind == "folder":
            yield _folder_target(child, child if is_closed else folder)
        elif kind == "archive":
            shown = (None if hidden_from_runs(child) else child) if is_closed else folder
            yield NamedInput(kind="archive", path=child, shown=shown)
        elif kind:
            yield IgnoredInput(name=entry.name, explanation=kind)


def _kind_of(entry: os.DirEntry[str]) -> str:
    """``folder`` or ``archive`` for a child that is a repository, an explanation for one that may be expected to be,
    and nothing for what could not be mined anywhere.
    """
    is_repository = entry.is_dir() and _has_marker(Path(entry.path))
    if entry.is_symlink():
        # It could lead to any folder of this machine.
        is_link = is_repository or is_archive(entry.name)
        return LINK if is_link else ""
    if entry.is_dir(follow_symlinks=False):
        if os.path.lexists(Path(entry.path) / LEDGER_FOLDER):  # a dataset's default place is in the working folder
            return ""
        return "folder" if is_repository else "beside repositories, without packaging files; give its path to mine it"
    if entry.is_file(follow_symlinks=False) and is_archive(entry.name):
        return "archive"
    # Other files are nothing that could be mined.
    is_python = entry.name.endswith(PYTHON_SUFFIXES)
    return "beside repositories, without packaging files; give its path to mine it" if is_python else ""


def _folder_target(folder: Path, shown: Path) -> NamedInput | IgnoredInput:
    """A folder as one repository, in place."""
    if hidden_from_runs(folder):
        # Root mines as root, but its snippets run as another user (the sandbox gives up root's rights first).
        explanation = "others may not read it, and root's runs are others: chmod -R o+rX it"
        return IgnoredInput(name=folder.name, explanation=explanation)
    return NamedInput(kind="folder", path=folder, shown=shown)


def _has_marker(folder: Path) -> bool:
    # lexists: a marker that is a broken link marks a repository as well, and what it leads to is not looked at
    return any(os.path.lexists(folder / marker) for marker in MARKERS)


def open_target(
    target: NamedInput, reader: Unpacker, staging: Path, search: ImportSearch | None = None
) -> Repository | Drop:
    """Make the folder to read of a target: in place, or as a copy.

    Args:
        target: what was found.
        reader: unpacks archives; it is shown ``target.shown`` and ``staging``.
        staging: a folder for copies.
        search: where the interpreter that runs the snippets finds modules; None: our own.

    Returns:
        The folder, or the drop of a repository that can't be unpacked or copied.

    Raises:
        OSError: the disk is full.
    """
    if target.kind == "module":
        return open_module(str(target.path), staging, search or search_of())
    if target.kind == "folder":
        return Repository(root=target.path, fallback_name=target.path.name)
    if target.kind == "file":
        return _open_file(target, staging)
    return _open_archive(target, reader, staging)


def _open_archive(target: NamedInput, reader: Unpacker, staging: Path) -> Repository | Drop:
    """Unpack an archive; without metadata its name is the file's, up to the version (``boltons-25.0.tar.gz``)."""
    archive = target.path
    if target.shown is None:
        copy = stage_files([archive], archive.parent, staging, label="archive")
        if isinstance(copy, Drop):
            return copy
        archive = copy / archive.name
    root = reader.unpack(archive)
    return root if isinstance(root, Drop) else Repository(root=root, fallback_name=name_of(target))


def name_of(target: NamedInput) -> str:
    """The name of a target where nothing else tells one."""
    name = target.path.name
    if target.kind != "archive":
        return name
    for suffix in (".gz", ".bz2", ".xz", ".tar", ".tgz", ".zip", ".whl"):  # the outer one of `.tar.gz` first
        name = name.removesuffix(suffix)
    return name.rpartition("-")[0] or name


def is_loose(path: Path) -> bool:
    """Tell if a path is that of a script that may need what lies beside it: Python of no package, and no test."""
    return (
        path.suffix in PYTHON_SUFFIXES + NOTEBOOK_SUFFIXES
        and not is_test_file(path.name)
        and not os.path.isfile(path.resolve().parent / "__init__.py")
    )


def _open_file(target: NamedInput, staging: Path) -> Repository | Drop:
    """Open a single file, or several scripts of one folder.

    Of a script its whole folder is staged, as ``trace-run`` copies it: it may read what lies beside it. Of a package,
    the whole package is staged, since relative imports of the file need it. Only the file is searched.
    """
    path = target.path
    if is_loose(path):
        copied = stage_script_folder(path, staging)
        names = tuple(each.name for each in (path, *target.others))
        if copied is not None and all((copied / name).is_file() for name in names):
            name = path.parent.name or path.stem if target.others else path.stem
            return Repository(root=copied, fallback_name=name, only=names, script_rule="named")
    base = path.parent
    while os.path.isfile(base / "__init__.py") and base != base.parent:
        base = base.parent
    tops = dict.fromkeys(base / each.relative_to(base).parts[0] for each in (path, *target.others))
    root = stage_files([*tops], base, staging, label=path.stem[:100])
    if isinstance(root, Drop):
        return root
    only = tuple(each.relative_to(base).as_posix() for each in (path, *target.others))
    return Repository(root=root, fallback_name=next(iter(tops)).stem, only=only, script_rule="named")


# modules --------------------------------------------------------------------------------------------------------------


def find_module(name: str, search: ImportSearch) -> Path:
    """The file or folder of the top-level module of a dotted name, found without importing it.

    Only the top-level name is looked up: looking up ``a.b`` would run ``a``.

    Args:
        name: without the prefix ``module:``.
        search: where it is looked for.

    Raises:
        CorpusError: there is no such module, or it has no Python source.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise CorpusError(
            f"expected module:NAME with a dotted name, got {name!r}; write for example module:heapq", exit_code=2
        )
    source = _source_of_module(parts[0], name, search)
    if len(parts) > 1:
        _files_of_part(source, parts, name)
    return source


def open_module(name: str, staging: Path, search: ImportSearch) -> Repository | Drop:
    """Open an installed module or package, or one of the standard library; of a dotted name, that part only.

    Args:
        name: without the prefix ``module:``.
        staging: a folder for the copy.
        search: where it is looked for.

    Raises:
        CorpusError: there is no such module, or it has no Python source.
    """
    source = find_module(name, search)
    parts = name.split(".")
    top = parts[0]
    # All of the top-level package is staged, since the part imports the rest of it; only the part is searched.
    only = _files_of_part(source, parts, name) if len(parts) > 1 else None
    root = stage_files([source], source.parent, staging, label=f"module-{top}")
    if isinstance(root, Drop):
        return root
    if top in search.library_names:
        # All modules of the standard library have one name, so that they share a split.
        origin = ("cpython", search.version, "PSF-2.0")
        return Repository(
            root=root,
            fallback_name="cpython",
            origin=origin,
            only=only,
            library=str(source),
            script_rule="blocks",
        )
    metadata = _metadata_of(top, search)
    if metadata is None:  # on the path, and not installed: what it says of itself
        inner = root / source.name if source.is_dir() else root
        return Repository(root=root, fallback_name=top, metadata=inner, only=only, script_rule="blocks")
    distribution, folder = metadata
    copy = stage_files([folder], folder.parent, staging, label=f"metadata-{top}")
    if isinstance(copy, Drop):
        return copy
    return Repository(
        root=root, fallback_name=distribution, metadata=copy / folder.name, only=only, script_rule="blocks"
    )


def _source_of_module(top: str, name: str, search: ImportSearch) -> Path:
    """The folder or file of a top-level module; ``name`` is the name on the command line, for the error."""
    source = search.source_of(top)
    if source is not None:
        return source
    # Two different cures: a compiled module can't be mined at all, a missing one can be installed.
    kind = "a built-in or compiled one" if search.has_compiled(top) else f"not installed for Python {search.version}"
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


def _metadata_of(top: str, search: ImportSearch) -> tuple[str, Path] | None:
    """The distribution that installed a module, and the folder of metadata that its installer left."""
    for distribution in search.owners.get(top, ()):
        # The folder of the metadata has no public name. Its files say the same as `metadata()`, and licence files too.
        folder = getattr(search.distributions[distribution], "_path", None)
        if isinstance(folder, Path) and folder.is_dir():
            return distribution, folder
    return None


def input_name(text: str) -> str:
    """The name of an input in the configuration: without its folder, but with a hash that tells it from others.

    The configuration is in the dataset, which must not show folders of this machine.
    """
    if text.startswith(MODULE_PREFIX):
        return text
    path = Path(text).resolve()
    return f"{printable(path.name)} ({content_key(str(path).encode('utf-8', 'backslashreplace').decode())[:8]})"
