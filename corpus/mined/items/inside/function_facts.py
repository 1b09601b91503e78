"""Facts of test functions and their classes: lines, what they ask of ``request``, how an instance is made."""

from __future__ import annotations

import inspect
import re
import types
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


def skip_reason(item: Any) -> str:
    """Return why marks or unittest's decorators skip an item; empty where none does."""
    from _pytest.skipping import evaluate_skip_marks

    skipped = evaluate_skip_marks(item)
    if skipped is not None:
        return skipped.reason or "skipped"
    for owner in (item.function, item.cls):
        if getattr(owner, "__unittest_skip__", False):
            return str(getattr(owner, "__unittest_skip_why__", "")) or "skipped"
    return ""


def function_of(item: Any) -> Any:
    """Return the function of an item without wrappers that say what they wrap."""
    return inspect.unwrap(getattr(item.function, "__func__", item.function))


def class_name(item: Any) -> str:
    """Return the name by which a session reaches the class of an item; empty for a function's.

    A class that a function made may be a global of its module, as generated tests are; its own name may say anything.
    """
    cls = item.cls
    if cls is None:
        return ""
    name: str = cls.__qualname__
    reached: object = item.module
    for part in name.split("."):
        reached = vars(reached).get(part) if isinstance(reached, (type, types.ModuleType)) else None
    if reached is cls:
        return name
    return next((each for each, value in vars(item.module).items() if value is cls and each.isidentifier()), name)


def as_dotted(name: str) -> str:
    """Return a name with an underscore for each character that identifiers don't have."""
    parts = [re.sub(r"\W|^(?=\d)", "_", part) or "_" for part in name.split(".")]
    return ".".join(parts) if name else ""


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
