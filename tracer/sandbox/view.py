"""Builds the file system that a level-3 jail sees: small, read-only, with binds and nothing else of the host. Runs
inside, in init.
"""

from __future__ import annotations

import os
from _random import Random  # the C module alone: ``random`` imports hashlib, and with it OpenSSL

from trace_mine.tracer.sandbox.build_facts import files_of_build, neutral_build_facts
from trace_mine.tracer.sandbox.config import JailConfig
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
from trace_mine.tracer.sandbox.machine import Machine

STAGE = "/proc"
"""The folder over which the new root is mounted, in a mount namespace of our own. It exists everywhere and nothing is
bound from it, so no temporary folder is needed (and none is left behind when the supervisor is killed)."""

RANDOM_DEVICES = ("/dev/random", "/dev/urandom")
RANDOM_BYTES = 256 << 10
"""Bytes of the files that stand for them where randomness is pinned; a program that reads more finds their end."""


def make_mounts_private() -> None:
    """Keep mounts and unmounts of this namespace from the host, and the host's from this namespace. Raises OSError.

    systemd makes the host's mounts shared: without this call a jail's mounts would show there.
    """
    mount(None, "/", None, RECURSIVE | PRIVATE)


def enter_view(config: JailConfig) -> None:
    """Bind each source read-only below a fresh root, and make that this mount namespace's root directory.

    No /proc is mounted: it would show other processes and settings of the kernel, and many containers refuse it.

    Raises:
        OSError: a source is missing or a mount is refused.
    """
    binds, devices, scratch = config.binds, config.devices, config.scratch
    mount("tmpfs", STAGE, "tmpfs", NO_SETUID | NO_DEVICES, "size=4m,nr_inodes=4096,mode=755")
    placed: list[str] = []
    # parents first, so that what lies below another bind is found there already
    for source, target in sorted(dict.fromkeys((*binds, *config.libraries)), key=lambda bind: bind[1].count("/")):
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
        if config.pinned_clock and device in RANDOM_DEVICES:
            # a file: each that opens it reads the same bytes, so that two runs are alike
            _write(STAGE + device, Random(config.seed).getrandbits(8 * RANDOM_BYTES).to_bytes(RANDOM_BYTES, "little"))
        else:
            # only binds of single ones, since a new /dev needs real root
            _make_target(STAGE + device, folder=False)
            mount(device, STAGE + device, None, BIND)
    for path, destination in config.links:
        os.makedirs(os.path.dirname(STAGE + path), exist_ok=True)
        os.symlink(destination, STAGE + path)
    _cover(config)
    for path, text in _files_of(config.machine).items():
        _write(STAGE + path, text.encode())
    os.makedirs(STAGE + scratch, exist_ok=True)
    # programs that write to /tmp by name find the scratch; unless a mount of the jail is there
    if not os.path.lexists(STAGE + "/tmp"):
        os.symlink(scratch, STAGE + "/tmp")
    pivot_to(STAGE)


def _cover(config: JailConfig) -> None:
    """Lay empty files and folders over what is hidden, and other facts of the build over the interpreter's own."""
    folder, file, facts = f"{STAGE}/covers", f"{STAGE}/covers.empty", f"{STAGE}/covers.py"
    os.mkdir(folder)
    _write(file, b"")
    for path in (*config.hidden, *config.machine.hidden):
        if os.path.exists(STAGE + path) and not os.path.islink(STAGE + path):
            bind_read_only(folder if os.path.isdir(STAGE + path) else file, STAGE + path)
    _write(facts, b"")
    if config.library:
        _write(facts, neutral_build_facts(os.path.dirname(os.path.dirname(config.executable))).encode())
        for path in files_of_build(STAGE + config.library):
            bind_read_only(facts if path.endswith(".py") else file, path)
    # what is mounted stays; the names go
    os.rmdir(folder)
    os.unlink(file)
    os.unlink(facts)


def _files_of(machine: Machine) -> dict[str, str]:
    """The files of ``/etc``, which getpass, pwd and platform read; the user is the only one that is mapped."""
    user, number = machine.user, machine.user_id
    name = machine.system_name
    kind = name.split()[0].lower()
    return {
        f"/etc/{kind}-release": f"{name}\n",
        "/etc/passwd": f"{user}:x:{number}:{number}::/:/bin/false\n",
        "/etc/group": f"{user}:x:{number}:\n",
        "/etc/os-release": f'NAME="{name}"\nID={kind}\nPRETTY_NAME="{name}"\n',
    }


def _write(path: str, data: bytes) -> None:
    """Write a file of the view, with the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


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
