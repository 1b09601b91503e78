"""Finds the snippets of a repository: one file for each entry, and the registry of them.

A finder reads syntax trees alone: nothing of a repository is imported in this process. A new entry is one file with a
finder, a line in ENTRIES, its name in DEFAULT_ENTRIES or INVERSE_ENTRIES, and in ``trace_mine.tracer.schema.KINDS``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.calls import find_calls
from trace_mine.corpus.mined.snippets.candidate import Candidate, RepositoryContext
from trace_mine.corpus.mined.snippets.docs import find_docs
from trace_mine.corpus.mined.snippets.doctests import find_doctests
from trace_mine.corpus.mined.snippets.scripts import find_scripts
from trace_mine.corpus.mined.snippets.testcases import find_tests

ENTRIES: dict[str, Callable[[SourceText, RepositoryContext], Iterator[Candidate]]] = {
    "doctest": find_doctests,
    "script": find_scripts,
    "test": find_tests,
    "call": find_calls,
    "docs": find_docs,
}
"""From an entry, the way in which a snippet is entered (its ``kind``, the rows' column ``entry``), to its finder. The
command and the contract tests iterate over it.
"""

DEFAULT_ENTRIES = ("doctest", "script", "test", "call", "docs")
INVERSE_ENTRIES = ("call",)
"""The entries of a view that hides inputs: of all snippets, only calls have inputs to ask for."""
HARVESTED = ("doctest", "script", "test", "docs")
"""The entries whose snippets are run for the calls that they make."""

__all__ = ["DEFAULT_ENTRIES", "ENTRIES", "HARVESTED", "INVERSE_ENTRIES", "Candidate", "RepositoryContext"]
