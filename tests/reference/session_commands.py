"""Commands of sessions, as tests compare them."""

from __future__ import annotations


def without_comments(source: str) -> str:
    """A command without the comments by which it says that calls begin.

    >>> without_comments("# f(1)\\nn = 1")
    'n = 1'
    """
    lines = source.split("\n")
    while lines[0].startswith("# ") and len(lines) > 1:
        del lines[0]
    return "\n".join(lines)
