"""Functions without a name, a lambda's and a generator expression's, as definitions with statements.

Several of them may begin on one line, so that a code object is told by the positions of its instructions.
"""

from __future__ import annotations

import ast
import copy
import types

from trace_mine.tracer.inside.syntax.names import read_names
from trace_mine.tracer.inside.syntax.walking import walk

_KINDS: dict[str, type[ast.Lambda] | type[ast.GeneratorExp]] = {
    "<lambda>": ast.Lambda,
    "<genexpr>": ast.GeneratorExp,
}


def definition_of(tree: ast.Module, code: types.CodeType) -> ast.FunctionDef | None:
    """Return the definition that a code object without a name is of, by the tree of its file; None where it has none.

    A lambda returns its expression. A generator expression yields its elements in a loop over its one parameter, the
    iterator that the caller made.
    """
    kind = _KINDS.get(code.co_name)
    if kind is None:
        return None
    spans = [(p[0], p[2], p[1], p[3]) for p in code.co_positions() if None not in p and (p[0], p[2]) != (p[1], p[3])]
    starts = [(first, column) for first, column, _, _ in spans]
    ends = [(last, column) for _, _, last, column in spans]
    if not spans:
        return None
    around = [node for node in walk(tree) if isinstance(node, kind) and _spans(node, min(starts), max(ends))]
    # of nested ones the innermost: the others have more instructions than that
    node = max(around, key=lambda each: (each.lineno, each.col_offset), default=None)
    if node is None or (isinstance(node, ast.GeneratorExp) and any(each.is_async for each in node.generators)):
        return None
    node = copy.deepcopy(node)  # the definition's lines may be moved
    made = _made(node)
    for inner in walk(made):
        if isinstance(inner, (ast.stmt, ast.expr, ast.arg)) and not hasattr(inner, "lineno"):
            ast.copy_location(inner, node)
    return made


def lines_of_equal(tree: ast.Module, definition: ast.FunctionDef) -> list[int]:
    """Return the lines of the functions without a name in a tree that do what the definition does, word for word."""
    kind, wanted = _KINDS[definition.name], ast.dump(definition)
    nodes = [node for node in walk(tree) if isinstance(node, kind)]
    return [node.lineno for node in nodes if ast.dump(_made(node)) == wanted]


def _made(node: ast.Lambda | ast.GeneratorExp) -> ast.FunctionDef:
    return _of_lambda(node) if isinstance(node, ast.Lambda) else _of_generator(node)


def _spans(node: ast.Lambda | ast.GeneratorExp, start: tuple[object, object], end: tuple[object, object]) -> bool:
    """Return True if all instructions from ``start`` to ``end`` can be the node's: of a lambda, those of its body."""
    body = node.body if isinstance(node, ast.Lambda) else node
    return (body.lineno, body.col_offset) <= start and end <= (body.end_lineno, body.end_col_offset)


def _of_lambda(node: ast.Lambda) -> ast.FunctionDef:
    returned = ast.copy_location(ast.Return(node.body), node.body)
    return _function("<lambda>", node.args, [returned])


def _of_generator(node: ast.GeneratorExp) -> ast.FunctionDef:
    used, name = read_names([node]), "iterator"
    while name in used:
        name += "_"
    body: list[ast.stmt] = [ast.Expr(ast.Yield(node.elt))]
    for number in reversed(range(len(node.generators))):
        generator = node.generators[number]
        for test in reversed(generator.ifs):
            body = [ast.If(test, body, [])]
        iterable = generator.iter if number else ast.Name(name, ast.Load())
        body = [ast.For(generator.target, iterable, body, [])]
    arguments = ast.arguments(posonlyargs=[], args=[ast.arg(name)], kwonlyargs=[], kw_defaults=[], defaults=[])
    return _function("<genexpr>", arguments, body)


def _function(name: str, arguments: ast.arguments, body: list[ast.stmt]) -> ast.FunctionDef:
    made = ast.FunctionDef(name, arguments, body, [])
    if "type_params" in made._fields:  # from 3.12 on
        made.type_params = []  # type: ignore[attr-defined, unused-ignore]
    return made


def origin_of(name: str, value: ast.expr) -> ast.stmt | None:
    """Return the assignment whose functions without a name stand where the value's do; None where it has none."""
    if not hasattr(value, "lineno") or not any(
        isinstance(each, (ast.Lambda, ast.GeneratorExp)) for each in walk(value)
    ):
        return None
    return ast.copy_location(ast.Assign([ast.copy_location(ast.Name(name, ast.Store()), value)], value), value)
