"""From syntax trees to command text: one statement, one command, no blank line outside strings."""

from __future__ import annotations

import ast
import copy
import io
import tokenize

from trace_mine.tracer.inside.syntax.names import CannotFlatten

_unparse = ast.unparse
_CHANGED_BY_DOCTEST = ("\t", "\r", "\x0c", "# doctest", "#doctest", "\\\n")
"""Parts of a text that doctest, or a prompt that takes it line by line, would read otherwise."""
_quiet_methods = frozenset(
    {"append", "extend", "insert", "add", "discard", "remove", "sort", "reverse", "clear", "update"}
)


def unparse(node: ast.AST) -> str:
    """The node as source of at least one line, without blank lines.

    Raises:
        CannotFlatten: ``unparse`` can't write it (nested quotes in an f-string before 3.12, very deep nesting).
    """
    try:
        # ``a, b = b, a`` as one writes it: ``ast.unparse`` puts brackets around the value
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            return " = ".join([*(bare(target) for target in node.targets), bare(node.value)])
        return without_blank_lines(_unparse(ast.fix_missing_locations(node)))
    except (ValueError, RecursionError) as error:
        raise CannotFlatten("unparse") from error


def bare(node: ast.expr) -> str:
    """A tuple without its brackets, as one writes it beside ``=``; any other expression as it is."""
    if not isinstance(node, ast.Tuple) or not node.elts or isinstance(node.elts[0], ast.NamedExpr):
        return unparse(node)
    items = ", ".join(unparse(item) for item in node.elts)
    return items + "," if len(node.elts) == 1 else items


def expression(node: ast.expr) -> str:
    """An expression that can stand alone as a command: an assignment expression and a tuple's star keep their
    brackets.
    """
    source = unparse(node)
    if isinstance(node, ast.NamedExpr) and not source.startswith("("):
        return f"({source})"
    return source


def operand(node: ast.expr) -> str:
    """An expression that can stand as one argument or on the right of ``=`` in a list of assignments."""
    source = expression(node)
    loose = (ast.Tuple, ast.Lambda, ast.IfExp, ast.NamedExpr, ast.Yield, ast.Await)
    return f"({source})" if isinstance(node, loose) and not source.startswith("(") else source


def without_blank_lines(source: str) -> str:
    """Removes blank lines, which end a block at a prompt, except inside strings."""
    if "\n" not in source or not any(not line.strip() for line in source.split("\n")):
        return source
    kept: set[int] = set()
    starts: list[int] = []
    try:
        # lines of a string are kept, blank or not: they are part of its value
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            name = tokenize.tok_name[token.type]
            if name == "STRING":
                kept.update(range(token.start[0], token.end[0] + 1))
            elif name == "FSTRING_START":
                starts.append(token.start[0])
            elif name == "FSTRING_END" and starts:
                kept.update(range(starts.pop(), token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError) as error:
        raise CannotFlatten("tokenize") from error
    return "\n".join(line for number, line in enumerate(source.split("\n"), 1) if line.strip() or number in kept)


def indented(source: str) -> str:
    """A command's text as the body of a block; no line of a string but a docstring's is moved."""
    block = "\n".join("    " + line if line else line for line in source.split("\n"))
    body = ast.parse("if 1:\n" + block).body[0]
    assert isinstance(body, ast.If)
    tree = ast.parse(source)
    if ast.dump(ast.Module(body.body, [])) == ast.dump(tree):
        return block
    return "\n".join("    " + line if line else line for line in unparse(tree).split("\n"))


def original(lines: list[str], node: ast.stmt | ast.expr) -> str | None:
    """The node's text as its author wrote it, or None where that text would not do as a command.

    ``lines`` are those of its file. Text of one line qualifies wherever it stands, of several lines only at the left
    margin,
    never with tabs or doctest directives, and only where it parses to the very same tree (a rename makes another).
    """
    text = _text_between(lines, node)
    if text is None or any(mark in text for mark in _CHANGED_BY_DOCTEST):
        return None
    try:
        cleaned = without_blank_lines(text)
        parsed = ast.parse(cleaned).body
    except (CannotFlatten, SyntaxError, ValueError, RecursionError):
        return None
    if len(parsed) != 1:
        return None
    tree: ast.AST = parsed[0]
    if isinstance(node, ast.expr) and isinstance(tree, ast.Expr):
        tree = tree.value
    return cleaned if ast.dump(tree) == ast.dump(node) else None


def _text_between(lines: list[str], node: ast.stmt | ast.expr) -> str | None:
    """The text from the node's first to its last character; None where lines would have to be moved to the margin."""
    if node.end_lineno is None or node.end_col_offset is None:
        return None
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    if node.end_lineno > len(lines) or (first != node.end_lineno and node.col_offset != 0):
        return None
    block = lines[first - 1 : node.end_lineno]
    # columns of a tree count bytes of UTF-8
    encoded = block[-1].encode("utf-8", "surrogatepass")[: node.end_col_offset]
    block[-1] = (encoded[node.col_offset :] if len(block) == 1 else encoded).decode("utf-8", "surrogatepass")
    return "\n".join(block)


class _Mute(ast.NodeTransformer):
    """Turns expression statements inside a compound statement into assignments: only a prompt would echo them."""

    def __init__(self, name: str) -> None:
        self.name = name

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        value = node.value
        if isinstance(value, ast.Constant):
            return node
        if isinstance(value, ast.Call):
            called = value.func
            if isinstance(called, ast.Name) and called.id == "print":
                return node
            if isinstance(called, ast.Attribute) and called.attr in _quiet_methods:
                return node
        if isinstance(value, (ast.Yield, ast.YieldFrom, ast.Await)):
            return node
        return ast.copy_location(ast.Assign([ast.Name(self.name, ast.Store())], value), node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node


def muted(node: ast.stmt, name: str) -> ast.stmt:
    """A compound statement that echoes nothing at a prompt; ``name`` takes the values that it would have echoed."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Expr)):
        return node
    muted_node: ast.stmt = _Mute(name).visit(copy.deepcopy(node))
    return muted_node


def is_inert(node: ast.expr) -> bool:
    """True for a name or a constant: evaluating it runs nothing, and gives the same whenever it is evaluated."""
    return isinstance(node, (ast.Name, ast.Constant))


def is_literal(node: ast.expr) -> bool:
    """True if the expression spells its value out (``5``, ``-1``, ``'a'``, ``[1, 2]``), so that showing it adds
    nothing.
    """
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return all(is_literal(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return all(
            k is not None and is_literal(k) and is_literal(v) for k, v in zip(node.keys, node.values, strict=True)
        )
    return False
