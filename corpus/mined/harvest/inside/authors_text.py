"""Functions without a name to import (lambdas, functions of tests) by their authors' text, where it stands alone."""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from trace_mine_harvest.texts import Source, Unspelt

MAX_LINES = 20
"""Lines of a function that is copied into a session."""
MAX_CLASS_LINES = 40
"""Lines of a class."""
MAX_DEPTH = 3
"""Definitions that need each other."""
_SCALARS = (int, bool, float, str, bytes, type(None))


def source_of(value: object, may_import: Callable[[str], bool]) -> Source:
    """Return the text of a function or class of a test with the statements that bind the names in it.

    Args:
        value: a lambda, a function or a class.
        may_import: tells of a module's name whether a session can import it.

    Raises:
        Unspelt: the text can't be found, or says something else where it stands alone.
    """
    return _Finder(may_import).source(value, 0)


class _Finder:
    """Finds texts, and those of what they name in turn."""

    def __init__(self, may_import: Callable[[str], bool]) -> None:
        self._may_import = may_import

    def source(self, value: object, depth: int) -> Source:
        if depth > MAX_DEPTH:
            raise Unspelt("free_name")
        if isinstance(value, type):
            text, names = _class_text(value)
            namespace = vars(sys.modules[value.__module__])
            return Source(value.__name__, text, self._statements(names, namespace, value, depth))
        if type(value) is not types.FunctionType or value.__closure__:
            raise Unspelt("closure")
        node, text = _definition(value.__code__)
        arguments = node.args
        # the defaults of parameters are looked up where the text stands
        defaults = [each for each in (*arguments.defaults, *arguments.kw_defaults) if each is not None]
        if not all(isinstance(each, ast.Constant) for each in defaults):
            raise Unspelt("default")
        imports = self._statements(_globals_of(value.__code__), value.__globals__, value, depth)
        if isinstance(node, ast.Lambda):
            return Source("", f"({text})", imports)
        return Source(node.name, text, imports)

    def _statements(
        self, names: Iterable[str], namespace: dict[str, object], itself: object, depth: int
    ) -> tuple[tuple[str, str], ...]:
        """The statements that bind global names, each behind those that it needs."""
        statements: dict[str, str] = {}
        for name in sorted({*names}):
            if name not in namespace:
                if hasattr(builtins, name):
                    continue
                raise Unspelt("free_name")
            value = namespace[name]
            if value is itself:
                continue
            try:
                place: tuple[tuple[str, str], ...] = ((name, _statement(name, value, self._may_import)),)
            except Unspelt:
                if not isinstance(value, (type, types.FunctionType)) or value.__name__ != name:
                    raise
                source = self.source(value, depth + 1)
                place = (*source.imports, (name, source.text))
            for other, text in place:
                if statements.setdefault(other, text) != text:
                    raise Unspelt("name_clash")
        return tuple(statements.items())


def _class_text(kind: type) -> tuple[str, set[str]]:
    """The text of a class at the top of a test's file, and the global names in it."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if type(file) is not str or "." in kind.__qualname__ or kind.__module__ == "builtins":
        raise Unspelt("local_class")
    tree = _tree(file)
    nodes = [] if tree is None else [each for each in tree.body if isinstance(each, ast.ClassDef)]
    nodes = [each for each in nodes if each.name == kind.__name__]
    if len(nodes) != 1:
        raise Unspelt("no_source")
    (node,) = nodes
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    end = node.end_lineno or node.lineno
    if end - first >= MAX_CLASS_LINES:
        raise Unspelt("long_class")
    # a blank line would end the class at a prompt
    lines = linecache.getlines(file)[first - 1 : end]
    text = "".join(line for line in lines if line.strip()).rstrip("\n")
    if "\x01" in text or "\x02" in text:
        raise Unspelt("no_source")
    try:
        code = compile(text, "<class>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        raise Unspelt("no_source") from None
    namespace = vars(sys.modules[kind.__module__])
    # a name that the module does not have is one of the class itself, or of an object around it
    return text, {name for name in _globals_of(code) if name in namespace and not name.startswith("__")}


def _definition(code: types.CodeType) -> tuple[ast.Lambda | ast.FunctionDef, str]:
    tree = _tree(code.co_filename)
    if tree is None:
        raise Unspelt("no_source")
    lines = linecache.getlines(code.co_filename)
    place = [node for node in _functions(code.co_filename, code.co_firstlineno) if _is_of(node, code)]
    if len(place) != 1:
        raise Unspelt("no_source")
    node = place[0]
    if isinstance(node, ast.Lambda):
        text = ast.unparse(node)
    else:
        if node.decorator_list:
            raise Unspelt("decorated_function")
        end = node.end_lineno or node.lineno
        if end - node.lineno >= MAX_LINES:
            raise Unspelt("long_function")
        # a blank line would end the function at a prompt
        body = "".join(line for line in lines[node.lineno - 1 : end] if line.strip())
        text = textwrap.dedent(body).rstrip("\n")
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
    if not isinstance(owner, str) or not isinstance(path, str):
        raise Unspelt("free_name")
    if (
        path.isidentifier()
        and owner != "builtins"
        and may_import(owner)
        and vars(sys.modules[owner]).get(path) is value
    ):
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
