"""Writes files and folders so that at any moment they exist in full or not at all.

A file is flushed to the disk before it gets its name, so that this holds after a power cut too. A folder is not: it is
meant for copies, which can be made again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def _is_leftover(name: str) -> bool:
    """Tell if ``replacing`` writes files of such a name: the file's own, the process's number, ``.tmp``."""
    own, _, number = name.removesuffix(".tmp").rpartition(".")
    return name.endswith(".tmp") and bool(own) and number.isascii() and number.isdigit()


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file's content.

    Raises:
        OSError: it could not be written; the old file is as it was, and nothing is left beside it.
    """
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A context with a new binary file, which replaces ``path`` when the block ends, or is removed if it raises."""
    # The process's number keeps two writers apart; ``clear_leftovers`` removes what a killed one leaves.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # The name is in the folder, and the folder has to reach the disk as well.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def clear_leftovers(folder: Path) -> None:
    """Delete the files that killed processes were writing in a folder, for a caller who keeps other writers away.

    Only regular files in the folder itself, by the names that ``replacing`` gives: whatever else stands there stays.
    """
    for entry in os.scandir(folder):
        if _is_leftover(entry.name) and entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A context with an empty folder, which becomes ``path`` when the block ends and is removed if the block raises.

    Raises:
        OSError: ``path`` is a file, or a folder that isn't empty, by the end of the block.
    """
    # A name of its own: who makes the same folder at the same time, on another machine even, keeps what it has. What a
    # killed process leaves goes with the folder above, which is one for such copies.
    partial = path.with_name(f"{path.name}.{secrets.token_hex(6)}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
