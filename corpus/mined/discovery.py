"""Everything that a repository has for the miner: its snippets in the order of its files, its imports, and its
fingerprint.

Two passes over the files: the first hashes them and collects what they import, the second, on demand, finds
snippets; so that nothing but names is held for the whole repository.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from trace_mine.corpus.mined.dependencies import imported_names
from trace_mine.corpus.mined.files import PYTHON_SUFFIXES, FileProblem, SourceText, read, walk
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.licences import header_licence
from trace_mine.corpus.mined.repositories import Repository
from trace_mine.corpus.mined.snippets import ENTRIES, Candidate, Context
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import FileStats

MOST_EXAMPLES = 20


@dataclass(slots=True)
class FileCounts:
    """How many files were read, and which were not: by reason, with the first few paths. Files are not snippets."""

    num_read: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, repository: str, problem: FileProblem) -> None:
        """Counts a file that can't be searched."""
        self.unreadable[problem.reason] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(
                {
                    "repository": repository,
                    "path": printable(problem.path),
                    "reason": problem.reason,
                    "evidence": printable(problem.evidence),
                }
            )

    def as_json(self) -> FileStats:
        """For ``stats.json``."""
        return {"read": self.num_read, "unreadable": dict(sorted(self.unreadable.items())), "examples": self.examples}


class Survey:
    """A repository's files, read once for their hash and their imports.

    Attributes:
        fingerprint: hash of every file that was read and of every one that couldn't be.
        imports: top-level names that its files import.
    """

    def __init__(self, repository: Repository, counts: FileCounts) -> None:
        self.repository = repository
        self._paths: list[str] = []
        python_files = []
        digest = hashlib.sha256()
        imports: set[str] = set()
        only = None if repository.only is None else frozenset(repository.only)
        for path in walk(repository.root):
            if isinstance(path, FileProblem):
                if only is None or path.path in only:
                    counts.add(repository.provenance.name, path)
                continue
            if path.endswith(PYTHON_SUFFIXES):
                python_files.append(path)
            source = read(repository.root, path)
            searched = only is None or path in only
            if isinstance(source, FileProblem):
                digest.update(f"{source.path!a} {source.reason}\n".encode())
                if searched:
                    counts.add(repository.provenance.name, source)
                continue
            digest.update(f"{source.path!a} {source.hash}\n".encode())
            if path != "setup.py":  # what builds the package is not what runs it
                imports |= imported_names(source.text)
            counts.num_read += searched
            if searched:
                self._paths.append(path)
        self.fingerprint = digest.hexdigest()[:32]
        self.imports = frozenset(imports)
        self.layout = Layout(repository.root, python_files)

    def candidates(self, entries: Sequence[str], prior: str = "mined") -> Iterator[Candidate]:
        """Every snippet with one of these entries, by file, then by entry, then by line. ``prior`` is where the
        values of hidden inputs come from.
        """
        repository = self.repository
        context = Context(repository.root, self.layout, stdlib=repository.stdlib, paths=self._paths, prior=prior)
        for path in self._paths:
            source = read(self.repository.root, path)
            if isinstance(source, SourceText):
                licence = header_licence(source.text)
                for name in entries:
                    for candidate in ENTRIES[name](source, context):
                        yield replace(candidate, licence=licence) if licence else candidate
