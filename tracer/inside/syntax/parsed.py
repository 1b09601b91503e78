"""Trees of a program and of a session's commands, parsed once for all that only read them."""

from __future__ import annotations

import ast
from functools import lru_cache


@lru_cache(maxsize=256)
def read_tree(source: str) -> ast.Module | None:
    """Return the tree of a source, which nobody may change; None where it does not parse.

    Several walks of a program's pieces look for this and that before the first piece runs, and a command's text is
    parsed to see that it is the tree meant, then for what it assigns; each parsed it anew.
    """
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
