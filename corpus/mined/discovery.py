"""Reads a repository: its snippets in the order of its files, its imports, and its fingerprint. Runs in the reader's
sandbox.

Two passes over the files: the first hashes them and collects the names that they import; the second, on demand, finds
snippets. Each file is read and let go of in both, so that only names are held for the whole repository: the syntax
trees of a large one take gigabytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import process_time

from trace_mine.corpus.decontamination.benchmark_index import BenchmarkIndex, marks_of
from trace_mine.corpus.mined.clock import within_limits
from trace_mine.corpus.mined.dependencies import imported_names
from trace_mine.corpus.mined.file_counts import FileCounts
from trace_mine.corpus.mined.files import NOTEBOOK_SUFFIXES, PYTHON_SUFFIXES, SourceText, read, walk
from trace_mine.corpus.mined.layout import Layout
from trace_mine.corpus.mined.licences import header_licence
from trace_mine.corpus.mined.packaging_files import PackagingFiles
from trace_mine.corpus.mined.reader_protocol import FoundSnippet
from trace_mine.corpus.mined.snippets import ENTRIES, Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.file_roles import FileRoles, Imported, ScriptChoice, imports_of
from trace_mine.corpus.mined.snippets.manifest import Manifest, read_manifest
from trace_mine.tracer.inside.protocol.codec import ProtocolError
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop

FILE_SECONDS = 20.0
"""CPU time for one file, a thousand times what written source takes; one of 2 MB may take 5 s."""
REPOSITORY_SECONDS = 60.0
"""CPU time for a repository, beside that for its text."""
SECONDS_A_MEGABYTE = 20.0
"""CPU time for a megabyte of text, forty times what packages take."""


MAX_PROBLEMS = 10_000
"""Places of a repository that are a benchmark's; a copy of the largest benchmark has some thousand."""
MAX_LICENCE_CHARS = 2_000
"""Characters of an SPDX expression."""


class GaveUp(Exception):
    """A repository takes too long to be read, file by file; the message says how long."""


class Survey:
    """A repository's files, read once for their hash and their imports.

    A repository with ``only`` is read as a whole (what a snippet does depends on all that it can import), but only
    those files are searched for snippets and counted.

    Args:
        root: the folder to read.
        only: the files to search, relative to the root; None for all of them.
        is_stdlib: the interpreter in the sandbox has the modules by itself.
        is_ignored: tells files that are not to be searched; a file of ``only`` is, as it was named.
        benchmarks: the index of problems to look for.

    Attributes:
        counts: the files that were read, and those that could not be.
        packaging: the packaging files at the root.
        fingerprint: 32 hexadecimal digits, a hash of the path and content of every file that was read, and of the
            path and reason of every file that could not be decoded or parsed.
        imports: top-level names that its files import.
        layout: the importable names of its files.
        licences: by path, the licence in a file's own header.
        ignored: the files that ``is_ignored`` told.
        problems: path, first and last line of what is a benchmark's problem, and the problem's name.

    Raises:
        GaveUp: its files take too long, each for itself within its limit.
    """

    def __init__(
        self,
        root: Path,
        *,
        only: Sequence[str] | None = None,
        is_stdlib: bool = False,
        is_ignored: Callable[[str], bool] = lambda path: False,
        benchmarks: BenchmarkIndex | None = None,
    ) -> None:
        self.root = root
        self.counts = FileCounts()
        self.packaging = PackagingFiles(root)
        self._is_stdlib = is_stdlib
        self._started = process_time()
        self._num_bytes = 0
        self._paths: list[str] = []
        python_files = []
        digest = hashlib.sha256()
        imports: set[str] = set()
        self._imports_by_file: list[tuple[str, frozenset[Imported]]] = []
        self.licences: dict[str, str] = {}
        self.ignored: list[str] = []
        self.problems: list[tuple[str, int, int, str]] = []
        searched = None if only is None else frozenset(only)
        for file in walk(root):
            is_searched = searched is None or file.path in searched
            if searched is None and is_ignored(file.path):
                is_searched = False
                self.ignored.append(file.path)
                self.counts.add(file.path, Drop(reason=Reason.IGNORED, evidence="named by .trace-mine-ignore"))
            if file.drop is not None:
                if is_searched:
                    self.counts.add(file.path, file.drop)
                continue
            if file.path.endswith(PYTHON_SUFFIXES):
                python_files.append(file.path)  # a name leads to it even where this interpreter can't parse it
            source = self._read(file.path)
            if isinstance(source, Drop):
                # Evidence stays out of the hash: a parser's message differs from version to version.
                digest.update(f"{file.path!a} {source.reason}\n".encode())
                if is_searched:
                    self.counts.add(file.path, source)
                continue
            # !a: paths need not be UTF-8, and a lone surrogate could not be encoded.
            digest.update(f"{file.path!a} {source.hash}\n".encode())
            if file.path != "setup.py":  # what builds the package is not what runs it
                imports |= imported_names(source.text)
            if source.tree is not None:
                self._imports_by_file.append((file.path, imports_of(source.tree)))
            if benchmarks is not None:
                self._find_problems(source, benchmarks)
            if licence := _header_licence(source.text):
                self.licences[file.path] = licence
            if is_searched:
                self.counts.num_read += 1
                self._paths.append(file.path)
        self.fingerprint = digest.hexdigest()[:32]
        self.imports = frozenset(imports)
        self.layout = Layout(root, python_files, self.packaging)

    def snippets(
        self, entries: Sequence[str], prior: str = "mined", choice: ScriptChoice | None = None
    ) -> Iterator[FoundSnippet]:
        """Find every snippet with one of these entries, by file, then by entry, then by line.

        A file over which a limit is reached gives none, and is counted.

        Args:
            entries: names of ``snippets.ENTRIES``.
            prior: where the values of hidden inputs come from, one of ``trace_mine.tracer.views.PRIORS``; only calls
                ask for it.
            choice: the scripts to take; None: those that are found.

        Raises:
            GaveUp: the files take too long, each for itself within its limit.
        """
        manifest = Manifest()
        if "script" in entries:
            known = [path for path, _ in self._imports_by_file]
            known += [path for path in self._paths if path.endswith(NOTEBOOK_SUFFIXES)]
            is_named = choice is not None and choice.rule == "named"
            manifest = read_manifest(self.root, None if is_named else known, self._paths)
        context = RepositoryContext(
            self.root,
            self.layout,
            stdlib=self._is_stdlib,
            paths=self._paths,
            prior=prior,
            roles=FileRoles(self.layout, self._imports_by_file, choice),
            listed=manifest.starts,
        )
        for snippet, drop in manifest.snippets():
            yield FoundSnippet.of(
                Candidate(snippet=snippet, sys_path=self.layout.main_roots, source_hash="", drop=drop)
            )
        for path in self._paths:
            snippets = within_limits(partial(self._snippets_of, path, entries, context), FILE_SECONDS)
            self._check_time()
            if isinstance(snippets, Drop):
                self.counts.num_read -= 1
                self.counts.add(path, snippets)
            else:
                yield from snippets

    def _snippets_of(self, path: str, entries: Sequence[str], context: RepositoryContext) -> list[FoundSnippet] | Drop:
        """The snippets of a file, or the drop of the file."""
        source = self._read(path)  # again: the text of the first pass was let go of
        if isinstance(source, Drop):
            return source
        licence = header_licence(source.text)
        if (source.tree is not None or source.cells is not None) and "script" in entries:
            self.counts.add_role(path, context.roles.role(source, is_listed=path in context.listed))
        try:
            return [
                # A file may come from elsewhere, on other terms than the repository (vendored code).
                FoundSnippet.of(replace(candidate, licence=licence) if licence else candidate)
                for name in entries
                for candidate in ENTRIES[name](source, context)
            ]
        except ProtocolError as error:  # a name of 5,000 characters, say
            return Drop(reason=Reason.TOO_LARGE, evidence=str(error)[:300])

    def _find_problems(self, source: SourceText, benchmarks: BenchmarkIndex) -> None:
        """Add the places of a file that are a benchmark's problem."""
        marks = within_limits(lambda: [*marks_of(source.tree, source.text, benchmarks)], FILE_SECONDS)
        for first, last, number in () if isinstance(marks, Drop) else marks:
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append((source.path, first, last, benchmarks.problems[number]))

    def _read(self, path: str) -> SourceText | Drop:
        source = within_limits(partial(read, self.root, path), FILE_SECONDS)
        if isinstance(source, SourceText):
            self._num_bytes += len(source.text)
        self._check_time()
        return source

    def _check_time(self) -> None:
        """Raises GaveUp where the files that were read so far took too long for their length."""
        allowed = REPOSITORY_SECONDS + SECONDS_A_MEGABYTE * self._num_bytes / 1e6
        if process_time() - self._started > allowed:
            raise GaveUp(f"{len(self._paths)} files took more than {REPOSITORY_SECONDS:g} s of CPU time")


def _header_licence(text: str) -> str | None:
    """The licence in a file's own header; NOASSERTION for one that is longer than any written one, or takes long."""
    licence = within_limits(partial(header_licence, text), FILE_SECONDS)
    if isinstance(licence, Drop) or (licence is not None and len(licence) > MAX_LICENCE_CHARS):
        return "NOASSERTION"
    return licence
