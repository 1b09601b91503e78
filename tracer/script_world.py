"""What a script is run with as ``python script.py`` would run it: its folder's copy and its environment's packages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from trace_mine.tracer.environments import foreign_imports, installed, site_folders
from trace_mine.tracer.own_environment import OwnPackages
from trace_mine.tracer.sandbox.jail import probe_interpreter
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.schema import Snippet
from trace_mine.tracer.script_folder import FolderCopy, copy_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptWorld:
    """A script's folder as it was copied, None where it begins in an empty one; its folders of packages, and single
    packages besides; and those that it imports when it begins, which a jail imports once for all runs.

    Raises:
        ValueError: a folder of packages is given by a relative path, which the jail could not bind.
    """

    copied: FolderCopy | None
    site_folders: tuple[Path, ...] = ()
    packages: tuple[Path, ...] = ()
    warm: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not all(folder.is_absolute() for folder in (*self.site_folders, *self.packages)):
            raise ValueError(f"expected absolute paths as site_folders, got {self.site_folders}; resolve them")

    @property
    def folder(self) -> WorkingFolder | None:
        """What runs find in their working folder."""
        return None if self.copied is None else self.copied.content


def folder_of(repository: Path | None, snippet: Snippet) -> FolderCopy:
    """The copy that a repository's snippet begins in: of a script's own folder, and of others nothing."""
    if repository is None or not snippet.begins_in_folder:
        return FolderCopy(content=WorkingFolder())
    return repository_folder(repository, snippet.path.rpartition("/")[0])


def repository_folder(repository: Path, below: str) -> FolderCopy:
    """The copy of a folder of a repository, by its path there with ``/``; an empty one where it can't be read."""
    try:
        return copy_of(repository, below=below)
    except OSError:
        return FolderCopy(content=WorkingFolder())


def world_of(
    script: Path | None, source: str, python: str, environment: Path | Callable[[], OwnPackages] | None = None
) -> ScriptWorld:
    """Read what a script is run with.

    Args:
        script: its file; None for a text, or where the working folder is to be empty.
        source: its text. What it names in the folder is copied first, and packages are shown only where it, or a module
            beside it, imports one.
        python: the interpreter that runs it.
        environment: another environment than the interpreter's, or what makes one, which is called where the script
            imports a package.

    Raises:
        OSError: the script's folder can't be opened.
        ValueError: the environment has no packages for the interpreter, or the interpreter is none.
    """
    copied = None
    if script is not None:
        # resolved: CPython too follows a script's link before it takes the folder
        place = script.resolve()
        copied = copy_of(place.parent, mentioned=f"{place.name}\n{source}")
    files = () if copied is None else copied.content.files
    modules = {path: content for path, _, content in files if path.endswith(".py")}
    neighbours = {path.split("/")[0].removesuffix(".py") for path in modules}
    texts = _texts_of(source, modules, neighbours)
    imports = foreign_imports(texts, neighbours, probe_interpreter(python).library_names)
    if not isinstance(environment, Path) and not imports:
        return ScriptWorld(copied=copied)
    if environment is not None and not isinstance(environment, Path):
        own = environment()
        warm = installed(imports.at_top, own.site_folders)
        return ScriptWorld(copied=copied, site_folders=own.site_folders, packages=own.packages, warm=warm)
    folders = site_folders(python, environment)
    return ScriptWorld(copied=copied, site_folders=folders, warm=installed(imports.at_top, folders))


def _texts_of(source: str, modules: Mapping[str, bytes], neighbours: Collection[str]) -> list[str]:
    """The script's text and those of the modules and packages beside it that it imports, at any distance.

    What else lies in its folder says nothing of it: packages that another script imports are not to be waited for.
    """
    by_name: dict[str, list[str]] = {name: [] for name in neighbours}
    for path in modules:
        by_name[path.split("/")[0].removesuffix(".py")].append(path)
    texts: list[str] = []
    waiting, seen = [source], set[str]()
    while waiting:
        texts.append(waiting.pop())
        named = foreign_imports(texts[-1:], ())
        # a module whose name is computed may be any of them
        names = neighbours if named.computed else (named.at_top | named.others) & set(neighbours)
        for name in set(names) - seen:
            seen.add(name)
            waiting += [modules[path].decode("utf-8", "replace") for path in by_name[name]]
    return texts
