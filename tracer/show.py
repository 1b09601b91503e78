"""A session for people: coloured on a terminal, or as a self-contained HTML page.

A snippet's output is hostile: control characters are spelt out, so that none reaches a terminal, and HTML is escaped.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterable

from tracer.schema import Segment

COLOURS = {"prompt": "2", "command": "1", "reveal": "36", "value": "32", "error": "31", "hidden": "33"}
"""ANSI attributes of each role: dim prompts, bold commands, cyan reveals, green values, red errors, yellow hidden
text.
"""

HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
"""Controls, bidirectional and zero-width formats, lone surrogates, private use, line separators."""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ background: #fdfdfb; color: #222; font: 15px/1.45 ui-monospace, monospace; margin: 2em auto; max-width: 60em; }}
pre {{ white-space: pre-wrap; }} .prompt {{ color: #999; }} .command {{ font-weight: 600; }} .reveal {{ color: #06c; }}
.value {{ color: #17692f; }} .error {{ color: #b00020; }} .hidden {{ background: #fff2c4; }} footer {{ color: #777; }}
</style></head><body><h1>{title}</h1><pre>{body}</pre><footer>{footer}</footer></body></html>
"""


def visible(text: str) -> str:
    """The text with everything that could act on a terminal as escapes; line ends and tabs stay."""
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in HIDDEN_CATEGORIES
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def coloured(text: str, segments: Iterable[Segment]) -> str:
    """The session with ANSI colours by role."""
    parts = []
    for segment in segments:
        body = visible(text[segment.start : segment.end])
        end = "\n" if body.endswith("\n") else ""
        parts.append(f"\x1b[{COLOURS[segment.role]}m{body[: len(body) - len(end)]}\x1b[0m{end}")
    return "".join(parts)


def page(text: str, segments: Iterable[Segment], *, title: str, footer: str) -> str:
    """The session as one HTML page that needs nothing else."""
    body = "".join(
        f'<span class="{segment.role}">{html.escape(visible(text[segment.start : segment.end]))}</span>'
        for segment in segments
    )
    return _PAGE.format(title=html.escape(visible(title)), body=body, footer=html.escape(footer))
