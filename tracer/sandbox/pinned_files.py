"""Pins what ``os.stat`` and its kin say of the machine's file systems: times, numbers, owners. Runs inside.

The size of a file, its kind and its mode stay as they are, and two names of one file stay two names of one file. A file
that the run wrote has the pinned clock's time, and those that it wrote later have no earlier ones.

Not covered: calls that C extensions make by themselves; ``st_mode`` of the repository's files, which its owner's umask
decided.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from trace_mine.tracer.inside.draws.replacing import replace, replace_in_type
from trace_mine.tracer.sandbox.pinned_clocks import PINNED_TIME, Clock

UNTOUCHED_SECONDS = int(PINNED_TIME) - 30 * 86_400
"""The time of every file that the run did not write, a month before it began."""
FOLDER_BYTES = 12_288
"""The size of every folder: what a folder takes is the file system's own affair."""
NOBODY = 65_534
"""The owner of files that are not the run's: what Linux says of an owner that a user namespace does not map."""
CLOCK_STEP_NANOSECONDS = 50_000_000
"""How far the time of a new file may lie before the clock's: the kernel takes it from a clock that goes in steps."""
BLOCK_BYTES = 4_096
DISK_BLOCKS, FREE_BLOCKS = 2_621_440, 1_310_720
"""Blocks of every file system: 10 GiB, half of them free."""
_FILE_SYSTEM = (BLOCK_BYTES, BLOCK_BYTES, DISK_BLOCKS, FREE_BLOCKS, FREE_BLOCKS, 655_360, 655_359, 655_359, 0, 255)

_NANOSECONDS = 1_000_000_000
_real_stat, _real_user, _wall_nanoseconds = os.stat, os.getuid, time.time_ns  # bound before they are replaced
Stat = Callable[..., os.stat_result]


class FileFacts:
    """What a run is told of files, made of what it asked before: so equal runs are told the same."""

    def __init__(self, clock: Clock, user_id: int) -> None:
        self._clock = clock
        self._user_id = user_id
        self._real_user = _real_user()
        self._begun = 0
        self._untouched: frozenset[int] = frozenset()
        self._scratch_device = -1
        self._written: dict[int, int] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._devices: dict[int, int] = {}

    def begin_run(self, *, may_set_times: bool) -> None:
        """Take files that are written from here on for the run's own; the working directory is its scratch.

        ``may_set_times`` is True where the run may give its files times of its own choice (``os.utime``).
        """
        scratch = _real_stat(".")
        self._begun = _wall_nanoseconds() - CLOCK_STEP_NANOSECONDS
        self._untouched = frozenset((scratch.st_atime_ns, scratch.st_mtime_ns))
        self._scratch_device = scratch.st_dev if may_set_times else -1

    def of(self, real: os.stat_result) -> os.stat_result:
        """Make the answer to be given in place of ``real``."""
        device = self._devices.setdefault(real.st_dev, len(self._devices) + 2)
        number = self._numbers.setdefault((real.st_dev, real.st_ino), len(self._numbers) + 12)
        is_folder = stat.S_ISDIR(real.st_mode)
        size = FOLDER_BYTES if is_folder else real.st_size
        owner = self._user_id if real.st_uid == self._real_user else NOBODY
        may_be_set = real.st_dev == self._scratch_device
        accessed, modified = (self._time(time, may_be_set) for time in (real.st_atime_ns, real.st_mtime_ns))
        changed = self._time(real.st_ctime_ns, False)
        times: dict[str, float | int] = {
            "st_blksize": BLOCK_BYTES,
            "st_blocks": -(-size // BLOCK_BYTES) * (BLOCK_BYTES // 512),
            "st_rdev": real.st_rdev,
        }
        for name, nanoseconds in (("atime", accessed), ("mtime", modified), ("ctime", changed)):
            times |= {f"st_{name}": nanoseconds / _NANOSECONDS, f"st_{name}_ns": nanoseconds}
        links = 2 if is_folder else real.st_nlink
        seconds = [nanoseconds // _NANOSECONDS for nanoseconds in (accessed, modified, changed)]
        return os.stat_result((real.st_mode, number, device, links, owner, owner, size, *seconds), times)

    def _time(self, real: int, may_be_set: bool) -> int:
        """The nanoseconds since 1970 that stand for those of the machine.

        A file of the run's own may have a time that the run gave it itself: one from before it began, which stays.
        """
        if real < self._begun:
            chosen = may_be_set and real not in self._untouched
            return real if chosen else UNTOUCHED_SECONDS * _NANOSECONDS
        if real not in self._written:
            later = [pinned for other, pinned in self._written.items() if other > real]
            self._written[real] = min(later, default=round(self._clock.now * _NANOSECONDS))
        return self._written[real]


def pin_files(clock: Clock, user_id: int, modules: tuple[ModuleType, ...]) -> FileFacts:
    """Replace the functions of this process that tell of files and file systems, in each of ``modules``."""
    facts = FileFacts(clock, user_id)
    real_stat, real_lstat, real_fstat = os.stat, os.lstat, os.fstat
    real_entry_stat: Stat = os.DirEntry.stat
    real_file_system = os.statvfs

    def stat_path(path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> os.stat_result:
        return facts.of(real_stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks))

    def lstat(path: Any, *, dir_fd: int | None = None) -> os.stat_result:
        return facts.of(real_lstat(path, dir_fd=dir_fd))

    def fstat(fd: int) -> os.stat_result:
        return facts.of(real_fstat(fd))

    def entry_stat(self: os.DirEntry[str], *, follow_symlinks: bool = True) -> os.stat_result:
        return facts.of(real_entry_stat(self, follow_symlinks=follow_symlinks))

    def entry_inode(self: os.DirEntry[str]) -> int:
        return facts.of(real_entry_stat(self, follow_symlinks=False)).st_ino

    def statvfs(path: Any) -> os.statvfs_result:
        real_file_system(path)  # raises for what is not there
        return os.statvfs_result(_FILE_SYSTEM)

    def fstatvfs(fd: int, /) -> os.statvfs_result:
        return statvfs(fd)

    for module in modules:
        replace(module, "stat", stat_path)
        for function in (lstat, fstat, statvfs, fstatvfs):
            replace(module, function.__name__, function)
    # ``shutil`` and others ask if these very functions take a descriptor for a folder
    for supporting in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        for real, name in ((real_stat, "stat"), (real_file_system, "statvfs")):
            if real in supporting:
                supporting.update(getattr(module, name) for module in modules)
    for name, method in {"stat": entry_stat, "inode": entry_inode}.items():
        method.__name__, method.__qualname__ = name, f"DirEntry.{name}"
        replace_in_type(os.DirEntry, name, method)
    return facts
