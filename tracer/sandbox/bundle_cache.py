"""The marshalled bundle in a file of the user's (``private_files``), so that not every command compiles it again.

It holds for as long as the files that it was made of have the times and sizes that they had, and no module was added.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import sys
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from trace_mine.tracer.sandbox.private_files import read_private, write_private

MAX_KEPT = 4
"""Files of other installations and interpreters that are kept, the newest; each has 2.6 MB."""

_CacheKey = tuple[bytes, tuple[tuple[str, int, int], ...], tuple[str, ...]]
"""The bytecode's version; each module's name, time in ns and size; the names of the files in the folder that travels as
a whole."""


def read_cached(root: Traversable, folder: Path | None) -> bytes | None:
    """Return the bundle that was kept; None where there is none for these files and this interpreter.

    Args:
        root: the package's folder.
        folder: where it is kept (``cache_folder``).
    """
    if folder is None:
        return None
    try:
        key, data = marshal.loads(read_private(_place(root, folder)) or b"")
        names = [name for name, _, _ in key[1]]
        is_same = key == _key(Path(str(root)), names)
    except (OSError, ValueError, EOFError, TypeError, IndexError):  # none there, damaged, or of another version's form
        return None
    return data if is_same and isinstance(data, bytes) else None


def write_cached(root: Traversable, folder: Path | None, names: Iterable[str], data: bytes) -> None:
    """Keep the bundle that was made of the modules ``names``; where that can't be done, it is compiled each time."""
    if folder is None:
        return
    try:
        key = _key(Path(str(root)), list(names))
    except OSError:
        return
    write_private(_place(root, folder), marshal.dumps((key, data)), "bundle", MAX_KEPT)


def _place(root: Traversable, folder: Path) -> Path:
    """The file of one installation and one interpreter."""
    digest = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return folder / f"bundle-{sys.implementation.cache_tag}-{digest}"


def _key(root: Path, names: Iterable[str]) -> _CacheKey:
    """What must not have changed. Raises OSError where a module is gone."""
    modules = []
    for name in sorted(names):
        status = os.stat(f"{root}/{'/'.join(name.split('.')[1:])}.py")
        modules.append((name, status.st_mtime_ns, status.st_size))
    inside = root / "tracer" / "inside"
    listed = [f"{folder}/{file}" for folder, _, files in os.walk(inside) for file in files if file.endswith(".py")]
    return MAGIC_NUMBER, tuple(modules), tuple(sorted(listed))
