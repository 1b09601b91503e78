"""The snippets of one repository that has its environment: its tests as pytest collects them, and harvested calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from trace_mine.corpus.hashing import code_hash, content_key
from trace_mine.corpus.mined.environments.for_repository import RepositoryPackages
from trace_mine.corpus.mined.harvest.harvesting import harvest_calls
from trace_mine.corpus.mined.harvest.in_repository import literal_calls, with_calls, with_pages
from trace_mine.corpus.mined.injection.injecting import inject
from trace_mine.corpus.mined.items.collection import collect_tests
from trace_mine.corpus.mined.items.in_repository import with_items
from trace_mine.corpus.mined.options import MineOptions
from trace_mine.corpus.mined.reader import RepositoryReading
from trace_mine.corpus.mined.reader_protocol import RepositorySummary
from trace_mine.corpus.mined.repositories import Repository
from trace_mine.corpus.mined.sample import sampled
from trace_mine.corpus.mined.snippets import Candidate
from trace_mine.corpus.mined.start_tracer import config_of
from trace_mine.corpus.mined.tracer_arguments import tracer_arguments
from trace_mine.corpus.stats import CallNote, ItemNote
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryCandidates:
    """What is mined of a repository.

    Attributes:
        candidates: in the order of its files.
        items: what ``stats.json`` says of its tests; None where pytest did not collect them.
        calls: what it says of harvested calls; None where none are wanted.
        injected: snippets that got no draws, by reason, each as ``PATH:LINE NAME``; None where none are wanted.
        not_tried: snippets of each kind that nobody tried to put draws into, since a sample of them is enough.
    """

    candidates: Sequence[Candidate]
    items: ItemNote | None = None
    calls: CallNote | None = None
    injected: Mapping[str, Sequence[str]] | None = None
    not_tried: Mapping[str, int] = field(default_factory=dict)


EDIT_MARGIN = 3
"""Snippets that draws are put into for each one that a sample of a repository is to have.

Each is run some twenty times before it is taken, so that all of a large repository take minutes; of ordinary packages a
half to three quarters of the snippets get draws.
"""


class CandidateSearch:
    """Finds the snippets of one repository after the other.

    Args:
        options: of the mining.
        staging: a folder of ours that the jails' user can read; harvests are kept there.
        tell: called with lines for people.
    """

    def __init__(self, options: MineOptions, staging: Path, tell: Callable[[str], None]) -> None:
        self._options = options
        self._staging = staging
        self._tell = tell

    def of(
        self, repository: Repository, reading: RepositoryReading, packages: RepositoryPackages
    ) -> RepositoryCandidates:
        """Collect a repository's tests where it has pytest, and harvest calls where they are wanted.

        Args:
            repository: where its files are.
            reading: what was found by syntax.
            packages: its environment.

        Raises:
            SandboxUnavailable: this machine offers less than the options ask for.
        """
        candidates: Sequence[Candidate] = reading.candidates
        summary = reading.summary
        entries = self._options.chosen_entries
        items: ItemNote | None = None
        calls: CallNote | None = None
        # a repository without tests need not be asked for them
        has_tests = any(candidate.snippet.kind == "test" for candidate in candidates)
        refused = [each.drop is not None and each.drop.reason == Reason.NOT_PERMISSIVE for each in candidates]
        if candidates and all(refused):  # nothing of it is to run
            return RepositoryCandidates(candidates=[each for each in candidates if each.snippet.kind in entries])
        has_pytest = has_tests and "pytest" in packages.importable and not repository.stdlib
        if "test" in entries and has_pytest:
            arguments, _ = tracer_arguments(self._options, repository, packages, summary.main_roots, ())
            tests = collect_tests(config_of(arguments), self._staging, self._options.siblings)
            if tests.failure:
                self._tell(f"tests of {summary.name}: {tests.failure}; they are read by their syntax instead")
            candidates, items = with_items(reading, tests, repository.root, self._options.siblings)
        if self._options.harvests and candidates:
            candidates, calls = self._harvested(repository, summary, candidates, packages, has_pytest=has_pytest)
        ignored = frozenset(summary.ignored)  # pytest collects what the reader did not search
        chosen = [
            _permitted(each, summary)
            for each in candidates
            if each.snippet.kind in entries and each.snippet.path not in ignored
        ]
        injected: Mapping[str, Sequence[str]] | None = None
        not_tried: dict[str, int] = {}
        if self._options.inject is not None:
            if self._options.per_repository is not None:
                chosen, not_tried = sampled(chosen, EDIT_MARGIN * self._options.per_repository)
            chosen, injected = self._injected(repository, summary, chosen, packages)
        return RepositoryCandidates(candidates=chosen, items=items, calls=calls, injected=injected, not_tried=not_tried)

    def _injected(
        self,
        repository: Repository,
        summary: RepositorySummary,
        candidates: Sequence[Candidate],
        packages: RepositoryPackages,
    ) -> tuple[list[Candidate], Mapping[str, Sequence[str]]]:
        """The snippets with draws put into their programs, and those that got none, by reason."""
        assert self._options.inject is not None
        sys_path = () if repository.stdlib else summary.main_roots
        arguments, _ = tracer_arguments(self._options, repository, packages, sys_path, ())
        self._tell(f"edits of {summary.name}: draws are put into {len(candidates)} snippets, each is tried")
        made = inject(config_of(arguments), self._staging, candidates, self._options.inject, self._options.seed)
        return [*made.candidates], made.left_out

    def _harvested(
        self,
        repository: Repository,
        summary: RepositorySummary,
        candidates: Sequence[Candidate],
        packages: RepositoryPackages,
        *,
        has_pytest: bool,
    ) -> tuple[Sequence[Candidate], CallNote | None]:
        """The snippets with the calls that they, and the tests, make of the repository's functions."""
        sys_path = () if repository.stdlib else summary.main_roots
        arguments, portable = tracer_arguments(self._options, repository, packages, sys_path, ())
        wants_calls = "call" in self._options.chosen_entries
        by_syntax = [candidate for candidate in candidates if candidate.snippet.kind == "call"]
        self._tell(f"calls of {summary.name}: its tests, examples and scripts are run to see them")
        harvest = harvest_calls(
            config_of(arguments),
            self._staging,
            candidates,
            literal_calls=literal_calls(by_syntax),
            has_pytest=has_pytest,
            wants_calls=wants_calls,
            kept_as=content_key(
                code_hash(),
                summary.fingerprint,
                portable,
                list(packages.requires),
                [has_pytest, wants_calls],
                [candidate.to_json() for candidate in candidates],
            )[:16],
        )
        root = Path(repository.library).parent if repository.library else repository.root
        candidates = with_pages(candidates, harvest)
        if not wants_calls:
            return candidates, None
        candidates, note = with_calls(candidates, harvest, root, summary, sys_path=sys_path)
        self._tell(
            f"calls of {summary.name}: {note['functions_reached']} functions reached by {note['calls_seen']} calls; "
            f"with those that stand in its files, {note['distinct']} distinct ones have a text, {note['taken']} are "
            f"taken, of {note['functions_taken']} functions; {note['led_to_by_tests']} more are led to by tests"
        )
        for failure in note["failures"]:
            self._tell(f"calls of {summary.name}: {failure}; those that were seen before are kept")
        return candidates, note


def _permitted(candidate: Candidate, summary: RepositorySummary) -> Candidate:
    """The candidate, dropped where only permissive licences are wanted and its own is none."""
    licence = candidate.licence or summary.licence
    if candidate.drop is not None or licence not in summary.not_permissive:
        return candidate
    return replace(candidate, drop=Drop(reason=Reason.NOT_PERMISSIVE, evidence=f"licence {licence}"))
