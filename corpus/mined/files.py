"""The files of a repository and their text: a walk that follows nothing outside, and reads that never fail silently.

What can't be read is a ``FileProblem`` with a countable reason, never an exception: ``unreadable special_file
link_outside link_loop too_large binary null_bytes bad_encoding syntax_error too_deep``. Not covered: text files in
other encodings than UTF-8, and Python newer than the interpreter that runs this (its files are ``syntax_error``).
"""

from __future__ import annotations

import ast
import io
import os
import stat
import tokenize
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PYTHON_SUFFIXES = (".py",)
TEXT_SUFFIXES = (".rst", ".md", ".txt")

MAX_FILE_BYTES = 2 << 20
"""Larger sources are generated tables: the largest hand-written module of the standard library has 0.25 MB."""

MAX_FILES = 100_000

SKIPPED_FOLDERS = frozenset(("__pycache__", "node_modules", "site-packages", "__pypackages__"))
LEDGER_FOLDER = ".ledger"
"""A folder that holds one of these is a dataset of ours; it is never mined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileProblem:
    """A file that was not searched, and why."""

    path: str
    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """A decoded file. ``text`` has ``\\n`` line ends; ``tree`` is None for text files."""

    path: str
    text: str
    tree: ast.Module | None
    hash: str


def walk(root: Path) -> Iterator[str | FileProblem]:
    """Paths of the Python and text files below ``root``, relative with ``/``, sorted; a FileProblem for each that
    is left out.

    Hidden folders, virtual environments and datasets are skipped; links to folders are not followed, so loops can't
    be entered.
    """
    num_files = 0
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield FileProblem(path=folder or ".", reason="unreadable", evidence=_reason_of(error))
            continue
        subfolders = []
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if not _skipped(root / path, entry.name):
                    subfolders.append(path)
            elif entry.name.endswith(PYTHON_SUFFIXES + TEXT_SUFFIXES):
                num_files += 1
                if num_files > MAX_FILES:
                    yield FileProblem(
                        path=path, reason="too_many_files", evidence=f"more than {MAX_FILES}; give smaller folders"
                    )
                    return
                problem = _link_problem(root, path) if entry.is_symlink() else None
                yield problem or path
        pending.extend(reversed(subfolders))


def read(root: Path, path: str) -> SourceText | FileProblem:
    """The text of ``root/path``, parsed when it is Python."""
    data = read_bytes(root, path)
    if isinstance(data, FileProblem):
        return data
    return decode(path, data)


def read_bytes(root: Path, path: str) -> bytes | FileProblem:
    """The bytes of a regular file of at most MAX_FILE_BYTES. A pipe or a device is never waited for."""
    try:
        descriptor = os.open(root / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return FileProblem(path=path, reason="unreadable", evidence=_reason_of(error))
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return FileProblem(path=path, reason="special_file", evidence=stat.filemode(status.st_mode))
        if status.st_size > MAX_FILE_BYTES:
            return FileProblem(
                path=path, reason="too_large", evidence=f"{status.st_size} bytes, limit {MAX_FILE_BYTES}"
            )
        try:
            return file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            return FileProblem(path=path, reason="unreadable", evidence=_reason_of(error))


def decode(path: str, data: bytes) -> SourceText | FileProblem:
    """Decodes as Python would (byte-order mark, PEP 263 cookie, else UTF-8) and parses; text files are UTF-8."""
    from hashlib import sha256

    is_python = path.endswith(PYTHON_SUFFIXES)
    if b"\0" in data:
        reason = "null_bytes" if is_python else "binary"
        return FileProblem(path=path, reason=reason, evidence=f"first at byte {data.index(0)}")
    encoding = "utf-8-sig"
    try:
        if is_python:
            encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        text = data.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError) as error:
        return FileProblem(path=path, reason="bad_encoding", evidence=f"{type(error).__name__}: {error}"[:300])
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    tree = None
    if is_python:
        parsed = parse(text)
        if isinstance(parsed, str):
            reason, _, evidence = parsed.partition(": ")
            return FileProblem(path=path, reason=reason, evidence=evidence)
        tree = parsed
    return SourceText(path=path, text=text, tree=tree, hash=sha256(data).hexdigest())


def parse(text: str) -> ast.Module | str:
    """The syntax tree, or ``reason: evidence``. Source that nests too deeply raises RecursionError or MemoryError
    in the parser.
    """
    parser: Callable[..., ast.Module] = ast.parse
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes and `is` with literals are the author's business
            return parser(text)
    except SyntaxError as error:
        return f"syntax_error: line {error.lineno}: {error.msg}"
    except (RecursionError, MemoryError) as error:
        return f"too_deep: {type(error).__name__}"
    except (ValueError, OverflowError) as error:
        return f"syntax_error: {type(error).__name__}: {error}"


def _skipped(folder: Path, name: str) -> bool:
    return (
        name.startswith(".")
        or name in SKIPPED_FOLDERS
        or name.endswith((".egg-info", ".dist-info"))
        or (folder / "pyvenv.cfg").exists()
        or (folder / LEDGER_FOLDER).exists()
    )


def _link_problem(root: Path, path: str) -> FileProblem | None:
    """None when the link leads to a file of the same repository."""
    try:
        target = (root / path).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop, before Python 3.13
        loop = isinstance(error, RuntimeError) or getattr(error, "errno", None) == 40
        return FileProblem(path=path, reason="link_loop" if loop else "unreadable", evidence=_reason_of(error))
    if not target.is_relative_to(root.resolve()):
        return FileProblem(path=path, reason="link_outside", evidence="a symbolic link that leaves the repository")
    return None


def _reason_of(error: BaseException) -> str:
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
