"""What a function's tree alone tells of it, worked out once a function: calls come by again and again."""

from __future__ import annotations

import ast
import pickle
from functools import cached_property

from trace_mine.tracer.inside.syntax.comparable_lines import comparable_lines
from trace_mine.tracer.inside.syntax.names import bound_names, declared, local_names, walk_scope

_dump, _load = pickle.dumps, pickle.loads
"""Copy a tree 2.7 times as fast as ``copy.deepcopy``; bound before the snippet can patch them."""


class FunctionFacts:
    """Of one definition. Holds its tree, so that the tree's id stays its own."""

    def __init__(self, definition: ast.FunctionDef) -> None:
        self.definition = definition

    def copy_tree(self) -> ast.FunctionDef:
        """The definition's tree, to be changed at will."""
        tree: ast.FunctionDef = _load(self._pickled)
        return tree

    @cached_property
    def _pickled(self) -> bytes:
        return _dump(self.definition, -1)

    @cached_property
    def locals(self) -> frozenset[str]:
        """Its parameters and the names that its body binds."""
        return frozenset(local_names(self.definition))

    @cached_property
    def rebound(self) -> frozenset[str]:
        """The names that its body binds."""
        return frozenset(bound_names(self.definition.body))

    @cached_property
    def captures(self) -> bool:
        """True if something made in its body may read its variables after the call: a function, class or generator."""
        return any(
            isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp))
            for node in walk_scope(self.definition.body)
        )

    @cached_property
    def lines(self) -> list[tuple[int, int]]:
        """Where its path can be compared with settrace's."""
        return comparable_lines(self.definition.body)

    @cached_property
    def nonlocals(self) -> frozenset[str]:
        """Names that it declares ``nonlocal``."""
        return frozenset(declared(self.definition.body, ast.Nonlocal))

    @cached_property
    def has_globals(self) -> bool:
        """True if it declares names ``global``."""
        return bool(declared(self.definition.body, ast.Global))

    @cached_property
    def refusal(self) -> str | None:
        """Why its body cannot be opened, by what stands in it; None where nothing forbids that."""
        for node in walk_scope(self.definition.body):
            if isinstance(node, ast.Name) and node.id == "__class__":
                return "class_cell"
            if isinstance(node, (ast.Yield, ast.YieldFrom)) and not self._is_statement(node):
                return "yield_expression"
            if isinstance(node, (ast.TryStar, ast.AsyncFor, ast.AsyncWith, ast.Await)):
                return type(node).__name__
        return None

    def _is_statement(self, node: ast.expr) -> bool:
        """True if the expression is a statement by itself, so that nothing uses its value."""
        return any(isinstance(outer, ast.Expr) and outer.value is node for outer in walk_scope(self.definition.body))


class KnownFunctions:
    """The facts of every function that was asked for."""

    def __init__(self) -> None:
        self._facts: dict[int, FunctionFacts] = {}

    def facts(self, definition: ast.FunctionDef) -> FunctionFacts:
        """What is known of the definition; the tree must stay as it is."""
        known = self._facts.get(id(definition))
        if known is None:
            known = self._facts[id(definition)] = FunctionFacts(definition)
        return known
