"""Repositories as they are mined: as copies with fakes in the place of secrets and personal data, where there are some.

The values are replaced in source, before anything runs, so that all that a program makes of them (their length, their
parts, what is printed) is true of the session that a reader has. What was replaced is counted, and never written down.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from trace_mine.corpus.cleaning.kinds import Kind
from trace_mine.corpus.cleaning.repository_files import clean_path
from trace_mine.corpus.mined.reader import RepositoryReader
from trace_mine.corpus.mined.reader_protocol import CleaningSummary
from trace_mine.corpus.mined.repositories import Repository
from trace_mine.corpus.mined.staging import stage_cleaned, unreadable
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import CleaningNote
from trace_mine.tracer.schema import Drop
from trace_mine.tracer.visible import one_line

MAX_EXAMPLES = 100
"""Places of all repositories that ``stats.json`` lists."""
MAX_KEPT = 20


class RepositoryCleaner:
    """Cleans one repository after the other.

    Args:
        staging: a folder of ours, for copies.
        tell: called with lines for people.
    """

    def __init__(self, staging: Path, tell: Callable[[str], None]) -> None:
        self._staging = staging
        self._tell = tell

    def clean(self, reader: RepositoryReader, repository: Repository) -> tuple[Repository, CleaningSummary | None]:
        """Return the repository to mine: itself, or a clean copy, and what was replaced, for ``cleaning_note``.

        Where it can't be read or copied it is mined as it is: a row that shows something is dropped then.

        Args:
            reader: shown the repository and the staging folder.
            repository: as it was opened. A module of the standard library is run where the interpreter has it, and so
                stays as it is.

        Raises:
            OSError: the disk is full.
        """
        if repository.stdlib:
            return repository, None
        answer = reader.clean(repository.root)
        if isinstance(answer, Drop):
            self._tell(f"{one_line(repository.fallback_name)} could not be cleaned: {one_line(answer.evidence)}")
            return repository, None
        if not answer.files:
            return repository, answer.summary
        files = {each.path: (each.new_path, each.text.encode(each.encoding, "replace")) for each in answer.files}
        try:
            copy = stage_cleaned(repository.root, files, self._staging)
        except OSError as error:
            # the reader's names are no better than the repository that it read
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            copy = unreadable(f"a file can't be written: {error.strerror}")
        if isinstance(copy, Drop):
            self._tell(f"{one_line(repository.fallback_name)} could not be copied clean: {one_line(copy.evidence)}")
            return repository, None
        only = repository.only
        if only is not None:
            only = tuple(files[path][0] if path in files else path for path in only)
        checkout = repository.root if repository.checkout is None else repository.checkout
        cleaned = replace(
            repository, root=copy, checkout=checkout, only=only, fallback_name=clean_path(repository.fallback_name)
        )
        return cleaned, answer.summary


def cleaning_note(name: str = "", summary: CleaningSummary | None = None) -> CleaningNote:
    """The note on a repository that was cleaned, for ``stats.json``; of none, without arguments."""
    if summary is None:
        return {"files": 0, "replaced": {}, "repositories": {}, "examples": [], "not_replaced": []}
    replaced = _by_kind(Counter(summary.replaced))
    return {
        "files": summary.num_files,
        "replaced": replaced,
        "repositories": {name: replaced} if replaced else {},
        "examples": [
            {"repository": name, "path": printable(path), "line": line, "kind": kind}
            for path, line, kind in summary.examples[:MAX_EXAMPLES]
        ],
        "not_replaced": [f"{name}: {printable(path)}" for path in summary.kept[:MAX_KEPT]],
    }


def joined_cleaning(parts: Sequence[CleaningNote]) -> CleaningNote:
    """The notes of several repositories as one. Two versions of a project have one name, and are added up."""
    repositories: dict[str, Counter[str]] = {}
    for part in parts:
        for name, counts in part["repositories"].items():
            repositories.setdefault(name, Counter()).update(counts)
    total: Counter[str] = Counter()
    for each in repositories.values():
        total.update(each)
    return {
        "files": sum(part["files"] for part in parts),
        "replaced": _by_kind(total),
        "repositories": {name: _by_kind(counts) for name, counts in sorted(repositories.items())},
        "examples": [example for part in parts for example in part["examples"]][:MAX_EXAMPLES],
        "not_replaced": [line for part in parts for line in part["not_replaced"]][:MAX_KEPT],
    }


def _by_kind(counts: Counter[str]) -> dict[str, int]:
    return {str(kind): counts[kind] for kind in Kind if counts[kind]}
