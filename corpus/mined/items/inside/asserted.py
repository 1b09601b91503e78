"""Pieces of assertions as trees: what unittest's methods compare, blocks that must raise, what needs no showing."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Sequence
from typing import Any

COMPARISONS = {
    "assertEqual": "A == B",
    "assertNotEqual": "A != B",
    "assertIs": "A is B",
    "assertIsNot": "A is not B",
    "assertIn": "A in B",
    "assertNotIn": "A not in B",
    "assertGreater": "A > B",
    "assertGreaterEqual": "A >= B",
    "assertLess": "A < B",
    "assertLessEqual": "A <= B",
    "assertIsInstance": "isinstance(A, B)",
    "assertNotIsInstance": "not isinstance(A, B)",
    "assertListEqual": "A == B",
    "assertSequenceEqual": "list(A) == list(B)",
    "assertTupleEqual": "A == B",
    "assertSetEqual": "A == B",
    "assertDictEqual": "A == B",
    "assertMultiLineEqual": "A == B",
    "assertTrue": "A",
    "assertFalse": "not A",
    "assertIsNone": "A is None",
    "assertIsNotNone": "A is not None",
    "assertAlmostEqual": "round(abs(A - B), 7) == 0",
    "assertNotAlmostEqual": "round(abs(A - B), 7) != 0",
    "assertRegex": "re.search(B, A)",
    "assertNotRegex": "not re.search(B, A)",
}
"""Methods of ``unittest.TestCase`` with what they check; a message may follow the operands."""


def replace(statements: Sequence[ast.stmt], old: ast.expr, new: ast.expr) -> None:
    """Put an expression in the place of another one, wherever it stands."""
    for node in nodes(statements):
        for field, value in ast.iter_fields(node):
            if value is old:
                setattr(node, field, new)
            elif isinstance(value, list):
                value[:] = [new if each is old else each for each in value]


def nodes(statements: Sequence[ast.stmt]) -> Iterable[ast.AST]:
    """Yield all nodes of statements."""
    for statement in statements:
        yield from ast.walk(statement)


def is_load(node: ast.AST) -> bool:
    """Return True where a name is read."""
    return isinstance(getattr(node, "ctx", None), ast.Load)


def attempt(body: list[ast.stmt], kinds: ast.expr, raised: str, then: str) -> ast.stmt:
    """Return the statement that runs a block which must raise; ``then`` keeps what is needed of the exception."""
    handler = ast.parse(then if raised else "pass").body
    refusal = ast.parse("raise AssertionError('DID NOT RAISE')").body
    return ast.Try(body, [ast.ExceptHandler(kinds, raised or None, handler)], refusal, [])


def with_tolerance(template: ast.expr, given: dict[str | None, ast.expr]) -> ast.expr:
    """Return the check of ``assertAlmostEqual`` with ``places`` or ``delta``."""
    is_equal = "== 0" in ast.unparse(template)
    (name, value), *_ = given.items()
    if name == "places":
        text = ast.unparse(template).replace("7", ast.unparse(value))
    elif name == "delta":
        text = f"abs(A - B) {'<=' if is_equal else '>'} {ast.unparse(value)}"
    else:
        text = "A + B + unknown"  # three names: the call stays as it is
    return ast.parse(text, mode="eval").body


def filled(template: ast.expr, operands: Sequence[ast.expr]) -> ast.expr:
    """Return the template with operands in the place of A and B."""
    given = dict(zip("AB", operands, strict=False))

    class Fill(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return copy.deepcopy(given[node.id]) if node.id in given else node

    filled: Any = Fill().visit(template)
    assert isinstance(filled, ast.expr)
    return filled


def is_name(node: ast.expr) -> bool:
    """Return True for a dotted name, or a tuple of such, which says the same whenever it is evaluated."""
    if isinstance(node, ast.Tuple):
        return all(map(is_name, node.elts))
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def is_literal(node: ast.expr) -> bool:
    """Return True for an expression of constants alone."""
    return all(
        isinstance(each, (ast.Constant, ast.UnaryOp, ast.USub, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Load))
        for each in ast.walk(node)
    )


def is_plain(node: ast.expr) -> bool:
    """Return True for a literal or a name, whose value the text says, or the session has shown."""
    return isinstance(node, ast.Name) or is_literal(node) or (isinstance(node, ast.Attribute) and is_constant(node))


def is_constant(node: ast.Attribute) -> bool:
    """Return True for a name as constants and classes have it: ``tokens.Keyword``, ``socket.AF_INET``."""
    return node.attr[:1].isupper() and is_name(node)
