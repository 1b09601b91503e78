"""Cuts init off from the host: namespaces and the view at level 3, another user at level 2. Runs inside, in init.

The order is forced by the kernel. Real root builds the view first, because it may read what the jail's user may not,
then gives root up; only then comes the user namespace, whose owner is thus the jail's user. An ordinary user needs the
user namespace first, since it brings the right to mount.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import NoReturn

from trace_mine.tracer.sandbox import kernel, view
from trace_mine.tracer.sandbox.config import JailConfig


def isolate(config: JailConfig, proc: int, become_outer: Callable[[int], NoReturn]) -> int | None:
    """Make this process the first one of the jail, cut off from the host.

    At level 3 this process forks: the child returns as process 1 of the namespace, the parent calls ``become_outer``.

    Args:
        config: the jail.
        proc: an open descriptor of the host's /proc, which the view does not show.
        become_outer: what the parent goes on with; it gets the child's process id.

    Returns:
        An open descriptor of ``ns_last_pid``, through which the next process id is chosen; None where there is none.

    Raises:
        OSError: the kernel refuses a namespace or a mount, or the jail's user can't read what it needs.
    """
    kernel.add_personality(config.machine.personality)
    if not config.namespaces:
        if config.uid is not None:
            _give_up_root(config, config.uid)
        # orphans of runs become children of init, as they become children of process 1 at level 3
        kernel.adopt_orphans()
        return None
    _enter_namespaces(config, proc)
    # Before the fork, where /proc is still the host's. Writing needs a capability over the process-id namespace of the
    # writer, which init has in the new one; what is written counts there.
    try:
        last_pid = os.open("sys/kernel/ns_last_pid", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    except OSError:
        last_pid = None  # /proc/sys is read-only in many containers: then process ids vary
    pid = os.fork()  # a process-id namespace begins with the first child
    if pid:
        become_outer(pid)
    kernel.die_with_parent()  # only here: a fork does not inherit it, and a change of user id would clear it
    view.make_root_read_only()
    return last_pid


def _enter_namespaces(config: JailConfig, proc: int) -> None:
    """Move this process into namespaces of its own with the view as its file system; see the order above."""
    uid = config.uid
    # Asked here: after the next call the kernel answers every question for an id with "nobody", 65534, until a map says
    # what it is, and it refuses a map of an id that is not the caller's own.
    outer_user, outer_group = (uid, uid) if uid is not None else (os.geteuid(), os.getegid())
    if uid is not None:
        kernel.unshare(kernel.NEW_MOUNTS)
        view.make_mounts_private()
        view.enter_view(config)
        os.chmod("/", 0o755)  # the root of the view is root's, and the jail's user must search it
        # Without this, real root would own the user namespace, and a hole in it would be root's on the host.
        kernel.become(uid)
    # One call: the kernel makes the user namespace first, and its capabilities allow the others.
    kernel.unshare(
        kernel.NEW_USERS | kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_NETWORK
        | kernel.NEW_IPC | kernel.NEW_HOST_NAME | kernel.NEW_CGROUPS
    )  # fmt: skip
    _write(proc, "self/setgroups", "deny")  # without it the kernel refuses gid_map to a user without privileges
    inside_id = config.machine.user_id  # of everything at level 3; the only id that is mapped
    _write(proc, "self/uid_map", f"{inside_id} {outer_user} 1")
    _write(proc, "self/gid_map", f"{inside_id} {outer_group} 1")
    view.make_mounts_private()  # else what is mounted from here on would show on the host
    if uid is None:
        view.enter_view(config)
    kernel.set_host_name(config.hostname)
    kernel.set_domain_name(config.machine.domain_name)
    _move_clocks(config, proc)


def _move_clocks(config: JailConfig, proc: int) -> None:
    """Have the clocks that count from the machine's start show the jail's own uptime, in the processes to come.

    Where the kernel has no time namespaces (before 5.6, or not built with them) these clocks stay the host's.
    """
    try:
        kernel.unshare(kernel.NEW_TIME)
        for name, clock in (("monotonic", time.CLOCK_MONOTONIC), ("boottime", time.CLOCK_BOOTTIME)):
            offset = config.machine.uptime_seconds - int(time.clock_gettime(clock))
            _write(proc, "self/timens_offsets", f"{name} {offset} 0")
    except OSError:
        return


def _give_up_root(config: JailConfig, uid: int) -> None:
    """Become the jail's user at level 2, where files keep the modes and owners that the host gave them.

    That user may be unable to read what root can (an interpreter below /root). Then one capability stays:
    CAP_DAC_READ_SEARCH, to read whatever the modes say, within the list of Landlock; never without Landlock.

    Raises:
        PermissionError: the jail's user can't read the interpreter or a mount, and that capability is not to be had.
    """
    os.chown(config.scratch, uid, uid)  # mkdtemp made it root's; only root can give it away
    capability_needed = not config.readable_by_all
    capability_allowed = (
        "landlock" in config.layers and kernel.permitted_capabilities() >> kernel.CAP_DAC_READ_SEARCH & 1
    )
    if capability_needed and not capability_allowed:
        raise PermissionError(
            errno.EACCES,
            f"user {uid} of the jail can't read the interpreter or a mount; make them readable to all, move them "
            "out of the home folder, or add CAP_DAC_READ_SEARCH (and Landlock)",
        )
    kernel.become(uid, kernel.CAP_DAC_READ_SEARCH if capability_needed else None)


def _write(proc: int, path: str, text: str) -> None:
    """Write a file of /proc in one call, as the kernel wants its settings. Raises OSError."""
    fd = os.open(path, os.O_WRONLY, dir_fd=proc)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
