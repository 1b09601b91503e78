"""Declared values for a function's inputs, where a repository has too few calls of it: by annotation, by the one call
that is known, by a default, by name, in this order. Nothing here is learned from the code: it is a grid, and says so.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.corpus.mined.snippets.call_index import LiteralCall
from trace_mine.corpus.mined.snippets.class_index import dotted
from trace_mine.corpus.mined.snippets.priors import Signature, bind

GRIDS: dict[str, tuple[str, ...]] = {
    "int": tuple(str(n) for n in range(-2, 9)),
    "float": ("-1.5", "0.0", "0.5", "1.0", "2.0", "10.0"),
    "bool": ("False", "True"),
    "str": ("''", "'a'", "'ab'", "'abc'", "'level'", "'Hello World'", "'10'", "'a,b'"),
    "bytes": ("b''", "b'a'", "b'ab'", "b'abc'"),
    "list": ("[]", "[1]", "[2, 1]", "[1, 2, 3]", "[3, 1, 2]", "[1, 1, 2]", "[0, -1, 5, 2]"),
    "tuple": ("()", "(1,)", "(2, 1)", "(1, 2, 3)", "(1, 1, 2)"),
    "dict": ("{}", "{'a': 1}", "{'a': 1, 'b': 2}", "{'b': 1, 'a': 1}"),
    "texts": ("[]", "['a']", "['b', 'a']", "['a', 'b', 'a']", "['ab', 'c']"),
}
"""The values of each kind of input, as source text."""

MAX_INPUTS = 64
"""Combinations of values; where there are more, each parameter's values are thinned evenly."""

ANNOTATIONS = {
    "Iterable": "list",
    "Sequence": "list",
    "Collection": "list",
    "Iterator": "list",
    "List": "list",
    "MutableSequence": "list",
    "Tuple": "tuple",
    "Dict": "dict",
    "Mapping": "dict",
    "Text": "str",
    "AnyStr": "str",
    "SupportsInt": "int",
    "Integral": "int",
    "Number": "float",
    "complex": "float",
}

NAMES = {
    "int": r"n|m|k|i|j|x|y|z|a|b|num|number|count|size|length|index|start|stop|step|width|height|(n|num)_\w+",
    "str": r"s|t|text|string|str_|word|name|line|char|sentence|prefix|suffix|\w*_(text|string|name)",
    "list": r"l|xs|ys|lst|list_|seq|sequence|iterable|items|it|arr|array|nums|numbers|values|data|collection",
    "bool": r"flag|reverse|strict|(is|has|use)_\w+",
    "dict": r"d|dct|dict_|mapping",
}
"""Names that say what kind of thing they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The values of one parameter, and what they were chosen by: ``annotation call default name``."""

    name: str
    values: tuple[str, ...]
    chosen_by: str


def declared_grid(
    node: ast.FunctionDef | ast.AsyncFunctionDef, function: Signature, calls: Sequence[LiteralCall]
) -> list[Grid] | str:
    """A grid for each parameter that a call must give (of a function that needs none: for its first one), or why there
    is none.
    """
    arguments = {each.arg: each.annotation for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    wanted = function.required or tuple(arguments)[:1]
    if not wanted:
        return "it has no parameters of its own"
    grids = []
    for name in wanted:
        kind, chosen_by = _kind(name, arguments[name], function, calls)
        if kind is None:
            return f"nothing tells what {name} is"
        grids.append(Grid(name=name, values=GRIDS[kind], chosen_by=chosen_by))
    thinned = _thinned(grids)
    return thinned if math.prod(len(grid.values) for grid in thinned) <= MAX_INPUTS else "it has too many parameters"


def _kind(
    name: str, annotation: ast.expr | None, function: Signature, calls: Sequence[LiteralCall]
) -> tuple[str | None, str]:
    if annotation is not None:
        return _annotated(annotation), "annotation"
    bound = [each for each in (bind(function, call) for call in calls) if each is not None and name in each]
    if bound:
        return _spelt(bound[0][name]), "call"
    if name in function.defaults:
        return _spelt(function.defaults[name]), "default"
    return next((kind for kind, names in NAMES.items() if re.fullmatch(names, name)), None), "name"


def _annotated(node: ast.expr) -> str | None:
    """The kind that an annotation means; of ``A | B`` and ``Optional[A]`` the first that has one."""
    match node:
        case ast.Constant(value=str(text)):
            inner = _parsed(text)
            return None if inner is None else _annotated(inner)
        case ast.BinOp(op=ast.BitOr()):
            return _annotated(node.left) or _annotated(node.right)
        case ast.Subscript():
            return _subscripted(node)
    last = (dotted(node) or "").rpartition(".")[2]
    return ANNOTATIONS.get(last, last if last in GRIDS and last != "texts" else None)


def _subscripted(node: ast.Subscript) -> str | None:
    outer = (dotted(node.value) or "").rpartition(".")[2]
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer in ("Optional", "Union"):
        return next((kind for kind in map(_annotated, parts) if kind is not None), None)
    kind = _annotated(node.value)
    return "texts" if kind == "list" and _annotated(parts[0]) == "str" else kind


def _parsed(annotation: str) -> ast.expr | None:
    try:
        return ast.parse(annotation, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # an annotation may be any text


def _spelt(text: str) -> str | None:
    """The kind of a literal."""
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.UnaryOp):
        node = node.operand
    if isinstance(node, ast.Constant):
        return type(node.value).__name__ if type(node.value).__name__ in GRIDS else None
    if isinstance(node, ast.List) and any(isinstance(e, ast.Constant) and isinstance(e.value, str) for e in node.elts):
        return "texts"
    return {ast.List: "list", ast.Tuple: "tuple", ast.Dict: "dict", ast.Call: "list"}.get(type(node))


def _thinned(grids: Sequence[Grid]) -> list[Grid]:
    """Every second value of the longest grid goes, until there are at most MAX_INPUTS combinations."""
    values = [list(grid.values) for grid in grids]
    while math.prod(map(len, values)) > MAX_INPUTS and max(map(len, values)) > 2:
        longest = max(range(len(values)), key=lambda n: len(values[n]))
        values[longest] = values[longest][::2]
    return [
        Grid(name=grid.name, values=tuple(kept), chosen_by=grid.chosen_by)
        for grid, kept in zip(grids, values, strict=True)
    ]
