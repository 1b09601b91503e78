"""A walk of one scope in its fast form, against the slow one; of whole trees, see ``test_walking``."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from trace_mine.tracer.inside.program import ast_lines
from trace_mine.tracer.inside.syntax import names
from trace_mine.tracer.inside.syntax.walking import children

PROGRAMS = sorted((Path(__file__).parents[1] / "samples").glob("*.py"))
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def walk_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The slow twin of ``names.walk_scope``."""
    for node in nodes:
        yield node
        if not isinstance(node, SCOPES):
            yield from walk_scope(children(node))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_walks_visit_the_same_nodes_in_the_same_order(program):
    tree = ast.parse(program.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, *SCOPES)):
            below = children(node)
            assert [*names.walk_scope(below)] == [*walk_scope(below)]


def test_lines_end_where_the_compiler_ends_them():
    assert ast_lines(b"a\rb\r\nc\n\rd\x0ce\xe2\x80\xa8f\n") == ["a", "b", "c", "", "d\x0ce\u2028f", ""]
