"""Builds what a level-3 jail sees: a small read-only file system with binds, and nothing of the host besides. Runs
inside.
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
"""Where the new root is put together, in a mount namespace of our own: a folder that exists everywhere and that nothing
is bound from, so that no temporary folder is needed (and none is left behind when the supervisor is killed)."""


def make_mounts_private() -> None:
    """What is mounted or unmounted here from now on is not passed on to the host, nor the host's to here."""
    mount(None, "/", None, RECURSIVE | PRIVATE)


def enter_view(binds: Sequence[tuple[str, str]], devices: Iterable[str], scratch: str) -> None:
    """Binds each (source, target) read-only below a fresh root and makes it this mount namespace's root directory.

    Raises:
        OSError: a source is missing or a mount is refused.
    """
    mount("tmpfs", STAGE, "tmpfs", NO_SETUID | NO_DEVICES, "size=1m,nr_inodes=4096,mode=755")
    placed: list[str] = []
    # parents first, so that what lies below another bind is found there already
    for source, target in sorted(dict.fromkeys(binds), key=lambda bind: bind[1].count("/")):
        if source == target and any(target.startswith(f"{above}/") for above in placed):
            continue  # its parent shows it already
        inside = STAGE + target
        if source == target and os.path.islink(source):  # /lib -> usr/lib
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
    if not os.path.lexists(STAGE + "/tmp"):
        os.symlink(scratch, STAGE + "/tmp")
    pivot_to(STAGE)


def _make_target(path: str, *, folder: bool) -> None:
    if os.path.exists(path):
        return
    os.makedirs(path if folder else os.path.dirname(path), exist_ok=True)
    if not folder:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))


def make_root_read_only() -> None:
    """Last step: the root of the view, which holds only mount points, becomes read-only."""
    mount(None, "/", None, REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES)
