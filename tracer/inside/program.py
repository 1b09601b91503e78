"""The program of a job: its namespace, its pieces, and the source of the functions it calls."""

from __future__ import annotations
import __future__

import ast
import importlib
import io
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, Literal

from trace_mine.tracer.inside.protocol.jobs import Piece, Program

CO_GENERATOR = 0x20
CO_COROUTINES = 0x80 | 0x200


class SetupError(Exception):
    """The module could not be imported or the silent code raised; ``reason`` is the word of a ``Reason``."""

    def __init__(self, reason: Literal["import_error", "setup_error"], evidence: str) -> None:
        super().__init__(evidence)
        self.reason = reason


class OutputFull(BaseException):
    """A snippet printed more than it may; BaseException, so that its own handlers don't swallow it."""


class Capture(io.StringIO):
    """``sys.stdout`` of a snippet: what doctest and ``code`` put there too, bounded in characters."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit

    def count(self, size: int) -> None:
        """As much output as was made elsewhere. Raises OutputFull."""
        self.left -= size
        if self.left < 0:
            raise OutputFull

    def write(self, text: str, /) -> int:
        self.count(len(text))
        return super().write(text)

    def take(self) -> str:
        """What was written since the last call."""
        written = self.getvalue()
        if written:
            self.seek(0)
            self.truncate(0)
        return written


def future_flags(namespace: dict[str, Any]) -> int:
    """Compiler flags of the ``from __future__`` names in the namespace, found as doctest finds them."""
    flags = 0
    for name in __future__.all_feature_names:
        feature = namespace.get(name)
        if feature is getattr(__future__, name):
            flags |= feature.compiler_flag
    return flags


def fresh_namespace(program: Program) -> dict[str, Any]:
    """The namespace before the first command; installed as ``sys.modules['__main__']`` where there is no module.

    Raises:
        SetupError: ``import_error`` or ``setup_error``.
    """
    name = program.module
    if name is None:
        main = types.ModuleType("__main__")
        namespace: dict[str, Any] = main.__dict__
        namespace["__builtins__"] = sys.modules["builtins"]
        sys.modules["__main__"] = main
    else:
        try:
            module = importlib.import_module(name)
        except BaseException as error:
            raise SetupError("import_error", f"{type(error).__name__}: {words(error)}") from error
        namespace = dict(vars(module))
    if program.code:
        try:
            exec(compile(program.code, "<setup>", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            raise SetupError("setup_error", f"{type(error).__name__}: {words(error)}") from error
    return namespace


def words(error: BaseException) -> str:
    """An exception's text, at most 500 characters of it; runs its ``__str__``, which is the snippet's."""
    try:
        return str(error)[:500]
    except BaseException as second:
        return f"<its text raised {type(second).__name__}>"


def piece_file(index: int) -> str:
    """The file name that a piece is compiled under."""
    return f"<piece {index}>"


class Sources:
    """From a function to its syntax tree, by the code object's file and lines; parsed once a function.

    Files are those below ``own``; session commands register what they define. Files are read through ``open_file``,
    which was bound before the snippet ran.
    """

    def __init__(self, own: Sequence[str], open_file: Callable[..., Any] = open) -> None:
        self.own = tuple(own)
        self._open = open_file
        self._lines: dict[str, list[str]] = {}
        self._trees: dict[str, ast.Module] = {}
        self._found: dict[tuple[str, types.CodeType], ast.FunctionDef | None] = {}
        self._origins: dict[str, tuple[str, ast.stmt]] = {}
        self._homes: dict[tuple[str, types.CodeType], tuple[str, int]] = {}

    def register(self, filename: str, source: str, origin: tuple[str, ast.stmt] | None = None) -> None:
        """Makes the functions that a session command defines known.

        ``origin`` is the file and the statement that the command was made from: the command's text may have lost lines
        and renamed variables, but its tree has the same shape.
        """
        self._lines[filename] = source.split("\n")
        if origin is not None:
            self._origins[filename] = origin

    def home(self, code: types.CodeType) -> tuple[str, int]:
        """File and first line where the function stands in the program, however the session came to compile it."""
        self.definition(code)
        return self._homes.get((code.co_filename, code), (code.co_filename, code.co_firstlineno))

    def is_own(self, filename: str) -> bool:
        """Whether code of this file is the repository's or the session's."""
        return filename in self._lines or bool(self.own and filename.startswith(self.own))

    def lines(self, filename: str) -> list[str] | None:
        """The file's lines without line ends; None where it can't be read as Python source."""
        if filename not in self._lines:
            if not self.is_own(filename):
                return None
            try:
                with self._open(filename, "rb") as file:
                    raw = file.read()
                self._lines[filename] = ast_lines(raw)
            except (OSError, SyntaxError, UnicodeDecodeError, LookupError):
                return None
        return self._lines[filename]

    def definition(self, code: types.CodeType) -> ast.FunctionDef | None:
        """The ``def`` that made this code object, with line numbers of its file; None where it is not found."""
        key = code.co_filename, code  # code objects of two commands are equal where their text is
        if key not in self._found:
            found = self._find(code)
            if found is not None and code.co_filename in self._origins:
                self._move_home(code, found)
            self._found[key] = found
        return self._found[key]

    def _move_home(self, code: types.CodeType, found: ast.FunctionDef) -> None:
        """Gives the definition's nodes the lines of the statement that its command was made from."""
        filename, statement = self._origins[code.co_filename]
        emitted = ast.parse("\n".join(self._lines[code.co_filename])).body[0]
        moved: dict[int, int] = {}
        for one, other in zip(ast.walk(emitted), ast.walk(statement), strict=False):
            if isinstance(one, (ast.stmt, ast.expr)) and isinstance(other, (ast.stmt, ast.expr)):
                moved.setdefault(one.lineno, other.lineno)
                if one.end_lineno is not None and other.end_lineno is not None:
                    moved.setdefault(one.end_lineno, other.end_lineno)
        self._homes[code.co_filename, code] = filename, moved.get(code.co_firstlineno, code.co_firstlineno)
        for node in ast.walk(found):
            if isinstance(node, (ast.stmt, ast.expr, ast.ExceptHandler)):
                node.lineno = moved.get(node.lineno, node.lineno)
                if node.end_lineno is not None:
                    node.end_lineno = moved.get(node.end_lineno, node.end_lineno)

    def _find(self, code: types.CodeType) -> ast.FunctionDef | None:
        lines = self.lines(code.co_filename)
        if lines is None or code.co_firstlineno < 1 or code.co_firstlineno > len(lines):
            return None
        return self._sliced(code, lines) or self._whole(code, lines)

    def _sliced(self, code: types.CodeType, lines: list[str]) -> ast.FunctionDef | None:
        """Parses the function's own lines only: a file of 2,000 lines costs 20 ms, its function 0.2 ms."""
        first = code.co_firstlineno
        block = lines[first - 1 : _last_line(code)]
        indent = len(block[0]) - len(block[0].lstrip())
        source = "\n".join(block)
        if indent:
            source = "if 1:\n" + source
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        ast.increment_lineno(tree, first - (2 if indent else 1))
        outer = tree.body[0]
        body = outer.body if indent and isinstance(outer, ast.If) else tree.body
        if len(body) != 1:
            return None
        return body[0] if isinstance(body[0], ast.FunctionDef) and body[0].name == code.co_name else None

    def _whole(self, code: types.CodeType, lines: list[str]) -> ast.FunctionDef | None:
        filename = code.co_filename
        if filename not in self._trees:
            try:
                self._trees[filename] = ast.parse("\n".join(lines))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self._trees[filename] = ast.Module([], [])
        for node in ast.walk(self._trees[filename]):
            if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if start == code.co_firstlineno:
                    return node
        return None


def ast_lines(raw: bytes) -> list[str]:
    """Source bytes as lines, decoded as Python does (BOM, PEP 263), numbered as the compiler numbers them."""
    import tokenize

    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    return io.StringIO(raw.decode(encoding), newline=None).read().split("\n")


def _last_line(code: types.CodeType) -> int:
    last = code.co_firstlineno
    stack = [code]
    while stack:
        inner = stack.pop()
        for _, end, _, _ in inner.co_positions():
            if end is not None and end > last:
                last = end
        stack += [constant for constant in inner.co_consts if isinstance(constant, types.CodeType)]
    return last


def stored_names(pieces: Sequence[Piece]) -> list[str]:
    """Names that the pieces bind at the top level, sorted: the variables of the session."""
    from trace_mine.tracer.inside.syntax.names import bound_names

    found: set[str] = set()
    for piece in pieces:
        try:
            body = ast.parse(piece.source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # the piece raises SyntaxError when it is run, which the session shows
        found |= bound_names(body)
    return sorted(found)
