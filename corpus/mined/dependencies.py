"""Finds the installed packages that a repository imports, for the sandbox to show.

The sandbox shows no site-packages. Just the packages that are neither the repository's own nor the standard library's
are bound into it, with all that they require. They are found by name: nothing is imported. Not covered: packages that
are imported under computed names, extension modules that are a single file.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trace_mine.corpus.mined.import_search import ImportSearch, search_of

# Possessive quantifiers (`*+`) throughout: without them a line of n spaces took a time that grew with the cube of n.
# The first part of an imported name, at the beginning of a line or of a line of a doctest example. A relative import
# (`from .a import b`) does not match: it is the repository's own.
_FROM = re.compile(r"^[ \t]*+(?:>>> |\.\.\. )?+from[ \t]++([A-Za-z_]\w*+)[\w.]*+[ \t]++import\b", re.MULTILINE)
# All that stands between `import` and a comment or semicolon: `import a, b.c as d`.
_IMPORT = re.compile(r"^[ \t]*+(?:>>> |\.\.\. )?+import[ \t]++([\w., \t]++)(?:[#;].*+)?+$", re.MULTILINE)

OURS = frozenset(("trace_mine",))
"""Packages that no snippet is shown: our code goes inside as text that no snippet can import. A repository's own
package of the same name is its own and comes first.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The packages that a repository needs beside the standard library.

    Attributes:
        packages: folders and single files to bind into the sandbox, by import name.
        requires: ``name==version`` of their distributions, sorted, as rows tell it.
        missing: import names that are not installed here, sorted.
    """

    packages: tuple[Path, ...] = ()
    requires: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def imported_names(text: str) -> frozenset[str]:
    """Top-level names that a source (or a text file's examples) imports.

    By pattern and not by syntax tree, so that imports in the examples of docstrings are seen too. Prose can match,
    which is harmless: only installed packages are bound.
    """
    names = set(_FROM.findall(text))
    for group in _IMPORT.findall(text):
        for part in group.split(","):
            words = part.split()  # `a.b`, or `a.b as c`
            if len(words) == 1 or (len(words) == 3 and words[1] == "as"):
                names.add(words[0].partition(".")[0])
    return frozenset(name for name in names if name.isidentifier())


def find_dependencies(
    names: Iterable[str], *, own: Iterable[str], extra: Iterable[Path] = (), search: ImportSearch | None = None
) -> Dependencies:
    """Find the packages for the imported ``names``, with all that they require.

    Args:
        names: top-level names that the repository imports.
        own: the repository's own top-level names, never looked up.
        extra: folders of installed packages (``pip install --target``), searched first and bound whole.
        search: where the interpreter looks that runs the snippets; None: our own.
    """
    search = search or search_of()
    own_names = set(own)
    packages, requires = _bound_whole(extra)
    owners = search.owners
    foreign_names = sorted(set(names) - own_names - OURS - search.library_names)
    # An import name is not the name of a distribution (`yaml` is PyYAML's), and several may share one.
    missing = tuple(name for name in foreign_names if name not in owners and name not in packages)
    distributions = {distribution for name in foreign_names for distribution in owners.get(name, ())}
    for distribution in sorted(_closure(distributions, search)):
        paths = _packages_of(distribution, search, packages)
        if paths:  # without one it has no Python code, or its code comes from `extra`
            requires.add(f"{distribution}=={search.distributions[distribution].version}")
        for path in paths:
            packages |= {_import_name(part): part for part in (path, *_shared_libraries(path))}
    # A repository that is mined may itself be installed here, in another version: its own files are what is traced.
    foreign = tuple(path for name, path in sorted(packages.items()) if name not in own_names)
    return Dependencies(packages=foreign, requires=tuple(sorted(requires)), missing=missing)


def _bound_whole(folders: Iterable[Path]) -> tuple[dict[str, Path], set[str]]:
    """The packages of folders by import name, and ``name==version`` of their distributions.

    Of two folders with a package of one name the first counts, as on ``sys.path``.
    """
    packages: dict[str, Path] = {}
    requires: set[str] = set()
    for folder in folders:
        packages = {_import_name(path): path for path in packages_in(folder)} | packages
        requires.update(f"{dist.name}=={dist.version}" for dist in importlib.metadata.distributions(path=[str(folder)]))
    return packages, requires


def _packages_of(distribution: str, search: ImportSearch, have: Container[str]) -> list[Path]:
    """The distribution's packages as they are installed here, without those that we ``have`` already.

    Args:
        distribution: its name, as installed.
        search: where its packages are found.
        have: import names.
    """
    names = sorted(name for name, distributions in search.owners.items() if distribution in distributions)
    paths = [search.source_of(name) for name in names if name not in have and name not in OURS]
    return [path for path in paths if path is not None]


def _shared_libraries(package: Path) -> list[Path]:
    """The folder beside a package in which NumPy's and others' shared libraries are found by relative path."""
    folder = package.parent / f"{package.name}.libs"
    return [folder] if folder.is_dir() else []


def _closure(distributions: Iterable[str], search: ImportSearch) -> set[str]:
    """The distributions with all that they require for the interpreter, extras left out.

    A requirement that is not installed, or that can't be read, is passed over: whether a snippet needs it shows when it
    is run.
    """
    # imported here: 20 ms that whoever needs `packages_in` alone does not pay
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    # A requirement may spell a name in any way (`Foo_Bar`, `foo-bar`).
    installed = {canonicalize_name(name): name for name in search.distributions}
    environment = {"extra": "", **search.markers}
    pending, seen = list(distributions), set()
    while pending:
        name = installed.get(canonicalize_name(pending.pop()))
        if name is None or name in seen:
            continue
        seen.add(name)
        for line in search.distributions[name].requires or ():
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            # With an empty extra, `; extra == "test"` is false; other markers ask about this machine.
            if requirement.marker is None or requirement.marker.evaluate(environment):
                pending.append(requirement.name)
    return seen


def packages_in(folder: Path) -> Iterator[Path]:
    """The packages and single modules of a folder that ``pip install --target`` filled."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith((".", "__")) and path.suffix not in (".dist-info", ".egg-info"):
            if path.name != "bin":  # command-line scripts, which pip puts beside the packages
                yield path
        elif path.suffix == ".py":
            yield path


def _import_name(path: Path) -> str:
    """The name by which a package's folder or a module's file is imported."""
    return path.name.removesuffix(".py")
