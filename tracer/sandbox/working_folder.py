"""A folder that each run finds in its scratch, as a copy of its own: what one run writes there, no other run sees.

The supervisor reads the folder once and sends it to init as one message; init lays it down before each run. It is laid
into a folder in which a hostile zygote could have written before: nothing is followed there, and nothing overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MAX_BYTES = 16 << 20
"""Of all files together: init holds them in its memory, twice while they arrive (``rlimits.INIT_BYTES``)."""
MAX_ENTRIES = 1_024
"""Files, folders and links: half of what a scratch may hold (``disk.MAX_FILES``), the other half is the run's."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingFolder:
    """Folders, files and links by their paths relative to the scratch, with ``/``.

    Attributes:
        folders: each after the one that it lies in.
        files: (path, mode, content).
        links: (path, what it points to).
        name: the folder's own, by which the jail may call it.

    Raises:
        ValueError: a path leads out of the folder, or there is more than MAX_BYTES or MAX_ENTRIES.
    """

    folders: tuple[str, ...] = ()
    files: tuple[tuple[str, int, bytes], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    name: str = "script"

    def __post_init__(self) -> None:
        paths = [*self.folders, *(path for path, _, _ in self.files), *(path for path, _ in self.links)]
        for path in paths:
            parts = path.split("/")
            if not all(parts) or not {".", ".."}.isdisjoint(parts) or "\0" in path:
                raise ValueError(f"expected plain relative paths in a WorkingFolder, got {path!r}")
        if re.fullmatch(r"[A-Za-z0-9][\w.-]{0,99}", self.name, re.ASCII) is None:
            raise ValueError(f"expected a plain word as WorkingFolder.name, got {self.name!r}; leave it out")
        if self.num_bytes > MAX_BYTES or len(paths) > MAX_ENTRIES:
            raise ValueError(
                f"expected a WorkingFolder of at most {MAX_BYTES} bytes and {MAX_ENTRIES} entries, got "
                f"{self.num_bytes} and {len(paths)}; leave something out"
            )

    @property
    def num_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(len(content) for _, _, content in self.files)

    def packed(self) -> tuple[dict[str, object], bytes]:
        """Return the record as a JSON object and the files' content one after the other."""
        files = [[path, mode, len(content)] for path, mode, content in self.files]
        index = {"folders": list(self.folders), "files": files, "links": [list(link) for link in self.links]}
        return index, b"".join(content for _, _, content in self.files)

    @classmethod
    def unpacked(cls, index: Mapping[str, object], payload: bytes) -> WorkingFolder:
        """Return the record that ``packed`` wrote. Raises ValueError, TypeError for anything else."""
        listed: list[tuple[str, int, bytes]] = []
        at = 0
        for path, mode, size in index["files"]:  # type: ignore[attr-defined]  # the supervisor is trusted
            listed.append((path, mode, payload[at : at + size]))
            at += size
        if at != len(payload):
            raise ValueError(f"expected {at} bytes of files, got {len(payload)}")
        return cls(
            folders=tuple(index["folders"]),  # type: ignore[arg-type]
            files=tuple(listed),
            links=tuple((path, target) for path, target in index["links"]),  # type: ignore[attr-defined]
        )

    def lay(self, scratch: str) -> None:
        """Make all of it in the folder ``scratch``. Raises OSError: something is there already, or is no folder."""
        base = os.open(scratch, _FOLDER)
        try:
            for path in self.folders:
                with opened_parent(base, path) as (parent, name):
                    os.mkdir(name, 0o755, dir_fd=parent)
            for path, mode, content in self.files:
                with opened_parent(base, path) as (parent, name):
                    _write(os.open(name, _NEW_FILE, mode & 0o777 | 0o600, dir_fd=parent), content)
            for path, target in self.links:
                with opened_parent(base, path) as (parent, name):
                    os.symlink(target, name, dir_fd=parent)
        finally:
            os.close(base)


@contextlib.contextmanager
def opened_parent(base: int, path: str) -> Iterator[tuple[int, str]]:
    """Open the folder of a path below ``base``, part by part without following a link; give it and the last part.

    Raises:
        OSError: a part is no folder, or is ``..``.
    """
    *folders, name = path.split("/")
    if ".." in folders:
        raise PermissionError(errno.EACCES, "leads out of the folder", path)
    fd = os.dup(base)
    try:
        for folder in folders:
            inner = os.open(folder, _FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd, name
    finally:
        os.close(fd)


def _write(fd: int, content: bytes) -> None:
    """Write a whole file, and close it. Raises OSError."""
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
    finally:
        os.close(fd)
