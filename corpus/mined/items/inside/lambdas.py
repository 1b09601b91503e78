"""The expression that a function without a name was made from, found by the positions that its code has."""

from __future__ import annotations

import ast
import types

from trace_mine_items.sources import ModuleSource, source_of


def lambda_of(function: types.FunctionType) -> tuple[ModuleSource, ast.Lambda] | None:
    """Return a lambda's expression, and the module that it stands in; None where it is not found.

    Several may begin in one line: it is the smallest one around all positions of the code.
    """
    source = source_of(function.__module__)
    code = function.__code__
    if source is None or code.co_name != "<lambda>":
        return None
    # of the code that begins a function the columns are empty
    places = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and end_line is not None and column is not None and end_column is not None
    ]
    places = [(start, end) for start, end in places if start < end]
    around = [
        node
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Lambda)
        and node.lineno == code.co_firstlineno
        and places
        and (node.body.lineno, node.body.col_offset) <= min(start for start, _ in places)
        and max(end for _, end in places) <= (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    ]
    return (source, min(around, key=lambda node: len(ast.unparse(node)))) if around else None
