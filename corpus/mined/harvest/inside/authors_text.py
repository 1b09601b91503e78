"""Functions without a name to import (lambdas, functions of tests) by their authors' text, where it stands alone."""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from functools import lru_cache

from trace_mine_harvest.texts import Source, Unspelt

MAX_LINES = 20
_SCALARS = (int, bool, float, str, bytes, type(None))


def source_of_function(function: types.FunctionType, may_import: Callable[[str], bool]) -> Source:
    """Return a function's text with the imports that its names need.

    Args:
        function: a lambda, or a function of a test.
        may_import: tells of a module's name whether a session can import it.

    Raises:
        Unspelt: the text can't be found, or says something else where it stands alone.
    """
    if function.__closure__:
        raise Unspelt("closure")
    node, text = _definition(function.__code__)
    if isinstance(node, ast.Lambda):
        return Source(name="", text=f"({text})", imports=_imports(function, node, may_import))
    return Source(name=node.name, text=text, imports=_imports(function, node, may_import))


def _definition(code: types.CodeType) -> tuple[ast.Lambda | ast.FunctionDef, str]:
    tree = _tree(code.co_filename)
    if tree is None:
        raise Unspelt("no_source")
    lines = linecache.getlines(code.co_filename)
    found = [node for node in _functions(code.co_filename, code.co_firstlineno) if _is_of(node, code)]
    if len(found) != 1:
        raise Unspelt("no_source")
    node = found[0]
    if isinstance(node, ast.Lambda):
        text = ast.unparse(node)
    else:
        if node.decorator_list:
            raise Unspelt("decorated_function")
        end = node.end_lineno or node.lineno
        if end - node.lineno >= MAX_LINES:
            raise Unspelt("long_function")
        text = textwrap.dedent("".join(lines[node.lineno - 1 : end])).rstrip("\n")
        try:
            ast.parse(text)
        except SyntaxError:  # the text of a literal stands further left than the function
            text = ast.unparse(node)
    if "\x01" in text or "\x02" in text:
        raise Unspelt("no_source")
    return node, text


@lru_cache(maxsize=64)
def _tree(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


@lru_cache(maxsize=2048)
def _functions(file: str, line: int) -> tuple[ast.Lambda | ast.FunctionDef, ...]:
    """The functions that begin at a line of a file."""
    tree = _tree(file)
    nodes = [] if tree is None else ast.walk(tree)
    return tuple(node for node in nodes if isinstance(node, (ast.Lambda, ast.FunctionDef)) and node.lineno == line)


def _is_of(node: ast.Lambda | ast.FunctionDef, code: types.CodeType) -> bool:
    """Return True if the node is what the code was compiled from; two lambdas of one line differ in their columns."""
    if isinstance(node, ast.FunctionDef):
        return node.name == code.co_name
    if code.co_name != "<lambda>":
        return False
    places = [place for place in code.co_positions() if place[0] is not None and place[2] is not None]
    body = node.body
    inside = [
        (body.lineno, body.col_offset) <= (line, column) and (end_line, end) <= (body.end_lineno, body.end_col_offset)
        for line, end_line, column, end in places
        # the first instruction stands for the whole
        if (line, column) != (line, 0)
    ]
    whole = (body.lineno, body.end_lineno, body.col_offset, body.end_col_offset)
    return bool(inside) and all(inside) and any(place == whole for place in places)


def _imports(
    function: types.FunctionType, node: ast.AST, may_import: Callable[[str], bool]
) -> tuple[tuple[str, str], ...]:
    statements: dict[str, str] = {}
    for name in _globals_of(function.__code__):
        if name not in function.__globals__:
            if hasattr(builtins, name):
                continue
            raise Unspelt("free_name")
        value = function.__globals__[name]
        if name == getattr(node, "name", None) and value is function:
            continue
        statements[name] = _statement(name, value, may_import)
    # the defaults of parameters are looked up where the text stands
    arguments = getattr(node, "args", None)
    if arguments is not None and any(
        not isinstance(default, ast.Constant) for default in (*arguments.defaults, *arguments.kw_defaults) if default
    ):
        raise Unspelt("default")
    return tuple(sorted(statements.items()))


def _statement(name: str, value: object, may_import: Callable[[str], bool]) -> str:
    """The statement that binds a global name of a function."""
    if isinstance(value, types.ModuleType):
        module = value.__name__
        if sys.modules.get(module) is not value or not may_import(module):
            raise Unspelt("free_name")
        if module == name:
            return f"import {name}"
        parent, _, last = module.rpartition(".")
        if not parent:
            return f"import {module} as {name}"
        return f"from {parent} import {last}" + ("" if last == name else f" as {name}")
    if type(value) in _SCALARS and len(text := repr(value)) < 200:
        return f"{name} = {text}"
    owner, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if type(owner) is str and type(path) is str and path.isidentifier() and owner != "builtins":
        if may_import(owner) and vars(sys.modules[owner]).get(path) is value:
            return f"from {owner} import {path}" + ("" if path == name else f" as {name}")
    if owner == "builtins" and path == name:
        return f"from builtins import {name}"
    raise Unspelt("free_name")


def _globals_of(code: types.CodeType) -> Iterator[str]:
    """The names that code, and the code within it, looks up globally, as far as its instructions tell."""
    import dis

    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and isinstance(instruction.argval, str):
            yield instruction.argval
        elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL", "IMPORT_NAME"):
            raise Unspelt("free_name")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)
