"""Makes hostile text safe to show: nothing in it acts on a terminal, on the direction of a line, or as HTML."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable

HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
"""Controls, bidirectional and zero-width formats, lone surrogates, private use, line separators."""


def visible(text: str) -> str:
    """The text with everything that could act on a terminal as escapes; newlines and tabs stay.

    >>> visible("red: \\x1b[31m, end\\n")
    'red: \\\\x1b[31m, end\\n'
    """
    return "".join(
        char
        # by category, not by a list of ESC and the like: U+202E turns the rest of a line round, U+2028 ends one
        if char in "\n\t" or unicodedata.category(char) not in HIDDEN_CATEGORIES
        # lone surrogates come from the snippet too, and no terminal's encoding takes them
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def marked_up(parts: Iterable[tuple[str, str, str]]) -> str:
    """HTML spans of (CSS class, text, tooltip); the class is ours, text and tooltip are escaped."""
    return "".join(
        f'<span class="{name}"{_tooltip(tip)}>{html.escape(visible(text))}</span>' for name, text, tip in parts
    )


def _tooltip(tip: str) -> str:
    return f' title="{html.escape(visible(tip))}"' if tip else ""
