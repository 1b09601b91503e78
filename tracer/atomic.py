"""Writes files and folders so that at any moment they exist in full or not at all.

A file is flushed to the disk before it gets its name, so that this holds after a power cut too. A folder is not: it is
meant for copies, which can be made again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


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
    # The process's number keeps two writers apart; ``*.tmp`` is what a killed one leaves and the next one clears away.
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


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A context with an empty folder, which becomes ``path`` when the block ends and is removed if the block raises.

    Raises:
        OSError: ``path`` is a file, or a folder that isn't empty, by the end of the block.
    """
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        os.rename(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
