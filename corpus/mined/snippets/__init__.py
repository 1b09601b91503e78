"""Where snippets are found: one file an entry, and the registry that the command and the contract tests iterate."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from trace_mine.corpus.mined.files import SourceText
from trace_mine.corpus.mined.snippets.calls import find_calls
from trace_mine.corpus.mined.snippets.candidate import Candidate, Context
from trace_mine.corpus.mined.snippets.doctests import find_doctests
from trace_mine.corpus.mined.snippets.scripts import find_scripts
from trace_mine.corpus.mined.snippets.testcases import find_tests

ENTRIES: dict[str, Callable[[SourceText, Context], Iterator[Candidate]]] = {
    "doctest": find_doctests,
    "script": find_scripts,
    "test": find_tests,
    "call": find_calls,
}
"""How a snippet is entered (its ``kind``, the rows' column ``entry``) to its finder. A finder only reads syntax trees:
nothing of the repository is imported in this process.
"""

DEFAULT_ENTRIES = ("doctest", "script", "test")
INVERSE_ENTRIES = ("call",)
"""What a view that hides inputs mines: it asks for the inputs of a call, and nothing else has any."""

__all__ = ["DEFAULT_ENTRIES", "ENTRIES", "INVERSE_ENTRIES", "Candidate", "Context"]
