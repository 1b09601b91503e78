"""The source of a function by its code object, without parsing it: a parse of each file would cost more than the run.

The last line that the code's instructions stand in is known. From there the function goes on over lines that are
indented more deeply than its first one, and over blank lines and comments among them: what the compiler left out.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence


def function_text(code: types.CodeType, lines: Sequence[str]) -> str:
    """The source of the function, class or module that a code object was made of, from its first decorator on.

    Args:
        code: the code object.
        lines: the lines of its file, without line ends.

    Returns:
        Its lines, joined by newlines; all of the file for a module; empty where the file has no such line.

    >>> source = ["import os", "", "def f():", "    return 1", "    # unreachable", "    g()", "", "x = f()"]
    >>> module = compile("\\n".join(source), "<file>", "exec")
    >>> print(function_text(module.co_consts[2], source))
    def f():
        return 1
        # unreachable
        g()
    """
    if code.co_name == "<module>":
        return "\n".join(lines)
    first = code.co_firstlineno
    if not 0 < first <= len(lines):
        return ""
    end = last = min(max(first, *_last_lines(code)), len(lines))
    margin = _indentation(lines[first - 1])
    for number in range(end, len(lines)):
        line = lines[number]
        if not line.strip():
            continue
        if _indentation(line) <= margin:
            break
        last = number + 1
    return "\n".join(lines[first - 1 : last])


def _last_lines(code: types.CodeType) -> Iterator[int]:
    """The last lines of the instructions of a code object and of those within it."""
    yield code.co_firstlineno
    for _, end, _, _ in code.co_positions():
        if end is not None:
            yield end
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from _last_lines(constant)


def _indentation(line: str) -> int:
    return len(line.expandtabs()) - len(line.expandtabs().lstrip())
