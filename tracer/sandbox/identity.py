"""Which user a jail runs as when we are root: one that nobody else has, so that limits and signals stay its own."""

from __future__ import annotations

import itertools
import os
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
