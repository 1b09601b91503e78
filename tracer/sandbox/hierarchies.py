"""Finds where on this machine a process may make control groups: version 2 of the kernel's interface, or version 1.

A new group is made below the group that this process is in, so that whatever limits that group holds for the jail too.
Version 2 gives limits to a group only where the group above hands the controllers on, which it may do only while it
has no processes of its own. So the search goes up from this process's group to the first one that hands them on, as
systemd's slices do, and never past a group with a limit of its own (ESCAPED_LIMITS): a jail beside that group would
escape its limit.

Not covered: a group that would hand the controllers on if its processes were moved (a service of systemd run by root);
to move them is for whoever started them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LIMITING = ("memory", "pids")
"""The controllers without which there is no layer: they bound what a jail's processes take together."""
CONTROLLERS = (*LIMITING, "cpu")
ESCAPED_LIMITS = ("memory.max", "memory.high", "memory.swap.max", "cpu.max", "cpuset.cpus", "cpuset.mems", "io.max")
"""Files of version 2 that are empty, or whose first word is ``max``, in a group without limits. Not pids.max: systemd
sets it on every service, and a jail has a smaller one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """A tree of control groups in which this process may make groups, below the folder ``parent``.

    ``version`` is the kernel's interface, ``controllers`` are those of CONTROLLERS that a new group has; of version 2
    it may have none, and then still kills all of its processes at once.

    Raises:
        ValueError: there is no such version.
    """

    version: int
    parent: str
    controllers: frozenset[str]

    def __post_init__(self) -> None:
        if self.version not in (1, 2):
            raise ValueError(f"expected Hierarchy.version 1 or 2, got {self.version}")


def usable_hierarchies(proc: str = "/proc/self") -> tuple[Hierarchy, ...]:
    """Return the hierarchies in which this process may make groups; ``proc`` is the folder that tells of it.

    Each controller is in at most one of them: the kernel gives it to one.
    """
    try:
        mounts = Path(proc, "mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        groups = Path(proc, "cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ()
    usable: dict[str, Hierarchy] = {}
    for line in groups:
        _, names, path = line.split(":", 2)
        for mount in mounts:
            folder = _folder_of(mount, names, path)
            if folder is None:
                continue
            hierarchy = _version_1(folder, names) if names else _version_2(folder, _mount_point(mount))
            if hierarchy is not None:
                usable.setdefault(names, hierarchy)
    return tuple(usable.values())


def _mount_point(mount: str) -> str:
    """Return the mount point of a line of mountinfo, where the kernel writes a space as ``\\040``."""
    return mount.split(" ")[4].replace("\\040", " ")


def _folder_of(mount: str, names: str, path: str) -> str | None:
    """Return the folder of a group in a mount of its hierarchy; None where the mount is another's or shows no such
    group.

    Args:
        mount: a line of mountinfo.
        names: the controllers of a hierarchy of version 1, with commas between them; empty for version 2.
        path: the group's path in the hierarchy.
    """
    fields, _, tail = mount.partition(" - ")
    kind, _, options = tail.split(" ", 2)
    if kind != ("cgroup" if names else "cgroup2"):
        return None
    if names and not set(names.split(",")) <= set(options.split(",")):
        return None
    root = fields.split(" ")[3]  # the group that the mount shows as its root
    relative = os.path.relpath(path, root)
    # outside of what the mount shows: the process is in a group above a namespace's root
    if relative.startswith("..") or path.startswith("/.."):
        return None
    return os.path.normpath(os.path.join(_mount_point(mount), relative))


def _version_1(folder: str, names: str) -> Hierarchy | None:
    """Return a hierarchy of version 1 whose controllers are of use here and whose group ``folder`` can be written."""
    controllers = frozenset(names.split(",")) & frozenset(CONTROLLERS)
    if not controllers or not _may_make_groups(folder):
        return None
    return Hierarchy(version=1, parent=folder, controllers=controllers)


def _version_2(folder: str, top: str) -> Hierarchy | None:
    """Return the hierarchy of version 2 with the nearest group that hands controllers on.

    Where no group may hand on any, because all are version 1's, a group below the process's own is still of use.
    """
    if not set(CONTROLLERS).intersection(_words(f"{top}/cgroup.controllers")):
        return Hierarchy(version=2, parent=folder, controllers=frozenset()) if _may_make_groups(folder) else None
    while True:
        handed_on = frozenset(_words(f"{folder}/cgroup.subtree_control"))
        if _may_make_groups(folder) and handed_on.issuperset(LIMITING):
            return Hierarchy(version=2, parent=folder, controllers=handed_on & frozenset(CONTROLLERS))
        if folder == top or any(_is_limit(f"{folder}/{name}") for name in ESCAPED_LIMITS):
            return None
        folder = os.path.dirname(folder)


def _may_make_groups(folder: str) -> bool:
    """Return True if this process may make groups in a group, and move its own children from there into them."""
    return os.access(folder, os.W_OK | os.X_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK)


def _is_limit(path: str) -> bool:
    """Return True if a file of ESCAPED_LIMITS sets a limit.

    The first word is it: behind that of cpu.max stands the period, which may be the same number.
    """
    words = _words(path)
    return bool(words) and words[0] != "max"


def _words(path: str) -> list[str]:
    """Return the words of a small file; none where it does not exist."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []
