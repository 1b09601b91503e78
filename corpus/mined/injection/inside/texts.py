"""The texts of a snippet that can be edited: its own statements, its function, the methods of its class; and what makes
the snippet's pieces of an edited one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from trace_mine_inject.case_methods import asked_methods
from trace_mine_inject.edits import Origins
from trace_mine_inject.sampling import GivenProgram
from trace_mine_inject.tested import Asked, asked_pieces, names_of, tested_functions

Function = ast.FunctionDef | ast.AsyncFunctionDef
MOST_METHODS = 8
"""Methods of a class that are tried, where a snippet is of the class: those first that it names."""

Wrap = Callable[[str, str, Origins], tuple[list[str], Origins]]
"""Makes a snippet's pieces of the edited text, of the import of what draws, and of the origins of the text's lines;
gives the origins of all lines of the pieces too, one piece after the other.
"""


class Unfit(Exception):
    """A snippet, or a text of it, that gets no edits; a word says why."""


@dataclass(frozen=True)
class EditableText:
    """A text of a snippet.

    Attributes:
        text: what is edited.
        wrap: makes the pieces.
        origins: of its lines.
        own: the function that it defines, ``""`` where it is statements.
        asked: assertions of a test's statements, which stand behind the function, as questions.
    """

    text: str
    wrap: Wrap
    origins: Origins
    own: str = ""
    asked: tuple[Asked, ...] = ()


def texts_of(program: GivenProgram) -> Iterator[EditableText | Unfit]:
    """The texts of a snippet, those first whose edits say more of the repository; or why one of them is not there.

    Of a doctest or a call it is the function that it is of, or the methods of its class; then the statements, whose
    arguments are drawn. Of a test the functions that it calls come first, then its own statements, and its function: a
    test may be its body's statements, or one call.
    """
    makers: list[Callable[[GivenProgram], Iterator[EditableText]]] = [_own_text]
    if program["edited"] == "both":
        makers = [_tested, _own_text, _functions]
    elif program["edited"] == "function":
        makers = [_functions, _own_text]
    for maker in makers:
        try:
            yield from maker(program)
        except Unfit as unfit:
            yield unfit
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            yield Unfit("syntax")


def _own_text(program: GivenProgram) -> Iterator[EditableText]:
    own = program["pieces"]
    origins = _own_origins(program)
    if program["is_script"] and len(own) == 1 and not program["is_notebook"]:
        yield EditableText(own[0], _script, [*origins, 0])
        return

    def wrap(text: str, imports: str, origins: Origins) -> tuple[list[str], Origins]:
        parts = [*_imported(imports), *_pieces_of(text, origins)]
        return [piece for piece, _ in parts], [line for _, lines in parts for line in lines]

    ended = [piece if piece.endswith("\n") else f"{piece}\n" for piece in own]
    yield EditableText("".join(ended), wrap, [*origins, 0])


def _own_origins(program: GivenProgram) -> Origins:
    """The lines of the file in which the pieces' lines stand; a piece that was spelt anew stands in none.

    Those of a notebook are counted as if its cells stood below each other.
    """
    try:
        with open(program["file"], encoding="utf-8") as file:
            there = [line.strip() for line in file.read().split("\n")]
    except (OSError, ValueError):
        there = []
    origins: Origins = []
    for piece, first in zip(program["pieces"], program["lines"], strict=True):
        for number, line in enumerate(_lines_of(piece), start=first):
            # a doctest's line stands behind a prompt
            stands = 0 < number <= len(there) and there[number - 1].removeprefix(">>> ").removeprefix("... ")
            is_there = program["is_notebook"] or (line.strip() and stands == line.strip())
            origins.append(number if is_there else 0)
    return origins


def lines_in(piece: str) -> int:
    """The number of a piece's lines."""
    return len(_lines_of(piece))


def _lines_of(piece: str) -> list[str]:
    return piece.removesuffix("\n").split("\n")


def _imported(imports: str) -> list[tuple[str, Origins]]:
    return [(imports, [0])] if imports else []


def _functions(program: GivenProgram) -> Iterator[EditableText]:
    """The definitions of a snippet's function, or of its class's methods, as they stand in the file. Raises Unfit."""
    path, line = program["function"]
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        tree = ast.parse(text)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        raise Unfit("no_source") from None
    functions = _functions_at(tree, line, " ".join(program["pieces"]))
    if not functions:
        raise Unfit("no_function")
    why = ""
    for node, owner in functions:
        try:
            yield _function_text(program, text.split("\n"), node, owner)
        except Unfit as unfit:
            why = str(unfit)
    if why:
        raise Unfit(why)


_Owned = tuple[Function, ast.ClassDef | None]
"""A function, with its class where it is a method."""


def _functions_at(tree: ast.Module, line: int, named: str) -> list[_Owned]:
    """The function at a line that is a module's own or a method, with its class's name.

    Where the line is of a class and of none of its methods, or of the module itself, all are meant: those first that
    the snippet names.
    """
    for node in tree.body:
        if isinstance(node, Function) and _spans(node, line):
            return [(node, None)]
        if isinstance(node, ast.ClassDef) and _spans(node, line):
            methods = _methods(node)
            for each in methods:
                if _spans(each, line):
                    return [(each, node)]
            return _by_name([(each, node) for each in methods], named)
    if any(_spans(node, line) for node in tree.body if not isinstance(node, ast.Expr)):
        return []
    functions: list[_Owned] = []
    for node in tree.body:
        if isinstance(node, Function):
            functions.append((node, None))
        elif isinstance(node, ast.ClassDef) and re.search(rf"\b{node.name}\b", named):
            functions += [(each, node) for each in _methods(node)]
    return [each for each in _by_name(functions, named) if _is_named(each[0].name, named) or each[1] is not None]


def _by_name(functions: list[_Owned], named: str) -> list[_Owned]:
    """Some of the functions, those first that a text names; an ``__init__``, which gives first values, comes last."""

    def rank(function: _Owned) -> tuple[bool, bool]:
        name = function[0].name
        return name == "__init__", not _is_named(name, named)

    return sorted(functions, key=rank)[:MOST_METHODS]


def _is_named(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def _spans(node: ast.stmt, line: int) -> bool:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    return first <= line <= (node.end_lineno or node.lineno)


def _function_text(program: GivenProgram, lines: list[str], node: Function, owner: ast.ClassDef | None) -> EditableText:
    """A function's definition, at the beginning of its lines; a method is bound to its class. Raises Unfit."""
    own = program["pieces"]
    names = [*map(_decorator_name, node.decorator_list)]
    if owner is not None and not _can_leave(node, names):
        raise Unfit("method")
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    origins = _without_docstring(node, first)
    body = [lines[number - 1] for number in origins]
    indent = " " * node.col_offset
    if node.col_offset and _has_long_texts(node, origins):
        raise Unfit("layout")
    if not all(each.startswith(indent) or not each.strip() for each in body):
        raise Unfit("layout")
    function = "\n".join(each[node.col_offset :] if each.strip() else "" for each in body).rstrip("\n") + "\n"
    before: list[tuple[str, Origins]] = []
    after: list[tuple[str, Origins]] = []
    if owner is not None:
        function = _out_of_class(function, owner.name)
        there = f"{owner.name}.{node.name}"
        if _changes_property(node):
            before.append((f"{node.name} = {there}\n", [0]))
        if "property" in names and any(each.name == node.name and _changes_property(each) for each in _methods(owner)):
            after.append((f"{there} = {there}.getter({node.name}.fget)\n", [0]))  # with its setter
        else:
            after.append((f"{there} = {node.name}\n", [0]))
        if any(name.rpartition(".")[2] == "cached_property" for name in names):
            # what a class statement does for it
            after.append((f"{node.name}.__set_name__({owner.name}, {node.name!r})\n", [0]))
    own_origins = _own_origins(program)

    def wrap(text: str, imports: str, origins: Origins) -> tuple[list[str], Origins]:
        parts = [*_imported(imports), *before, (text, origins[: len(_lines_of(text))]), *after]
        all_origins = [line for _, lines in parts for line in lines] + own_origins
        return [*(piece for piece, _ in parts), *own], all_origins

    return EditableText(function, wrap, [*origins[: function.count("\n")], 0], own=node.name)


def _tested(program: GivenProgram) -> Iterator[EditableText]:
    """The functions that a test calls, before its statements with their assertions as questions."""
    pieces, asked = asked_pieces(program["pieces"])
    questions = asked_methods(program["code"], pieces, names_of(program))
    # before the test's own pieces
    asked += [Asked(number - len(questions), 1, "", each.strip()) for number, each in enumerate(questions)]
    for tested in tested_functions(program):
        given: GivenProgram = {**program, "function": (tested.file, tested.line)}
        try:
            (text,) = _functions(given)
        except (Unfit, ValueError):
            continue
        # a row's lines are those of the test's file
        origins = [0] * len(text.origins)
        wrap = _around(text, tested.imports, (*tested.binds, *questions), pieces)
        yield replace(text, origins=origins, wrap=wrap, asked=tuple(asked))


def _around(text: EditableText, imports: Sequence[str], binds: Sequence[str], own: Sequence[str]) -> Wrap:
    """How the pieces of a function under a test are made: with imports before it, and what binds it behind."""

    def wrap(new: str, draws: str, origins: Origins) -> tuple[list[str], Origins]:
        pieces, all_origins = text.wrap(new, draws, origins)
        place = pieces.index(new) if new in pieces else 0
        first = sum(map(lines_in, pieces[:place]))
        behind = first + lines_in(new)
        whole = [*pieces[:place], *imports, new, *binds, *own]
        num_own = len(all_origins) - sum(map(lines_in, own))
        lines = [*all_origins[:first], *([0] * len(imports)), *all_origins[first:behind], *([0] * len(binds))]
        return whole, [*lines, *all_origins[num_own:]]

    return wrap


def _has_long_texts(node: Function, kept: Origins) -> bool:
    """Tell if a text of several lines is among those that are kept: its lines can't be moved."""
    texts = (each for each in ast.walk(node) if isinstance(each, ast.Constant | ast.JoinedStr))
    return any(each.end_lineno != each.lineno and each.end_lineno in kept for each in texts)


def _methods(node: ast.ClassDef) -> list[Function]:
    return [each for each in node.body if isinstance(each, Function)]


def _changes_property(node: Function) -> bool:
    """Tell if a method is made of the property that has its name already."""
    names = map(_decorator_name, node.decorator_list)
    return any(name == f"{node.name}.{part}" for name in names for part in ("setter", "deleter", "getter"))


def _decorator_name(node: ast.expr) -> str:
    """The dotted name of a decorator, without what it is called with; ``""`` of another expression."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node)


def _can_leave(node: Function, decorators: list[str]) -> bool:
    """Tell if a method's text means the same outside of its class, once ``_out_of_class`` has seen to it."""
    named = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    if "__class__" in named:
        return False
    # `super()` finds the first argument of the function around it
    inner = [each for each in ast.walk(node) if isinstance(each, Function | ast.Lambda) and each is not node]
    if any(_calls_super(each) for each in inner):
        return False
    if _calls_super(node) and ("staticmethod" in decorators or not (node.args.posonlyargs or node.args.args)):
        return False
    # names of the class's own body
    return not any(isinstance(each, ast.Name) and each.id.startswith("__") and not each.id.endswith("__")
                   for each in ast.walk(node))  # fmt: skip


def _calls_super(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "super" for each in ast.walk(node))


def _out_of_class(text: str, owner: str) -> str:
    """The text of a method with what means something else outside of a class spelt as it is meant.

    >>> print(_out_of_class("def f(self):\\n    return super().f() + self.__size\\n", "A"))
    def f(self):
        return super(A, self).f() + self._A__size
    <BLANKLINE>
    """
    tree = ast.parse(text)
    (node,) = tree.body
    assert isinstance(node, Function)
    arguments = [*node.args.posonlyargs, *node.args.args]
    lines = [line.encode() for line in text.split("\n")]
    changes: list[tuple[int, int, int, str]] = []  # line, from, to, text
    for each in ast.walk(tree):
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name) and each.func.id == "super":
            if not each.args and arguments:
                if each.end_lineno != each.lineno:
                    raise Unfit("method")
                new = f"super({owner}, {arguments[0].arg})"
                changes.append((each.lineno, each.col_offset, each.end_col_offset or 0, new))
        elif isinstance(each, ast.Attribute) and each.attr.startswith("__") and not each.attr.endswith("__"):
            end = each.end_col_offset or 0
            new = f"_{owner.lstrip('_')}{each.attr}"
            changes.append((each.end_lineno or each.lineno, end - len(each.attr.encode()), end, new))
    for line, start, stop, new in sorted(changes, reverse=True):
        lines[line - 1] = lines[line - 1][:start] + new.encode() + lines[line - 1][stop:]
    return b"\n".join(lines).decode()


def _without_docstring(node: Function, first: int) -> list[int]:
    """The numbers of a function's lines; its docstring, which speaks of the program as it was, is left out."""
    head = node.body[0]
    end = (node.end_lineno or node.lineno) + 1
    is_doc = isinstance(head, ast.Expr) and isinstance(head.value, ast.Constant) and isinstance(head.value.value, str)
    if not is_doc or len(node.body) == 1 or node.body[1].lineno <= (head.end_lineno or 0):
        return [*range(first, end)]
    return [*range(first, head.lineno), *range((head.end_lineno or head.lineno) + 1, end)]


def _pieces_of(text: str, origins: Origins) -> list[tuple[str, Origins]]:
    """A program's statements, each with the lines before it, and the origins of its lines."""
    lines = text.split("\n")
    pieces: list[tuple[str, Origins]] = []
    done = 0
    for node in ast.parse(text).body:
        end = node.end_lineno or node.lineno
        if end <= done:  # it stands on a line with the one before
            continue
        while done + 1 < end and not lines[done]:
            done += 1
        pieces.append(("\n".join(lines[done:end]) + "\n", origins[done:end]))
        done = end
    return pieces


def _script(text: str, imports: str, origins: Origins) -> tuple[list[str], Origins]:
    """A script with a statement in front of it, behind its docstring and ``__future__``, which must come first."""
    body = ast.parse(text).body
    place = 0
    for number, node in enumerate(body):
        is_doc = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not is_doc and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        place = node.end_lineno or node.lineno
    lines = text.split("\n")
    added = [imports.removesuffix("\n")] if imports else []
    piece = "\n".join([*lines[:place], *added, *lines[place:]])
    return [piece], [*origins[:place], *([0] * len(added)), *origins[place:]][: len(_lines_of(piece))]
