"""The layer of Landlock: which files a process may read and write, whatever its user may. Runs inside.

Not covered by Landlock: stat, chmod, utime and chdir (the system-call filter covers chmod and utime), descriptors that
were open before. A rule on a mount point that has another file system mounted over it has no effect: rules belong to
the folder that was opened, not to its path.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from os import fstat  # bound before it is pinned

from trace_mine.tracer.sandbox.kernel import no_new_privileges, syscall
from trace_mine.tracer.sandbox.layer import Confinement, Orders

# LANDLOCK_ACCESS_FS_* of linux/landlock.h. The rights below REFER are those of version 1; later versions added REFER
# (in 2: links and renames between folders), TRUNCATE (3) and IOCTL_DEVICE (5).
EXECUTE, WRITE_FILE, READ_FILE, READ_FOLDER = 1, 2, 4, 8
MAKE_CHARACTER_DEVICE, MAKE_SOCKET, MAKE_BLOCK_DEVICE = 1 << 6, 1 << 9, 1 << 11
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_RULE_PATH_BENEATH = 1
_CREATE_RULESET_VERSION = 1
_PATH_BENEATH = struct.Struct("=Qi")


def landlock_abi() -> int:
    """Return the kernel's Landlock version, 0 where it has none, has it off, or a container's filter refuses it."""
    try:
        return syscall("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def file_rights(abi: int) -> int:
    """Return all file-system rights that ``abi`` knows, as a bit mask. A right that a ruleset does not name is free."""
    rights = REFER - 1
    return rights | (REFER if abi >= 2 else 0) | (TRUNCATE if abi >= 3 else 0) | (IOCTL_DEVICE if abi >= 5 else 0)


def rules_for(
    abi: int,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    devices: Iterable[str] = (),
    load: Iterable[str] = (),
) -> list[bytes]:
    """Return rules to read below ``read``, to read and write below ``write``, to open ``devices``, and to read files
    below ``load`` without listing them; none to execute.

    Paths that do not exist, or lie below another of ``read``, are left out. Each rule (struct
    landlock_path_beneath_attr) holds a descriptor of its path, which stays open (close-on-exec) for as long as the
    rules are to be used.

    Raises:
        OSError: a path can't be opened for another reason.
    """
    rights = file_rights(abi)
    # no programs, and no sockets or devices, through which something outside could be reached
    writable = rights & ~(EXECUTE | MAKE_CHARACTER_DEVICE | MAKE_SOCKET | MAKE_BLOCK_DEVICE)
    reading = set(read)
    outermost = [path for path in reading if not any(path.startswith(f"{other}/") for other in reading)]
    rules = []
    for paths, allowed in (
        (outermost, READ_FILE | READ_FOLDER),
        (write, writable),
        (devices, READ_FILE | WRITE_FILE),
        (load, READ_FILE),
    ):
        for path in paths:
            try:
                beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            # the kernel answers EINVAL to a rule that gives a file the rights of a folder
            file_only = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
            path_rights = allowed if stat.S_ISDIR(fstat(beneath).st_mode) else allowed & file_only
            rules.append(_PATH_BENEATH.pack(path_rights & rights, beneath))
    return rules


def ruleset_of(abi: int, rules: Iterable[bytes]) -> int:
    """Return a descriptor of a ruleset that allows what ``rules`` do; a process may be restricted to it once it has
    given up new privileges.

    Binding and connecting TCP sockets (ABI 4), abstract unix sockets and signals to processes outside (ABI 6) are
    refused too.

    Raises:
        OSError: the kernel refused the rules.
    """
    network = 3 if abi >= 4 else 0  # bind and connect, TCP
    scopes = 3 if abi >= 6 else 0  # abstract unix sockets, signals
    # struct landlock_ruleset_attr grew by a field in each of these; an older kernel refuses the longer one
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = syscall("landlock_create_ruleset", struct.pack("QQQ", file_rights(abi), network, scopes), size, 0)
    try:
        for rule in rules:
            syscall("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
    except BaseException:
        os.close(ruleset)
        raise
    return ruleset


def restrict(abi: int, rules: Iterable[bytes]) -> None:
    """Bind this process, from here on and for good, to what ``rules`` allow. Calls stack: each can only take away.

    Raises:
        OSError: the kernel refused the rules.
    """
    ruleset = ruleset_of(abi, rules)
    try:
        no_new_privileges()
        syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


# the layer: see ``layers.LANDLOCK``


def missing(confinement: Confinement) -> str:
    """Return why the kernel offers no Landlock; empty where it does."""
    if confinement.landlock_abi >= 1:
        return ""
    return "no Landlock: the kernel is older than 5.13, has it off, or a container's filter refuses it"


def prepare(confinement: Confinement) -> None:
    """Open what all runners' rules name.

    Before capabilities are dropped: at level 2 one of root's may be needed to open a path. Raises OSError.
    """
    readable = confinement.readable
    if confinement.namespaces:
        # the import system lists the folders of the search path, which hold nothing but binds
        readable = (*readable, *confinement.sys_path, "/etc")
    confinement.rules = rules_for(
        confinement.landlock_abi, read=readable, devices=confinement.devices, load=confinement.loadable
    )


def zygote_rules(confinement: Confinement) -> list[bytes]:
    """Return the rules of a zygote.

    At level 3 it may write anywhere in the view, whose mounts are read-only; at level 2 it may read what is listed and
    write the scratch folder. Raises OSError.
    """
    abi = confinement.landlock_abi
    if confinement.namespaces:
        # A rule on the scratch mount point would be hidden by the file systems mounted there later. The root is mounted
        # read-only with all its binds; each runner adds the rules for its own scratch.
        return rules_for(abi, write=("/",))
    return runner_rules(confinement)


def runner_rules(confinement: Confinement) -> list[bytes]:
    """Return the rules of a runner: to read what is listed, and write its own run's scratch. Raises OSError."""
    # the scratch is opened here, not in ``prepare``: at level 3 another file system is mounted there for each run
    return [*confinement.rules, *rules_for(confinement.landlock_abi, write=(confinement.scratch,))]


def at_zygote(confinement: Confinement) -> None:
    """Restrict the zygote; see ``zygote_rules``. Raises OSError."""
    restrict(confinement.landlock_abi, zygote_rules(confinement))


def at_runner(confinement: Confinement) -> None:
    """Restrict a runner; see ``runner_rules``. Raises OSError."""
    restrict(confinement.landlock_abi, runner_rules(confinement))


def order_zygote(confinement: Confinement, orders: Orders) -> None:
    """Order a zygote to be restricted. Raises OSError."""
    orders.rulesets.append(_ordered(confinement, zygote_rules(confinement)))


def order_runner(confinement: Confinement, orders: Orders) -> None:
    """Order a runner to be restricted. Raises OSError."""
    orders.rulesets.append(_ordered(confinement, runner_rules(confinement)))


def _ordered(confinement: Confinement, rules: list[bytes]) -> int:
    """Return a ruleset of the rules, and close the descriptors of those that no other run will use."""
    try:
        return ruleset_of(confinement.landlock_abi, rules)
    finally:
        # init makes a ruleset for each run; an open folder would also keep the scratch of a run that is over
        for rule in rules:
            if rule not in confinement.rules:
                os.close(_PATH_BENEATH.unpack(rule)[1])
