"""Files of the user's own that are kept between commands, so that what they hold is not worked out anew each time.

A file is believed where it and its folder are the user's own and nobody else may write to them: whoever can then change
it can change what the user runs anyway.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

MAX_FACTS = 32
"""Files of facts that are kept, the newest; each has some 10 KB."""

T = TypeVar("T")
_Stamp = tuple[str, int, int, int]
"""A file or folder as it was: its path, number, time in ns and size; zeros where there is none."""


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


def read_private(place: Path) -> bytes | None:
    """Return the bytes of a kept file; None where it is not private. Raises OSError where there is none."""
    fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        return file.read() if _is_private(os.fstat(fd), stat.S_ISREG) else None


def write_private(place: Path, content: bytes, kind: str, most: int) -> None:
    """Keep a file, and of its ``kind`` (how names begin) the ``most`` newest beside it; does nothing where it can't."""
    # not ``tracer.atomic``, which waits for the disk: a file that is lost is made again
    temporary = place.with_name(f"{place.name}.{os.getpid()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
        os.replace(temporary, place)
        others = [path for path in place.parent.glob(f"{kind}-*") if path != place]
        for path in sorted(others, key=lambda path: path.lstat().st_mtime_ns)[:-most]:
            path.unlink()
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def kept_fact(name: str, about: tuple[str, ...], depends_on: tuple[str, ...], make: Callable[[], T]) -> T:
    """Return what ``make`` gives, or what it gave before for the same question and unchanged files.

    Args:
        name: of the question.
        about: what the question is about; with ``name`` it tells one kept fact from the others.
        depends_on: the files and folders that the answer hangs on: by their number, time and size they have changed.
        make: gives the answer, of built-in types alone. What it raises is raised, and nothing is kept.
    """
    folder = cache_folder()
    if folder is None:
        return make()
    stamps = [_stamp(path) for path in depends_on]
    key = [name, sys.version, list(about), [list(stamp) for stamp in stamps]]
    digest = hashlib.sha256(repr(key[:3]).encode("utf-8", "backslashreplace")).hexdigest()[:24]
    place = folder / f"fact-{digest}"
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError):  # none there, damaged, or of another form
        kept_key, answer = marshal.loads(read_private(place) or b"")
        if kept_key == key:
            kept: T = answer
            return kept
    answer = make()
    content = marshal.dumps((key, answer))  # type: ignore[arg-type]  # typeshed lists the types, a variable names none
    write_private(place, content, "fact", MAX_FACTS)
    return answer


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except OSError:
        return path, 0, 0, 0
    return path, status.st_ino, status.st_mtime_ns, status.st_size


def _is_private(status: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    """Return True if it is of this kind, and nobody but this user may write to it."""
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not others_write
