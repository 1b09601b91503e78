"""The marshalled bundle in a private file of the user's, so that not every command compiles it again.

It is believed where the folder and the file are the user's own and nobody else may write to them: whoever can then
change it can change what the user runs anyway. It holds for as long as the files that it was made of have the times and
sizes that they had, and no module was added.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import stat
import sys
from collections.abc import Callable, Iterable
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER
from pathlib import Path

MAX_KEPT = 4
"""Files of other installations and interpreters that are kept, the newest; each has 2.6 MB."""

_CacheKey = tuple[bytes, tuple[tuple[str, int, int], ...], tuple[str, ...]]
"""The bytecode's version; each module's name, time in ns and size; the names of the files in the folder that travels as
a whole."""


def cache_folder() -> Path | None:
    """Return the user's folder for such files, made where it is not there; None where none can be had that is private.

    It is ``trace-mine`` in ``$XDG_CACHE_HOME``, or in ``~/.cache``.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not os.path.isabs(base):  # no home, or a variable that the standard says is to be left out
        return None
    folder = Path(base) / "trace-mine"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _is_private(os.lstat(folder), stat.S_ISDIR) else None
    except OSError:
        return None


def read_cached(root: Traversable, folder: Path | None) -> bytes | None:
    """Return the bundle that was kept; None where there is none for these files and this interpreter.

    Args:
        root: the package's folder.
        folder: where it is kept (``cache_folder``).
    """
    if folder is None:
        return None
    try:
        fd = os.open(_place(root, folder), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not _is_private(os.fstat(fd), stat.S_ISREG):
                return None
            key, data = marshal.loads(file.read())
        names = [name for name, _, _ in key[1]]
        is_same = key == _key(Path(str(root)), names)
    except (OSError, ValueError, EOFError, TypeError, IndexError):  # none there, damaged, or of another version's form
        return None
    return data if is_same and isinstance(data, bytes) else None


def write_cached(root: Traversable, folder: Path | None, names: Iterable[str], data: bytes) -> None:
    """Keep the bundle that was made of the modules ``names``; where that can't be done, it is compiled each time."""
    if folder is None:
        return
    place = _place(root, folder)
    # not ``tracer.atomic``, which waits for the disk: a file that is lost is made again
    temporary = place.with_name(f"{place.name}.{os.getpid()}.tmp")
    try:
        content = marshal.dumps((_key(Path(str(root)), list(names)), data))
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
        os.replace(temporary, place)
        others = [path for path in folder.glob("bundle-*") if path != place]
        for path in sorted(others, key=lambda path: path.lstat().st_mtime_ns)[:-MAX_KEPT]:
            path.unlink()
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Return True if it is of this kind, and nobody but this user may write to it."""
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not others_write


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
