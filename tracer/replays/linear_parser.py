"""Doctest's parser in linear time: it reads texts that hostile programs wrote, in the process that supervises them."""

from __future__ import annotations

import doctest
import re
from collections.abc import Iterator

# Searched for behind a line's last quote, where it can't break off: in a line of n directives and a quote, an
# expression that forbids quotes would read on from each of them.
_OPTIONS = re.compile(r"#[^\S\n]*+doctest:[^\S\n]*+(.*+)")


class _Directives:
    """Stands in for doctest's expression for directives, which takes n * n steps over n spaces and a quote."""

    def finditer(self, source: str) -> Iterator[re.Match[str]]:
        """The directives of an example, one for each line that has one."""
        directives = map(directive_of, source.split("\n"))
        return (directive for directive in directives if directive is not None)


def directive_of(line: str) -> re.Match[str] | None:
    """The directive at the end of a line: its first group has the options. None without one."""
    return _OPTIONS.search(line, max(line.rfind("'"), line.rfind('"')) + 1)


class LinearParser(doctest.DocTestParser):
    """Doctest's parser, in a time that grows with the length of an example."""

    # the one expression of doctest's for which that is not so; typeshed has no name for it
    _OPTION_DIRECTIVE_RE = _Directives()
