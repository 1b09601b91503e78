"""A script's own folder, read once, within bounds, for copies of it to be the working folders of its runs.

Whose folder it is nobody knows: nothing in it is followed, waited for or run. What has no place in the copy is named.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trace_mine.tracer.sandbox.working_folder import MAX_BYTES, MAX_ENTRIES, WorkingFolder, opened_parent

MAX_LISTED = 20_000
"""Entries of folders that are looked at."""
SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist"})
"""Folders that a program makes or installs; with them all whose name begins with a dot, and virtual environments."""

MARKERS = frozenset({"pyvenv.cfg", ".ledger"})
"""What a folder holds that is a virtual environment or a dataset of ours, and so no part of a copy."""

MAX_NAMED = 20
"""So many of what is left out are named; all are counted."""
TOO_MANY = f"the copy holds {MAX_ENTRIES:,} files and folders"

_plain = re.compile(r"[A-Za-z0-9][\w.-]{0,99}", re.ASCII)
_word = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderCopy:
    """A folder's content, and what of it was left out: (relative path, why) pairs, of which not all may be listed.

    Raises:
        ValueError: more is said to be left out than is counted.
    """

    content: WorkingFolder
    left_out: tuple[tuple[str, str], ...] = ()
    num_left_out: int = 0

    def __post_init__(self) -> None:
        if len(self.left_out) > self.num_left_out:
            raise ValueError(f"expected a count of at least {len(self.left_out)}, got {self.num_left_out}")


def is_skipped(name: str) -> bool:
    """Return True if a folder of this name is no part of a copy."""
    return name in SKIPPED or name.startswith(".")


def copy_of(folder: Path, *, below: str = "", mentioned: str = "") -> FolderCopy:
    """Read a folder: files whose names stand in ``mentioned``, a program's text, come first, then those nearer the top.

    Left out are links that lead out of it, what is no file, what can't be read, and what does not fit
    (``MAX_BYTES``, ``MAX_ENTRIES``). Folders of ``SKIPPED``, and those whose name begins with a dot, are no part of it.

    Args:
        folder: the folder, whose own path may lead over links.
        below: a folder in it, to be read in its place; nothing on the way there is followed.
        mentioned: a text.

    Raises:
        OSError: the folder can't be opened.
    """
    outer = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with opened_parent(outer, f"{below}/." if below else ".") as (opened, _):
            base = os.dup(opened)
    finally:
        os.close(outer)
    try:
        copying = _Copying(base)
        name = below.rpartition("/")[2] or folder.name
        words = set(_word.findall(mentioned))
        # sorted is stable: within each group the order is the walk's
        for path in sorted(copying.walk(), key=lambda path: path.rpartition("/")[2] not in words):
            copying.take(path)
    finally:
        os.close(base)
    return FolderCopy(
        content=WorkingFolder(
            folders=tuple(copying.folders),
            files=tuple(copying.files),
            links=tuple(copying.links),
            name=name if _plain.fullmatch(name) else "script",
        ),
        left_out=tuple(copying.left_out),
        num_left_out=copying.num_left_out,
    )


class _Copying:
    """What was read so far of the folder that is open as ``base``."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._bytes_left = MAX_BYTES
        self.folders: list[str] = []
        self.files: list[tuple[str, int, bytes]] = []
        self.links: list[tuple[str, str]] = []
        self.left_out: list[tuple[str, str]] = []
        self.num_left_out = 0

    def walk(self) -> Iterator[str]:
        """Give the paths of all that is no folder, those nearer the top first, and make the folders."""
        waiting, listed = deque([""]), 0
        while waiting:
            folder = waiting.popleft()
            try:
                entries = self._list(folder, MAX_LISTED - listed)
            except OSError as error:
                self._leave_out(folder, _why(error))
                continue
            listed += len(entries)
            if folder and MARKERS.isdisjoint(name for name, _ in entries):
                if self._is_full():
                    self._leave_out(folder, TOO_MANY)
                    continue
                self.folders.append(folder)
            elif folder:
                continue
            for name, is_folder in entries:
                path = f"{folder}/{name}" if folder else name
                if not is_folder:
                    yield path
                elif not is_skipped(name):
                    waiting.append(path)
            if listed >= MAX_LISTED:
                self._leave_out(folder or ".", f"has more than {MAX_LISTED:,} entries")
                return

    def take(self, path: str) -> None:
        """Take a file or a link, or note why not."""
        try:
            with opened_parent(self._base, path) as (parent, name):
                self._take(path, parent, name)
        except OSError as error:
            self._leave_out(path, _why(error))

    def _take(self, path: str, parent: int, name: str) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if self._is_full():
            self._leave_out(path, TOO_MANY)
        elif stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=parent)
            place = os.path.normpath(os.path.join(os.path.dirname(path), target))
            if target.startswith("/") or place == ".." or place.startswith("../"):
                self._leave_out(path, "a link that leads out of the folder")
            else:
                self.links.append((path, target))
        elif not stat.S_ISREG(status.st_mode):
            self._leave_out(path, "no regular file")
        elif status.st_size > self._bytes_left:
            self._leave_out(path, f"all files together may have {MAX_BYTES >> 20} MiB")
        else:
            # what is a pipe by now is not waited for
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            with open(fd, "rb") as file:
                content = file.read(status.st_size) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
            self._bytes_left -= len(content)
            self.files.append((path, stat.S_IMODE(status.st_mode), content))

    def _list(self, folder: str, most: int) -> list[tuple[str, bool]]:
        """The names in a folder, each with whether it is a folder too. Raises OSError."""
        path = f"{folder}/." if folder else "."
        with opened_parent(self._base, path) as (opened, _), os.scandir(opened) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(entries, most)]
        # names that are no UTF-8, or hold a line end, could not be told to anybody
        return sorted(entry for entry in names if entry[0].isprintable())

    def _is_full(self) -> bool:
        return len(self.folders) + len(self.files) + len(self.links) >= MAX_ENTRIES

    def _leave_out(self, path: str, why: str) -> None:
        self.num_left_out += 1
        if len(self.left_out) < MAX_NAMED:
            self.left_out.append((path, why))


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
