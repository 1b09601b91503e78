"""The functions under a test, as texts that can be edited, and the test's assertions as questions.

A test says which results are right, and of an edited function another one may come out: so what it asserts is asked
instead, ``print(left == 7)`` for ``assert left == 7``. Functions are those of the repository that the test, or a method
of its class, calls by a name or as an attribute of a module, and that stand at the top level of their file. They are
defined anew in the session, with the names of their module that they use.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import os
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from trace_mine_inject.case_methods import helpers_of
from trace_mine_inject.sampling import GivenProgram

_Function = ast.FunctionDef | ast.AsyncFunctionDef
MOST_TESTED = 4
"""Functions of one test that are tried."""
_LIBRARY = os.path.dirname(os.path.abspath(os.__file__))


@dataclass(frozen=True)
class Asked:
    """An assertion that is asked.

    Attributes:
        piece: the index of its piece; below 0 for one that stands before the test's own.
        line: its first line in the piece, from 1.
        before, after: its text, and that of the question.
    """

    piece: int
    line: int
    before: str
    after: str


@dataclass(frozen=True)
class Tested:
    """A function under a test.

    Attributes:
        file, name: where it stands, and what it is called there.
        line: of its definition.
        imports: statements that bind the names which it uses.
        binds: statements behind it that put it in its place.
    """

    file: str
    name: str
    line: int
    imports: tuple[str, ...]
    binds: tuple[str, ...]


def asked_pieces(pieces: Sequence[str]) -> tuple[list[str], list[Asked]]:
    """Statements with their assertions as questions; those whose message has further lines stay as they are.

    >>> asked_pieces(["assert f(2) == 4, 'no'\\n"])[0]
    ['print(f(2) == 4)\\n']
    """
    new: list[str] = []
    asked: list[Asked] = []
    for number, piece in enumerate(pieces):
        lines = piece.encode("utf-8", "surrogatepass").split(b"\n")
        assertions = [node for node in ast.walk(ast.parse(piece)) if isinstance(node, ast.Assert)]
        for node in sorted(assertions, key=lambda node: -node.lineno):  # from the end, so that places stay
            test = ast.get_source_segment(piece, node.test)
            before = ast.get_source_segment(piece, node)
            if test is None or before is None or node.end_lineno is None or node.end_col_offset is None:
                continue
            after = f"print({test})"
            if after.count("\n") != before.count("\n"):
                continue
            head = lines[node.lineno - 1][: node.col_offset]
            tail = lines[node.end_lineno - 1][node.end_col_offset :]
            question = head + after.encode("utf-8", "surrogatepass") + tail
            lines[node.lineno - 1 : node.end_lineno] = question.split(b"\n")
            asked.append(Asked(number, node.lineno, before, after))
        new.append(b"\n".join(lines).decode("utf-8", "surrogatepass"))
    return new, sorted(asked, key=lambda each: (each.piece, each.line))


def tested_functions(program: GivenProgram) -> Iterator[Tested]:
    """The functions that a test's statements call, in the order of the text."""
    table = names_of(program)
    trees: list[ast.AST] = [*map(ast.parse, program["pieces"])]
    own = len(trees)
    trees += helpers_of(program["code"], program["pieces"], table)
    used = {"print", *(each.id for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Name))}
    # built-ins that the test uses must stay what they are to it
    table = {**{name: value for name, value in vars(builtins).items() if name in used}, **table}
    seen: set[tuple[str, int]] = set()
    for number, tree in enumerate(trees):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or len(seen) >= MOST_TESTED:
                continue
            tested = _tested(node.func, table)
            if tested is not None and (tested.file, tested.line) not in seen:
                seen.add((tested.file, tested.line))
                if number >= own and not tested.binds:
                    # helpers have the names of their module, and not those of the session
                    bind = f"__import__('sys').modules[{program['module']!r}].{tested.name} = {tested.name}\n"
                    tested = replace(tested, binds=(bind,))
                yield tested


def names_of(program: GivenProgram) -> dict[str, object]:
    """The names that a test finds in its module; none where that can't be imported."""
    if not program["module"]:
        return {}
    sys.path[:0] = [path for path in program["sys_path"] if path not in sys.path]
    try:
        return dict(vars(importlib.import_module(program["module"])))
    except BaseException as error:  # whatever strangers' code raises
        if isinstance(error, KeyboardInterrupt):
            raise
        return {}


def _tested(called: ast.expr, table: dict[str, object]) -> Tested | None:
    """The repository's function that a call is of, where it can be defined anew."""
    home, name = "", ""
    function: object = None
    if isinstance(called, ast.Name):
        name, function = called.id, table.get(called.id)
    elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
        module = table.get(called.value.id)
        if type(module) is types.ModuleType:
            home, name, function = called.value.id, called.attr, vars(module).get(called.attr)
    if type(function) is not types.FunctionType or "<locals>" in function.__qualname__ or "." in function.__qualname__:
        return None
    file = os.path.abspath(function.__code__.co_filename)
    if file.startswith(_LIBRARY) or function.__name__ != name or function.__module__ not in sys.modules:
        return None
    definition = _definition(file, name)
    if definition is None:
        return None
    there = vars(sys.modules[function.__module__])
    needed = sorted(_used(definition) & there.keys() - {name})
    if any(each in table and table[each] is not there[each] for each in needed):
        return None  # the test's module has another thing of that name
    missing = [each for each in needed if each not in table]
    imports = (f"from {function.__module__} import {', '.join(missing)}\n",) if missing else ()
    binds = (f"{home}.{name} = {name}\n",) if home else ()
    return Tested(file, name, definition.lineno, imports, binds)


def _definition(file: str, name: str) -> _Function | None:
    """The one definition of a name at the top level of a file; None where it has several or rebinds globals."""
    try:
        with open(file, encoding="utf-8") as opened:
            tree = ast.parse(opened.read())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    definitions = [node for node in tree.body if isinstance(node, _Function) and node.name == name]
    if len(definitions) != 1 or any(isinstance(node, ast.Global) for node in ast.walk(definitions[0])):
        return None
    return definitions[0]


def _used(definition: _Function) -> set[str]:
    return {each.id for each in ast.walk(definition) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
