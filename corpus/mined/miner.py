"""The mined origin: repositories in, work units out; and the function that has one unit's snippets traced.

A worker process keeps one Tracer alive, for as long as units of the same repository (and ``sys.path``) come.
"""

from __future__ import annotations

import importlib
import multiprocessing.util
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from trace_mine.corpus.mined.asked import with_prior
from trace_mine.corpus.mined.dependencies import Dependencies, find_dependencies
from trace_mine.corpus.mined.discovery import FileCounts, Survey
from trace_mine.corpus.mined.licences import is_permissive
from trace_mine.corpus.mined.options import MineOptions as MineOptions
from trace_mine.corpus.mined.repositories import MODULE_PREFIX, Ignored, Repository, open_inputs
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.snippets.testcases import is_test_file
from trace_mine.corpus.rows import RowSource, make_row, printable
from trace_mine.corpus.source import CorpusError, Dropped, Item, WorkUnit, code_hash, content_key
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop, Snippet, Trace

UNIT_SNIPPETS = 32
"""At 20-100 snippets a second a unit takes about a second: little is lost with a worker, and the flush to disk is
1% of it.
"""

MAX_EVIDENCE = 2000


class TracerLike(Protocol):
    """What the miner asks of ``trace_mine.tracer.session.Tracer``."""

    def trace(self, snippet: Snippet) -> Trace | Drop: ...

    def close(self) -> None: ...


class Mined:
    """The origin of mined traces (an ``Origin``).

    Args:
        inputs: what stands on the command line, as ``open_inputs`` takes it.
        staging: a folder for unpacked archives.
    """

    name = "mined"

    def __init__(self, inputs: Sequence[str], options: MineOptions, staging: Path) -> None:
        self._options = options
        self._staging = staging
        self._files = FileCounts()
        self._missing: dict[str, Counter[str]] = {}
        self._repositories: list[Repository] = []
        self._ignored: list[Ignored] = []
        self.input_names = [_input_name(text) for text in inputs]
        for found in open_inputs(list(inputs), staging):
            if isinstance(found, Repository):
                self._repositories.append(found)
            else:
                self._ignored.append(found)

    @property
    def fingerprint(self) -> str:
        """Hash of the configuration and of the code that traces, finds and writes."""
        return content_key(self._options.as_config(), self._options.opener, code_hash(), SCHEMA_VERSION)

    @property
    def traces(self) -> Callable[[Mapping[str, Any]], Iterator[Item]]:
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
            found = survey.candidates(self._options.chosen_sources, self._options.prior or "mined")
            chosen = list(islice(found, left) if left is not None else found)
            left = None if left is None else left - len(chosen)
            yield from self._units_of(survey, dependencies, chosen)

    def notes(self) -> Mapping[str, Any]:
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
                repository = {**asdict(provenance), "requires": list(dependencies.requires)}
                key = content_key(self.fingerprint, survey.fingerprint, repository, portable, snippets)
                yield WorkUnit(
                    key=key,
                    payload={
                        "opener": self._options.opener,
                        "tracer": tracer,
                        "hidden": [str(survey.repository.root), str(self._staging.resolve())],
                        "repository": repository,
                        "snippets": snippets,
                    },
                )

    def _sessions(self, candidate: Candidate) -> list[Candidate]:
        """The candidate once for each session that is wanted of it."""
        wanted = 1 if candidate.reason is not None else self._options.sessions
        return [replace(candidate, snippet=replace(candidate.snippet, session=number)) for number in range(wanted)]

    def _entry(self, survey: Survey, candidate: Candidate) -> dict[str, Any]:
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
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """TracerConfig's keyword arguments as JSON: those for this machine, and the part of them that every machine
        shares.
        """
        options = self._options
        portable: dict[str, Any] = {
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
        local = {
            "repository": None if survey.repository.stdlib else str(survey.repository.root),
            "library": [survey.repository.library] if survey.repository.library else [],
            "packages": [str(path) for path in dependencies.packages],
            "python": options.python,
        }
        return {**portable, **local}, portable


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


def trace_unit(payload: Mapping[str, Any]) -> Iterator[Item]:
    """A Row or a Dropped for each session of the unit's snippets, in order."""
    draws = True
    for entry in payload["snippets"]:
        candidate = Candidate.from_json(entry["candidate"])
        if candidate.reason is not None:
            outcome: Any = Drop(reason=candidate.reason, evidence=candidate.evidence)
        elif candidate.snippet.session and not draws:
            outcome = Drop(reason="no_choices", evidence="the snippet's first session made no draw")
        else:
            outcome = _trace(payload, candidate)
            if not candidate.snippet.session:
                draws = outcome.reason != "no_choices" if isinstance(outcome, Drop) else bool(outcome["choices"])
        if isinstance(outcome, Drop):
            evidence = printable(_scrub(outcome.evidence, payload["hidden"]))[:MAX_EVIDENCE]
            if candidate.num_skipped:
                evidence = f"{evidence} ({candidate.num_skipped} examples left out for +SKIP)".strip()
            yield Dropped(
                reason=outcome.reason,
                path=printable(entry["path"]),
                name=printable(entry["name"]),
                repository=entry["repository"],
                entry=entry["entry"],
                line=entry["line"],
                evidence=evidence,
            )
        else:
            yield outcome


def _trace(payload: Mapping[str, Any], candidate: Candidate) -> Any:
    snippet, repository = candidate.snippet, payload["repository"]
    tracer = _tracer_for(payload)
    try:
        trace = tracer.trace(snippet)
    except CorpusError:
        raise
    except Exception as error:
        # A bug of ours over one snippet: counted with its evidence, and the tracer, which may be confused, replaced.
        close_tracer()
        return Drop(reason="internal_error", evidence="".join(traceback.format_exception(error)))
    if isinstance(trace, Trace) and candidate.prior is not None:
        trace = with_prior(trace, snippet, candidate.prior)
    if isinstance(trace, Drop):
        return trace
    if any(f"{folder}/" in trace.text for folder in payload["hidden"] if len(folder) > 1):
        # Such a session would neither replay elsewhere nor come out the same from there. (Possible at level 2 only.)
        return Drop(reason="shows_path", evidence="the session shows a folder of this machine")
    steps = tuple(replace(step, path=_relative(step.path, payload["tracer"]["library"])) for step in trace.steps)
    source = RowSource(
        origin=Mined.name,
        repository=repository["name"],
        version=repository["version"],
        commit=repository["commit"],
        licence=candidate.licence or repository["licence"],
        requires=tuple(repository["requires"]),
        path=snippet.path,
        name=snippet.name,
        line=snippet.line,
        end_line=snippet.end_line,
        entry=snippet.kind,
        source_hash=candidate.source_hash,
        num_skipped=candidate.num_skipped,
        seed=payload["tracer"]["seed"],
    )
    return make_row(replace(trace, steps=steps), source)


def _relative(path: str, library: Sequence[str]) -> str:
    """A step's path without this machine's folders: standard-library modules are run where the interpreter has them."""
    for source in library:
        path = path.removeprefix(f"{Path(source).parent}/")
    return "" if path.startswith("/") else path


def _input_name(text: str) -> str:
    """What an input is called in the configuration: without its folder, but told from others of its name."""
    if text.startswith(MODULE_PREFIX):
        return text
    path = Path(text).resolve()
    return f"{printable(path.name)} ({content_key(str(path).encode('utf-8', 'backslashreplace').decode())[:8]})"


def _scrub(text: str, hidden: Sequence[str]) -> str:
    for folder in hidden:
        if len(folder) > 1:
            text = text.replace(folder, "~")
    return text


_live: dict[str, Any] = {"key": None, "tracer": None}


def _tracer_for(payload: Mapping[str, Any]) -> TracerLike:
    """This process's Tracer, replaced when the unit needs another."""
    key = content_key(payload["opener"], payload["tracer"])
    if _live["key"] != key or _live["tracer"] is None:
        close_tracer()
        module, _, name = payload["opener"].partition(":")
        _live["tracer"] = getattr(importlib.import_module(module), name)(payload["tracer"])
        _live["key"] = key
        # Worker processes end without atexit; multiprocessing's finalizers do run.
        multiprocessing.util.Finalize(None, close_tracer, exitpriority=100)
    tracer: TracerLike = _live["tracer"]
    return tracer


def close_tracer() -> None:
    """Closes this process's Tracer, if it has one."""
    tracer, _live["tracer"], _live["key"] = _live["tracer"], None, None
    if tracer is not None:
        tracer.close()
