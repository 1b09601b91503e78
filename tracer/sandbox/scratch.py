"""The one writable place of a run. Runs inside, in init.

Level 3: a fresh tmpfs for each run, limited in bytes and files, discarded by the kernel. Below: a private folder that
is emptied between runs and polled for its size.
"""

from __future__ import annotations

import os
import stat

from trace_mine.tracer.sandbox.kernel import NO_DEVICES, NO_EXEC, NO_SETUID, REMOUNT, mount, unmount

MAX_FILES = 2048
MAX_DEPTH = 64


class MountedScratch:
    """Fresh tmpfs at ``path`` for each run; whoever still holds the old one holds it alone."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._mounted = False

    def renew(self, disk_bytes: int) -> None:
        """Raises OSError."""
        self.discard()
        options = f"size={disk_bytes},nr_inodes={MAX_FILES},mode=700"
        mount("tmpfs", self.path, "tmpfs", NO_SETUID | NO_DEVICES | NO_EXEC, options)
        self._mounted = True

    def resize(self, disk_bytes: int) -> None:
        """Another limit for the scratch that is mounted, whose runner is waiting in it already. Raises OSError."""
        mount("tmpfs", self.path, "tmpfs", REMOUNT | NO_SETUID | NO_DEVICES | NO_EXEC, f"size={disk_bytes}")

    def discard(self) -> None:
        """Unmounts it, where it is mounted. Raises OSError."""
        if self._mounted:
            unmount(self.path)
            self._mounted = False

    def over(self, disk_bytes: int) -> bool:
        """The kernel enforces the limit: a write beyond it fails."""
        return False


class FolderScratch:
    """``path`` is a folder of ours alone, emptied for each run; the limit is polled, so it can be passed for a
    moment.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def renew(self, disk_bytes: int) -> None:
        """Empties it. Raises OSError."""
        empty_folder(self.path)

    def resize(self, disk_bytes: int) -> None:
        """Nothing to do: the limit is the poll's."""

    def over(self, disk_bytes: int) -> bool:
        """Whether it holds more than ``disk_bytes``, too many files or too deep folders."""
        return folder_exceeds(self.path, disk_bytes)


def empty_folder(path: str) -> None:
    """Deletes everything below ``path`` without recursion and without following links.

    Deep trees kill a recursive walk (``shutil.rmtree`` dies at about 1,500 levels) and outgrow PATH_MAX, so a folder's
    folders are first moved up beside it, then emptied in their turn.
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
                            os.close(_open_folder(inner, folder))  # moving a folder needs the right to write in it
                            while True:
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
    """Opens a folder that a run may have made unreadable, never through a link."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        folder = os.open(name, os.O_RDONLY | flags, dir_fd=parent)
    except PermissionError:
        folder = -1
    if folder >= 0:
        if os.fstat(folder).st_mode & stat.S_IRWXU == stat.S_IRWXU:
            return folder
        os.close(folder)
    handle = os.open(name, os.O_PATH | flags, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=handle)
    finally:
        os.close(handle)


def _exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def folder_exceeds(path: str, disk_bytes: int) -> bool:
    """Whether the files below ``path`` take more than ``disk_bytes``, MAX_FILES entries or MAX_DEPTH levels."""
    used = entries = 0
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            listing = list(os.scandir(folder))
        except OSError:
            continue  # gone meanwhile, or unreadable: then nothing can be written in it either
        for entry in listing:
            entries += 1
            try:
                used += entry.stat(follow_symlinks=False).st_blocks * 512
                is_folder = entry.is_dir(follow_symlinks=False)
            except OSError:
                continue
            if is_folder:
                waiting.append((entry.path, depth + 1))
            if used > disk_bytes or entries > MAX_FILES or depth >= MAX_DEPTH:
                return True
    return False
