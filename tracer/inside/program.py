"""The program of a job: its namespace, its pieces, and the syntax trees of the functions that it calls.

Over 400 lines because all that looks for a function in its file stands in one class.
"""

from __future__ import annotations
import __future__

import ast
import copy
import importlib
import io
import re
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from trace_mine.tracer.inside.protocol.jobs import Piece, Program
from trace_mine.tracer.inside.syntax.parsed import read_tree
from trace_mine.tracer.inside.syntax.walking import walk

# flags of code objects; ``inspect`` has them too, but is slow to import
CO_NEWLOCALS = 0x02
CO_VARARGS = 0x04
CO_VARKEYWORDS = 0x08
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
    """The ``sys.stdout`` of a snippet: a ``StringIO``, as doctest has there too, that takes a bounded number of
    characters.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.left = limit
        self._before_close = ""

    def close(self) -> None:
        """Take no more text; what was written stays to be taken."""
        if not self.closed:
            self._before_close = self.getvalue()
        super().close()

    def count(self, size: int) -> None:
        """Count output of ``size`` characters that was made elsewhere.

        Raises:
            OutputFull: there was more than the limit, all in all.
        """
        self.left -= size
        if self.left < 0:
            raise OutputFull

    def write(self, text: str, /) -> int:
        self.count(len(text))
        return super().write(text)

    def take(self) -> str:
        """The text that was written since the last call; it is gone from here."""
        if self.closed:  # a program may do that to its output, as `with sys.stdout:` does
            written, self._before_close = self._before_close, ""
            return written
        written = self.getvalue()
        if written:
            # emptied, not replaced: the snippet may hold on to the ``sys.stdout`` that it found
            self.seek(0)
            self.truncate(0)
        return written


def future_flags(namespace: dict[str, Any]) -> int:
    """The compiler flags of ``from __future__`` names in the namespace, which is where doctest looks for them."""
    flags = 0
    for name in __future__.all_feature_names:
        feature = namespace.get(name)
        # by identity: a variable ``annotations`` is no future import, and ``==`` would run the snippet's code
        if feature is getattr(__future__, name):
            flags |= feature.compiler_flag
    return flags


def fresh_namespace(program: Program) -> dict[str, Any]:
    """The namespace before the first command, after the silent code.

    Without a module it is a new ``__main__``, which ``sys.modules`` has from then on. With one it is a copy of the
    module's globals, as in doctest, so that what the pieces assign does not change the module.

    Raises:
        SetupError: the module can't be imported (``import_error``), or the silent code raises (``setup_error``).
    """
    name = program.module
    if name is None:
        main = types.ModuleType("__main__")
        namespace: dict[str, Any] = main.__dict__
        # the module, not our private copy, which ``exec`` would put there (see ``sandbox.loader``)
        namespace["__builtins__"] = sys.modules["builtins"]
        sys.modules["__main__"] = main
    else:
        try:
            module = importlib.import_module(name)
        except BaseException as error:  # modules end the process on import, too (SystemExit)
            raise SetupError("import_error", f"{type(error).__name__}: {words(error)}") from error
        namespace = dict(vars(module))
    if program.code:
        try:
            # dont_inherit: else the future import of this file would hold for the program's set-up
            exec(compile(program.code, "<setup>", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            raise SetupError("setup_error", f"{type(error).__name__}: {words(error)}") from error
    return namespace


def words(error: BaseException) -> str:
    """An exception's text, 500 characters of it at most. Its ``__str__`` is the snippet's code, and may raise."""
    try:
        return str(error)[:500]
    except BaseException as second:
        return f"<its text raised {type(second).__name__}>"


def piece_file(index: int) -> str:
    """The file name that a piece is compiled under."""
    return f"<piece {index}>"


def compiled_file(program: Program, index: int, namespace: Mapping[str, object]) -> str:
    """The file name that a native run compiles a piece under: a script's own file where it has one (``__file__``, as
    the set-up has bound it), by which its source is found (``inspect.getsource``), and which tracebacks show.
    """
    file = namespace.get("__file__")
    return file if program.file and isinstance(file, str) else piece_file(index)


MAX_DECORATOR_LINES = 40
"""Lines of decorators before the ``def`` of a function that is looked for by its first line."""
_header = re.compile(r"\s*def\s+(\w+)")


class Sources:
    """Finds the syntax tree of a function by its code object's file and lines.

    Args:
        own: path prefixes; functions of files below them can be found. Commands of a session register what they define.
        open_file: reads files. It is bound before the snippet runs, which may patch ``open``.
    """

    def __init__(self, own: Sequence[str], open_file: Callable[..., Any] = open) -> None:
        self.own = tuple(own)
        self._open = open_file
        self._lines: dict[str, list[str]] = {}
        self._trees: dict[str, ast.Module] = {}
        self._definitions: dict[tuple[str, types.CodeType], ast.FunctionDef | None] = {}
        self._origins: dict[str, tuple[str, ast.stmt]] = {}
        self._outermost: dict[tuple[str, types.CodeType], ast.FunctionDef | None] = {}
        self._homes: dict[tuple[str, types.CodeType], tuple[str, int]] = {}
        self._names: dict[str, str] = {}

    def register(self, filename: str, source: str, origin: tuple[str, ast.stmt] | None = None) -> None:
        """Register the functions that a session command defines.

        ``origin`` is the file and the statement that the command was made from. The command's text may have fewer lines
        and renamed variables, but its tree has the same shape, so that lines can be translated node by node.
        """
        self._lines[filename] = source.split("\n")
        if origin is not None:
            self._origins[filename] = origin

    def home(self, code: types.CodeType) -> tuple[str, int]:
        """The file and first line of the function in the program, though a session's command may have compiled it."""
        self.definition(code)
        filename = self._names.get(code.co_filename, code.co_filename)
        return self._homes.get((code.co_filename, code), (filename, code.co_firstlineno))

    def call(self, filename: str, name: str) -> None:
        """Have functions of a file told by another name (``home``): a script's file is its piece."""
        self._names[filename] = name

    def is_own(self, filename: str) -> bool:
        """Return True if code of this file is the repository's or the session's."""
        return filename in self._lines or bool(self.own and filename.startswith(self.own))

    def lines(self, filename: str) -> list[str] | None:
        """The file's lines without line ends; None if it is foreign or can't be read as Python source."""
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

    def name_at(self, filename: str, line: int) -> str:
        """Return the name of the function that begins at a line of a file, with its decorators; empty without one."""
        lines = self.lines(filename) or []
        header = next(filter(None, map(_header.match, lines[line - 1 : line - 1 + MAX_DECORATOR_LINES])), None)
        return "" if header is None else header[1]

    def definition(self, code: types.CodeType) -> ast.FunctionDef | None:
        """The ``def`` that made this code object, with line numbers of its file; None where it is not found.

        A lambda or generator expression has a definition too, see ``syntax.nameless``.
        """
        key = code.co_filename, code  # the file too: two commands with the same text have equal code objects
        if key not in self._definitions:
            definition = self._find(code)
            if definition is not None and code.co_filename in self._origins:
                self._move_home(code, definition)
            elif definition is not None and definition.name.startswith("<") and code.co_filename.startswith("<command"):
                self._find_home(code, definition)
            self._definitions[key] = definition
        return self._definitions[key]

    def outermost(self, code: types.CodeType) -> ast.FunctionDef | None:
        """The definition of the outermost function around this code; None where it is not found."""
        key = code.co_filename, code
        if key not in self._outermost:
            lines = self.lines(code.co_filename)
            self._outermost[key] = None if lines is None else self._find_outermost(code, lines)
        return self._outermost[key]

    def _find_outermost(self, code: types.CodeType, lines: list[str]) -> ast.FunctionDef | None:
        """The definition, by parsing its own lines: from the header around this code that stands furthest left."""
        name = code.co_qualname.split(".<locals>")[0].rpartition(".")[2]
        first = indent = None
        within = len(lines[code.co_firstlineno - 1]) if 0 < code.co_firstlineno <= len(lines) else 0
        for number in range(min(code.co_firstlineno, len(lines)) - 1, -1, -1):
            line = lines[number].lstrip(" ")
            left = len(lines[number]) - len(line)
            if left < within and line and not line.startswith(("#", ")", "]", "}")):
                within = left
                if line.startswith(f"def {name}("):
                    first, indent = number, left
                if not left:
                    break
        if first is None or indent is None:
            return _around(self._tree(code.co_filename, lines).body, code.co_firstlineno)
        last = next(
            (
                n
                for n in range(first + 1, len(lines))
                if lines[n][: indent + 1].strip() and lines[n].lstrip()[0] not in "#)"
            ),
            len(lines),
        )
        source = "\n".join(lines[first:last])
        try:
            tree = ast.parse(f"if 1:\n{source}" if indent else source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return _around(self._tree(code.co_filename, lines).body, code.co_firstlineno)
        ast.increment_lineno(tree, first - bool(indent))
        return _around(tree.body, code.co_firstlineno, name) or _around(
            self._tree(code.co_filename, lines).body, code.co_firstlineno
        )

    def _move_home(self, code: types.CodeType, definition: ast.FunctionDef) -> None:
        """Give the definition's nodes the lines of the statement that its command was made from.

        The command's tree and the statement's have one shape. Walked side by side, they give for each line of the
        command the line of the program that it came from; the first node that begins at a line decides. Ends have lines
        of their own: a statement of many lines may be one line of the command.
        """
        filename, statement = self._origins[code.co_filename]
        emitted = ast.parse("\n".join(self._lines[code.co_filename])).body[0]
        # a code object begins at its first decorator, which the command may have left to commands of their own
        start = statement.lineno
        if isinstance(statement, ast.FunctionDef) and not getattr(emitted, "decorator_list", None):
            start = min(start, *(each.lineno for each in statement.decorator_list), start)
            statement = copy.copy(statement)
            statement.decorator_list = []
        line_at_home: dict[int, int] = {}
        end_at_home: dict[int, int] = {}
        for one, other in zip(walk(emitted), walk(statement), strict=False):
            if isinstance(one, (ast.stmt, ast.expr)) and isinstance(other, (ast.stmt, ast.expr)):
                line_at_home.setdefault(one.lineno, other.lineno)
                if one.end_lineno is not None and other.end_lineno is not None:
                    end_at_home.setdefault(one.end_lineno, other.end_lineno)
        first = line_at_home.get(code.co_firstlineno, code.co_firstlineno)
        if first == statement.lineno and code.co_name == getattr(emitted, "name", None):
            first = start
        self._homes[code.co_filename, code] = filename, first
        for node in walk(definition):
            if isinstance(node, (ast.stmt, ast.expr, ast.ExceptHandler, ast.pattern)):
                node.lineno = line_at_home.get(node.lineno, node.lineno)
                if node.end_lineno is not None:
                    node.end_lineno = end_at_home.get(node.end_lineno, node.end_lineno)

    def _find_home(self, code: types.CodeType, definition: ast.FunctionDef) -> None:
        """Look for a lambda or generator expression of a command in the program's pieces, by what it does."""
        from trace_mine.tracer.inside.syntax.nameless import lines_of_equal

        for filename in [name for name in self._lines if name.startswith("<piece")]:
            for line in lines_of_equal(self._tree(filename, self._lines[filename]), definition):
                self._homes.setdefault((code.co_filename, code), (self._names.get(filename, filename), line))

    def _find(self, code: types.CodeType) -> ast.FunctionDef | None:
        lines = self.lines(code.co_filename)
        # code that was made at run time (by ``exec``, a named tuple) may name any line of any file
        if lines is None or code.co_firstlineno < 1 or code.co_firstlineno > len(lines):
            return None
        if code.co_name.startswith("<"):
            # imported here: of runs without a driver few look for one
            from trace_mine.tracer.inside.syntax.nameless import definition_of

            return definition_of(self._tree(code.co_filename, lines), code)
        return self._in_own_lines(code, lines) or self._in_file(code, lines)

    def _in_own_lines(self, code: types.CodeType, lines: list[str]) -> ast.FunctionDef | None:
        """The definition, by parsing the function's own lines: a file of 2,000 lines takes 20 ms, its function 0.2 ms.

        None where the lines don't parse on their own (a string that has lines with less indentation).
        """
        first = code.co_firstlineno
        block = lines[first - 1 : _last_line(code)]
        indent = len(block[0]) - len(block[0].lstrip())
        source = "\n".join(block)
        if indent:
            source = "if 1:\n" + source  # an indented block needs a header
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
        ast.increment_lineno(tree, first - (2 if indent else 1))
        outer = tree.body[0]
        body = outer.body if indent and isinstance(outer, ast.If) else tree.body
        if len(body) != 1:
            return None
        definition = body[0]
        if not isinstance(definition, ast.FunctionDef) or definition.name != code.co_name:
            return None
        # code after a ``raise`` has no lines in the code object, and may bind a name all the same
        bound = {
            node.id for node in walk(definition) if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
        }
        lacking = {*code.co_varnames, *code.co_cellvars} - bound
        return None if lacking and not lacking <= set(_other_names(definition)) else definition

    def _tree(self, filename: str, lines: list[str]) -> ast.Module:
        """The file's tree, empty where it doesn't parse."""
        if filename not in self._trees:
            try:
                self._trees[filename] = ast.parse("\n".join(lines))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self._trees[filename] = ast.Module([], [])  # remembered, so that it is not parsed for each call
        return self._trees[filename]

    def _in_file(self, code: types.CodeType, lines: list[str]) -> ast.FunctionDef | None:
        """The definition, by parsing the whole file, once for all its functions."""
        for node in walk(self._tree(code.co_filename, lines)):
            if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
                # a code object begins at its first decorator, a tree's node at ``def``
                start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if start == code.co_firstlineno:
                    return node
        return None


def _around(body: Sequence[ast.stmt], line: int, name: str = "") -> ast.FunctionDef | None:
    """The outermost function among these statements, or in blocks and classes of them, that a line stands in; with
    ``name``, one of that name or none.
    """
    for node in body:
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
        if not first <= line <= (node.end_lineno or first):
            continue
        if isinstance(node, ast.FunctionDef):
            return node if name in ("", node.name) else None
        blocks = [getattr(node, field, ()) for field in ("body", "orelse", "finalbody", "handlers", "cases")]
        for inner in blocks:
            # a handler or a case is no statement, and has statements
            for each in [inner, *(getattr(part, "body", ()) for part in inner if not isinstance(part, ast.stmt))]:
                function = _around([part for part in each if isinstance(part, ast.stmt)], line)
                if function is not None:
                    return function
    return None


def ast_lines(raw: bytes) -> list[str]:
    """Source bytes as lines, decoded as Python does (BOM, PEP 263), numbered as the compiler numbers them.

    Raises:
        SyntaxError, UnicodeDecodeError, LookupError: the bytes don't decode in the encoding that they declare.
    """
    import tokenize  # few jobs read files, and it takes some milliseconds

    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    text = raw.decode(encoding)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    # not ``splitlines``: that also splits at form feeds and line separators, which the compiler does not count
    return text.split("\n")


def _other_names(definition: ast.FunctionDef) -> Iterator[str]:
    """The names that a definition binds otherwise than by a ``Name``: parameters, definitions, imports, handlers."""
    for node in walk(definition):
        for field in ("arg", "name", "asname", "rest"):
            name = getattr(node, field, None)
            if isinstance(name, str):
                yield name.split(".")[0]


def _last_line(code: types.CodeType) -> int:
    """The last line of a function, as far as its code and that of functions in it tells."""
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
    """The names that the pieces bind at the top level, sorted: the variables of the session."""
    from trace_mine.tracer.inside.syntax.names import bound_names

    names: set[str] = set()
    for piece in pieces:
        tree = read_tree(piece.source)
        if tree is not None:  # else the piece raises SyntaxError when it is run, which the session shows
            names |= bound_names(tree.body)
    return sorted(names)


def global_names(sources: Iterable[str]) -> set[str]:
    """The names that functions in these sources declare ``global``: any call of such a function may rebind them."""
    names: set[str] = set()
    for source in sources:
        if "global" not in source:
            continue
        tree = read_tree(source)
        if tree is not None:
            names.update(name for node in walk(tree) if isinstance(node, ast.Global) for name in node.names)
    return names
