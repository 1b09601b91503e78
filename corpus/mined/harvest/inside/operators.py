"""Calls of special methods as the program would write them: ``len(a)``, ``a[i]``, ``a + b``, ``a[i] = x``.

Only forms that call the very same function first: the class of the object has it under that name, and no reflected
method of the other operand goes before it. All other calls stay as ``a.__index__()`` or ``C.__len__(a)``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

HEAP = 1 << 9
"""``Py_TPFLAGS_HEAPTYPE``: a class that a program made."""
_BINARY = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**", "matmul": "@",
    "and": "&", "or": "|", "xor": "^", "lshift": "<<", "rshift": ">>",
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
}  # fmt: skip
_UNARY = {"neg": "-", "pos": "+", "invert": "~"}
_FUNCTIONS = ("len", "str", "repr", "bool", "abs", "next", "int", "float", "iter")
_STATEMENTS = {"setitem": 2, "delitem": 1}
_MARK = re.compile("\x01[^\x01]*\x01|\x02")
_keyword = re.compile(r"[^\W\d]\w*=(?!=)")
_COMPLETE = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.List, ast.Dict, ast.Set)


def operator_text(method: str, receiver: str, arguments: Sequence[str], values: Sequence[object]) -> str | None:
    """Return the expression or statement by which a program calls a special method; None where it is to be named.

    Args:
        method: the method's name, under which the receiver's class has the function.
        receiver: the object's text.
        arguments: the texts of the others, as in a call.
        values: the object and the arguments.

    >>> operator_text("__getitem__", "box", ["1"], [[], 1]), operator_text("__add__", "box", ["x or y"], [[], []])
    ('box[1]', 'box + (x or y)')
    """
    name = method[2:-2]
    if not (method.startswith("__") and method.endswith("__")) or isinstance(values[0], type):
        return None
    this = _operand(receiver)
    if name == "call":
        return f"{this}({', '.join(arguments)})"
    # a slice stays an argument: sessions open no call whose index is spelt ``1:2``
    if any(map(_keyword.match, arguments)) or any(type(value) is slice for value in values):
        return None
    if not arguments:
        if name in _UNARY:
            return f"{_UNARY[name]}{this}"
        return f"{name}({receiver})" if name in _FUNCTIONS else None
    first, number = arguments[0], len(arguments)
    if name in _STATEMENTS:
        if number != _STATEMENTS[name]:
            return None
        place = f"{this}[{first}]"
        return f"del {place}" if name == "delitem" else f"{place} = {arguments[1]}"
    if number != 1:
        return None
    if name == "getitem":
        return f"{this}[{first}]"
    if name == "contains":
        return f"{_operand(first)} in {this}"
    return _binary(name, this, _operand(first), type(values[0]), type(values[1]))


def is_statement(text: str) -> bool:
    """Return True for a text that is no expression."""
    try:
        ast.parse(_MARK.sub("x", text), mode="eval")
    except SyntaxError:
        return True
    return False


def as_operand(text: str) -> str:
    """Return an expression as it can stand before ``.name`` or ``[0]``."""
    return _operand(text)


def ungrouped(text: str) -> str:
    """Return an expression without the parentheses around it, as it can stand behind ``=``."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    plain = _MARK.sub("x", text)
    try:
        node = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    return text[1:-1] if isinstance(node, (ast.BinOp, ast.Compare, ast.UnaryOp)) and _is_one_group(plain) else text


def _binary(name: str, this: str, other: str, kind: type, other_kind: type) -> str | None:
    if name in _BINARY:
        # a class below the object's own is asked first
        if other_kind is not kind and issubclass(other_kind, kind):
            return None
        return f"{this} {_BINARY[name]} {other}"
    # the left operand declines before: one of Python's own, since another one's method would be run too. A text takes
    # whatever stands behind ``%``
    if name == "rmod" and issubclass(other_kind, (str, bytes, bytearray)):
        return None
    if name[0] == "r" and name[1:] in _BINARY and not other_kind.__flags__ & HEAP:
        return f"{other} {_BINARY[name[1:]]} {this}"
    return None


def _operand(text: str) -> str:
    """A text in parentheses where an operator beside it would take a part of it."""
    plain = _MARK.sub("x", text)
    if plain.isidentifier():
        return text
    try:
        node = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return f"({text})"
    is_tuple = isinstance(node, ast.Tuple) and plain.startswith("(") and node.col_offset == 0
    is_grouped = plain.startswith("(") and node.col_offset > 0 and _is_one_group(plain)
    return text if isinstance(node, _COMPLETE) or is_tuple or is_grouped else f"({text})"


def _is_one_group(text: str) -> bool:
    """Return True where the parenthesis that begins a text ends at its end."""
    try:
        ast.parse(text[1:-1].strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
