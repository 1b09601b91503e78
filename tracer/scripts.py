"""Makes a snippet of a script: its source as Python decodes it, and the folders that it may import from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from trace_mine.tracer.inside.program import ast_lines
from trace_mine.tracer.schema import Piece, Snippet


def decoded(raw: bytes) -> str:
    """The source's text, decoded as Python does (byte-order mark, coding cookie, else UTF-8).

    Raises:
        SyntaxError, UnicodeDecodeError, LookupError: the bytes are no source.
    """
    return "\n".join(ast_lines(raw))


def script_snippet(source: str, name: str, arguments: Sequence[str]) -> Snippet:
    """The snippet of a script, which runs as ``__main__`` with ``sys.argv = [name, *arguments]``.

    Its future imports move to the set-up, where doctest looks for them.

    >>> import trace_mine
    >>> trace_mine.script_snippet("print('hello')\\n", "hello.py", ["--loud"]).code
    "__name__ = '__main__'\\n__import__('sys').argv = ['hello.py', '--loud']\\n"
    """
    # Not parsed: this runs outside the sandbox, where a source that nests deeply could end the process. And a script
    # that does not compile is to get its SyntaxError inside, as any other outcome.
    futures = sorted(set(re.findall(r"^from __future__ import (\w+)", source, re.MULTILINE)))
    code = "".join(f"from __future__ import {future}\n" for future in futures)
    # ``__import__``: a statement would make ``sys`` a variable of the session. ``__name__`` is for readers of rows, who
    # run the set-up in a namespace of their own.
    code += f"__name__ = '__main__'\n__import__('sys').argv = {[name, *arguments]!r}\n"
    lines = source.count("\n") + 1
    return Snippet(
        kind="script", name=name, path=name, line=1, end_line=lines, code=code, pieces=(Piece(source=source, line=1),)
    )


def import_folders(root: Path, script: Path | None) -> tuple[str, ...]:
    """Folders below ``root`` (a resolved path) for ``sys.path``: the script's own where it lies below the root, then
    the root.
    """
    if script is not None:
        parent = script.resolve().parent  # resolved: CPython too follows a script's link before it takes the folder
        if parent != root and parent.is_relative_to(root):
            return parent.relative_to(root).as_posix(), "."
    return (".",)
