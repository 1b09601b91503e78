"""Names that several finders ask of: dotted ones in a syntax tree, and those of test files."""

from __future__ import annotations

import ast

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_test_file(path: str) -> bool:
    """Tell if pytest and unittest would look for tests in the file."""
    name = path.rpartition("/")[2]
    # `test*.py` is unittest's pattern, which is wider than pytest's `test_*.py`.
    return name.endswith("_test.py") or (name.startswith("test") and name.endswith(".py"))


def dotted(node: ast.expr) -> str | None:
    """``a.b.c`` for a chain of attributes, None for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])
