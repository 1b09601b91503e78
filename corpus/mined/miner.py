"""Makes work units out of repositories: the mined origin of a dataset. ``tracing`` traces a unit in a worker.

Over 400 lines, since an origin is one class: what it reads, notes, keys and cuts hang on each other.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trace_mine.corpus.cleaning.scrub import scrub
from trace_mine.corpus.decontamination.benchmark_file import benchmark_file
from trace_mine.corpus.hashing import code_hash, content_key
from trace_mine.corpus.mined.cleaned_repositories import RepositoryCleaner, cleaning_note
from trace_mine.corpus.mined.environments.for_repository import COMMIT, RepositoryEnvironments, RepositoryPackages
from trace_mine.corpus.mined.environments.provision import kept_environments
from trace_mine.corpus.mined.file_counts import AllFileCounts
from trace_mine.corpus.mined.import_search import search_of
from trace_mine.corpus.mined.input_signature import input_signature
from trace_mine.corpus.mined.notes import environment_note, joined_notes, named_snippets
from trace_mine.corpus.mined.options import MineOptions as MineOptions
from trace_mine.corpus.mined.payload import (
    MinedEntry,
    MinedPayload,
    RepositoryEntry,
    UnreadableEntry,
)
from trace_mine.corpus.mined.provenance import normalised_name
from trace_mine.corpus.mined.reader import RepositoryReader, RepositoryReading
from trace_mine.corpus.mined.reader_batches import reader_batches
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.corpus.mined.refused_licences import refused_licence
from trace_mine.corpus.mined.repositories import (
    IgnoredInput,
    NamedInput,
    Repository,
    find_targets,
    input_name,
    name_of,
    open_target,
)
from trace_mine.corpus.mined.repository_candidates import CandidateSearch
from trace_mine.corpus.mined.sample import sampled
from trace_mine.corpus.mined.script_runs import manifest_problems, seeded
from trace_mine.corpus.mined.sent_inputs import MINED_INPUTS
from trace_mine.corpus.mined.shard import Shard
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.snippets.file_roles import ScriptChoice
from trace_mine.corpus.mined.staging import stage_checkout
from trace_mine.corpus.mined.tracer_arguments import own_packages, tracer_arguments, warm_modules
from trace_mine.corpus.mined.tracing import ORIGIN, trace_unit
from trace_mine.corpus.rows import printable
from trace_mine.corpus.sending.unit import UnitInputs
from trace_mine.corpus.splits import ByFunction, ByRepository, SplitRule
from trace_mine.corpus.stats import Notes
from trace_mine.corpus.work import Traces, WorkUnit
from trace_mine.tracer.schema import SCHEMA_VERSION, Drop
from trace_mine.tracer.visible import one_line

UNIT_SNIPPETS = 32
"""Snippets of a unit. At 20-100 snippets a second a unit takes about a second: little is lost with a worker, and the
flush to disk is 1% of it.
"""
AHEAD = 8
"""Repositories that are read while the environments of those before them are made, and whose snippets are held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReadRepository:
    """A repository that was read: a function that gives its units once its environment is made, and if it is."""

    units: Callable[[], Iterable[WorkUnit]]
    is_ready: Callable[[], bool]


class Mined:
    """The origin of mined traces (an ``Origin``).

    Args:
        inputs: paths and ``module:NAME``, as ``find_targets`` takes them.
        options: the snippets to mine, and how to trace them.
        staging: a folder for unpacked archives and for environments.
        tell: called with a line for people when an environment was made.
        shard: the part of the inputs to mine; None for all of them.

    Attributes:
        unreadable: for people, the name of each repository that could not be read, and why; complete after ``units``.

    Raises:
        CorpusError: an input does not exist, or can't be read.
    """

    name = ORIGIN

    def __init__(
        self,
        inputs: Sequence[str],
        options: MineOptions,
        staging: Path,
        tell: Callable[[str], None] = lambda line: None,
        shard: Shard | None = None,
    ) -> None:
        self._tell = tell
        self._is_settled = True
        self._notes: dict[int, Notes] = {}  # by the place of the input
        self._num_left = options.limit
        self._options = options
        self._staging = staging.resolve()  # the reader's jail has absolute paths, and --out may be a relative one
        self._candidate_search = CandidateSearch(options, self._staging, tell)
        self._cleaner = None if options.keep_personal else RepositoryCleaner(self._staging, tell)
        self._benchmarks = benchmark_file(options.benchmarks, options.benchmarks_digest, self._staging)
        self._targets: list[tuple[int, NamedInput]] = []
        self._ignored: list[IgnoredInput] = []
        self.unreadable: list[str] = []
        self.input_names = [input_name(text) for text in inputs]
        if self._cleaner is not None:
            self.input_names = [scrub(name).text for name in self.input_names]
        # Here and not in `units`: a misspelt path ends the command before anything is traced.
        self._search = search_of(options.python or sys.executable)
        shard = Shard(1, 1) if shard is None else shard
        place = 0
        for named in find_targets(inputs, self._search):
            if isinstance(named, IgnoredInput):
                self._ignored.append(named)
                continue
            if shard.has(place):
                self._targets.append((place, named))
            place += 1

    @property
    def fingerprint(self) -> str:
        """A hash of the configuration and of the code that traces, finds and writes.

        It is part of every unit's key, so that a dataset that was begun with other code is done again.
        """
        return content_key(self._options.as_config(), self._options.tracer_factory, code_hash(), SCHEMA_VERSION)

    def signature(self) -> str:
        """Return a hash of the inputs as they stand, and of what is installed here."""
        state = input_signature(self._targets, self._ignored, self._options, self._search, self._staging)
        return content_key(self.fingerprint, state)

    @property
    def is_settled(self) -> bool:
        """False where packages of an index that did not answer are missing."""
        return self._is_settled

    @property
    def num_inputs(self) -> int:
        """The number of repositories, files and modules of this part."""
        return len(self._targets)

    @property
    def traces(self) -> Traces:
        """The function that workers call."""
        return trace_unit

    @property
    def inputs(self) -> UnitInputs:
        """The repositories, their packages, and the index of benchmarks."""
        return MINED_INPUTS

    @property
    def split_rule(self) -> SplitRule:
        """By repository, or by function where that is asked for."""
        return rule_of(self._options.split_by)

    @property
    def keeps_copies(self) -> bool:
        """Keep near-duplicates within a split."""
        return self._options.keep_duplicates

    def units(self) -> Iterator[WorkUnit]:
        """Find the snippets of all repositories and cut them into units.

        A unit has at most UNIT_SNIPPETS sessions (those of one snippet stay together, so more where one has more) of
        snippets that share a repository and a ``sys.path``, and with them a tracer. Units come in the order of the
        repositories' files. A repository that can't be read is a unit of one snippet, which is dropped.

        Raises:
            CorpusError: this machine offers less isolation than is asked for.
            OSError: the disk is full.
        """
        self._num_left = self._options.limit
        # Repositories that were read wait for their environments here, in order, while the next ones are read.
        waiting: deque[_ReadRepository] = deque()
        folder = kept_environments(self._staging / "environments")
        with RepositoryEnvironments(folder, self._options.environments(), self._tell) as environments:
            for repository in self._repositories(environments):
                waiting.append(repository)
                # At once where its environment is there: its units run while the next ones are read.
                while waiting and (len(waiting) > AHEAD or waiting[0].is_ready()):
                    yield from waiting.popleft().units()
            while waiting:
                yield from waiting.popleft().units()
            self._is_settled = not environments.was_unreachable

    def _repositories(self, environments: RepositoryEnvironments) -> Iterator[_ReadRepository]:
        """Read all repositories."""
        num_left = self._options.limit
        for targets in reader_batches(self._targets):
            shown = dict.fromkeys(target.shown for _, target in targets if target.shown is not None)
            # a version may be made of git's tags
            reads_git = self._options.as_of == COMMIT or any((each.path / ".git").is_dir() for _, each in targets)
            with self._start_reader([*shown], reads_git=reads_git) as reader:
                for place, target in targets:
                    repository = open_target(target, reader, self._staging, self._search)
                    replaced = None
                    if self._cleaner is not None and isinstance(repository, Repository):
                        repository, replaced = self._cleaner.clean(reader, repository)
                    if isinstance(repository, Drop):
                        reading: RepositoryReading | Drop = repository
                    else:
                        reading = self._read(reader, place, repository, target, num_left)
                    if isinstance(repository, Drop) or isinstance(reading, Drop):
                        assert isinstance(reading, Drop)
                        unit = self._unreadable_unit(place, name_of(target), reading)
                        yield _ReadRepository(units=partial(iter, (unit,)), is_ready=lambda: True)
                        continue
                    if replaced is not None:
                        self._notes_of(place)["cleaning"] = cleaning_note(reading.summary.name, replaced)
                    if num_left is not None:
                        num_left = max(0, num_left - len(reading.candidates))
                    repository = self._with_version_files(repository, reading.summary)
                    has_tests = any(candidate.snippet.kind == "test" for candidate in reading.candidates)
                    packages = environments.ask(reading.summary, is_stdlib=repository.stdlib, has_tests=has_tests)
                    yield _ReadRepository(
                        units=partial(self._units_with, place, repository, reading, packages.wait),
                        is_ready=packages.is_ready,
                    )

    def _units_with(
        self, place: int, repository: Repository, reading: RepositoryReading, packages: Callable[[], RepositoryPackages]
    ) -> Iterator[WorkUnit]:
        return self._units_of(place, repository, reading, packages())

    def _start_reader(self, shown: Sequence[Path], *, reads_git: bool) -> RepositoryReader:
        levels = self._options.tracer_config().worker_levels
        python = self._options.python or sys.executable
        return RepositoryReader(shown, self._staging, python=python, **levels, reads_git=reads_git)

    def _read(
        self, reader: RepositoryReader, place: int, repository: Repository, target: NamedInput, limit: int | None
    ) -> RepositoryReading | Drop:
        """Read a repository, and count its files."""
        reading = reader.read(
            repository.root,
            fallback_name=repository.fallback_name,
            metadata=repository.metadata,
            checkout=repository.checkout,
            origin=repository.origin,
            only=repository.only,
            is_stdlib=repository.stdlib,
            entries=self._options.searched_entries,
            prior=self._options.prior or "none",
            # what others' calls are harvested from may lie behind the limit
            limit=None if self._options.harvests else limit,
            scripts=ScriptChoice(rule=repository.script_rule, globs=self._options.scripts),
            licences=self._options.licence_rule(target.kind),
            wants_commit_time=self._options.as_of == COMMIT,
            ignore=target.ignore,
            benchmarks=None if self._benchmarks is None else self._benchmarks.path,
            ignore_prefix=f"{target.path.name}/" if target.kind == "folder" else "",
        )
        if isinstance(reading, RepositoryReading):
            summary = reading.summary
            files = AllFileCounts()
            files.add(summary.num_read, summary.unsearched, {str(role): n for role, n in summary.roles.items()})
            refused = refused_licence(summary, self._options.licence_rule(target.kind), self._tell)
            self._notes_of(place)["left_out_by_licence"] = refused
            for line in manifest_problems(reading.candidates):
                self._tell(f"{summary.name}: {line}")
            for path, role in summary.not_scripts:
                files.add_not_script(summary.name, path, role)
            for example in summary.examples:
                files.add_example(summary.name, example.path, example.reason, example.evidence)
            self._notes_of(place)["files"] = files.as_json()
        return reading

    def _notes_of(self, place: int) -> Notes:
        return self._notes.setdefault(place, Notes())

    def _with_version_files(self, repository: Repository, summary: RepositorySummary) -> Repository:
        """The repository with the files that its build would write, as a copy; itself where it lacks none."""
        if not summary.version_files:
            return repository
        copy = stage_checkout(repository.root, summary.version_files, self._staging)
        names = one_line(", ".join(summary.version_files))
        if isinstance(copy, Drop):
            self._tell(f"{summary.name} can't be copied to add {names}: {one_line(copy.evidence)}")
            return repository
        self._tell(f"{summary.name}: added {names}, which its build would write")
        return replace(repository, root=copy)

    def notes(self) -> Notes:
        """The files and inputs that were not searched, and the packages that are imported and not installed here.

        The notes are those of the units that were made, so they are complete after ``units`` is exhausted.
        """
        by_place, overall = self.plan_notes()
        return joined_notes([notes for _, notes in by_place], overall)

    def plan_notes(self) -> tuple[Sequence[tuple[int, Notes]], Notes]:
        """The notes of each input by its place, and those of the command."""
        ignored = [{"name": printable(item.name), "reason": item.explanation} for item in self._ignored]
        overall: Notes = {"ignored_inputs": ignored}
        if self._cleaner is not None:
            overall["cleaning"] = cleaning_note()  # of nothing: it says that repositories were looked through
        return sorted(self._notes.items()), overall

    def _unreadable_unit(self, place: int, name: str, drop: Drop) -> WorkUnit:
        """The unit of a repository that can't be read: one snippet, dropped."""
        repository = normalised_name(name)
        self.unreadable.append(f"{repository}: {one_line(drop.evidence)}")
        entry: UnreadableEntry = {
            "path": ".",
            "name": repository,
            "repository": repository,
            "entry": "repository",
            "line": 0,
            "drop": {"reason": drop.reason, "evidence": drop.evidence},
        }
        payload = {"hidden": [str(self._staging.resolve())], "snippets": [entry]}
        return WorkUnit(key=content_key(self.fingerprint, entry), payload=payload, place=place)

    def _units_of(
        self, place: int, repository: Repository, reading: RepositoryReading, packages: RepositoryPackages
    ) -> Iterator[WorkUnit]:
        """Cut the snippets of one repository into units, by ``sys.path``.

        A unit's key is a hash of all that its result depends on and of nothing else: its payload has folders of this
        machine, and so is not hashed itself.
        """
        summary = reading.summary
        if self._num_left == 0:
            return
        notes = self._notes_of(place)
        if packages.missing:
            notes["missing_packages"] = {summary.name: sorted(packages.missing)}
        if packages.environment is not None and reading.candidates:
            notes["environments"] = {summary.name: environment_note(summary, packages)}
        search = self._candidate_search.of(repository, reading, packages)
        if search.items is not None:
            notes["tests"] = {summary.name: search.items}
        if search.calls is not None:
            notes["calls"] = {summary.name: search.calls}
        if search.injected is not None:
            notes["not_edited"] = {summary.name: {why: len(each) for why, each in search.injected.items()}}
            notes["not_edited_snippets"] = {summary.name: named_snippets(search.injected)}
        groups: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
        seed = None if self._options.parsed_view.hides else self._options.seed  # such a view decides draws itself
        candidates = search.candidates
        if self._options.per_repository is not None:
            candidates, left_out = sampled(candidates, self._options.per_repository)
            all_left_out = Counter(left_out) + Counter(search.not_tried)
            notes["sampled_out"] = {summary.name: dict(sorted(all_left_out.items()))} if all_left_out else {}
        for candidate in self._within_limit(candidates):
            if seed is not None:
                candidate = seeded(candidate, seed, packages.importable)
            groups[candidate.sys_path].append(candidate)
        own = own_packages(repository.root, summary.main_roots, summary.own_names)
        # A tracer has one `sys.path`, so snippets with another one would need it started anew.
        for sys_path, members in groups.items():
            warm = warm_modules(summary.imports, packages, own, members)
            tracer, portable = tracer_arguments(self._options, repository, packages, sys_path, warm)
            size = max(1, UNIT_SNIPPETS // self._options.sessions)  # a snippet's sessions stay together
            for start in range(0, len(members), size):
                snippets = [
                    _entry(summary.name, session)
                    for candidate in members[start : start + size]
                    for session in self._sessions(candidate)
                ]
                origin: RepositoryEntry = {
                    "name": summary.name,
                    "version": summary.version,
                    "commit": summary.commit,
                    "licence": summary.licence,
                    "requires": list(packages.requires),
                }
                # Other snippets of the repository are not in the key, but all of its files are: any of them may be
                # imported by these.
                # what a build would have added is a file of the repository too
                files = [summary.fingerprint, *([dict(summary.version_files)] if summary.version_files else [])]
                key = content_key(self.fingerprint, *files, origin, portable, snippets)
                payload: MinedPayload = {
                    "tracer_factory": self._options.tracer_factory,
                    "tracer": tracer,
                    "hidden": [str(repository.root), str(self._staging.resolve())],
                    "cleans": not self._options.keep_personal,
                    "benchmarks": None if self._benchmarks is None else str(self._benchmarks.path),
                    "problems": [list(place) for place in summary.problems],
                    "repository": origin,
                    "snippets": snippets,
                }
                yield WorkUnit(key=key, payload=payload, place=place)

    def _within_limit(self, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """As many of the candidates as the limit leaves: pytest may collect more than were found by syntax."""
        if self._num_left is None:
            return candidates
        kept = candidates[: self._num_left]
        self._num_left -= len(kept)
        return kept

    def _sessions(self, candidate: Candidate) -> list[Candidate]:
        """The candidate once for each of its sessions; one that is not run counts once."""
        num_sessions = 1 if candidate.drop is not None else self._options.sessions
        return [
            replace(candidate, snippet=replace(candidate.snippet, session=number)) for number in range(num_sessions)
        ]


def rule_of(split_by: object) -> SplitRule:
    """The rule of a configuration's ``split_by``; None is that of a configuration without one."""
    return ByFunction() if split_by == "function" else ByRepository()


def _entry(repository: str, candidate: Candidate) -> MinedEntry:
    """The snippet as the unit's payload has it."""
    snippet = candidate.snippet
    return {
        "path": snippet.path,
        "name": snippet.name,
        "repository": repository,
        "entry": snippet.kind,
        "line": snippet.line,
        "candidate": candidate.to_json(),
    }
