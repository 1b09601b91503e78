"""Repositories as they are mined: as copies with fakes in the place of secrets and personal data, where there are some.

The values are replaced in source, before anything runs, so that all that a program makes of them (their length, their
parts, what is printed) is true of the session that a reader has. What was replaced is counted, and never written down.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable
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
    """Cleans one repository after the other, and counts.

    Args:
        staging: a folder of ours, for copies.
        tell: called with lines for people.
    """

    def __init__(self, staging: Path, tell: Callable[[str], None]) -> None:
        self._staging = staging
        self._tell = tell
        self._num_files = 0
        self._replaced: dict[str, Counter[str]] = {}
        self._examples: list[dict[str, str | int]] = []
        self._kept: list[str] = []

    def clean(self, reader: RepositoryReader, repository: Repository) -> tuple[Repository, CleaningSummary | None]:
        """Return the repository to mine: itself, or a clean copy, and what was replaced, for ``count``.

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

    def count(self, name: str, summary: CleaningSummary) -> None:
        """Count what was replaced in a repository of this name."""
        self._num_files += summary.num_files
        self._replaced.setdefault(name, Counter()).update(summary.replaced)
        for path, line, kind in summary.examples:
            if len(self._examples) < MAX_EXAMPLES:
                self._examples.append({"repository": name, "path": printable(path), "line": line, "kind": kind})
        self._kept += [f"{name}: {printable(path)}" for path in summary.kept[: MAX_KEPT - len(self._kept)]]

    def note(self) -> CleaningNote:
        """What ``stats.json`` says of it."""
        total: Counter[str] = Counter()
        for counts in self._replaced.values():
            total.update(counts)
        return {
            "files": self._num_files,
            "replaced": {str(kind): total[kind] for kind in Kind if total[kind]},
            "repositories": {
                name: {str(kind): counts[kind] for kind in Kind if counts[kind]}
                for name, counts in sorted(self._replaced.items())
                if counts
            },
            "examples": self._examples,
            "not_replaced": self._kept,
        }
