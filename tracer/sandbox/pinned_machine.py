"""Has the recording jail answer for the machine with numbers of its own: processors, memory, kernel. Runs inside.

The replaying jail answers with what the machine really has, so output that depends on one of these differs there. The
numbers are such as no machine is likely to have.

Not covered: what C extensions ask by themselves; the versions of C libraries; addresses of objects that an interpreter
which is not position independent holds in itself.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import re
import resource
import socket
import sys
from collections.abc import Callable
from types import ModuleType

from trace_mine.tracer.inside.draws.replacing import replace
from trace_mine.tracer.sandbox.machine import Machine

KERNEL_RELEASE, KERNEL_VERSION, ARCHITECTURE = "5.10.0-0-generic", "#1 SMP", "x86_64"
C_LIBRARY = "2.29"
BUILD, COMPILER = "main, Jan  1 2024, 00:00:00", "GCC 13.0.0"
LOAD = (0.25, 0.5, 0.75)
MEMORY_PAGES, FREE_PAGES = 1_999_872, 999_936
"""Pages of 4,096 bytes: some 7.6 GiB, half of them free."""
PARENT_ID = 100
"""The process id of a run's parent: a shell's, where process 1 is what really runs it at level 3."""
INFINITE = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
USUAL_LIMITS = {"NOFILE": (1_024, 4_096), "STACK": (8 << 20, resource.RLIM_INFINITY), "CORE": (0, INFINITE[1])}
"""Limits that an ordinary login has; all others are infinite there."""

_set_item = ctypes.pythonapi.PyStructSequence_SetItem
_set_item.argtypes = [ctypes.py_object, ctypes.c_ssize_t, ctypes.py_object]
_set_item.restype = None


def num_processors() -> int:
    """The number of processors that the jail claims: few machines have 3, and one that has is claimed to have 5."""
    return 5 if os.cpu_count() == 3 else 3


def pin_machine(machine: Machine, host_name: str) -> tuple[ModuleType, ...]:
    """Replace what tells of the machine in this process; returns the modules that ``os`` takes its functions from.

    ``posix`` is changed too, which ``os`` copies; the import system, which looks at real times of files, keeps a
    ``posix`` of its own as it was.
    """
    posix = importlib.import_module("posix")
    private = ModuleType("posix")
    vars(private).update(vars(posix))
    vars(importlib.import_module("importlib._bootstrap_external"))["_os"] = private
    modules = (os, posix)
    processors = num_processors()
    for module in modules:
        _pin_processors(module, processors)
        _pin_system(module, machine, host_name)
        _pin_user(module, machine)
    _pin_limits()
    for module in (socket, importlib.import_module("_socket")):
        replace(module, "gethostname", lambda: host_name)
    _pin_interpreter()
    return modules


def _pin_processors(module: ModuleType, processors: int) -> None:
    memory = {
        "SC_PHYS_PAGES": MEMORY_PAGES,
        "SC_AVPHYS_PAGES": FREE_PAGES,
        "SC_NPROCESSORS_CONF": processors,
        "SC_NPROCESSORS_ONLN": processors,
    }
    pinned = {os.sysconf_names[name]: value for name, value in memory.items() if name in os.sysconf_names}
    real_sysconf: Callable[[str | int], int] = module.sysconf

    def sysconf(name: str | int, /) -> int:
        number = os.sysconf_names.get(name, -1) if isinstance(name, str) else name
        return pinned[number] if number in pinned else real_sysconf(name)

    replace(module, "sysconf", sysconf)
    replace(module, "getpriority", lambda which, who: 0)
    for name in ("cpu_count", "process_cpu_count"):
        replace(module, name, lambda: processors)
    replace(module, "sched_getaffinity", lambda pid, /: set(range(processors)))
    replace(module, "getloadavg", lambda: LOAD)


def _pin_system(module: ModuleType, machine: Machine, host_name: str) -> None:
    real_confstr: Callable[[str | int], str | None] = module.confstr
    pinned = {
        os.confstr_names[name]: value
        for name, value in {
            "CS_GNU_LIBC_VERSION": f"glibc {C_LIBRARY}",
            "CS_GNU_LIBPTHREAD_VERSION": f"NPTL {C_LIBRARY}",
        }.items()
        if name in os.confstr_names
    }

    def confstr(name: str | int, /) -> str | None:
        number = os.confstr_names.get(name, -1) if isinstance(name, str) else name
        return pinned[number] if number in pinned else real_confstr(name)

    replace(module, "confstr", confstr)
    words = ("Linux", host_name, KERNEL_RELEASE, KERNEL_VERSION, ARCHITECTURE)
    replace(module, "uname", lambda: os.uname_result(words))
    replace(module, "getlogin", lambda: machine.user)


def _pin_user(module: ModuleType, machine: Machine) -> None:
    """Answer with the jail's user where it is the host's, at level 2."""
    user_id = machine.user_id
    for name in ("getuid", "geteuid", "getgid", "getegid"):
        replace(module, name, lambda: user_id)
    for name in ("getresuid", "getresgid"):
        replace(module, name, lambda: (user_id,) * 3)
    replace(module, "getppid", lambda: PARENT_ID)


def _pin_limits() -> None:
    """Answer with the limits of an ordinary login, until the program sets some itself."""
    usual = {getattr(resource, f"RLIMIT_{name}"): limits for name, limits in USUAL_LIMITS.items()}
    real_get, real_set, real_both, own_id = resource.getrlimit, resource.setrlimit, resource.prlimit, os.getpid
    changed: set[int] = set()

    def getrlimit(which: int, /) -> tuple[int, int]:
        real = real_get(which)  # raises for what is no limit
        return real if which in changed else usual.get(which, INFINITE)

    def setrlimit(which: int, limits: tuple[int, int], /) -> None:
        real_set(which, limits)
        changed.add(which)

    def prlimit(pid: int, which: int, limits: tuple[int, int] | None = None, /) -> tuple[int, int]:
        if pid not in (0, own_id()):
            return real_both(pid, which, *([] if limits is None else [limits]))  # refused, as elsewhere
        before = getrlimit(which)
        if limits is not None:
            setrlimit(which, limits)
        return before

    for function in (getrlimit, setrlimit, prlimit):
        replace(resource, function.__name__, function)


def forget_answers() -> None:
    """Have ``platform`` ask again: our own code asked before the jail was another machine."""
    for name in ("_uname_cache", "_platform_cache", "_sys_version_cache"):
        cache = vars(platform).get(name)
        if isinstance(cache, dict):
            cache.clear()
        else:
            setattr(platform, name, None)


def _pin_interpreter() -> None:
    """Have the interpreter say nothing of when, where and with what it was built; its version stays."""
    sys.version = re.sub(r"\(.*\) \[.*\]", f"({BUILD}) [{COMPILER}]", sys.version, flags=re.DOTALL)
    vars(sys)["_git"] = ("CPython", "", "")
    forget_answers()
    library = f"NPTL {C_LIBRARY}"
    # the tuple can't be made anew, and is filled as CPython fills it at its start; it keeps what it is given
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    _set_item(sys.thread_info, 2, library)
