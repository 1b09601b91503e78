"""Landlock: which files a process may read and write, whatever its user may. Runs inside.

Not covered by Landlock: stat, chmod, utime and chdir (the system-call filter covers chmod and utime), descriptors that
were open before. A rule on a mount point that has another file system mounted over it has no effect.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from tracer.sandbox.kernel import check, no_new_privileges, syscall

EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 2, 4, 8
MAKE_CHARACTER_DEVICE, MAKE_SOCKET, MAKE_BLOCK_DEVICE = 1 << 6, 1 << 9, 1 << 11
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_RULE_PATH_BENEATH = 1
_CREATE_RULESET_VERSION = 1


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    try:
        return syscall("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def file_rights(abi: int) -> int:
    """All file-system rights that ``abi`` knows."""
    rights = REFER - 1
    return rights | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0) | (IOCTL_DEVICE if abi >= 5 else 0)


def restrict(abi: int, read: Iterable[str], write: Iterable[str], devices: Iterable[str] = ()) -> None:
    """From here on this process reads below ``read``, reads and writes below ``write`` and ``devices``, executes nothing.

    Paths that do not exist are left out. Binding and connecting TCP sockets (ABI 4), abstract unix sockets and signals
    to processes outside (ABI 6) are refused too. Calls stack: each can only take away.

    Raises:
        OSError: the kernel refused the rules.
    """
    rights = file_rights(abi)
    network = 3 if abi >= 4 else 0
    scopes = 3 if abi >= 6 else 0
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    attributes = ctypes.create_string_buffer(struct.pack("QQQ", rights, network, scopes))
    ruleset = syscall("landlock_create_ruleset", attributes, size, 0)
    try:
        writable = rights & ~(EXECUTE | MAKE_CHARACTER_DEVICE | MAKE_SOCKET | MAKE_BLOCK_DEVICE)
        for paths, allowed in ((read, READ_FILE | READ_FOLDER), (write, writable), (devices, READ_FILE | WRITE_FILE)):
            for path in paths:
                _allow(ruleset, path, allowed, rights)
        no_new_privileges()
        check(syscall("landlock_restrict_self", ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, allowed: int, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            allowed &= rights & (EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE)
        rule = ctypes.create_string_buffer(struct.pack("=Qi", allowed, beneath))
        syscall("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(beneath)
