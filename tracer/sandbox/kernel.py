"""Makes the Linux calls that Python does not offer, through ctypes. Runs inside; imports the standard library only.

No maintained package does this: pyseccomp is idle since 2021, landlock is a development release. Every function raises
OSError where the kernel refuses the call: a layer that was not put on must never pass for one that was.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
from functools import cache

from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers

# Numbers of the kernel's own headers, equal on x86-64 and aarch64: CLONE_NEW* (linux/sched.h), MS_* (linux/mount.h),
# CAP_* (linux/capability.h), PR_* (linux/prctl.h). Python has the first in ``os`` from 3.12 on; 3.11 runs inside too.
NEW_MOUNTS, NEW_CGROUPS, NEW_HOST_NAME, NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEW_USERS, NEW_PIDS, NEW_NETWORK, NEW_TIME = 0x10000000, 0x20000000, 0x40000000, 0x00000080
READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
CAP_DAC_READ_SEARCH, CAP_SETPCAP = 2, 8
_CAPABILITY_VERSION_3 = 0x20080522
_AT_FDCWD, _AT_RECURSIVE, _UMOUNT_DETACH = -100, 0x8000, 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 1, 4, 8, 24, 28
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
_PR_CAP_AMBIENT_RAISE = 2
# NOROOT and NO_SETUID_FIXUP on, KEEP_CAPS off, each locked: uid 0 never gets a capability for being 0. The ambient set
# needs no lock, because it can only be filled from capabilities that are permitted and inheritable.
_SECUREBITS_LOCKED = 0x2F

_libc = ctypes.CDLL(None, use_errno=True)
# prctl and mount take unsigned longs; an int passed without a type would leave the upper half of a register undefined
_ulong = ctypes.c_ulong


@cache
def _numbers() -> dict[str, int]:
    """Return the system-call numbers of this machine, read at the first call: importing this file elsewhere is no
    error.

    Raises:
        ValueError: there is no table for this machine.
    """
    return syscall_numbers(machine_of_this_process())


def check(result: int, what: str) -> int:
    """Return ``result`` unless it is negative. ``what`` names the call in the error.

    Raises:
        OSError: with the C library's errno and ``what`` in its message.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(name: str, *arguments: object) -> int:
    """Make a raw system call; integers go as C longs, other arguments as ctypes converts them. Raises OSError."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(int(_libc.syscall(ctypes.c_long(_numbers()[name]), *converted)), name)


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """Call prctl(2); arguments that an option does not use must be 0. Raises OSError."""
    return check(_libc.prctl(option, _ulong(argument), _ulong(second), _ulong(0), _ulong(0)), f"prctl({option})")


def unshare(flags: int) -> None:
    """Move this process into new namespaces (NEW_*).

    A process-id namespace is for the children to come: the caller keeps its own. Raises OSError.
    """
    check(_libc.unshare(flags), f"unshare({flags:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Call mount(2) with the flags above; None stands for an argument that is not used. Raises OSError."""
    encode = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    what = f"mount({source} on {target})"
    check(_libc.mount(encode[0], encode[1], encode[2], _ulong(flags), encode[3]), what)


def unmount(path: str) -> None:
    """Detach a mount at once; the kernel frees the file system when its last user is gone. Raises OSError."""
    # without MNT_DETACH a process that holds a file there open (a hostile zygote may) would make this fail
    check(_libc.umount2(os.fsencode(path), _UMOUNT_DETACH), f"umount({path})")


def bind_read_only(source: str, target: str) -> None:
    """Show ``source`` at ``target``: a recursive bind, read-only, without set-uid and devices in all of it.

    Needs mount_setattr (Linux 5.12). Raises OSError.
    """
    # Two calls: mount(2) ignores all other flags of a bind. And a remount of the target would reach the top mount only:
    # what is mounted below it on the host would stay writable.
    mount(source, target, None, BIND | RECURSIVE)
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", READ_ONLY | NO_SETUID | NO_DEVICES, 0, 0, 0))
    syscall("mount_setattr", _AT_FDCWD, ctypes.c_char_p(os.fsencode(target)), _AT_RECURSIVE, attributes, 32)


def pivot_to(root: str) -> None:
    """Make the mount at ``root`` the root directory and detach the old one. Raises OSError."""
    os.chdir(root)
    # With the same folder for both, the old root is mounted over the new one and comes off with the next call, so the
    # view needs no folder for it (pivot_root(2), Notes). chroot alone would leave the host's mounts reachable.
    current_folder = ctypes.c_char_p(b".")
    syscall("pivot_root", current_folder, current_folder)
    unmount(".")
    os.chdir("/")


def set_host_name(name: str) -> None:
    """Set the host name of this process's UTS namespace. Raises OSError."""
    encoded = os.fsencode(name)
    check(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname")


def set_domain_name(name: str) -> None:
    """Set the domain name of this process's UTS namespace. Raises OSError."""
    encoded = os.fsencode(name)
    check(_libc.setdomainname(encoded, ctypes.c_size_t(len(encoded))), "setdomainname")


def add_personality(flags: int) -> None:
    """Add flags of personality(2) to those of this process; an exec and a fork keep them. Raises OSError."""
    if flags:
        present = check(_libc.personality(_ulong(0xFFFFFFFF)), "personality")
        check(_libc.personality(_ulong(present | flags)), "personality")


def die_with_parent() -> None:
    """Have the kernel send this process SIGKILL when its parent *thread* ends.

    A fork does not inherit it and a later change of user id clears it, so it comes after both. A parent that ended
    before the call sends nothing: the caller checks ``getppid`` where that can be. Raises OSError.
    """
    prctl(_PR_SET_PDEATHSIG, 9)


def continue_when_ready(fd: int) -> None:
    """Have the kernel send this process SIGCONT when there is something to read at ``fd``, its end above all.

    A process that was stopped (SIGSTOP) so sees the end of another one and can end too; one that runs ignores the
    signal. ``fd`` is a pipe or a socket. Raises OSError.
    """
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGCONT)
    fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)


def adopt_orphans() -> None:
    """Make orphaned descendants children of this process, as they become children of process 1. Raises OSError."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """Give up, for good, whatever an exec could gain by set-uid or file capabilities. Raises OSError.

    An unprivileged process must do so before it may install a filter or Landlock rules.
    """
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become(uid: int, keep: int | None = None) -> None:
    """Give up root for the user and group ``uid``, keeping at most the capability ``keep``. Raises OSError."""
    # without this the change of user id empties the permitted set
    if keep is not None:
        prctl(_PR_SET_KEEPCAPS, 1)
    # groups first: after setresuid the right to change them is gone, and root's groups would stay
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep is not None:
        set_capabilities(1 << keep)
    prctl(_PR_SET_DUMPABLE, 1)  # else the process's own /proc files, uid_map among them, belong to root


def permitted_capabilities() -> int:
    """Return the permitted capabilities of this process as a bit mask. Raises OSError."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)  # two times (effective, permitted, inheritable), 32 bits each
    check(_libc.syscall(ctypes.c_long(_numbers()["capget"]), header, data), "capget")
    words = struct.unpack("6I", data.raw)
    return int(words[1] | words[4] << 32)


def set_capabilities(mask: int) -> None:
    """Make ``mask`` the effective and permitted capabilities; nothing is inheritable. Raises OSError."""
    _capset(mask, inheritable=0)


def _capset(mask: int, *, inheritable: int) -> None:
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    low, high = mask & 0xFFFFFFFF, mask >> 32
    kept = inheritable & 0xFFFFFFFF, inheritable >> 32
    data = ctypes.create_string_buffer(struct.pack("6I", low, low, kept[0], high, high, kept[1]))
    check(_libc.syscall(ctypes.c_long(_numbers()["capset"]), header, data), "capset")


def drop_capabilities(keep: int = 0) -> None:
    """Drop every capability but the mask ``keep``, for good, in the bounding and ambient sets too where that is
    allowed.

    Raises:
        OSError: the kernel refuses, or ``keep`` is not permitted now.
    """
    # Only a process with CAP_SETPCAP may, and only one that has capabilities needs to: without any, no_new_privileges
    # keeps an exec from gaining some.
    if permitted_capabilities() >> CAP_SETPCAP & 1:
        for capability in range(64):
            if _libc.prctl(_PR_CAPBSET_DROP, _ulong(capability), _ulong(0), _ulong(0), _ulong(0)) < 0:
                break  # past the kernel's last capability
        prctl(_PR_SET_SECUREBITS, _SECUREBITS_LOCKED)
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    set_capabilities(keep)


def keep_over_exec(capability: int) -> None:
    """Let a program that this process executes have ``capability``, which must be permitted now. Raises OSError.

    A user without privileges else loses all at an exec (capabilities(7)).
    """
    mask = 1 << capability
    _capset(mask, inheritable=mask)
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


class _Program(ctypes.Structure):
    """struct sock_fprog: the number of instructions, and where they are."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(program: bytes) -> None:
    """Add a seccomp filter to this thread, for good; threads and forks made later inherit it.

    ``program`` is an array of struct sock_filter, 8 bytes each. ``no_new_privileges`` must have been called. Raises
    OSError.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    structure = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    syscall("seccomp", 1, 0, ctypes.byref(structure))  # SECCOMP_SET_MODE_FILTER
