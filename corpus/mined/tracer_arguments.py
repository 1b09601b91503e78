"""What the tracer of a repository's snippets is started with, as JSON for the workers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from trace_mine.corpus.mined.environments.for_repository import RepositoryPackages
from trace_mine.corpus.mined.options import MineOptions
from trace_mine.corpus.mined.payload import PortableArguments, TracerArguments
from trace_mine.corpus.mined.repositories import Repository
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.snippets.testcases import is_test_file


def tracer_arguments(
    options: MineOptions,
    repository: Repository,
    packages: RepositoryPackages,
    sys_path: tuple[str, ...],
    warm: Sequence[str],
) -> tuple[TracerArguments, PortableArguments]:
    """Return the keyword arguments of ``TracerConfig`` as JSON, and the part of them that every machine shares.

    Args:
        options: of the mining.
        repository: where its files are.
        packages: what it may import besides.
        sys_path: the folders that it is imported from, relative to its root.
        warm: names of the modules that are imported once for all snippets.
    """
    portable: PortableArguments = {
        "sys_path": list(sys_path),
        "own": [""],  # calls of all modules below the repository's root may be opened
        "warm": list(warm),
        "limits": options.limits.as_dict(),
        "follow": options.follow,
        # From level 2 on runs are confined by the kernel; without the option mining refuses to start below that.
        "minimum_level": 0 if options.allow_unsafe else 2,
        "sandbox_level": options.sandbox_level,
        "allow_unsafe": options.allow_unsafe,
        "seed": options.seed,
        "view": options.view,
        "only_choices": options.only_choices,
        "windows": list(options.windows),
        "keeps_records": options.keep == "records",
        "python_version": packages.version,
    }
    tracer: TracerArguments = {
        **portable,
        "repository": None if repository.stdlib else str(repository.root),
        "library": [repository.library] if repository.library else [],
        "packages": [str(path) for path in packages.packages],
        "site_folders": [str(path) for path in packages.site_folders],
        "python": packages.python,
    }
    return tracer, portable


def own_packages(root: Path, main_roots: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """The packages among these names that the repository would install: folders of a main root, and none of tests."""
    return frozenset(
        name
        for name in names
        if not is_test_file(f"{name}.py")
        and any((root / folder / name / "__init__.py").is_file() for folder in main_roots)
    )


def warm_modules(
    imports: Iterable[str], packages: RepositoryPackages, own: Iterable[str], candidates: Sequence[Candidate]
) -> list[str]:
    """Names of the modules that are imported once for all snippets, before the first of them is run.

    They are those whose docstrings are run or whose functions are called, and the bound packages that the repository
    imports itself (pytest alone costs 0.1 s). Test modules are left out: importing all of them could change what one of
    them sees. But the packages that they test are imported, which without bytecode takes longer than most tests.

    Args:
        imports: top-level names that the repository's files import.
        packages: what it may import besides its own files.
        own: the packages that it would install (``own_packages``).
        candidates: the snippets.
    """
    snippets = [candidate.snippet for candidate in candidates if candidate.drop is None]
    modules = {snippet.module for snippet in snippets if snippet.kind == "doctest"}
    called = [snippet for snippet in snippets if snippet.kind == "call" and not is_test_file(snippet.path)]
    # A call runs in `__main__` and imports its function, so its snippet has no module; its name begins with it.
    modules |= {snippet.name.rpartition(".")[0] for snippet in called if snippet.asks}
    modules |= {candidate.warm for candidate in candidates if candidate.drop is None}
    if any(snippet.kind == "test" for snippet in snippets):
        modules |= {*own} & {*imports}
    return sorted({module for module in modules if module} | (packages.importable & {*imports}))
