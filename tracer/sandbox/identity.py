"""Chooses the user that a jail runs as when the supervisor is root.

RLIMIT_NPROC counts, and kill() reaches, all processes of a user. So each jail gets a user id that no account and no
other jail has. Root's own never runs a snippet: the kernel does not enforce RLIMIT_NPROC for it.
"""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

UNUSED_UIDS = 1 << 30
"""The lowest id given to a jail: above every account and every container's usual range. A process id (22 bits) and a
counter (8 bits) fit above it and below 2**31, where some tools take ids for negative numbers.
"""

_counter = itertools.count()


def unused_uid() -> int | None:
    """Return a user id for one jail of this process.

    None where the supervisor is an ordinary user, or root of a user namespace that maps (almost) nobody else: then a
    jail shares its user. In a user namespace only mapped ids exist; there an id from the upper half of the longest
    mapping is taken.
    """
    if os.geteuid() != 0:
        return None
    number = next(_counter)
    # the process id makes it unused by other supervisors, the counter by other jails of this one
    wanted = UNUSED_UIDS + (os.getpid() << 8) + number % 256
    ranges = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    if any(first <= wanted < first + length for first, _, length in ranges):
        return wanted
    first, _, length = max(ranges, key=lambda entry: entry[2])
    if length < 2000:  # rootless containers map one id, or 65,536; a few are accounts of the container's own
        return None
    return first + length - 1 - (os.getpid() * 7 + number) % (length // 2)


COUNTED_BY_NAMESPACE = (5, 14)
"""From this version of Linux on RLIMIT_NPROC counts the tasks of a user in each user namespace by itself."""
SHARED_TASKS = 512
"""Threads that a user may start beside a jail while that lives: other workers of the same command, a browser. Where the
jail shares the user the kernel counts them too, and a run whose first thread is refused for them gives a false row."""


def tasks_beside(uid: int | None, *, namespaces: bool) -> int:
    """Return how many threads RLIMIT_NPROC may count in a jail that are not the jail's.

    Args:
        uid: the user that the jail has to itself; None: it shares the supervisor's.
        namespaces: the jail has a user namespace.
    """
    if uid is not None or (namespaces and _kernel_version() >= COUNTED_BY_NAMESPACE):
        return 0
    return tasks_of_this_user() + SHARED_TASKS


def _kernel_version() -> tuple[int, int]:
    """Return the first two numbers of the kernel's version; (0, 0) where they can't be read."""
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)


def tasks_of_this_user() -> int:
    """Count the threads that the supervisor's user runs now."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == os.getuid():
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
            except OSError:
                continue  # it ended meanwhile
    return count
