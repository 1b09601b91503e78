"""Facts of test functions and their classes: lines, what they ask of ``request``, how an instance is made."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

# ``Any``: functions and classes of the repository.


@cache
def uses_of_request(function: Any) -> frozenset[str]:
    """Return the attributes of ``request`` that a function names; ``*`` where it hands the object on."""
    import ast
    import textwrap

    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return frozenset("*")
    nodes = [*ast.walk(tree)]
    uses = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "request"
    }
    named = sum(isinstance(node, ast.Name) and node.id == "request" for node in nodes)
    reached = sum(
        isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "request"
        for node in nodes
    )
    return frozenset(uses | {"*"} if named > reached else uses)


def has_plain_init(cls: Any) -> bool:
    """Return True for a class of tests that has no constructor of its own."""
    import unittest

    plain = (object.__init__, unittest.TestCase.__init__, unittest.IsolatedAsyncioTestCase.__init__)
    is_plain = cls.__init__ in plain and cls.__new__ is object.__new__
    return is_plain and type(cls).__module__ in ("builtins", "abc", "typing")


def first_line(function: Any) -> int:
    """Return the first line of a function, which may be that of a decorator."""
    code = getattr(function, "__code__", None)
    return 1 if code is None else int(code.co_firstlineno)


@cache
def last_line(function: Any) -> int:
    """Return the last line that a function's code has."""
    code = getattr(function, "__code__", None)
    if code is None:
        return 1
    return int(max([code.co_firstlineno, *(end for _, end, _, _ in code.co_positions() if end is not None)]))
