"""What a text tells of the exception being handled: may the program ask for it, may a command."""

from __future__ import annotations

import ast
from typing import Literal

Asks = Literal["nothing", "chain", "current"]
"""What a program may ask for: nothing of this; of an exception, the one that was being handled when it was raised; the
exception being handled now.
"""

ASKS: tuple[Asks, ...] = ("nothing", "chain", "current")
"""From the least to the most."""

_CURRENT = frozenset({"exc_info", "exception", "print_exc", "format_exc"})
_CHAIN = frozenset(
    {"__context__", "traceback", "print_exception", "format_exception", "TracebackException", "excepthook"}
)
_QUIET = frozenset(
    {
        *(
            "print",
            "type",
            "repr",
            "str",
            "len",
            "isinstance",
            "issubclass",
            "getattr",
            "int",
            "float",
            "bool",
            "format",
        ),
        *("list", "tuple", "dict", "set", "sorted", "sum", "min", "max", "range", "enumerate", "zip", "any", "all"),
    }
)
"""Built-ins that ask for no exception."""


def asked_for(source: str) -> Asks:
    """Return what a program asks for, by its names; a ``raise`` outside handlers asks for the current exception."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "current"
    asks: Asks = "nothing"
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, is_inside = stack.pop()
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in _CURRENT or (isinstance(node, ast.Raise) and node.exc is None and not is_inside):
            return "current"
        if name in _CHAIN:
            asks = "chain"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            is_inside = False
        elif isinstance(node, ast.ExceptHandler):
            is_inside = True
        stack += [(child, is_inside) for child in ast.iter_child_nodes(node)]
    return asks


def calls_something(source: str) -> bool:
    """Return True if a command calls something else than quiet built-ins: code that asks for the exception may run."""
    try:
        calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return not all(isinstance(function, ast.Name) and function.id in _QUIET for function in calls)
