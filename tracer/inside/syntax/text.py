"""From syntax trees to command text: one statement, one command, no blank line outside strings.

A command is the author's own text where that parses to the very same tree (``text_as_written``), and ``ast.unparse``'s
text otherwise, put right where a prompt would read it otherwise than a file: blank lines end a block, and expression
statements inside a block are echoed.
"""

from __future__ import annotations

import ast
import copy
import io
import tokenize

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.inside.syntax.changed_text import changed_texts
from trace_mine.tracer.inside.syntax.names import CannotOpen
from trace_mine.tracer.inside.syntax.parsed import read_tree
from trace_mine.tracer.inside.syntax.walking import fix_locations

_unparse = ast.unparse  # bound before the snippet runs, which may patch ``ast``
CHANGED_BY_DOCTEST = ("\t", "\r", "\x0c", "# doctest", "#doctest", "\\\n")
"""Parts of a text that doctest, or a prompt that takes it line by line, would read otherwise."""
_quiet_methods = frozenset(
    {"append", "extend", "insert", "add", "discard", "remove", "sort", "reverse", "clear", "update"}
)
"""Methods that return None in the built-in containers, so that a prompt echoes nothing: such calls stay as they are."""


def unparse(node: ast.AST) -> str:
    """Return the node as source of at least one line, without blank lines.

    Raises:
        CannotOpen: ``ast.unparse`` can't write it (nested quotes in an f-string before 3.12, very deep nesting).
    """
    try:
        # ``a, b = b, a`` as one writes it: ``ast.unparse`` puts brackets around the value
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            return " = ".join([*map(without_brackets, node.targets), without_brackets(node.value)])
        # nodes that the driver made have no line numbers, which ``ast.unparse`` asks for in some statements
        return without_blank_lines(_unparse(fix_locations(node)))
    except (ValueError, RecursionError) as error:
        raise CannotOpen(Reason.UNPARSE) from error


def without_brackets(node: ast.expr) -> str:
    """Return a tuple without its brackets, as one writes it beside ``=``; any other expression as it is."""
    # a leading ``:=`` without brackets is a syntax error beside ``=``
    if not isinstance(node, ast.Tuple) or not node.elts or isinstance(node.elts[0], ast.NamedExpr):
        return unparse(node)
    items = ", ".join(unparse(item) for item in node.elts)
    return items + "," if len(node.elts) == 1 else items


def expression(node: ast.expr) -> str:
    """Return an expression as a command of its own: an assignment expression keeps its brackets there."""
    source = unparse(node)
    if isinstance(node, ast.NamedExpr) and not source.startswith("("):
        return f"({source})"
    return source


def operand(node: ast.expr) -> str:
    """Return an expression as one argument of a call or as a right side, in brackets where it needs them."""
    source = expression(node)
    needs_brackets = (ast.Tuple, ast.Lambda, ast.IfExp, ast.NamedExpr, ast.Yield, ast.Await)
    return f"({source})" if isinstance(node, needs_brackets) and not source.startswith("(") else source


def without_blank_lines(source: str) -> str:
    """Return the source without its blank lines, which end a block at a prompt; those inside strings stay.

    ``ast.unparse`` itself puts blank lines between the methods of a class.

    Raises:
        CannotOpen: the source's tokens can't be told.
    """
    if "\n" not in source or not any(not line.strip() for line in source.split("\n")):
        return source
    string_lines: set[int] = set()
    starts: list[int] = []
    try:
        # lines of a string are kept, blank or not: they are part of its value
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            # by name, since 3.11's ``token`` has no constants for f-strings: there an f-string is one STRING
            name = tokenize.tok_name[token.type]
            if name == "STRING":
                string_lines.update(range(token.start[0], token.end[0] + 1))
            elif name == "FSTRING_START":
                starts.append(token.start[0])  # f-strings nest from 3.12 on, so the starts are a stack
            elif name == "FSTRING_END" and starts:
                string_lines.update(range(starts.pop(), token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError) as error:
        raise CannotOpen(Reason.UNPARSE) from error
    lines = enumerate(source.split("\n"), 1)
    return "\n".join(line for number, line in lines if line.strip() or number in string_lines)


def indented(source: str) -> str:
    """Return a command's text as the body of a block; no line of a string but a docstring's is moved."""
    block = "\n".join("    " + line if line else line for line in source.split("\n"))
    body = ast.parse("if 1:\n" + block).body[0]
    assert isinstance(body, ast.If)
    tree = ast.parse(source)
    if ast.dump(ast.Module(body.body, [])) == ast.dump(tree):
        return block
    # a string of several lines got the indent into its value: ``unparse`` writes such a string with ``\n`` in it
    return "\n".join("    " + line if line else line for line in unparse(tree).split("\n"))


def text_as_written(lines: list[str], node: ast.stmt | ast.expr) -> str | None:
    """Return the node's text as its author wrote it; None where that text would not do as a command.

    It has no tabs and no doctest directives, and parses to the very same tree. Where a local was renamed, or a call in
    it opened, that alone is changed in the text.

    Args:
        lines: the lines of the node's file.
        node: a node of the file's tree, with the line numbers and columns that ``ast.parse`` gave it.
    """
    text = _text_between(lines, node)
    if text is None or any(mark in text for mark in CHANGED_BY_DOCTEST):
        return None
    try:
        cleaned = without_blank_lines(text)
    except CannotOpen:
        return None
    # a part of a statement need not compile by itself: the tree then says what the command is
    tree = _parsed_as(node, cleaned)
    # the file on disk may have changed since it was imported, and renamed trees keep the positions of the old ones
    if tree is None or same_tree(tree, node):
        return None if tree is None else cleaned
    for changed in changed_texts(cleaned, tree, node):
        again = _parsed_as(node, changed)
        if again is not None and same_tree(again, node):
            return None if any(mark in changed for mark in CHANGED_BY_DOCTEST) else changed
    return None


def _parsed_as(node: ast.stmt | ast.expr, text: str) -> ast.AST | None:
    """Return the one statement of a text, or the expression that it is where the node is one; None: it is not one."""
    tree = read_tree(text)
    if tree is None or len(tree.body) != 1:
        return None
    statement = tree.body[0]
    return statement.value if isinstance(node, ast.expr) and isinstance(statement, ast.Expr) else statement


def _text_between(lines: list[str], node: ast.stmt | ast.expr) -> str | None:
    """Return the text from the node's first character to its last, its further lines without the indent of the first;
    None where one of them has less.
    """
    if node.end_lineno is None or node.end_col_offset is None:
        return None
    # a decorated definition's ``lineno`` is that of ``def``
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    if node.end_lineno > len(lines):
        return None
    block = lines[first - 1 : node.end_lineno]
    # columns of a tree count bytes of UTF-8
    block[-1] = block[-1].encode("utf-8", "surrogatepass")[: node.end_col_offset].decode("utf-8", "surrogatepass")
    indent = block[0][: len(block[0]) - len(block[0].lstrip(" "))]
    if not all(line.startswith(indent) for line in block if line.strip()):
        return None
    # of a decorated definition's first line, what stands before ``@`` is the indent
    start = len(indent) if first != node.lineno else node.col_offset
    block[0] = block[0].encode("utf-8", "surrogatepass")[start:].decode("utf-8", "surrogatepass")
    return "\n".join([block[0], *(line.removeprefix(indent) for line in block[1:])])


def same_tree(one: ast.AST, other: ast.AST) -> bool:
    """Return True if two trees are the same but for positions: if ``ast.dump`` would write the same of both.

    It stops at the first difference, and writes no text: a tenth of a driver's time went into the two texts.
    """
    waiting: list[tuple[object, object]] = [(one, other)]
    while waiting:
        left, right = waiting.pop()
        if type(left) is not type(right):
            return False
        if isinstance(left, ast.AST):
            waiting += [(getattr(left, field, None), getattr(right, field, None)) for field in left._fields]
        elif type(left) is list and type(right) is list:
            if len(left) != len(right):
                return False
            waiting += zip(left, right, strict=True)
        elif left is not right and repr(left) != repr(right):  # constants: ``0.0`` is not ``-0.0``
            return False
    return True


class _Mute(ast.NodeTransformer):
    """Turns expression statements inside a compound statement into assignments to ``name``, which echo nothing.

    A compound statement compiled in ``single`` mode echoes the expression statements inside it; the program's own run,
    compiled in ``exec`` mode, echoes none.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        value = node.value
        if isinstance(value, ast.Constant):
            return node  # its echo tells nothing of the program, and a string used as a comment stays readable
        if isinstance(value, ast.Call):
            # the usual calls that return None are left as they read best
            called = value.func
            if isinstance(called, ast.Name) and called.id == "print":
                return node
            if isinstance(called, ast.Attribute) and called.attr in _quiet_methods:
                return node
        if isinstance(value, (ast.Yield, ast.YieldFrom, ast.Await)):
            return node
        return ast.copy_location(ast.Assign([ast.Name(self.name, ast.Store())], value), node)

    # a definition's body runs in frames of its own, which no prompt echoes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node


def muted(node: ast.stmt, name: str) -> ast.stmt:
    """Return a copy of a compound statement that echoes nothing at a prompt; definitions and expressions stay.

    ``name`` is the variable that takes the values which would have been echoed.
    """
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Expr)):
        return node
    muted_node: ast.stmt = _Mute(name).visit(copy.deepcopy(node))
    return muted_node


def is_inert(node: ast.expr) -> bool:
    """Return True for a name or a constant: to evaluate it runs no code of the snippet."""
    return isinstance(node, (ast.Name, ast.Constant))


def is_literal(node: ast.expr) -> bool:
    """Return True if the expression spells its value out (``5``, ``-1``, ``'a'``, ``[1, 2]``).

    A reveal of such a value would add nothing to the command that has it.
    """
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        is_number = isinstance(node.operand, ast.Constant) and type(node.operand.value) in (int, float, complex)
        return isinstance(node.op, ast.USub) and is_number
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(is_literal(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return all(
            k is not None and is_literal(k) and is_literal(v) for k, v in zip(node.keys, node.values, strict=True)
        )
    return False
