"""The files that a program writes in its working folder, as state outside namespaces.

All ways in which draws may fall run in one folder, and the session itself too. Each finds the files as they were where
it began. Until something is written, which the interpreter's audit events tell, nothing is looked at.

Only regular files and folders count, without their times and modes. In a folder with more than ``MOST_FILES``, or
``MOST_BYTES`` in them, files are left as they are.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable

MOST_FILES = 256
MOST_BYTES = 1 << 20

Written = tuple[tuple[str, bytes | None], ...]
"""Differences from the folder at the start: paths with the contents of a file, b"" for a folder, whose path ends with
a slash, and None for what is gone."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = frozenset(
    ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "sqlite3.connect")
)
# bound now: the program may replace them, and its own are not to be run
_scandir, _open, _close, _read, _write = os.scandir, os.open, os.close, os.read, os.write
_ftruncate, _remove, _rmdir, _mkdir = os.ftruncate, os.unlink, os.rmdir, os.mkdir


class Folder:
    """A working folder, watched.

    Attributes:
        first: its files when the first write was about to be done; None before that.
        is_lost: it has more than is followed.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._is_ours = False
        self.first: dict[str, bytes] | None = None
        self.is_lost = False

    def about_to_change(self) -> None:
        """Take note that the program is about to write. It is looked at once, the first time."""
        if self.first is None and not self._is_ours:
            self.first = self._files()
            if self.first is None:
                self.first, self.is_lost = {}, True

    def written(self) -> Written:
        """The files that the program has written so far."""
        if self.first is None or self.is_lost:
            return ()
        now = self._files()
        if now is None:
            self.is_lost = True
            return ()
        changed = [(path, content) for path, content in now.items() if self.first.get(path) != content]
        return tuple(sorted([*changed, *[(path, None) for path in self.first if path not in now]]))

    def put_back(self, written: Written) -> None:
        """Make the files those of ``written``."""
        if self.first is None or self.is_lost:
            return
        wanted: dict[str, bytes | None] = {**self.first, **dict(written)}
        now = self._files()
        if now is None:
            self.is_lost = True
            return
        self._is_ours = True
        try:
            # what lies deeper goes first, and comes last
            for path in sorted(now, reverse=True):
                if wanted.get(path) is None:
                    (_rmdir if path.endswith("/") else _remove)(os.path.join(self._root, path))
            for path, content in sorted(wanted.items()):
                if content is not None and now.get(path) != content:
                    self._make(path, content)
        except OSError:  # the program made a folder or a file that it may not change
            self.is_lost = True
        finally:
            self._is_ours = False

    def _make(self, path: str, content: bytes) -> None:
        whole = os.path.join(self._root, path)
        if path.endswith("/"):
            _mkdir(whole)
            return
        # in place: the program may have the file open
        descriptor = _open(whole, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            _ftruncate(descriptor, 0)
            while content:
                content = content[_write(descriptor, content) :]
        finally:
            _close(descriptor)

    def _files(self) -> dict[str, bytes] | None:
        """All files and folders below the root, by path; None where they are too many."""
        files: dict[str, bytes] = {}
        size = 0
        waiting = [""]
        self._is_ours = True
        try:
            while waiting:
                folder = waiting.pop()
                with _scandir(os.path.join(self._root, folder)) as entries:
                    for entry in entries:
                        path = folder + entry.name
                        info = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(info.st_mode):
                            files[path + "/"] = b""
                            waiting.append(path + "/")
                        elif stat.S_ISREG(info.st_mode):
                            size += info.st_size
                            if size > MOST_BYTES or len(files) >= MOST_FILES:
                                return None
                            files[path] = _content(os.path.join(self._root, path))
        except OSError:
            return None
        finally:
            self._is_ours = False
        return files


def _content(path: str) -> bytes:
    descriptor = _open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        parts = []
        while part := _read(descriptor, MOST_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        _close(descriptor)


_watched: list[Folder] = []


def watch(root: str) -> None:
    """Watch the working folder of this process, once."""
    if _watched:
        return
    folder = Folder(root)
    _watched.append(folder)

    # Its state is in default arguments: no name that it looks up can be replaced.
    def hook(
        event: str,
        arguments: tuple[object, ...],
        events: frozenset[str] = _EVENTS,
        writes: int = _WRITES,
        changes: Callable[[], None] = folder.about_to_change,
        size: Callable[[tuple[object, ...]], int] = len,
        kind: Callable[[object], type] = type,
        integer: type = int,
    ) -> None:
        if event == "open":
            flags = arguments[2] if size(arguments) == 3 else writes
            if kind(flags) is not integer or flags & writes:  # type: ignore[operator]
                changes()
        elif event in events:
            changes()

    sys.addaudithook(hook)


def written() -> Written:
    """The files that were written in the watched folder."""
    return _watched[0].written() if _watched else ()


def put_back(files: Written) -> None:
    """Make the watched folder's files those of ``written``."""
    if _watched:
        _watched[0].put_back(files)
