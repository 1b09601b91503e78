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
    here = [
        node for node in ast.walk(source.tree) if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno
    ]
    if not places:
        return _by_its_code(source, here, code)
    around = [
        node
        for node in here
        if (node.body.lineno, node.body.col_offset) <= min(start for start, _ in places)
        and max(end for _, end in places) <= (node.body.end_lineno or 0, node.body.end_col_offset or 0)
    ]
    return (source, min(around, key=lambda node: len(ast.unparse(node)))) if around else None


def _by_its_code(
    source: ModuleSource, here: list[ast.Lambda], code: types.CodeType
) -> tuple[ModuleSource, ast.Lambda] | None:
    """Return the one text among `here` that compiles to `code`, which has no positions; None where two texts do.

    In Python 3.12 a body that is a constant is one instruction, and that instruction stands at column 0.
    """
    same = [node for node in here if _instructions(_compiled(node)) == _instructions(code)]
    return (source, same[0]) if len({ast.unparse(node) for node in same}) == 1 else None


def _compiled(node: ast.Lambda) -> types.CodeType:
    """Return the code of a lambda's expression, which does not run."""
    whole = compile(ast.Expression(node), "<lambda>", "eval")
    # the last one: those of its own defaults come first
    return next(
        const
        for const in reversed(whole.co_consts)
        if isinstance(const, types.CodeType) and const.co_name == "<lambda>"
    )


def _instructions(code: types.CodeType) -> tuple[object, ...]:
    # by `repr`, since 1 == True == 1.0, of constants alone: a body without positions holds no other code
    return (code.co_code, repr(code.co_consts), code.co_varnames, code.co_argcount, code.co_kwonlyargcount)
