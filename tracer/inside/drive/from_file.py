"""Definitions compiled under the script's own file and lines, for programs that read their source or line numbers.

At a prompt a function has no source (``inspect.getsource``) and its lines count from 1. Compiled by a command that
names the file, which lies in the working folder, it has both, in every interpreter that runs the session.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence


def defined_from_file(source: str, definition: ast.stmt, lines: Sequence[str]) -> str | None:
    """The command that compiles a definition so; None for what is no definition at the program's top level.

    Args:
        source: the command that it would be otherwise.
        definition: the statement in the program.
        lines: the program's.

    >>> tree = ast.parse("x = 1\\ndef f():\\n    return x\\n")
    >>> print(defined_from_file("def f():\\n    return x", tree.body[1], ["x = 1", "def f():", "    return x"]))
    exec(compile('\\n' * 1 + '''def f():
        return x
    ''', __file__, 'exec'))
    """
    if not isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) or definition.col_offset:
        return None
    first = min([definition.lineno, *(each.lineno for each in definition.decorator_list)])
    block = lines[first - 1 : definition.end_lineno]
    text = "\n".join(block) + "\n"
    try:
        # the program's own lines, with its comments; where the command is another text, it is not this definition
        if ast.dump(ast.parse(text)) != ast.dump(ast.parse(source)):
            return None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    # as it stands, where the text can hold it so
    is_plain = (
        "'''" not in text and "\\" not in text and all(line == line.rstrip() and line.isprintable() for line in block)
    )
    literal = f"'''{text}'''" if is_plain else repr(text)
    return f"exec(compile('\\n' * {first - 1} + {literal}, __file__, 'exec'))"
