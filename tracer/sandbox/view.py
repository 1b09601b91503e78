"""Builds the file system that a level-3 jail sees: small, read-only, with binds and nothing else of the host. Runs
inside, in init.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from trace_mine.tracer.sandbox.kernel import (
    BIND,
    NO_DEVICES,
    NO_SETUID,
    PRIVATE,
    READ_ONLY,
    RECURSIVE,
    REMOUNT,
    bind_read_only,
    mount,
    pivot_to,
)

STAGE = "/proc"
"""The folder over which the new root is mounted, in a mount namespace of our own. It exists everywhere and nothing is
bound from it, so no temporary folder is needed (and none is left behind when the supervisor is killed)."""


def make_mounts_private() -> None:
    """Keep mounts and unmounts of this namespace from the host, and the host's from this namespace. Raises OSError.

    systemd makes the host's mounts shared: without this call a jail's mounts would show there.
    """
    mount(None, "/", None, RECURSIVE | PRIVATE)


def enter_view(binds: Sequence[tuple[str, str]], devices: Iterable[str], scratch: str) -> None:
    """Bind each source read-only below a fresh root, and make that this mount namespace's root directory.

    No /proc is mounted: it would show other processes and settings of the kernel, and many containers refuse it.

    Args:
        binds: (source on the host, target inside) pairs.
        devices: device files to show; only binds of single ones, since a new /dev needs real root.
        scratch: the folder to make for the scratch.

    Raises:
        OSError: a source is missing or a mount is refused.
    """
    mount("tmpfs", STAGE, "tmpfs", NO_SETUID | NO_DEVICES, "size=1m,nr_inodes=4096,mode=755")
    placed: list[str] = []
    # parents first, so that what lies below another bind is found there already
    for source, target in sorted(dict.fromkeys(binds), key=lambda bind: bind[1].count("/")):
        if source == target and any(target.startswith(f"{above}/") for above in placed):
            continue  # the bind of a folder above shows it already
        inside = STAGE + target
        # /lib -> usr/lib: shown as the link that it is on the host, beside the folder that it names
        if source == target and os.path.islink(source):
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            os.symlink(os.readlink(source), inside)
            continue
        if not os.path.exists(source):
            raise FileNotFoundError(2, f"no file or folder {source} to show at {target}")
        _make_target(inside, folder=os.path.isdir(source))
        bind_read_only(source, inside)
        if source == target:
            placed.append(target)
    for device in devices:
        _make_target(STAGE + device, folder=False)
        mount(device, STAGE + device, None, BIND)
    # getpass and pwd read these; uid 1000 is the only one that is mapped (see ``isolation``)
    os.makedirs(STAGE + "/etc", exist_ok=True)
    for path, text in (("/etc/passwd", "sandbox:x:1000:1000::/:/bin/false\n"), ("/etc/group", "sandbox:x:1000:\n")):
        with open(STAGE + path, "w") as file:
            file.write(text)
    os.makedirs(STAGE + scratch, exist_ok=True)
    # programs that write to /tmp by name find the scratch; unless a mount of the jail is there
    if not os.path.lexists(STAGE + "/tmp"):
        os.symlink(scratch, STAGE + "/tmp")
    pivot_to(STAGE)


def _make_target(path: str, *, folder: bool) -> None:
    """Make an empty folder or file to mount on, where there is none (a bind may have brought it)."""
    if os.path.exists(path):
        return
    os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)
    if not folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def make_root_read_only() -> None:
    """Make the root of the view read-only; it holds only mount points. Raises OSError.

    The last step: a mount point for the scratch has to be made before.
    """
    mount(None, "/", None, REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES)
