"""Notebooks (``.ipynb``, nbformat 3 and 4) as the pieces of one session: code cells in their order.

Of a cell the value of its last expression is displayed, as at a prompt, unless a semicolon stands behind it; its other
statements show what they print. IPython's own syntax is no Python: magics that only set up a screen or install packages
are left out and counted, ``%%time`` and its like are taken off, and all else makes the notebook one that is not run.

A notebook is hostile: its cells are parsed in a sandbox, and nothing of it is run here. ``notebooks`` sends this file's
text there, so it imports the standard library alone.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

SUFFIX = ".ipynb"
MAX_NOTEBOOK_BYTES = 16 << 20
"""Outputs stand in a notebook, images among them; its code is a small part."""

TIMED_CELLS = frozenset(("time", "capture", "prun"))
"""Cell magics that run the cell as it is, and lines that begin with one of them."""
OTHER_CELLS = frozenset(
    ("bash", "sh", "script", "html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG", "timeit", "perl")
)
"""Cell magics that leave nothing behind in Python: their cells are left out."""
LEFT_OUT_LINES = frozenset(
    ("matplotlib", "config", "load_ext", "reload_ext", "autoreload", "pip", "conda", "timeit", "who", "whos", "pwd")
)
"""Line magics that leave nothing behind in Python, which are left out."""

_magic = re.compile(r"([ \t]*+)%([A-Za-z_]\w*+)(.*+)")
_install = re.compile(r"!\s*+(?:\{sys\.executable\}\s++-m\s++)?+(?:python3?\s++-m\s++)?+(?:pip3?|conda|uv)\b")
_help = re.compile(r"(?:\?{1,2}[\w.]++|[\w.]++\?{1,2})\s*+")


class NotebookError(ValueError):
    """A file is no notebook of Python, or has a cell that no plain interpreter can run; the message says which."""


class CellPiece(NamedTuple):
    """A part of a cell: its source, its first line, and if it displays nothing (``jobs.Piece``)."""

    source: str
    line: int
    quiet: bool


class SplitCells(NamedTuple):
    """A notebook's cells, with the future imports that they ask for, and how many lines and cells were left out."""

    pieces: list[CellPiece]
    futures: list[str]
    num_left_out: int


def code_cells(data: bytes) -> list[str]:
    """The sources of a notebook's code cells, in their order.

    Raises:
        NotebookError: the bytes are no notebook, or one of another language.
        RecursionError: the JSON nests too deeply.
    """
    if len(data) > MAX_NOTEBOOK_BYTES:
        raise NotebookError(f"expected at most {MAX_NOTEBOOK_BYTES:,} bytes, got more; clear the notebook's outputs")
    try:
        notebook = json.loads(data)
    except ValueError as error:  # UnicodeDecodeError among them, and ints of thousands of digits
        raise NotebookError(f"expected JSON, got {str(error)[:200]}; save it as a notebook") from None
    if not isinstance(notebook, dict):
        raise NotebookError("expected a JSON object, got another value; save it as a notebook")
    metadata = notebook.get("metadata")
    for key, name in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(key) if isinstance(metadata, dict) else None
        language = part.get(name) if isinstance(part, dict) else None
        if isinstance(language, str) and not language.lower().startswith(("python", "ipython")):
            raise NotebookError(f"expected a notebook of Python, got one of {language[:40]!r}")
    return [*_cells(notebook)]


def _cells(notebook: dict[str, object]) -> Iterator[str]:
    lists: list[object] = [notebook.get("cells")]
    worksheets = notebook.get("worksheets")  # nbformat 3
    if isinstance(worksheets, list):
        lists += [sheet.get("cells") for sheet in worksheets if isinstance(sheet, dict)]
    if not any(isinstance(cells, list) for cells in lists):
        raise NotebookError("expected cells of nbformat 3 or 4, got none; save it as a notebook")
    for cells in lists:
        for cell in cells if isinstance(cells, list) else ():
            if not isinstance(cell, dict) or cell.get("cell_type") != "code":
                continue
            source = cell.get("source", cell.get("input", ""))
            lines = source if isinstance(source, list) else [source]
            texts = [line for line in lines if isinstance(line, str)]
            if len(texts) < len(lines):
                raise NotebookError("expected texts as the source of a cell, got others; save it as a notebook")
            text = "".join(texts)
            try:
                text.encode()
            except UnicodeEncodeError:
                raise NotebookError("expected text in the cells, got a lone surrogate") from None
            yield text.replace("\r\n", "\n").replace("\r", "\n")


def split_cells(cells: Sequence[str]) -> SplitCells:
    """Split a notebook's cells into pieces; lines are counted as if cells stood below each other.

    Raises:
        NotebookError: a cell is not what a plain interpreter can run, or none has code.
        RecursionError, MemoryError: a cell nests too deeply for the parser.

    Example:
        >>> [piece[::2] for piece in split_cells(["%matplotlib inline", "x = 1\\nx + 1", "x;"]).pieces]
        [('x = 1', True), ('x + 1', False), ('x;', True)]
    """
    pieces: list[CellPiece] = []
    futures: dict[str, None] = {}
    num_left_out = 0
    line = 1
    for number, cell in enumerate(cells, 1):
        text, left_out = _plain(cell, number)
        num_left_out += left_out
        tree = _parsed(text, number)
        pieces += _split(_without_futures(text, tree, futures), tree, line)
        line += cell.count("\n") + 1
    if not pieces:
        raise NotebookError("no cell has code that could be run")
    return SplitCells(pieces, [*futures], num_left_out)


def answer(cells: str) -> str:
    """The split of cells that are given as JSON, as JSON: a list, or a text that says why there is none."""
    try:
        return json.dumps(split_cells(json.loads(cells)))
    except NotebookError as error:
        return json.dumps(str(error))
    except (RecursionError, MemoryError) as error:
        return json.dumps(f"expected cells that the parser can follow, got {type(error).__name__}")


def _plain(cell: str, number: int) -> tuple[str, int]:
    """A cell without IPython's own lines, and how many were left out; lines keep their numbers."""
    if "get_ipython" in cell:
        raise NotebookError(f"cell {number} asks for IPython itself (get_ipython)")
    lines = cell.split("\n")
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        name = re.split(r"\W", lines[first][2:], maxsplit=1)[0]
        if name in OTHER_CELLS:
            return "\n" * (len(lines) - 1), 1
        if name not in TIMED_CELLS:
            raise NotebookError(f"cell {number} begins with %%{name[:40]}, which is no Python")
        lines[first] = ""
        text, num_left_out = _plain("\n".join(lines), number)
        return text, num_left_out + 1
    if not any(line.lstrip().startswith(("%", "!", "?")) or line.rstrip().endswith("?") for line in lines):
        return cell, 0
    if _parses(cell):  # a line of a string, or of a long remainder
        return cell, 0
    num_left_out = 0
    for index, line in enumerate(lines):
        plain = _plain_line(line, number)
        num_left_out += plain != line
        lines[index] = plain
    return "\n".join(lines), num_left_out


def _plain_line(line: str, number: int) -> str:
    stripped = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    nothing = f"{indent}pass" if indent else ""
    magic = _magic.fullmatch(line)
    if magic is not None and magic[2] in TIMED_CELLS:
        return magic[1] + magic[3].lstrip()
    if (magic is not None and magic[2] in LEFT_OUT_LINES) or _install.match(stripped) or _help.fullmatch(stripped):
        return nothing
    if stripped.startswith(("!", "%")):
        raise NotebookError(f"cell {number} has the line {stripped[:60]!r}, which is no Python")
    return line


def _parses(text: str) -> bool:
    try:
        _compiled(text)
    except SyntaxError:
        return False
    return True


def _parsed(text: str, number: int) -> ast.Module:
    try:
        return _compiled(text)
    except (SyntaxError, ValueError) as error:  # null bytes, before CPython 3.12; `await` at the top too
        raise NotebookError(f"cell {number} is no Python of a plain interpreter: {str(error)[:200]}") from None


def _compiled(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes are the author's business
        tree = ast.parse(text)
        # what parses may not compile: an ``await`` outside a function, a ``return``
        compile(tree, "<cell>", "exec", dont_inherit=True)
    return tree


def _without_futures(text: str, tree: ast.Module, futures: dict[str, None]) -> str:
    """The text with its future imports blanked, which are noted: they hold for all cells, in the silent code."""
    lines = text.split("\n")
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            futures[ast.unparse(node)] = None
            for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[line] = ""
    return "\n".join(lines)


def _split(text: str, tree: ast.Module, line: int) -> Iterator[CellPiece]:
    """The cell's statements that display nothing, as one piece, and its last expression, where that is displayed."""
    body = [node for node in tree.body if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")]
    if not body:
        return
    last = body[-1]
    lines = text.encode().split(b"\n")  # offsets of a tree count bytes
    end_line, end = last.end_lineno or last.lineno, last.end_col_offset or 0
    behind = lines[end_line - 1][end:].split(b"#")[0].strip()
    if not isinstance(last, ast.Expr) or behind.startswith(b";"):
        yield CellPiece(text, line, True)
        return
    at, column = last.lineno - 1, last.col_offset
    before = [*lines[:at], lines[at][:column].rstrip().removesuffix(b";")]
    if len(body) > 1:
        yield CellPiece(b"\n".join(before).decode().rstrip(), line, True)
    shown = [*lines[at : end_line - 1], lines[end_line - 1][:end]]
    shown[0] = shown[0][column:] if len(shown) > 1 else lines[at][column:end]
    yield CellPiece(b"\n".join(shown).decode(), line + at, False)
