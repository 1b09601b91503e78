"""Where snippets are found: one file a source, and the registry that the command and the contract tests iterate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from corpus.mined.files import SourceText
from corpus.mined.snippets.candidate import Candidate, Context
from corpus.mined.snippets.doctests import find_doctests
from corpus.mined.snippets.scripts import find_scripts
from corpus.mined.snippets.testcases import find_tests

SOURCES: dict[str, Callable[[SourceText, Context], Iterator[Candidate]]] = {
    "doctest": find_doctests,
    "script": find_scripts,
    "test": find_tests,
}
"""Source name, which is the snippet's kind, to its finder. A finder only reads syntax trees: nothing of the
repository is imported in this process.
"""

__all__ = ["SOURCES", "Candidate", "Context"]
