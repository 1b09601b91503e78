"""Which user a jail runs as when we are root: one that nobody else has, so that limits and signals stay its own.

And which processes are whose, read from /proc, in the supervisor.
"""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

UNUSED_UIDS = 1 << 30
"""Above every account and every container's usual range; process id (22 bits) and a counter (8 bits) fit below
2**31.
"""

_counter = itertools.count()


def unused_uid() -> int | None:
    """A user id for one jail of this process, or None where we are not root, or root of a namespace of one user.

    In a user namespace only mapped ids exist; then one from the upper half of the mapping is taken.
    """
    if os.geteuid() != 0:
        return None
    number = next(_counter)
    wanted = UNUSED_UIDS + (os.getpid() << 8) + number % 256
    ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if any(first <= wanted < first + length for first, _, length in ranges):
        return wanted
    first, _, length = max(ranges, key=lambda entry: entry[2])
    if length < 2000:
        return None
    return first + length - 1 - (os.getpid() * 7 + number) % (length // 2)


def tasks_of_this_user() -> int:
    """Threads that our user runs now: RLIMIT_NPROC counts them too where a jail shares our user id."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == os.getuid():
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue  # it ended meanwhile
    return count


def end_session(leader: int) -> None:
    """Kills what is left of a session whose leader may be gone: a run's processes after the end of their init.

    Each is looked at again once it is held, because its number could be another's by then; until none is left, because
    a process that is killed may just have forked.
    """
    while members := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session(pid) == leader]:
        for pid in members:
            try:
                handle = os.pidfd_open(pid)
            except OSError:
                continue  # it ended meanwhile
            try:
                if _session(pid) == leader:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                continue  # the same
            finally:
                os.close(handle)


def _session(pid: int) -> int | None:
    """The session of a process that runs; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[3])
