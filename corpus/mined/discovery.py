"""Reads a repository for the miner: its snippets in the order of its files, its imports, and its fingerprint.

Two passes over the files: the first hashes them and collects the names that they import; the second, on demand, finds
snippets. Each file is read and let go of in both, so that only names are held for the whole repository: the syntax
trees of a large one take gigabytes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from trace_mine.corpus.mined.dependencies import imported_names
from trace_mine.corpus.mined.files import PYTHON_SUFFIXES, SourceText, read, walk
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.licences import header_licence
from trace_mine.corpus.mined.repositories import Repository
from trace_mine.corpus.mined.snippets import ENTRIES, Candidate, RepositoryContext
from trace_mine.corpus.rows import printable
from trace_mine.corpus.stats import FileStats
from trace_mine.tracer.schema import Drop

MOST_EXAMPLES = 20
"""Files whose paths ``stats.json`` lists; all of them are counted."""


@dataclass(slots=True)
class FileCounts:
    """The number of files that were read, and of those that could not be, by reason.

    Files are counted apart from snippets, since nobody can say how many snippets an unreadable file has.

    Attributes:
        num_read: files that were searched for snippets.
        unreadable: files by the word of their ``Reason``.
        examples: the first MOST_EXAMPLES of the unreadable files, as ``stats.json`` lists them.
    """

    num_read: int = 0
    unreadable: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, repository: str, path: str, drop: Drop) -> None:
        """Count a file that can't be searched."""
        self.unreadable[drop.reason] += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(
                {
                    "repository": repository,
                    "path": printable(path),
                    "reason": drop.reason,
                    "evidence": printable(drop.evidence),
                }
            )

    def as_json(self) -> FileStats:
        """The counts as ``stats.json`` shows them, under ``files``."""
        return {"read": self.num_read, "unreadable": dict(sorted(self.unreadable.items())), "examples": self.examples}


class Survey:
    """A repository's files, read once for their hash and their imports.

    A repository with ``only`` is read as a whole (what a snippet does depends on all that it can import), but only
    those files are searched for snippets and counted.

    Args:
        repository: the folder to read.
        counts: where files are counted; one for all repositories of a command.

    Attributes:
        fingerprint: 32 hexadecimal digits, a hash of the path and content of every file that was read, and of the
            path and reason of every file that could not be decoded or parsed.
        imports: top-level names that its files import.
        layout: the importable names of its files.
    """

    def __init__(self, repository: Repository, counts: FileCounts) -> None:
        self.repository = repository
        self._paths: list[str] = []
        python_files = []
        digest = hashlib.sha256()
        imports: set[str] = set()
        only = None if repository.only is None else frozenset(repository.only)
        for file in walk(repository.root):
            is_searched = only is None or file.path in only
            if file.drop is not None:
                if is_searched:
                    counts.add(repository.provenance.name, file.path, file.drop)
                continue
            if file.path.endswith(PYTHON_SUFFIXES):
                python_files.append(file.path)  # a name leads to it even where this interpreter can't parse it
            source = read(repository.root, file.path)
            if isinstance(source, Drop):
                # Evidence stays out of the hash: a parser's message differs from version to version.
                digest.update(f"{file.path!a} {source.reason}\n".encode())
                if is_searched:
                    counts.add(repository.provenance.name, file.path, source)
                continue
            # !a: paths need not be UTF-8, and a lone surrogate could not be encoded.
            digest.update(f"{file.path!a} {source.hash}\n".encode())
            if file.path != "setup.py":  # what builds the package is not what runs it
                imports |= imported_names(source.text)
            if is_searched:
                counts.num_read += 1
                self._paths.append(file.path)
        self.fingerprint = digest.hexdigest()[:32]
        self.imports = frozenset(imports)
        self.layout = Layout(repository.root, python_files)

    def candidates(self, entries: Sequence[str], prior: str = "mined") -> Iterator[Candidate]:
        """Find every snippet with one of these entries, by file, then by entry, then by line.

        Args:
            entries: names of ``snippets.ENTRIES``.
            prior: where the values of hidden inputs come from, one of ``trace_mine.tracer.views.PRIORS``; only calls
                ask for it.
        """
        repository = self.repository
        context = RepositoryContext(
            repository.root, self.layout, stdlib=repository.stdlib, paths=self._paths, prior=prior
        )
        for path in self._paths:
            source = read(self.repository.root, path)  # again: the text of the first pass was let go of
            if isinstance(source, SourceText):
                licence = header_licence(source.text)
                for name in entries:
                    for candidate in ENTRIES[name](source, context):
                        # A file may come from elsewhere, on other terms than the repository (vendored code).
                        yield replace(candidate, licence=licence) if licence else candidate
