"""Makes the scratch of each run, the only place where it may write. Runs inside, in init.

Level 3: a fresh tmpfs for each run, limited in bytes and files, discarded by the kernel. Below: a private folder that
is emptied between runs and measured every 50 ms.
"""

from __future__ import annotations

import os
import stat

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.disk import MAX_FILES, exceeds
from trace_mine.tracer.sandbox.kernel import NO_DEVICES, NO_EXEC, NO_SETUID, REMOUNT, mount, unmount

DISK_POLL_SECONDS = 0.05
"""How often a folder is measured at level 2, where no file system limits it."""


class MountedScratch:
    """A fresh tmpfs at ``path`` for each run. A process that still holds the old one shares it with no later run."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._mounted = False

    def renew(self, disk_bytes: int) -> None:
        """Mount an empty file system of at most ``disk_bytes``. Raises OSError."""
        self.discard()  # else each run would leave a mount below the next one's
        options = f"size={disk_bytes},nr_inodes={MAX_FILES},mode=700"
        mount("tmpfs", self.path, "tmpfs", NO_SETUID | NO_DEVICES | NO_EXEC, options)
        self._mounted = True

    def resize(self, disk_bytes: int) -> None:
        """Give the scratch that is mounted another limit. Raises OSError.

        Not a new file system: the next runner is waiting in this one, and its Landlock rule names it.
        """
        mount("tmpfs", self.path, "tmpfs", REMOUNT | NO_SETUID | NO_DEVICES | NO_EXEC, f"size={disk_bytes}")

    def discard(self) -> None:
        """Unmount the scratch where it is mounted. Raises OSError."""
        if self._mounted:
            unmount(self.path)
            self._mounted = False

    def belongs_to(self, leader: int | None, limits: Limits, sockets: frozenset[int] = frozenset()) -> None:
        """Do nothing: the kernel knows what the file system holds, whoever holds it."""

    def over(self, disk_bytes: int) -> bool:
        """Return False: the kernel enforces the limit, so a write beyond it fails."""
        return False


class FolderScratch:
    """The folder ``path`` of the host, private to this jail and emptied for each run.

    No file system limits it, so init measures it every DISK_POLL_SECONDS (see ``disk``): for so long a run can pass its
    limit.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._leader: int | None = None
        self._limits = Limits()
        self._sockets: frozenset[int] = frozenset()

    def renew(self, disk_bytes: int) -> None:
        """Empty the folder. Raises OSError."""
        empty_folder(self.path)

    def resize(self, disk_bytes: int) -> None:
        """Do nothing: each measurement is told the limit (see ``over``)."""

    def belongs_to(self, leader: int | None, limits: Limits, sockets: frozenset[int] = frozenset()) -> None:
        """Say who writes here from now on, and which sockets inside have an end in init; see ``disk.exceeds``."""
        self._leader, self._limits, self._sockets = leader, limits, sockets

    def over(self, disk_bytes: int) -> bool:
        """Return True if more than ``disk_bytes``, too many files or too deep folders are held."""
        return exceeds(self.path, disk_bytes, self._limits.file_bytes, self._leader, self._sockets)


def empty_folder(path: str) -> None:
    """Delete everything below ``path`` without recursion and without following links.

    Deep trees kill a recursive walk (``shutil.rmtree`` dies at about 1,500 levels) and outgrow PATH_MAX. So each folder
    at the top loses its files, its own folders are moved up beside it, and it is removed; that repeats until nothing is
    left. Every path has one part, relative to a descriptor.

    Raises:
        OSError: something can't be removed.
    """
    base = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        moved = 0
        while names := os.listdir(base):
            for name in names:
                if not stat.S_ISDIR(os.stat(name, dir_fd=base, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=base)
                    continue
                folder = _open_folder(name, base)
                try:
                    for inner in os.listdir(folder):
                        if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
                            # moving a folder to another parent changes its "..", which needs the right to write in it
                            os.close(_open_folder(inner, folder))
                            while True:  # a program may have used the name
                                moved += 1
                                if not _exists(f"moved-{moved}", base):
                                    break
                            os.rename(inner, f"moved-{moved}", src_dir_fd=folder, dst_dir_fd=base)
                        else:
                            os.unlink(inner, dir_fd=folder)
                finally:
                    os.close(folder)
                os.rmdir(name, dir_fd=base)
    finally:
        os.close(base)


def _open_folder(name: str, parent: int) -> int:
    """Open a folder that a run may have made unreadable, never through a link. Raises OSError."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        folder = os.open(name, os.O_RDONLY | flags, dir_fd=parent)
    except PermissionError:
        folder = -1
    if folder >= 0:
        if os.fstat(folder).st_mode & stat.S_IRWXU == stat.S_IRWXU:
            return folder
        os.close(folder)
    # O_PATH opens without any right. chmod goes through /proc because fchmod refuses such a descriptor, and chmod by
    # name would follow a link that took the folder's place meanwhile.
    handle = os.open(name, os.O_PATH | flags, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _exists(name: str, parent: int) -> bool:
    """Return True if ``parent`` has an entry ``name``, a broken link among them."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
