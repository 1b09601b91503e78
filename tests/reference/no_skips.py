"""Decides if a test may be skipped: only for what this machine truly lacks.

A test that skips itself because a level of the sandbox "does not work here" hides a level of ours that broke: level 3
once worked for no ordinary user, and the suite was green for all of them. So what the kernel offers is asked of the
kernel, with none of our code, and a skip that it refutes is a failure. With TRACE_MINE_NO_SKIPS=1 each other reason to
skip a test of the sandbox must be borne out too (``.ci/run`` sets it).
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

LANDLOCK_CREATE_RULESET = 444
"""The call's number, on x86-64 and aarch64 alike."""

NAMESPACES = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if os.geteuid() == 0:  # real root gives itself up first
    if libc.unshare(0x20000):
        sys.exit(1)
    os.setgroups([]); os.setresgid(54322, 54322, 54322); os.setresuid(54321, 54321, 54321)
    libc.prctl(4, 1)  # else its own files in /proc are root's
user, group = os.geteuid(), os.getegid()
everything = 0x10000000 | 0x20000 | 0x20000000 | 0x40000000 | 0x8000000 | 0x4000000 | 0x2000000
if libc.unshare(everything):
    sys.exit(1)
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
private = libc.mount(None, b"/", None, ctypes.c_ulong(0x4000 | 1 << 18), None)
sys.exit(private != 0 or libc.mount(b"none", b"/proc", b"tmpfs", ctypes.c_ulong(0), None) != 0)
"""
"""A program that ends with 0 where this user may make all namespaces of level 3 and mount a file system in them."""


@cache
def landlock_version() -> int:
    """The kernel's Landlock version; -1 where it has none or a container's filter refuses the call."""
    return int(ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1))


@cache
def offers(level: int) -> bool:
    """True where the kernel gives this user what a level needs."""
    if level == 3:
        return subprocess.run([sys.executable, "-I", "-c", NAMESPACES], capture_output=True).returncode == 0
    return landlock_version() >= 1


@cache
def offers_groups() -> bool:
    """True where this user may make control groups: root those of version 1, others below a folder of their own."""
    if os.geteuid() == 0:
        folders = [Path("/sys/fs/cgroup", name) for name in ("memory", "pids")]
        if all(os.access(folder / "cgroup.procs", os.W_OK) for folder in folders):
            return True
    own = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    return own is not None and os.access(Path("/sys/fs/cgroup", own[1], "cgroup.subtree_control"), os.W_OK)


def offers_layer(name: str) -> bool:
    """True where the kernel gives this user what a layer needs; the others are there wherever a level is."""
    return {"cgroup": offers_groups(), "landlock": landlock_version() >= 1}.get(name, True)


LEVELS: dict[str, Callable[[re.Match[str]], bool]] = {
    r"level (\d) does not work here": lambda found: not offers(int(found[1])),
    r"no sandbox ": lambda found: not offers(3) and not offers(2),
}
"""How a test says that a level does not work, and a function that says if the machine bears it out."""

OTHERS: dict[str, Callable[[re.Match[str]], bool]] = {
    r"does not apply: ": lambda found: True,  # a combination of parameters that says nothing, on any machine
    r"the kernel, or a container's filter, does not offer what level (\d) needs": lambda found: (
        not offers(int(found[1]))
    ),
    r"Landlock (?:before|has network rules from) version (\d)": lambda found: landlock_version() < int(found[1]),
    r"this user may not make control groups here": lambda found: not offers_groups(),
    r"this machine offers no (\w+)": lambda found: not offers_layer(found[1]),
    r"root may write everywhere": lambda found: os.geteuid() == 0,
    r"other tests of this process keep workers": lambda found: True,  # it depends on which tests ran before
    r"no Python [\d.]+ ": lambda found: True,  # which interpreters there are is the administrator's business
    r"no C preprocessor ": lambda found: True,
    r"x32 and int 0x80 exist on x86-64 only": lambda found: True,
    # root that lacks a capability can't read an interpreter in a home folder at level 2, however right the code is
    r"without Landlock root keeps no capability": lambda found: True,
    r"root without CAP_DAC_READ_SEARCH": lambda found: True,
}
"""Other reasons that a test of the sandbox may have."""


def refuted(reason: str, *, strict: bool) -> bool:
    """True where a skip must not be: the machine can do what the reason says that it can't.

    ``strict``: a reason that is not listed here is refuted as well.
    """
    reason = reason.removeprefix("Skipped: ")
    for pattern, holds in (*LEVELS.items(), *OTHERS.items()):
        if found := re.match(pattern, reason):
            return not holds(found)
    return strict
