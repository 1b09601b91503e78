"""The files of a repository and their text: a walk that follows no link to a folder, and reads that never raise.

A file that can't be read or parsed gives a ``Drop`` with one of the reasons of ``Stage.FILE``, never an exception: a
repository is somebody else's, and one bad file in it must not cost the others. ``discovery`` counts these drops.
Every file of a repository is read by ``read_bytes``: a regular file, within the repository, of bounded size.

Not covered: text files in other encodings than UTF-8, and Python newer than the interpreter that runs this module (its
files are ``syntax_error``).
"""

from __future__ import annotations

import ast
import codecs
import errno
import hashlib
import io
import os
import stat
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trace_mine.tracer.inside.reasons import Reason
from trace_mine.tracer.notebook_cells import MAX_NOTEBOOK_BYTES, SUFFIX, NotebookError, code_cells
from trace_mine.tracer.schema import Drop

PYTHON_SUFFIXES = (".py",)
TEXT_SUFFIXES = (".rst", ".md", ".txt")
NOTEBOOK_SUFFIXES = (SUFFIX,)

MAX_FILE_BYTES = 2 << 20
"""Larger sources are generated tables: the largest hand-written module of the standard library has 0.25 MB."""

MAX_FILES = 100_000
"""Python and text files of one repository; the sdist of torch has 40,000 files of all kinds."""

MAX_ENTRIES = 1_000_000
"""Files, folders and links of all kinds that a walk looks at, for which it needs some 300 MB in one folder."""

SLOW_CODECS = frozenset(("idna", "punycode"))
"""Python's own codecs whose time to decode grows with the square of the length; no source is written in them."""

SKIPPED_FOLDERS = frozenset(("__pycache__", "node_modules", "site-packages", "__pypackages__"))
LEDGER_FOLDER = ".ledger"
"""A folder that holds one of these is a dataset of ours; it is never mined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A path that a walk came to, relative to the repository's root with ``/``.

    Attributes:
        path: a file to read or, with a ``drop``, a file or folder that can't be.
        drop: why it is not to be read; None for a file that ``read`` may be tried on.
    """

    path: str
    drop: Drop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """A decoded file.

    Attributes:
        path: relative to the repository's root, with ``/``.
        text: with ``\\n`` line ends, whatever the file has.
        tree: the syntax tree of a Python file; None for a text file or a notebook.
        hash: SHA-256 of the file's bytes, in hexadecimal.
        cells: the code cells of a notebook, whose text they are; None for all other files.
    """

    path: str
    text: str
    tree: ast.Module | None
    hash: str
    cells: tuple[str, ...] | None = None


def walk(
    root: Path, suffixes: tuple[str, ...] = PYTHON_SUFFIXES + TEXT_SUFFIXES + NOTEBOOK_SUFFIXES
) -> Iterator[FoundFile]:
    """List the Python and text files below ``root``, in an order that depends on their names alone.

    Hidden folders, virtual environments and datasets are skipped. Links to folders are not followed, so no loop can be
    entered; a link to a file is followed when it stays in the repository.
    """
    num_files = 0
    num_left = MAX_ENTRIES
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            # By bytes: names need not be UTF-8, and the order of lone surrogates would hang on the locale.
            with os.scandir(root / folder) as unsorted:
                entries = sorted(islice(unsorted, num_left + 1), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield FoundFile(path=folder or ".", drop=_unreadable(error))
            continue
        num_left -= len(entries)
        if num_left < 0:
            evidence = f"more than {MAX_ENTRIES} files and folders of all kinds; give smaller folders"
            yield FoundFile(path=folder or ".", drop=Drop(reason=Reason.TOO_MANY_FILES, evidence=evidence))
            return
        subfolders = []
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not _is_skipped(root / path, entry.name):
                    subfolders.append(path)
            elif entry.name.endswith(suffixes):
                num_files += 1
                if num_files > MAX_FILES:
                    evidence = f"more than {MAX_FILES}; give smaller folders"
                    yield FoundFile(path=path, drop=Drop(reason=Reason.TOO_MANY_FILES, evidence=evidence))
                    return
                yield FoundFile(path=path, drop=_link_problem(root, path) if entry.is_symlink() else None)
        # Reversed, since the last of a stack comes first: folders are entered in the order of their names.
        pending.extend(reversed(subfolders))


def read(root: Path, path: str) -> SourceText | Drop:
    """The text of ``root/path``, parsed when it is Python."""
    data = read_bytes(root, path, MAX_NOTEBOOK_BYTES if path.endswith(NOTEBOOK_SUFFIXES) else MAX_FILE_BYTES)
    return data if isinstance(data, Drop) else decode(path, data)


def read_bytes(root: Path, path: str, max_bytes: int = MAX_FILE_BYTES) -> bytes | Drop:
    """The bytes of a regular file within ``root``, of at most ``max_bytes``.

    A pipe or a device is refused and never waited for. So is what a link leads to outside of the root, whichever part
    of the path is the link.
    """
    problem = _link_problem(root, path)
    if problem is not None:
        return problem
    try:
        # O_NONBLOCK: to open a named pipe that nobody writes to would block for ever. The kind of file is asked of the
        # descriptor, not of the path, which could lead to another file by then.
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return _unreadable(error)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Drop(reason=Reason.SPECIAL_FILE, evidence=stat.filemode(status.st_mode))
        if status.st_size > max_bytes:
            return Drop(reason=Reason.TOO_LARGE, evidence=f"{status.st_size} bytes, limit {max_bytes}")
        try:
            return file.read(max_bytes)  # files that grow meanwhile, and those of /proc, are cut
        except OSError as error:
            return _unreadable(error)


def decode(path: str, data: bytes) -> SourceText | Drop:
    """Decode a file as Python would (byte-order mark, PEP 263 cookie, else UTF-8) and parse it; text files are UTF-8.

    The suffix of ``path`` says which of the two the file is.
    """
    if path.endswith(NOTEBOOK_SUFFIXES):
        return _notebook(path, data)
    is_python = path.endswith(PYTHON_SUFFIXES)
    if b"\0" in data:
        # CPython's parser accepts no null byte either, but its error differs from version to version.
        reason = Reason.NULL_BYTES if is_python else Reason.BINARY
        return Drop(reason=reason, evidence=f"first at byte {data.index(0)}")
    encoding = "utf-8-sig"
    try:
        if is_python:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
            if codecs.lookup(encoding).name in SLOW_CODECS:
                return Drop(reason=Reason.BAD_ENCODING, evidence=f"{encoding} is no encoding of source")
        text = data.decode(encoding)
    except (SyntaxError, ValueError, LookupError) as error:
        # LookupError: a codec that does not exist, or that is none of text, as in `# coding: rot13`. ValueError: all
        # that codecs raise over bytes, UnicodeError among them.
        return Drop(reason=Reason.BAD_ENCODING, evidence=f"{type(error).__name__}: {error}"[:300])
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tree = None
    if is_python:
        parsed = parse(text)
        if isinstance(parsed, Drop):
            return parsed
        tree = parsed
    return SourceText(path=path, text=text, tree=tree, hash=hashlib.sha256(data).hexdigest())


def _notebook(path: str, data: bytes) -> SourceText | Drop:
    try:
        cells = tuple(code_cells(data))
    except NotebookError as error:
        return Drop(reason=Reason.BAD_NOTEBOOK, evidence=str(error)[:300])
    return SourceText(path=path, text="\n".join(cells), tree=None, hash=hashlib.sha256(data).hexdigest(), cells=cells)


def parse(text: str) -> ast.Module | Drop:
    """The syntax tree of a module's source, or why it has none."""
    parser: Callable[..., ast.Module] = ast.parse
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and `is` with literals are the author's business
            return parser(text)
    except SyntaxError as error:
        return Drop(reason=Reason.SYNTAX_ERROR, evidence=f"line {error.lineno}: {error.msg}")
    except (RecursionError, MemoryError) as error:
        # CPython's parser says so of source that nests too deeply: MemoryError is its own stack, not the machine's.
        return Drop(reason=Reason.TOO_DEEP, evidence=type(error).__name__)
    except (ValueError, OverflowError) as error:
        # a null byte before CPython 3.12 (setup.py comes here without decode's check), a lone surrogate
        return Drop(reason=Reason.SYNTAX_ERROR, evidence=f"{type(error).__name__}: {error}")


def _is_skipped(folder: Path, name: str) -> bool:
    return (
        name.startswith(".")
        or name in SKIPPED_FOLDERS
        or name.endswith((".egg-info", ".dist-info"))
        # by `os.path`, which calls a folder that may not be searched empty; `Path.exists` would raise
        or os.path.exists(folder / "pyvenv.cfg")
        or os.path.exists(folder / LEDGER_FOLDER)
    )


def _link_problem(root: Path, path: str) -> Drop | None:
    """The drop of a path with a symbolic link that is not followed; None where it leads to a file of the repository.

    What a link outside leads to is not the repository's, and the sandbox, which is shown the repository alone, would
    not have it.
    """
    try:
        target = (root / path).resolve(strict=True)
    except RuntimeError as error:  # a loop, before Python 3.13, which raises OSError with ELOOP
        return Drop(reason=Reason.LINK_LOOP, evidence=type(error).__name__)
    except ValueError:  # a null character
        return Drop(reason=Reason.UNREADABLE, evidence="no path")
    except OSError as error:
        problem = _unreadable(error)
        return Drop(reason=Reason.LINK_LOOP, evidence=problem.evidence) if error.errno == errno.ELOOP else problem
    if not target.is_relative_to(root.resolve()):
        return Drop(reason=Reason.LINK_OUTSIDE, evidence="a symbolic link that leaves the repository")
    return None


def _unreadable(error: OSError) -> Drop:
    """The drop of a file that the system would not open or read, without the path that ``str(error)`` shows."""
    return Drop(reason=Reason.UNREADABLE, evidence=os.strerror(error.errno) if error.errno else type(error).__name__)
