"""The names on which a command depends, where its text tells all of them.

A command of literals, operators, containers, calls of harmless built-ins and of ``random``'s functions reads and
changes the variables that it names, and nothing else. So what it does from one state it does from every state in which
these variables have the same values: see ``tables``.
"""

from __future__ import annotations

import ast
import builtins
import math
import random
import types

_NODES = (
    *(ast.Module, ast.Interactive, ast.Expression, ast.Expr, ast.Assign, ast.AugAssign, ast.Delete, ast.Pass),
    *(ast.If, ast.Assert),
    *(ast.Name, ast.Constant, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.NamedExpr),
    *(ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Subscript, ast.Slice, ast.Starred, ast.Attribute),
    *(ast.Call, ast.keyword, ast.JoinedStr, ast.FormattedValue),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)

_BUILT_IN = """
abs all any ascii bin bool bytes chr complex dict divmod enumerate filter float format frozenset hex int isinstance iter
len list map max min next oct ord pow print range repr reversed round set slice sorted str sum tuple zip
ArithmeticError AssertionError IndexError KeyError StopIteration TypeError ValueError ZeroDivisionError
"""
HARMLESS = frozenset(_BUILT_IN.split())
"""Built-ins that depend on their arguments alone, and change nothing but these."""

_MODULES = (math, random)


def drawing_functions() -> frozenset[int]:
    """The ``id`` of each function of ``math`` and ``random``, as they are now."""
    # by identity, as the patched functions of ``random`` are no built-ins; a class of it makes generators of its own
    return frozenset(id(each) for module in _MODULES for each in vars(module).values() if not isinstance(each, type))


def is_harmless(value: object, functions: frozenset[int] | None = None) -> bool:
    """Return True if a function or module depends on its arguments alone, or draws as ``random``'s functions do.

    ``functions``: ``drawing_functions``, where many values are asked about.
    """
    if isinstance(value, types.ModuleType):
        return any(value is module for module in _MODULES)
    name = getattr(value, "__name__", None) if isinstance(value, (type, types.BuiltinFunctionType)) else None
    if type(name) is str and name in HARMLESS and value is vars(builtins)[name]:
        return True
    return callable(value) and id(value) in (drawing_functions() if functions is None else functions)


def names_of(tree: ast.AST) -> frozenset[str] | None:
    """The names that a command reads, binds or deletes; None where it may depend on more than these.

    >>> sorted(names_of(ast.parse("if random() < p: a, b = b, a")))
    ['a', 'b', 'p', 'random']
    >>> names_of(ast.parse("x.hidden = lambda: y")) is None
    True
    """
    names: set[str] = set()
    stores = deletes = False
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            return None
        if isinstance(node, ast.Attribute) and (node.attr.startswith("_") or not isinstance(node.ctx, ast.Load)):
            return None
        if isinstance(node, ast.comprehension) and node.is_async:
            return None
        if isinstance(node, ast.Name):
            names.add(node.id)
            stores = stores or isinstance(node.ctx, ast.Store)
            deletes = deletes or isinstance(node.ctx, ast.Del)
    # of a variable that is deleted and bound again nothing would say where it stands among the others
    return None if stores and deletes else frozenset(names)
