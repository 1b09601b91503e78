"""The reader: takes a request, reads what it names, and writes its answer to standard output. Runs in a sandbox.

All code that parses what somebody else wrote (archives, packaging files, source) is called from here and nowhere else.
``reader`` starts the sandbox, sends requests, and believes of an answer only what ``reader_protocol`` checks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, cast

from trace_mine.corpus.cleaning.repository_files import CleaningCounts, clean_files
from trace_mine.corpus.decontamination.benchmark_file import open_index
from trace_mine.corpus.mined.archives import archive_part
from trace_mine.corpus.mined.clock import within_limits
from trace_mine.corpus.mined.discovery import GaveUp, Survey
from trace_mine.corpus.mined.environments.commit_time import commit_time
from trace_mine.corpus.mined.environments.declared import Declared, find_declared
from trace_mine.corpus.mined.environments.entry_points import EntryPoint, entry_points
from trace_mine.corpus.mined.environments.version_files import UNKNOWN_VERSION, missing_version_files
from trace_mine.corpus.mined.files import PYTHON_SUFFIXES, TEXT_SUFFIXES
from trace_mine.corpus.mined.ignore_file import IgnoreRules, ignore_lines
from trace_mine.corpus.mined.licences import NOASSERTION, is_permissive
from trace_mine.corpus.mined.packaging_files import PACKAGING_SECONDS, PackagingFiles
from trace_mine.corpus.mined.provenance import Provenance, find_commit, find_provenance
from trace_mine.corpus.mined.reader_protocol import (
    CLEANINGS,
    MAX_IMPORTS,
    MAX_NAME_CHARS,
    READINGS,
    CleanedFile,
    CleaningSummary,
    CleanRequest,
    FoundKind,
    FoundSnippet,
    LicenceRule,
    ReadingRefusal,
    ReadRequest,
    RepositorySummary,
    Role,
    UnpackRequest,
    UnsearchedFile,
    line_of,
    request_of,
)
from trace_mine.corpus.mined.snippets.file_roles import ScriptChoice
from trace_mine.corpus.mined.tag_version import version_of_tags
from trace_mine.tracer.inside.protocol.codec import Record
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop


def answer(request: str) -> None:
    """Write the answer to a request (``request_text``) to standard output, line by line."""
    asked = request_of(request)
    for line in ANSWERS[type(asked)](asked):
        view = memoryview(line)
        while view:
            view = view[os.write(1, view) :]


def unpack(request: UnpackRequest) -> Iterator[bytes]:
    """Give some of an archive's members."""
    return archive_part(Path(request.archive), request.first_member)


def read_repository(request: ReadRequest) -> Iterator[bytes]:
    """Give the snippets of a repository, then what else is told of it."""
    try:
        root = Path(request.root)
        inner = IgnoreRules(() if request.is_stdlib else ignore_lines(root))
        outer = IgnoreRules(request.ignore, request.ignore_prefix)
        survey = Survey(
            root,
            only=request.only,
            is_stdlib=request.is_stdlib,
            is_ignored=lambda path: inner.ignores(path) or outer.ignores(path),
            benchmarks=None if request.benchmarks is None else open_index(request.benchmarks),
        )
        provenance = _provenance(request, survey.packaging)
        num_snippets = 0
        choice = ScriptChoice(rule=request.script_rule, globs=request.script_globs)
        for snippet in islice(survey.snippets(request.entries, request.prior, choice), request.limit):
            num_snippets += 1
            sent = _no_problem(_permitted(snippet, provenance, request.licences), survey)
            yield line_of(READINGS, sent)
        yield line_of(READINGS, _reading(request, survey, provenance, num_snippets))
    except GaveUp as error:
        yield line_of(READINGS, ReadingRefusal(evidence=str(error)))


def clean(request: CleanRequest) -> Iterator[bytes]:
    """Give a repository's files that have something to replace, then what was replaced."""
    counts = CleaningCounts()
    for file in clean_files(Path(request.root), request.patterns, counts):
        encoding = cast("Literal['utf-8', 'iso-8859-1']", file.encoding)
        yield line_of(CLEANINGS, CleanedFile(path=file.path, new_path=file.new_path, encoding=encoding, text=file.text))
    summary = CleaningSummary(
        num_files=counts.num_files,
        replaced={cast(FoundKind, kind): number for kind, number in counts.replaced.items()},
        examples=tuple(counts.examples),
        kept=tuple(counts.kept),
    )
    yield line_of(CLEANINGS, summary)


def _provenance(request: ReadRequest, packaging: PackagingFiles) -> Provenance:
    if request.origin is not None:
        name, version, licence = request.origin
        return Provenance(name=name, version=version, commit=None, licence=licence)
    if request.metadata is not None:
        return find_provenance(Path(request.metadata), fallback_name=request.fallback_name)
    provenance = find_provenance(Path(request.root), fallback_name=request.fallback_name, packaging=packaging)
    checkout = Path(request.checkout or request.root)
    provenance = replace(provenance, version=version_of_tags(packaging, checkout, provenance.version))
    if request.checkout is None:
        return provenance
    return replace(provenance, commit=find_commit(PackagingFiles(checkout)))


def _permitted(snippet: FoundSnippet, provenance: Provenance, rule: LicenceRule) -> FoundSnippet:
    """The snippet, dropped where the rule refuses its licence."""
    licence = snippet.licence or provenance.licence
    if snippet.drop is not None or _permits(rule, licence):
        return snippet
    candidate = snippet.candidate()
    return FoundSnippet.of(replace(candidate, drop=Drop(reason=Reason.NOT_PERMISSIVE, evidence=f"licence {licence}")))


def _no_problem(snippet: FoundSnippet, survey: Survey) -> FoundSnippet:
    """The snippet, dropped where its lines are those of a benchmark's problem."""
    for path, first, last, name in survey.problems:
        if snippet.drop is None and path == snippet.path and first <= snippet.end_line and snippet.line <= last:
            drop = Drop(reason=Reason.BENCHMARK, evidence=f"lines {first}-{last} are {name}")
            return FoundSnippet.of(replace(snippet.candidate(), drop=drop))
    return snippet


def _permits(rule: LicenceRule, licence: str) -> bool:
    return rule == "any" or (rule == "permissive_or_none" and licence == NOASSERTION) or is_permissive(licence)


def _not_permissive(request: ReadRequest, survey: Survey, provenance: Provenance) -> tuple[str, ...]:
    """The licences of the repository and its files that the rule refuses."""
    licences = {provenance.licence, *survey.licences.values()}
    return tuple(sorted(licence for licence in licences if not _permits(request.licences, licence)))


def _declared(request: ReadRequest, packaging: PackagingFiles, imports: Container[str]) -> Declared:
    """What the repository asks for; nothing where the interpreter has it by itself."""
    if request.is_stdlib:
        return Declared()
    files = packaging if request.metadata is None else PackagingFiles(Path(request.metadata))
    # the limit is said of the file that most of it comes from
    return packaging.within_limits(
        "pyproject.toml", lambda: find_declared(files, imports), Declared(), 3 * PACKAGING_SECONDS
    )


def _version_files(request: ReadRequest, packaging: PackagingFiles, version: str | None) -> dict[str, str]:
    """The version files that a build would add to a repository; none for files and modules, which are staged alone."""
    if request.is_stdlib or request.only is not None or request.metadata is not None:
        return {}
    nothing: dict[str, str] = {}
    return packaging.within_limits(
        "pyproject.toml",
        lambda: missing_version_files(packaging, version or UNKNOWN_VERSION),
        nothing,
        3 * PACKAGING_SECONDS,
    )


def _entry_points(request: ReadRequest, packaging: PackagingFiles) -> tuple[EntryPoint, ...]:
    if request.is_stdlib:
        return ()
    files = packaging if request.metadata is None else PackagingFiles(Path(request.metadata))
    nothing: list[EntryPoint] = []
    return tuple(packaging.within_limits("pyproject.toml", lambda: entry_points(files), nothing, 3 * PACKAGING_SECONDS))


def _time_of(request: ReadRequest, commit: str | None) -> int | None:
    if commit is None or not request.wants_commit_time:
        return None
    seconds = within_limits(partial(commit_time, Path(request.checkout or request.root), commit), PACKAGING_SECONDS)
    return None if isinstance(seconds, Drop) else seconds


def _reading(request: ReadRequest, survey: Survey, provenance: Provenance, num_snippets: int) -> RepositorySummary:
    counts = survey.counts
    declared = _declared(request, survey.packaging, survey.imports)
    for path, drop in survey.packaging.drops.items():
        if not path.endswith(PYTHON_SUFFIXES + TEXT_SUFFIXES):  # else the walk has counted it
            counts.add(path, drop)
    imports = sorted(name for name in survey.imports if len(name) <= MAX_NAME_CHARS)
    own_names = survey.layout.top_level_names()
    return RepositorySummary(
        name=provenance.name,
        version=provenance.version,
        commit=provenance.commit,
        licence=provenance.licence,
        fingerprint=survey.fingerprint,
        commit_time=_time_of(request, provenance.commit),
        requirements=declared.requirements,
        requires_python=declared.requires_python,
        unusable=declared.unusable,
        imports=tuple(imports[:MAX_IMPORTS]),
        own_names=tuple(sorted(own_names)),
        main_roots=survey.layout.main_roots,
        licences=survey.licences,
        version_files=_version_files(request, survey.packaging, provenance.version),
        entry_points=_entry_points(request, survey.packaging),
        not_permissive=_not_permissive(request, survey, provenance),
        ignored=tuple(survey.ignored),
        problems=tuple(survey.problems),
        num_read=counts.num_read,
        unsearched=dict(counts.unreadable),
        examples=tuple(
            UnsearchedFile(path=path, reason=str(drop.reason), evidence=drop.evidence[:1000])
            for path, drop in counts.examples
        ),
        roles={cast(Role, str(role)): number for role, number in counts.roles.items()},
        not_scripts=tuple((path, cast(Role, str(role))) for path, role in counts.not_scripts),
        num_snippets=num_snippets,
    )


ANSWERS: dict[type[Record], Callable[..., Iterator[bytes]]] = {
    UnpackRequest: unpack,
    ReadRequest: read_repository,
    CleanRequest: clean,
}
"""The function that answers each kind of request. Each takes its own class: no common type can name the parameter."""
