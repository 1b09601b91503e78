"""Linux calls that Python does not offer, through ctypes. Runs inside; imports nothing but the standard library.

No maintained package does this: pyseccomp is idle since 2021, landlock is a development release.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache

from trace_mine.tracer.sandbox.syscalls import machine_of_this_process, syscall_numbers

# Numbers of the kernel's own headers, equal on x86-64 and aarch64: CLONE_NEW* (linux/sched.h), MS_* (linux/mount.h),
# CAP_* (linux/capability.h), PR_* (linux/prctl.h). Python has the first in ``os`` from 3.12 on; 3.11 runs inside too.
NEW_MOUNTS, NEW_CGROUPS, NEW_HOST_NAME, NEW_IPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
CAP_DAC_READ_SEARCH, CAP_SETPCAP = 2, 8
_CAPABILITY_VERSION_3 = 0x20080522
_AT_FDCWD, _AT_RECURSIVE, _UMOUNT_DETACH = -100, 0x8000, 2
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 1, 4, 8, 24, 28
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
_SECUREBITS_LOCKED = 0x2F  # no special treatment of uid 0, locked; ambient capabilities kept out by the clear above

_libc = ctypes.CDLL(None, use_errno=True)
_ulong = ctypes.c_ulong


@cache
def _numbers() -> dict[str, int]:
    """Read at the first call, so that importing this file on another machine is no error. Raises ValueError there."""
    return syscall_numbers(machine_of_this_process())


def check(result: int, what: str) -> int:
    """``result`` unless negative.

    Raises:
        OSError: with the C library's errno and ``what`` in its message.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(name: str, *arguments: object) -> int:
    """A raw system call; integers go as C longs. Raises OSError."""
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(int(_libc.syscall(ctypes.c_long(_numbers()[name]), *converted)), name)


def prctl(option: int, argument: int = 0, second: int = 0) -> int:
    """Raises OSError."""
    return check(_libc.prctl(option, _ulong(argument), _ulong(second), _ulong(0), _ulong(0)), f"prctl({option})")


def unshare(flags: int) -> None:
    """Moves this process into new namespaces (NEW_*); new process ids are for its children. Raises OSError."""
    check(_libc.unshare(flags), f"unshare({flags:#x})")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2) with the flags above. Raises OSError."""
    encode = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    what = f"mount({source} on {target})"
    check(_libc.mount(encode[0], encode[1], encode[2], _ulong(flags), encode[3]), what)


def unmount(path: str) -> None:
    """Detaches at once; the kernel frees the file system when its last user is gone."""
    check(_libc.umount2(os.fsencode(path), _UMOUNT_DETACH), f"umount({path})")


def bind_read_only(source: str, target: str) -> None:
    """Recursive bind, read-only, without set-uid and devices in all of it (mount_setattr, Linux 5.12)."""
    mount(source, target, None, BIND | RECURSIVE)
    attributes = ctypes.create_string_buffer(struct.pack("QQQQ", READ_ONLY | NO_SETUID | NO_DEVICES, 0, 0, 0))
    syscall("mount_setattr", _AT_FDCWD, ctypes.c_char_p(os.fsencode(target)), _AT_RECURSIVE, attributes, 32)


def pivot_to(root: str) -> None:
    """Makes the mount at ``root`` the root directory and detaches the old one."""
    os.chdir(root)
    here = ctypes.c_char_p(b".")
    syscall("pivot_root", here, here)
    unmount(".")
    os.chdir("/")


def set_host_name(name: str) -> None:
    """Of this process's UTS namespace. Raises OSError."""
    encoded = os.fsencode(name)
    check(_libc.sethostname(encoded, ctypes.c_size_t(len(encoded))), "sethostname")


def die_with_parent() -> None:
    """SIGKILL when the parent *thread* ends. A later change of user id clears it."""
    prctl(_PR_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Orphaned descendants become this process's children, as they do for process 1 of a namespace."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """For good: no exec gains anything by set-uid or file capabilities. Filters and Landlock rules need it."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become(uid: int, keep: int | None = None) -> None:
    """Gives up root for user and group ``uid``, keeping at most the capability ``keep``."""
    if keep is not None:
        prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep is not None:
        set_capabilities(1 << keep)
    prctl(_PR_SET_DUMPABLE, 1)  # else the process's own /proc files, uid_map among them, belong to root


def permitted_capabilities() -> int:
    """The permitted set as a bit mask."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    check(_libc.syscall(ctypes.c_long(_numbers()["capget"]), header, data), "capget")
    words = struct.unpack("6I", data.raw)
    return int(words[1] | words[4] << 32)


def set_capabilities(mask: int) -> None:
    """Effective and permitted become ``mask``; nothing is inheritable."""
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = ctypes.create_string_buffer(struct.pack("6I", low, low, 0, high, high, 0))
    check(_libc.syscall(ctypes.c_long(_numbers()["capset"]), header, data), "capset")


def drop_capabilities(keep: int = 0) -> None:
    """Drops every capability but the mask ``keep``, for good: bounding and ambient sets too where that is allowed."""
    if permitted_capabilities() >> CAP_SETPCAP & 1:
        for capability in range(64):
            if _libc.prctl(_PR_CAPBSET_DROP, _ulong(capability), _ulong(0), _ulong(0), _ulong(0)) < 0:
                break  # past the kernel's last capability
        prctl(_PR_SET_SECUREBITS, _SECUREBITS_LOCKED)
    prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    set_capabilities(keep)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_filter(program: bytes) -> None:
    """Adds a seccomp filter (an array of struct sock_filter) to this thread. Needs no_new_privileges."""
    buffer = ctypes.create_string_buffer(program, len(program))
    structure = _Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    syscall("seccomp", 1, 0, ctypes.byref(structure))
