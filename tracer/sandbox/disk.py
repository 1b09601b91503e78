"""Measures what a run holds on disk at level 2, where its scratch is a folder that no file system limits.

Runs inside, in init. Counted are the blocks of everything below the folder, whatever the modes of folders, and of the
files that have no name any more but are still open or mapped. What is counted may move meanwhile: so a measurement in
which anything changed, and one that finds files without a name, is made again while the run is stopped.

Not covered: what a run writes between two measurements.
"""

from __future__ import annotations

import itertools
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

MAX_FILES = 2048
"""Files and folders of one run. Each costs kernel memory (about 1 KB) however small it is."""
MAX_DEPTH = 64
"""Levels of folders at level 2, where init must walk them; on a tmpfs only MAX_FILES bounds them."""
COARSE_NS = 20_000_000
"""The kernel may stamp a folder with a time that is a tick old (10 ms at 100 Hz): so much is no proof of order."""
STOP_SECONDS = 0.2
"""How long a run may take to stop; one that is in the middle of a call to a slow disk takes longer."""
STOPPED = frozenset("TtZX")
"""States of /proc/PID/stat in which a thread runs no code."""
DELETED = b" (deleted)"
"""What /proc/PID/maps puts behind the name of a file that has none any more."""


@dataclass(slots=True, kw_only=True)
class Usage:
    """What is held, as far as it was counted. Not frozen: a walk adds to it, and ends where a limit is passed.

    Args:
        max_bytes: the most that may be held.
        file_bytes: the most that one file can have: what is counted for one that can't be looked at.
        used_bytes, num_files: what was counted.
        over: a limit is passed: bytes, MAX_FILES, MAX_DEPTH, or something is held where nobody can count it.
        moved: something changed meanwhile, so that a file may have been missed or counted twice.
        sockets: inodes of those whose other end is init's: only init sends descriptors there.
        seen: inodes of the files that were counted, so that the blocks of a hard link do not count twice. Without
            their device: all lie on one, and some file systems tell another in /proc/PID/maps than in a stat.
    """

    max_bytes: int
    file_bytes: int
    used_bytes: int = 0
    num_files: int = 0
    over: bool = False
    moved: bool = False
    sockets: frozenset[int] = frozenset()
    seen: set[int] = field(default_factory=set)

    def add(self, inode: int, num_bytes: int) -> None:
        """Count a name of a file or folder that takes so many bytes."""
        if inode not in self.seen:
            self.seen.add(inode)
            self.used_bytes += num_bytes
        self.num_files += 1
        self.over = self.over or self.used_bytes > self.max_bytes or self.num_files > MAX_FILES


def exceeds(
    path: str, max_bytes: int, file_bytes: int, leader: int | None = None, sockets: frozenset[int] = frozenset()
) -> bool:
    """Return True if a run holds more than ``max_bytes``, MAX_FILES files or MAX_DEPTH levels of folders.

    Args:
        path: its folder.
        max_bytes: the most that it may hold.
        file_bytes: the most that one of its files can have.
        leader: its process, a child of this one and the leader of a group; None where no process is left.
        sockets: inodes of the jail's sockets whose other end is this process's.
    """
    usage = measured(path, max_bytes, file_bytes, leader, sockets)
    if not usage.moved or leader is None:
        return usage.over
    with stopped(leader):
        return measured(path, max_bytes, file_bytes, leader, sockets).over


def measured(
    path: str, max_bytes: int, file_bytes: int, leader: int | None, sockets: frozenset[int] = frozenset()
) -> Usage:
    """Count once; see ``exceeds``."""
    usage = Usage(max_bytes=max_bytes, file_bytes=file_bytes, sockets=sockets)
    began_ns = time.time_ns() - COARSE_NS
    with opened(path, None) as folder:
        _add_folder(usage, folder, began_ns, depth=0)
    if leader is not None:
        # of this process its sockets: what a hostile zygote sends is here until it is received
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):
                _add_open(usage, "/proc/self", number, os.fsencode(path))
        # all of the jail: a hostile import may have left files open in the zygote
        for process in descendants(_children("/proc/thread-self")):
            with suppress(FileNotFoundError, ProcessLookupError):  # it may end meanwhile
                _add_nameless(usage, process, os.fsencode(os.path.realpath(path)))
    # again, without counting: a folder that did not change until now did not change while it was read
    if not usage.over and not usage.moved:
        again = Usage(max_bytes=max_bytes, file_bytes=file_bytes)
        with opened(path, None) as folder:
            _add_folder(again, folder, began_ns, depth=0)
        usage.moved = again.moved
    return usage


def _add_folder(usage: Usage, folder: int, began_ns: int, depth: int) -> None:
    """Count what is below an open folder. Descriptors, no paths: those may be longer than the kernel takes."""
    # A file that came, went or was renamed leaves its mark in its folder's time, which no program can set at level 2.
    usage.moved = usage.moved or os.fstat(folder).st_mtime_ns >= began_ns
    with os.scandir(folder) as entries:
        names = [entry.name for entry in itertools.islice(entries, MAX_FILES + 1)]
    for name in names:
        try:
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            usage.add(status.st_ino, blocks(status))
            if usage.over:
                return
            if stat.S_ISDIR(status.st_mode):
                if depth + 1 >= MAX_DEPTH:
                    usage.over = True
                    return
                with opened(name, folder) as inner:
                    _add_folder(usage, inner, began_ns, depth + 1)
        except (FileNotFoundError, NotADirectoryError):
            usage.moved = True


@contextmanager
def opened(name: str, parent: int | None) -> Iterator[int]:
    """Open a folder, one that a run made unreadable too, never through a link. Raises OSError.

    Reading leaves no mark (O_NOATIME): a program could tell by one how far a measurement is, and move its files behind
    it.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC
    try:
        folder = os.open(name, flags, dir_fd=parent)
    except PermissionError:
        folder = _open_unreadable(name, parent)
    try:
        yield folder
    finally:
        os.close(folder)


def _open_unreadable(name: str, parent: int | None) -> int:
    """Open a folder whose mode does not let its owner read it, and leave it with that mode."""
    # O_PATH opens without any right. chmod goes through /proc because fchmod refuses such a descriptor, and chmod by
    # name would follow a link that took the folder's place meanwhile.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = stat.S_IMODE(os.fstat(handle).st_mode)
        os.chmod(f"/proc/self/fd/{handle}", mode | stat.S_IRWXU)
        try:
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME | os.O_CLOEXEC, dir_fd=handle)
        finally:
            os.chmod(f"/proc/self/fd/{handle}", mode)
    finally:
        os.close(handle)


def blocks(status: os.stat_result) -> int:
    """Return the bytes that a file takes on disk: one with holes takes less than its size, one of a few bytes more."""
    return status.st_blocks * 512


def _add_nameless(usage: Usage, process: str, path: bytes) -> None:
    """Count the files without a name that a process (its folder in /proc) has open or mapped. Raises OSError."""
    maps_seen = False
    for thread in os.listdir(f"{process}/task"):
        task = f"{process}/task/{thread}"
        try:
            for number in os.listdir(f"{task}/fd"):  # a thread may have descriptors of its own
                with suppress(FileNotFoundError):
                    _add_open(usage, task, number, path)
            # one memory for all threads, but the first of them may have ended, and then tells nothing of it
            maps_seen = maps_seen or _add_mapped(usage, task, path)
        except (FileNotFoundError, ProcessLookupError):
            pass
        except PermissionError:
            if not _is_ending(task):  # what it has open can't be counted, so no limit would hold
                raise


def _add_mapped(usage: Usage, task: str, path: bytes) -> bool:
    """Count the files without a name that a thread has mapped; False: it has no memory any more. Raises OSError."""
    has_memory = False
    with open(f"{task}/maps", "rb") as lines:
        for line in lines:
            has_memory = True
            fields = line.rstrip(b"\n").split(maxsplit=5)
            if len(fields) == 6 and fields[5].endswith(DELETED) and fields[5].startswith(path + b"/"):
                usage.moved = True
                usage.add(int(fields[4]), usage.file_bytes)  # its size can't be asked for
    return has_memory


def _lies_below(path: bytes, link: str) -> bool:
    """Return True if a file of /proc/PID/fd was below a folder when it had a name; no run can move one out of it."""
    return os.fsencode(os.readlink(link)).startswith(path + b"/")


def _add_open(usage: Usage, task: str, number: str, path: bytes) -> None:
    """Count the file that is open under a number, where it has no name. Raises OSError."""
    status = os.stat(f"{task}/fd/{number}")
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and _lies_below(path, f"{task}/fd/{number}"):
        usage.moved = True  # descriptors may be moved from number to number meanwhile
        usage.add(status.st_ino, blocks(status))
    elif (
        stat.S_ISSOCK(status.st_mode)
        and status.st_ino not in usage.sockets
        and _holds_descriptors(f"{task}/fdinfo/{number}")
    ):
        # sent and not received: such a file is open nowhere, and nothing tells its size
        usage.moved = usage.over = True


def _holds_descriptors(fdinfo: str) -> bool:
    """Return True if descriptors wait in a socket to be received."""
    with open(fdinfo, "rb") as lines:
        return any(line.startswith(b"scm_fds:") and int(line.split()[1]) > 0 for line in lines)


def descendants(waiting: list[int]) -> Iterator[str]:
    """Give the folder in /proc of each process of a list and of all below them; those that end meanwhile are left
    out."""
    while waiting:
        process = f"/proc/{waiting.pop()}"
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"{process}/task"):
                waiting += _children(f"{process}/task/{thread}")
        yield process


def _in_group(leader: int) -> Iterator[str]:
    """Give the folder in /proc of each process of a run: its leader, and what it forked."""
    # orphans of the group are children of this process
    orphans = [pid for pid in _children("/proc/thread-self") if pid != leader and _group(pid) == leader]
    yield from descendants([leader, *orphans])


def _children(task: str) -> list[int]:
    """Return the processes that a thread made. Raises OSError."""
    with open(f"{task}/children") as file:
        return [int(pid) for pid in file.read().split()]


def _group(pid: int) -> int | None:
    """Return the process group of a process, None where it has ended."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _is_ending(task: str) -> bool:
    """Return True if a thread has given up its memory: it is about to close its files, which are root's to look at."""
    try:
        with open(f"{task}/statm", "rb") as file:
            return file.read().split()[0] == b"0"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def stopped(leader: int) -> Iterator[None]:
    """Stop a run's processes, all of one group, and have them go on afterwards.

    A run that has stopped itself stays so. Where a call to a slow disk keeps one from stopping, the others are.
    """
    if _all_stopped(leader):
        yield
        return
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + STOP_SECONDS
        while not _all_stopped(leader) and time.monotonic() < deadline:
            time.sleep(0.0002)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(leader, signal.SIGCONT)


def _all_stopped(leader: int) -> bool:
    """Return True if no thread of a run can run."""
    for process in _in_group(leader):
        with suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"{process}/task"):
                with open(f"{process}/task/{thread}/stat", "rb") as file:
                    if chr(file.read().rpartition(b")")[2].split()[0][0]) not in STOPPED:
                        return False
    return True
