"""A statement's own text with what was changed in its tree: names of variables, calls that were opened.

The rest stays as its author wrote it: quotes, numbers, brackets. Whether the result is the changed tree is checked by
parsing it, so a difference that is not seen gives no text, and never another program.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

_unparse = ast.unparse  # bound before the snippet runs, which may patch ``ast``
MOST_CHANGES = 40
"""Changes of one text; a statement with more is another statement."""
Span = tuple[ast.expr | ast.stmt, str]
"""A node with the text that is to stand in its place."""


def replaced(lines: Sequence[str], spans: Sequence[Span], origin: tuple[int, int]) -> list[str]:
    """Return lines with other texts in the place of some nodes; lines that a node leaves over are empty.

    ``origin`` is the line and column, in the nodes' positions, of the first character.
    """
    line_0, column_0 = origin
    made = [line.encode("utf-8", "surrogatepass") for line in lines]
    for node, new in sorted(spans, key=lambda span: (span[0].lineno, span[0].col_offset), reverse=True):
        first, last = node.lineno - line_0, (node.end_lineno or node.lineno) - line_0
        end = (node.end_col_offset or 0) - column_0
        made[first] = (
            made[first][: node.col_offset - column_0] + new.encode("utf-8", "surrogatepass") + made[last][end:]
        )
        for number in range(first + 1, last + 1):
            made[number] = b""
    return [line.decode("utf-8", "surrogatepass") for line in made]


def changed_texts(text: str, tree: ast.AST, changed: ast.AST) -> Iterator[str]:
    """Yield texts of a tree with the changes that another tree has: without brackets around them, then with.

    Args:
        text: what ``tree`` was parsed from.
        tree: its one statement, or the expression that this is.
        changed: a tree of another text.
    """
    spans: list[Span] = []
    try:
        if _find(tree, changed, spans):
            bracketed = [(node, f"({new})") for node, new in spans]
            for each in (spans, bracketed):
                yield "\n".join(line for line in replaced(text.split("\n"), each, (1, 0)) if line.strip())
    except (ValueError, RecursionError):
        return


def _find(old: ast.AST, new: ast.AST, spans: list[Span]) -> bool:
    """Add the nodes that differ, with their new texts; return False where one has no place in the text."""
    if len(spans) > MOST_CHANGES:
        return False
    num_spans = len(spans)
    if type(old) is type(new) and not isinstance(old, ast.JoinedStr) and _find_below(old, new, spans):
        return True
    del spans[num_spans:]  # a part of it has no place: the whole of it is replaced
    if isinstance(old, ast.expr) and isinstance(new, ast.expr) and old.end_lineno is not None:
        if not isinstance(old, ast.JoinedStr) or ast.dump(old) != ast.dump(new):
            spans.append((old, _unparse(new)))
        return True
    return False


def _find_below(old: ast.AST, new: ast.AST, spans: list[Span]) -> bool:
    for field in old._fields:
        one, other = getattr(old, field, None), getattr(new, field, None)
        ones = one if isinstance(one, list) else [one]
        others = other if isinstance(other, list) else [other]
        if len(ones) != len(others):
            return False
        for each, its_new in zip(ones, others, strict=True):
            if isinstance(each, ast.AST) and isinstance(its_new, ast.AST):
                if not _find(each, its_new, spans):
                    return False
            elif type(each) is not type(its_new) or repr(each) != repr(its_new):
                return False
    return True
