"""Decides for a repository which interpreter runs it and which packages it imports, and has its environment made."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from trace_mine.corpus.mined.dependencies import find_dependencies
from trace_mine.corpus.mined.environments.interpreters import interpreter_for
from trace_mine.corpus.mined.environments.own_metadata import needs_metadata, own_metadata
from trace_mine.corpus.mined.environments.provision import Environment, Provisioner, distributions_in
from trace_mine.corpus.mined.environments.uv import PackageIndex
from trace_mine.corpus.mined.environments.well_known import DISTRIBUTIONS
from trace_mine.corpus.mined.import_search import search_of
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.tracer.environments import site_folders, with_linked

COMMIT = "commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentOptions:
    """Where the packages of repositories come from.

    Attributes:
        kind: ``auto`` makes an environment for each repository, ``none`` shows what is installed here; else a folder
            with an environment for all of them.
        python: the interpreter for all repositories; None: the one that each asks for.
        packages: folders of installed packages that come before all others.
        as_of: ``commit`` for versions as of a repository's commit, a date (2024-01-31) for those of that day; None: the
            newest.
        index: where wheels come from.

    Raises:
        ValueError: ``as_of`` is neither.
    """

    kind: str = "auto"
    python: str | None = None
    packages: tuple[Path, ...] = ()
    as_of: str | None = None
    index: PackageIndex = field(default_factory=PackageIndex)

    def __post_init__(self) -> None:
        if self.as_of not in (None, COMMIT):
            try:
                date.fromisoformat(self.as_of or "")
            except ValueError:
                raise ValueError(
                    f"expected as_of (--as-of) to be commit or a date like 2024-01-31, got {self.as_of!r}; write one"
                ) from None

    @property
    def folder(self) -> Path | None:
        """The environment for all repositories, where one is named."""
        return None if self.kind in ("auto", "none") else Path(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPackages:
    """The interpreter and the packages of a repository.

    Attributes:
        python: the interpreter's path; ``version`` is its version.
        site_folders: folders of installed packages, all of which are shown.
        packages: single packages that are shown besides.
        importable: the top-level names of both.
        requires: ``name==version`` of what is installed, sorted.
        missing: import names that are nowhere, sorted.
        environment: what was made for it; None where nothing was.

    Raises:
        ValueError: the version has no digits.
    """

    python: str
    version: str
    site_folders: tuple[Path, ...] = ()
    packages: tuple[Path, ...] = ()
    importable: frozenset[str] = frozenset()
    requires: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    environment: Environment | None = None

    def __post_init__(self) -> None:
        if not self.version[:1].isdigit():
            raise ValueError(f"expected RepositoryPackages.version like 3.12.4, got {self.version!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPackages:
    """The packages of a repository whose environment may still be made: ``wait`` waits for it."""

    wait: Callable[[], RepositoryPackages]
    is_ready: Callable[[], bool]


class RepositoryEnvironments:
    """Finds the packages of repositories, one environment made beside the other. A context manager.

    Args:
        folder: where environments are kept.
        options: where packages come from.
        tell: called with a line for people when an environment was made.
    """

    def __init__(self, folder: Path, options: EnvironmentOptions, tell: Callable[[str], None]) -> None:
        self._options = options
        self._folder = folder
        self._tell = tell
        self._provisioner = Provisioner(folder, options.index)

    @property
    def was_unreachable(self) -> bool:
        """Tell if an index did not answer, so that packages may be missing that can be had another time."""
        return self._provisioner.was_unreachable

    def __enter__(self) -> RepositoryEnvironments:
        return self

    def __exit__(self, *exception: object) -> None:
        self._provisioner.__exit__(*exception)

    def ask(self, summary: RepositorySummary, *, is_stdlib: bool, has_tests: bool = False) -> PendingPackages:
        """Begin to make a repository's environment, where it is to have one.

        Args:
            summary: what the reader told of the repository.
            is_stdlib: it is a module of this interpreter.
            has_tests: its tests are to be collected, so that pytest is asked for even if they need unittest alone.

        Returns:
            The packages, which wait for the environment.
        """
        python = self._options.python or (None if is_stdlib else interpreter_for(summary.requires_python))
        # where no interpreter will do, ours runs what it can
        python = python or sys.executable
        version = search_of(python).version
        if self._options.kind != "auto" or is_stdlib:
            return PendingPackages(
                wait=lambda: self._packages(summary, python, version, None, is_stdlib=is_stdlib), is_ready=lambda: True
            )
        requirements = (*summary.requirements, *_undeclared(summary, has_tests=has_tests))
        before = self._before(summary)
        made = self._provisioner.environment(requirements, python, version, before=before)
        if requirements:
            made.add_done_callback(lambda future: self._tell_of(summary.name, version, future))
        return PendingPackages(
            wait=lambda: self._packages(summary, python, version, made.result(), is_stdlib=False), is_ready=made.done
        )

    def _before(self, summary: RepositorySummary) -> str | None:
        if self._options.as_of != COMMIT:
            return self._options.as_of
        seconds = summary.commit_time
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _tell_of(self, name: str, version: str, future: Future[Environment]) -> None:
        if future.cancelled() or future.exception() is not None:
            return  # whoever waits for the result gets the exception
        environment = future.result()
        line = f"environment of {name}: Python {version}, {len(environment.pins)} packages"
        if environment.left_out:
            line += f"; can't be had: {', '.join(environment.left_out)}"
        self._tell(line)

    def _packages(
        self,
        summary: RepositorySummary,
        python: str,
        version: str,
        environment: Environment | None,
        *,
        is_stdlib: bool,
    ) -> RepositoryPackages:
        folders: tuple[Path, ...] = ()
        if environment is not None and environment.folder is not None:
            folders = with_linked((environment.folder,), inside=environment.folder)
        elif self._options.folder is not None:
            folders = site_folders(python, self._options.folder)
        installed_in, names = folders, _import_names(folders)
        if not is_stdlib and needs_metadata(summary):
            # last: what a repository brings itself, or has in its environment, counts before it
            folders = (*folders, own_metadata(self._folder, summary))
        # what the environment lacks may be installed beside the interpreter
        here = find_dependencies(
            set(summary.imports) - names,
            own=summary.own_names,
            extra=self._options.packages,
            search=search_of(python),
        )
        bound = {path.name.removesuffix(".py") for path in here.packages}
        installed = {pin for folder in installed_in for pin in distributions_in(folder)}
        return RepositoryPackages(
            python=python,
            version=version,
            site_folders=folders,
            packages=here.packages,
            importable=names | bound,
            requires=tuple(sorted({*here.requires, *installed})),
            missing=here.missing,
            environment=environment,
        )


def _undeclared(summary: RepositorySummary, *, has_tests: bool) -> list[str]:
    """Distributions of well-known packages that are imported and declared nowhere, and pytest where there are tests."""
    declared = {canonicalize_name(Requirement(text).name) for text in summary.requirements}
    declared.add(canonicalize_name(summary.name))
    imported = {*summary.imports, *(["pytest"] if has_tests else [])} - set(summary.own_names)
    return sorted({DISTRIBUTIONS[name] for name in imported & DISTRIBUTIONS.keys()} - declared)


def _import_names(folders: Iterable[Path]) -> frozenset[str]:
    return frozenset(name for folder in folders for name in Environment(folder=folder).import_names())
