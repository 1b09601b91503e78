"""Declares values for a function's inputs, where a repository has too few calls of it to make a law of (``priors``).

The kind of value that a parameter takes is told by its annotation, by a literal call, by its default, or by its name,
in this order; each kind has one fixed list of values. The law is therefore ours and not the repository's, and rows say
so (``prior`` is ``grid``, and ``chosen_by`` has the evidence for each input).

On four sdists and six modules, 468 of 920 functions have a parameter whose kind nothing tells.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from trace_mine.corpus.mined.snippets.call_index import LiteralCall
from trace_mine.corpus.mined.snippets.class_index import Function, dotted
from trace_mine.corpus.mined.snippets.priors import Signature, bind
from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.schema import Drop

CHOSEN_BY = ("annotation", "call", "default", "name")
"""The evidence for the kind of a parameter, the strongest first."""

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
"""The values of each kind of input, as source text: edge cases first, few enough to be read in one command. ``texts``
is a list of strings.
"""

MAX_INPUTS = 64
"""Combinations of values, the most that are enumerated for a uniform draw; with more, values are thinned evenly."""

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
"""The kind that a name of ``typing``, ``collections.abc`` or ``numbers`` means. Built-in types are kinds themselves."""

NAMES = {
    "int": r"n|m|k|i|j|x|y|z|a|b|num|number|count|size|length|index|start|stop|step|width|height|(n|num)_\w+",
    "str": r"s|t|text|string|str_|word|name|line|char|sentence|prefix|suffix|\w*_(text|string|name)",
    "list": r"l|xs|ys|lst|list_|seq|sequence|iterable|items|it|arr|array|nums|numbers|values|data|collection",
    "bool": r"flag|reverse|strict|(is|has|use)_\w+",
    "dict": r"d|dct|dict_|mapping",
}
"""By kind, a pattern of parameter names that tell it by convention (``n``, ``text``, ``is_open``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The values of one parameter as source text, and the evidence (one of CHOSEN_BY) that its kind was chosen by.

    Raises:
        ValueError: there are no values, or the evidence is no word of CHOSEN_BY.
    """

    name: str
    values: tuple[str, ...]
    chosen_by: str

    def __post_init__(self) -> None:
        if not self.values or self.chosen_by not in CHOSEN_BY:
            raise ValueError(
                f"expected Grid.values and Grid.chosen_by in {CHOSEN_BY}, got {len(self.values)} values by "
                f"{self.chosen_by!r}; take the values of a kind of GRIDS"
            )


def declared_grid(node: Function, function: Signature, calls: Sequence[LiteralCall]) -> list[Grid] | Drop:
    """A grid for each parameter that a call must give, or why there is none.

    A function that can be called without arguments gets a grid for its first parameter.

    Args:
        node: the definition, for its annotations.
        function: its parameters.
        calls: its literal calls; the first one that gives a parameter tells the parameter's kind.

    Returns:
        Grids of at most MAX_INPUTS combinations of values together, or a drop ``no_grid``.
    """
    annotations = {
        argument.arg: argument.annotation
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    }
    names = function.required or tuple(annotations)[:1]
    if not names:
        return _no_grid("it has no parameters of its own")
    grids = []
    for name in names:
        kind, chosen_by = _kind(name, annotations[name], function, calls)
        if kind is None:
            return _no_grid(f"nothing tells what {name} is")
        grids.append(Grid(name=name, values=GRIDS[kind], chosen_by=chosen_by))
    thinned = _thinned(grids)
    if math.prod(len(grid.values) for grid in thinned) > MAX_INPUTS:
        return _no_grid("it has too many parameters")  # even with two values for each of them
    return thinned


def _no_grid(evidence: str) -> Drop:
    return Drop(reason=Reason.NO_GRID, evidence=evidence)


def _kind(
    name: str, annotation: ast.expr | None, function: Signature, calls: Sequence[LiteralCall]
) -> tuple[str | None, str]:
    """The kind of a parameter, None where nothing tells it, and the evidence that it was looked up by.

    The first evidence that there is decides, also where it names no kind of GRIDS: an annotation ``Path`` is not
    overruled by a parameter's name.
    """
    if annotation is not None:
        return _annotated(annotation), "annotation"
    values = [bound[name] for bound in (bind(function, call) for call in calls) if bound is not None and name in bound]
    if values:
        return _kind_of_literal(values[0]), "call"
    if name in function.defaults:
        return _kind_of_literal(function.defaults[name]), "default"
    return next((kind for kind, names in NAMES.items() if re.fullmatch(names, name)), None), "name"


def _annotated(node: ast.expr) -> str | None:
    """The kind that an annotation means; of ``A | B`` and ``Optional[A]`` the first that has one."""
    match node:
        case ast.Constant(value=str(text)):  # a quoted annotation
            inner = _parsed(text)
            return None if inner is None else _annotated(inner)
        case ast.BinOp(op=ast.BitOr()):
            return _annotated(node.left) or _annotated(node.right)
        case ast.Subscript():
            return _subscripted(node)
    last = (dotted(node) or "").rpartition(".")[2]
    # `texts` is our own word: a repository's class of that name would be something else.
    return ANNOTATIONS.get(last, last if last in GRIDS and last != "texts" else None)


def _subscripted(node: ast.Subscript) -> str | None:
    """The kind that ``list[str]``, ``Optional[int]``, ``dict[str, int]`` and the like mean."""
    outer = (dotted(node.value) or "").rpartition(".")[2]
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if outer in ("Optional", "Union"):  # of the alternatives the first that has a kind; None has none
        return next((kind for kind in map(_annotated, parts) if kind is not None), None)
    kind = _annotated(node.value)
    return "texts" if kind == "list" and _annotated(parts[0]) == "str" else kind


def _parsed(annotation: str) -> ast.expr | None:
    """The expression in a quoted annotation; None for a text that is none."""
    try:
        return ast.parse(annotation, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # an annotation may be any text


def _kind_of_literal(text: str) -> str | None:
    """The kind of a literal, as ``call_index.literal_text`` spells it; None for one of no kind (None, a set)."""
    node = ast.parse(text, mode="eval").body
    if isinstance(node, ast.UnaryOp):  # `-1`: the sign is an operator, not a part of the literal
        node = node.operand
    if isinstance(node, ast.Constant):
        return type(node.value).__name__ if type(node.value).__name__ in GRIDS else None
    if isinstance(node, ast.List) and any(isinstance(e, ast.Constant) and isinstance(e.value, str) for e in node.elts):
        return "texts"
    # The only call that is a literal is `range(...)`, whose functions mostly take any sequence.
    return {ast.List: "list", ast.Tuple: "tuple", ast.Dict: "dict", ast.Call: "list"}.get(type(node))


def _thinned(grids: Sequence[Grid]) -> list[Grid]:
    """Grids of fewer values: every second one of the longest grid goes, until there are at most MAX_INPUTS
    combinations or no grid has more than two values.
    """
    values = [list(grid.values) for grid in grids]
    while math.prod(map(len, values)) > MAX_INPUTS and max(map(len, values)) > 2:
        longest = max(range(len(values)), key=lambda n: len(values[n]))
        values[longest] = values[longest][::2]  # spread over the range, which a prefix would not be
    return [
        Grid(name=grid.name, values=tuple(kept), chosen_by=grid.chosen_by)
        for grid, kept in zip(grids, values, strict=True)
    ]
