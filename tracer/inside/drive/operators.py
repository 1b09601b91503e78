"""The operands whose classes decide which function an expression calls without saying so, by the tree alone."""

from __future__ import annotations

import ast

OPERATORS = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Subscript, ast.Attribute, ast.Call, ast.FormattedValue)
"""Types of expressions that may make a call without saying so."""

BINARY = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.Div: "truediv",
    ast.FloorDiv: "floordiv",
    ast.Mod: "mod",
    ast.Pow: "pow",
    ast.MatMult: "matmul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
    ast.LShift: "lshift",
    ast.RShift: "rshift",
}
UNARY = {ast.USub: "__neg__", ast.UAdd: "__pos__", ast.Invert: "__invert__"}
COMPARED = {
    ast.Eq: ("__eq__", "__eq__"),
    ast.NotEq: ("__ne__", "__ne__"),
    ast.Lt: ("__lt__", "__gt__"),
    ast.LtE: ("__le__", "__ge__"),
    ast.Gt: ("__gt__", "__lt__"),
    ast.GtE: ("__ge__", "__le__"),
}
"""The special method of each comparison, and that of the other operand."""
CONVERSIONS: dict[str, tuple[str, type | None]] = {
    "len": ("__len__", int),
    "repr": ("__repr__", str),
    "str": ("__str__", str),
    "bool": ("__bool__", bool),
    "abs": ("__abs__", None),
    "next": ("__next__", None),
    "int": ("__int__", int),
    "float": ("__float__", float),
}
"""Built-ins of one argument that return what its special method does, which must be of this very type."""
_TEXT = ("__str__", "__repr__")
Asked = tuple[ast.expr, tuple[str, ...]]
"""An operand, with the names in its class that an expression may call."""


def asked_of(node: ast.expr) -> list[Asked]:
    """Return the operands whose classes may have a function that the expression calls; a constant's has none."""
    if not isinstance(node, OPERATORS):
        return []
    pairs = zip(operands(node), _names(node), strict=False)
    return [(operand, names) for operand, names in pairs if not isinstance(operand, ast.Constant)]


def _names(node: ast.expr) -> list[tuple[str, ...]]:
    """Return, for each of the operands, the names in its class that the expression may call."""
    if isinstance(node, ast.BinOp):
        name = BINARY[type(node.op)]
        return [(f"__{name}__",), (f"__r{name}__",)]
    if isinstance(node, ast.Compare):
        if isinstance(node.ops[0], (ast.In, ast.NotIn)):
            return [(), ("__contains__",)]
        forward, backward = COMPARED.get(type(node.ops[0]), ("", ""))
        # ``object`` has ``!=`` ask ``__eq__``
        return [(forward, "__eq__"), (backward,)] if isinstance(node.ops[0], ast.NotEq) else [(forward,), (backward,)]
    if isinstance(node, ast.UnaryOp):
        return [(UNARY.get(type(node.op), ""),)]
    if isinstance(node, ast.Attribute):
        return [(node.attr, "__getattr__")]
    if isinstance(node, ast.FormattedValue) or is_print(node):
        return [_TEXT] * len(operands(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return [(CONVERSIONS.get(node.func.id, ("", None))[0], "__repr__", "__len__")]
    return [("__getitem__",)]


def operands(node: ast.expr) -> list[ast.expr]:
    """Return the sub-expressions whose types decide which function an expression calls; none for most expressions."""
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.Compare):
        return [node.left, node.comparators[0]] if len(node.ops) == 1 else []
    if isinstance(node, ast.UnaryOp):
        return [] if isinstance(node.op, ast.Not) else [node.operand]
    if isinstance(node, ast.Subscript):
        is_item = isinstance(node.ctx, ast.Load) and (isinstance(node.slice, ast.Slice) or is_spelt_index(node.slice))
        return [node.value] if is_item else []
    if isinstance(node, ast.Attribute):
        return [node.value] if isinstance(node.ctx, ast.Load) else []
    if isinstance(node, ast.FormattedValue):
        return [node.value] if node.format_spec is None and node.conversion in (-1, ord("r"), ord("s")) else []
    if isinstance(node, ast.Call) and is_print(node):
        return node.args
    is_conversion = (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in CONVERSIONS
        and len(node.args) == 1
        and not node.keywords
        and not isinstance(node.args[0], ast.Starred)
    )
    return node.args if isinstance(node, ast.Call) and is_conversion else []


def is_spelt_index(index: ast.expr) -> bool:
    """Return True if an index can stand as an argument too: ``1:2`` can't, alone or in a tuple of several."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    return not any(isinstance(part, ast.Slice) for part in parts)


def is_print(node: ast.expr) -> bool:
    """Return True for a call of a function ``print`` whose keywords say nothing of where to print."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
        and not any(isinstance(each, ast.Starred) for each in node.args)
        and all(each.arg in ("sep", "end") for each in node.keywords)
    )
