"""The filters, decided by a small BPF interpreter for both machines, and the tables against the kernel's headers."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

from trace_mine.tracer.sandbox import seccomp
from trace_mine.tracer.sandbox.syscalls import AUDIT_ARCHITECTURES, TABLE, syscall_numbers

MACHINES = sorted(AUDIT_ARCHITECTURES)
ALLOW, KILL, ERRNO = seccomp.RETURN_ALLOW, seccomp.RETURN_KILL_PROCESS, seccomp.RETURN_ERRNO
EPERM, ENOSYS, ENOTTY = (seccomp.RETURN_ERRNO | number for number in (errno.EPERM, errno.ENOSYS, errno.ENOTTY))


def decide(program: bytes, machine: str, name: str | int, *arguments: int, architecture: int | None = None) -> int:
    """Runs the filter as the kernel does; raises where it leaves the program or uses an instruction it must not."""
    number = syscall_numbers(machine)[name] if isinstance(name, str) else name
    architecture = AUDIT_ARCHITECTURES[machine] if architecture is None else architecture
    words = [argument & (1 << 64) - 1 for argument in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *words)
    accumulator, position = 0, 0
    while True:
        code, yes, no, k = struct.unpack_from("HBBI", program, 8 * position)
        position += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == seccomp.AND:
            accumulator &= k
        elif code == seccomp.RETURN:
            return k
        else:
            tests = {
                seccomp.JUMP_EQUAL: accumulator == k,
                seccomp.JUMP_GREATER_EQUAL: accumulator >= k,
                seccomp.JUMP_ANY_BIT: bool(accumulator & k),
            }
            position += yes if tests[code] else no


@pytest.mark.parametrize("machine", MACHINES)
def test_every_name_is_in_a_table(machine):
    known = set(syscall_numbers("x86_64")) | set(syscall_numbers("aarch64"))
    groups = (seccomp.ALLOWED, seccomp.ZYGOTE_ONLY, seccomp.METADATA, seccomp.SIGNALS, seccomp.ABSENT)
    others = (seccomp.FEIGNED, seccomp.ATTRIBUTES, seccomp.LINKS, seccomp.TIMERS)
    named = [name for group in (*groups, *others) for name in group]
    assert set(named) - known == set()
    assert len(set(named)) == len(named)
    numbers = syscall_numbers(machine)
    assert len(set(numbers.values())) == len(numbers)
    assert len(seccomp.zygote_filter(machine, signals=True, metadata=True)) < 4096 * 8, (
        "the kernel takes 4,096 instructions"
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_what_the_zygote_may_do(machine):
    program = seccomp.zygote_filter(machine, signals=True, metadata=False)
    quiet = seccomp.zygote_filter(machine, signals=False, metadata=True)
    numbers = syscall_numbers(machine)
    for name in numbers:
        if name in seccomp.ALLOWED:
            assert decide(program, machine, name, *[(1 << 64) - 1] * 6) == ALLOW, name
    for name in (
        "execve",
        "socket",
        "ptrace",
        "mount",
        "unshare",
        "bpf",
        "setns",
        "io_uring_setup",
        "chroot",
        "setuid",
    ):
        assert decide(program, machine, name) == EPERM, name
    for name in (
        "bind",
        "connect",
        "listen",
        "accept",
        "memfd_create",
        "mknodat",
        "keyctl",
        "tkill",
        "process_vm_writev",
    ):
        assert decide(program, machine, name) == EPERM, name
    assert decide(program, machine, 9999) == EPERM
    assert decide(program, machine, "clone3") == ENOSYS
    assert decide(program, machine, "clone", 17) == ALLOW
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert decide(program, machine, "clone", 17 | flag) == EPERM
    for pid, verdict in ((5, ALLOW), (0, EPERM), (-1, EPERM), (-7, EPERM), ((1 << 32) - 1, EPERM)):
        assert decide(program, machine, "kill", pid, 9) == verdict
        assert decide(quiet, machine, "kill", pid, 9) == EPERM
    assert decide(program, machine, "prlimit64", 0) == ALLOW
    assert decide(program, machine, "prlimit64", 1) == EPERM
    for command, verdict in (
        (3, ALLOW),
        (1030, ALLOW),
        (8, EPERM),
        (10, EPERM),
        (15, EPERM),
        (1031, EPERM),
        (1026, EPERM),
    ):
        assert decide(program, machine, "fcntl", 3, command) == verdict
    assert decide(program, machine, "ioctl", 1, 0x5401) == ALLOW
    assert decide(program, machine, "ioctl", 1, 0x5412) == ENOTTY  # TIOCSTI types into a terminal
    for family, kind, verdict in (
        (1, 1, ALLOW),
        (1, 1 | 0o2004000, ALLOW),
        (1, 2, EPERM),
        (1, 5, EPERM),
        (2, 1, EPERM),
    ):
        assert decide(program, machine, "socketpair", family, kind) == verdict
    assert decide(program, machine, "seccomp", 1) == ALLOW
    assert decide(program, machine, "seccomp", 0) == EPERM
    assert decide(program, machine, "prctl", 38) == ALLOW
    assert decide(program, machine, "prctl", 4) == EPERM
    for name in set(seccomp.METADATA) & set(numbers):
        assert decide(program, machine, name) == (ENOSYS if name == "fchmodat2" else EPERM)
        assert decide(quiet, machine, name) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_what_landlock_does_not_cover(machine):
    """Level 2 (the first filter) and level 3 (the second) differ where level 3 has nothing of the host."""
    numbers = syscall_numbers(machine)
    two = seccomp.zygote_filter(machine, signals=True, metadata=False)
    three = seccomp.zygote_filter(machine, signals=True, metadata=True)
    for program in (two, three):
        assert {decide(program, machine, name) for name in seccomp.ATTRIBUTES} == {ERRNO | errno.EOPNOTSUPP}
        assert {decide(program, machine, name) for name in ("getgroups", "flock")} == {ERRNO}
        assert {decide(program, machine, "fcntl", 3, command) for command in (6, 7, 37, 38)} == {ERRNO}
        assert {decide(program, machine, "fcntl", 3, command) for command in (5, 36)} == {ALLOW}
        for command in (1024, 1026):  # F_SETLEASE, F_NOTIFY
            assert decide(program, machine, "fcntl", 3, command) == EPERM
        for name in ("inotify_init1", "inotify_add_watch", "fanotify_init", "setxattrat"):
            assert decide(program, machine, name) == EPERM, name
    for name in set(seccomp.LINKS) & set(numbers):
        assert (decide(two, machine, name), decide(three, machine, name)) == (ERRNO | errno.EACCES, ALLOW)
    for name in set(seccomp.MADE_LINKS) & set(numbers):
        assert (decide(two, machine, name), decide(three, machine, name)) == (EPERM, ALLOW)
    assert (decide(two, machine, "timer_create"), decide(three, machine, "timer_create")) == (EPERM, ALLOW)


@pytest.mark.parametrize("machine", MACHINES)
def test_nothing_is_truncated_where_landlock_has_no_right_for_it(machine):
    old = seccomp.zygote_filter(machine, signals=True, metadata=False, truncates=False)
    new = seccomp.zygote_filter(machine, signals=True, metadata=False)
    assert (decide(old, machine, "truncate"), decide(new, machine, "truncate")) == (EPERM, ALLOW)
    calls = [("openat", (3, 0)), *([("open", (0,))] if "open" in syscall_numbers(machine) else [])]
    for name, before in calls:
        for flags, verdict in (
            (os.O_RDONLY | os.O_TRUNC, EPERM),
            (os.O_RDONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_CREAT, EPERM),
            (os.O_WRONLY | os.O_TRUNC | os.O_CREAT, ALLOW),
            (os.O_RDWR | os.O_TRUNC, ALLOW),
            (os.O_RDONLY | os.O_CLOEXEC, ALLOW),
        ):
            assert decide(old, machine, name, *before, flags) == verdict, (name, flags)
            assert decide(new, machine, name, *before, flags) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_other_architectures_are_killed(machine):
    program = seccomp.zygote_filter(machine, signals=True, metadata=True)
    for architecture in (0x40000003, 0x40000028, 0):  # i386 (int 0x80), arm, none
        assert decide(program, machine, "read", architecture=architecture) == KILL
    if machine == "x86_64":
        assert decide(program, machine, seccomp.X32_BIT + 39) == KILL
        assert decide(program, machine, seccomp.X32_BIT) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_what_a_runner_loses(machine):
    program = seccomp.for_pid(seccomp.runner_template(machine), 4242)
    numbers = syscall_numbers(machine)
    for name in ("fork", "vfork", "setsid", "seccomp", "landlock_restrict_self", "landlock_create_ruleset"):
        if name in numbers:
            assert decide(program, machine, name, 1) == EPERM
    assert decide(program, machine, "clone", 0x3D0F00) == ALLOW  # a thread of the C library
    assert decide(program, machine, "clone", 17) == EPERM
    for name in seccomp.SIGNALS:
        assert decide(program, machine, name, 4242) == ALLOW
        for pid in (4241, 1, 0, -1, -4242, seccomp.PID_PLACE):
            assert decide(program, machine, name, pid) == EPERM
    assert decide(program, machine, "prctl", 1, 9) == EPERM  # PDEATHSIG is final
    assert decide(program, machine, "read") == ALLOW  # everything else is the first filter's


@pytest.mark.parametrize("machine", MACHINES)
def test_a_runner_that_may_fork_gains_a_plain_fork_and_nothing_else(machine):
    strict = seccomp.for_pid(seccomp.runner_template(machine), 4242)
    program = seccomp.for_pid(seccomp.runner_template(machine, forks=True), 4242)
    first = seccomp.zygote_filter(machine, signals=True, metadata=True)
    plain = 0x01000000 | 0x00200000 | 17  # CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID, SIGCHLD
    assert decide(program, machine, "clone", plain) == decide(first, machine, "clone", plain) == ALLOW
    assert decide(strict, machine, "clone", plain) == EPERM
    single = [1 << bit for bit in range(32)]
    for flags in (0, 17, *single, *(plain ^ bit for bit in single), plain + 1):
        expected = ALLOW if flags & seccomp.CLONE_THREAD else EPERM
        assert decide(program, machine, "clone", flags) == expected, hex(flags)
    for name in syscall_numbers(machine):
        for arguments in ((), (4242,), (1,), (3,), (38,)):
            if name != "clone":
                verdicts = {decide(each, machine, name, *arguments) for each in (program, strict)}
                assert len(verdicts) == 1, name
    for name in ("setsid", "setpgid", "execve", "execveat", "unshare", "clone3"):
        assert EPERM in (decide(first, machine, name), decide(program, machine, name)) or name == "clone3"
    assert decide(first, machine, "clone3") == ENOSYS


def test_unknown_machines_are_refused():
    with pytest.raises(ValueError, match="aarch64"):
        syscall_numbers("riscv64")


def test_table_shape():
    entries = [entry.split(":") for entry in TABLE.split()]
    assert all(len(entry) == 3 for entry in entries)
    numbers, generic = syscall_numbers("x86_64"), syscall_numbers("aarch64")
    assert not set(generic) & {"open", "stat", "fork", "vfork", "pipe", "chmod", "select", "poll", "dup2"}
    assert all(numbers[name] == generic[name] for name in generic if generic[name] >= 424)


@pytest.mark.parametrize(("machine", "header"), [("x86_64", "asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")])
def test_tables_agree_with_the_kernels_headers(machine, header):
    wanted = [
        "-D__BITS_PER_LONG=64",
        *(f"-D__ARCH_WANT_{name}" for name in ("RENAMEAT", "NEW_STAT", "SET_GET_RLIMIT", "SYS_CLONE3")),
    ]
    try:
        command = ["cc", "-E", "-dM", *wanted, "-x", "c", "-"]
        text = subprocess.run(command, input=f"#include <{header}>", capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no C preprocessor with <{header}>: {error}")
    defines = dict(re.findall(r"#define (__NR\w+) (\w+)", text))
    ours = syscall_numbers(machine)
    compared = 0
    for name, value in defines.items():
        while value in defines:
            value = defines[value]
        short = name.removeprefix("__NR_")
        if name.startswith("__NR_") and value.isdigit() and short in ours:
            assert ours[short] == int(value), name
            compared += 1
    assert compared > 200


def test_the_kernel_takes_the_filters():
    """On this machine: the zygote's, then the runner's on top, in a process of their own."""
    source = """
import os
from trace_mine.tracer.sandbox import kernel, seccomp
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process
machine = machine_of_this_process()
kernel.no_new_privileges()
kernel.install_filter(seccomp.zygote_filter(machine, signals=True, metadata=False))
kernel.install_filter(seccomp.for_pid(seccomp.runner_template(machine), os.getpid()))
os.kill(os.getpid(), 0)
for call in (os.fork, lambda: os.kill(os.getppid(), 0), lambda: os.execv("/bin/true", ["true"])):
    try:
        call()
    except PermissionError:
        os.write(1, b"refused ")
"""
    import sys

    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, env={"PYTHONPATH": root})
    assert done.stdout == b"refused refused refused ", done.stderr.decode()
    forking = source.replace("runner_template(machine)", "runner_template(machine, forks=True)")
    forking = forking.replace("(os.fork,", "(lambda: os.fork() or os._exit(0), os.setsid,")
    done = subprocess.run([sys.executable, "-c", forking], capture_output=True, env={"PYTHONPATH": root})
    assert done.stdout == b"refused refused refused ", done.stderr.decode()
