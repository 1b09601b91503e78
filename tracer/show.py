"""A session for people: coloured on a terminal, or as a self-contained HTML page.

A snippet's output is hostile: control characters are spelt out, so that none reaches a terminal, and HTML is escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from tracer.schema import Segment

COLOURS = {"prompt": "2", "command": "1", "reveal": "36", "value": "32", "error": "31", "hidden": "33"}
"""ANSI attributes of each role: dim prompts, bold commands, cyan reveals, green values, red errors, yellow hidden
text.
"""

_control = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ background: #fdfdfb; color: #222; font: 15px/1.45 ui-monospace, monospace; margin: 2em auto; max-width: 60em; }}
pre {{ white-space: pre-wrap; }} .prompt {{ color: #999; }} .command {{ font-weight: 600; }} .reveal {{ color: #06c; }}
.value {{ color: #17692f; }} .error {{ color: #b00020; }} .hidden {{ background: #fff2c4; }} footer {{ color: #777; }}
</style></head><body><h1>{title}</h1><pre>{body}</pre><footer>{footer}</footer></body></html>
"""


def visible(text: str) -> str:
    """The text with control and direction-changing characters spelt as escapes; line feeds and tabs stay."""
    return _control.sub(lambda found: found.group().encode("unicode_escape", "surrogatepass").decode("ascii"), text)


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
