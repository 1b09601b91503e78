"""The mined origin: repositories in, work units out. How a worker traces a unit is in ``tracing``."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from trace_mine.corpus.hashing import code_hash, content_key
from trace_mine.corpus.mined.dependencies import Dependencies, find_dependencies
from trace_mine.corpus.mined.discovery import FileCounts, Survey
from trace_mine.corpus.mined.licences import is_permissive
from trace_mine.corpus.mined.options import MineOptions as MineOptions
from trace_mine.corpus.mined.payload import (
    MinedEntry,
    MinedPayload,
    PortableArguments,
    RepositoryEntry,
    TracerArguments,
)
from trace_mine.corpus.mined.repositories import MODULE_PREFIX, Ignored, Repository, open_inputs
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.snippets.testcases import is_test_file
from trace_mine.corpus.mined.tracing import ORIGIN, trace_unit
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import Notes
from trace_mine.corpus.work import Traces, WorkUnit
from trace_mine.tracer.schema import SCHEMA_VERSION

UNIT_SNIPPETS = 32
"""At 20-100 snippets a second a unit takes about a second: little is lost with a worker, and the flush to disk is
1% of it.
"""


class Mined:
    """The origin of mined traces (an ``Origin``).

    Args:
        inputs: what stands on the command line, as ``open_inputs`` takes it.
        staging: a folder for unpacked archives.
    """

    name = ORIGIN

    def __init__(self, inputs: Sequence[str], options: MineOptions, staging: Path) -> None:
        self._options = options
        self._staging = staging
        self._files = FileCounts()
        self._missing: dict[str, Counter[str]] = {}
        self._repositories: list[Repository] = []
        self._ignored: list[Ignored] = []
        self.input_names = [_input_name(text) for text in inputs]
        for opened in open_inputs(list(inputs), staging):
            if isinstance(opened, Repository):
                self._repositories.append(opened)
            else:
                self._ignored.append(opened)

    @property
    def fingerprint(self) -> str:
        """Hash of the configuration and of the code that traces, finds and writes."""
        return content_key(self._options.as_config(), self._options.tracer_factory, code_hash(), SCHEMA_VERSION)

    @property
    def traces(self) -> Traces:
        """What workers call."""
        return trace_unit

    @property
    def splits(self) -> None:
        """By the repositories' names."""

    def units(self) -> Iterator[WorkUnit]:
        """Units of at most UNIT_SNIPPETS snippets that share a repository and a ``sys.path``, in the order of the
        repositories' files.
        """
        left = self._options.limit
        for repository in self._repositories:
            survey = Survey(repository, self._files)
            dependencies = find_dependencies(
                survey.imports, own=survey.layout.top_level_names(), extra=self._options.packages
            )
            if dependencies.missing:
                self._missing.setdefault(repository.provenance.name, Counter()).update(dependencies.missing)
            candidates = survey.candidates(self._options.chosen_entries, self._options.prior or "mined")
            chosen = list(islice(candidates, left))  # islice to None goes on to the end
            left = None if left is None else left - len(chosen)
            yield from self._units_of(survey, dependencies, chosen)

    def notes(self) -> Notes:
        """Files and inputs that were not searched, and packages that the repositories import and this environment
        lacks.
        """
        return {
            "files": self._files.as_json(),
            "ignored_inputs": [{"name": printable(item.name), "reason": item.reason} for item in self._ignored],
            "missing_packages": {name: sorted(counter) for name, counter in sorted(self._missing.items())},
        }

    def _units_of(
        self, survey: Survey, dependencies: Dependencies, candidates: Sequence[Candidate]
    ) -> Iterator[WorkUnit]:
        provenance = survey.repository.provenance
        groups: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
        for candidate in candidates:
            groups[candidate.sys_path].append(candidate)
        for sys_path, members in groups.items():
            tracer, portable = self._tracer_arguments(
                survey, dependencies, sys_path, warm_modules(survey, dependencies, members)
            )
            size = max(1, UNIT_SNIPPETS // self._options.sessions)  # a snippet's sessions stay together
            for start in range(0, len(members), size):
                chosen = [each for candidate in members[start : start + size] for each in self._sessions(candidate)]
                snippets = [self._entry(survey, candidate) for candidate in chosen]
                repository: RepositoryEntry = {
                    "name": provenance.name,
                    "version": provenance.version,
                    "commit": provenance.commit,
                    "licence": provenance.licence,
                    "requires": list(dependencies.requires),
                }
                key = content_key(self.fingerprint, survey.fingerprint, repository, portable, snippets)
                payload: MinedPayload = {
                    "tracer_factory": self._options.tracer_factory,
                    "tracer": tracer,
                    "hidden": [str(survey.repository.root), str(self._staging.resolve())],
                    "repository": repository,
                    "snippets": snippets,
                }
                yield WorkUnit(key=key, payload=payload)

    def _sessions(self, candidate: Candidate) -> list[Candidate]:
        """The candidate once for each session that is wanted of it."""
        wanted = 1 if candidate.reason is not None else self._options.sessions
        return [replace(candidate, snippet=replace(candidate.snippet, session=number)) for number in range(wanted)]

    def _entry(self, survey: Survey, candidate: Candidate) -> MinedEntry:
        licence = candidate.licence or survey.repository.provenance.licence
        if candidate.reason is None and self._options.licences == "permissive" and not is_permissive(licence):
            candidate = replace(candidate, reason="not_permissive", evidence=f"licence {licence}")
        snippet = candidate.snippet
        return {
            "path": snippet.path,
            "name": snippet.name,
            "repository": survey.repository.provenance.name,
            "entry": snippet.kind,
            "line": snippet.line,
            "candidate": candidate.to_json(),
        }

    def _tracer_arguments(
        self, survey: Survey, dependencies: Dependencies, sys_path: tuple[str, ...], warm: Sequence[str]
    ) -> tuple[TracerArguments, PortableArguments]:
        """TracerConfig's keyword arguments as JSON: those for this machine, and the part of them that every machine
        shares.
        """
        options = self._options
        portable: PortableArguments = {
            "sys_path": list(sys_path),
            "own": [""],
            "warm": list(warm),
            "limits": options.limits.as_dict(),
            "follow": options.follow,
            "minimum_level": 0 if options.allow_unsafe else 2,
            "allow_unsafe": options.allow_unsafe,
            "seed": options.seed,
            "view": options.view,
            "only_choices": options.only_choices,
        }
        tracer: TracerArguments = {
            **portable,
            "repository": None if survey.repository.stdlib else str(survey.repository.root),
            "library": [survey.repository.library] if survey.repository.library else [],
            "packages": [str(path) for path in dependencies.packages],
            "python": options.python,
        }
        return tracer, portable


def warm_modules(survey: Survey, dependencies: Dependencies, candidates: Sequence[Candidate]) -> list[str]:
    """Modules that are imported once for all snippets: those whose docstrings are run or whose functions are called,
    and the bound packages that the repository imports itself (pytest alone costs 0.1 s). Test modules are not:
    importing all of them could change what one of them sees.
    """
    run = [one.snippet for one in candidates if one.reason is None]
    modules = {snippet.module for snippet in run if snippet.kind == "doctest"}
    called = [snippet for snippet in run if snippet.kind == "call" and not is_test_file(snippet.path)]
    modules |= {snippet.name.rpartition(".")[0] for snippet in called}
    bound = {path.name.removesuffix(".py") for path in dependencies.packages}
    return sorted({module for module in modules if module} | (survey.imports & bound))


def _input_name(text: str) -> str:
    """What an input is called in the configuration: without its folder, but told from others of its name."""
    if text.startswith(MODULE_PREFIX):
        return text
    path = Path(text).resolve()
    return f"{printable(path.name)} ({content_key(str(path).encode('utf-8', 'backslashreplace').decode())[:8]})"
