"""The two system-call filters: one for the zygote and all it forks, a second one on top in each runner.

The first is an allowlist; what it does not name answers EPERM. The second is small and takes away what only the zygote
needs (fork, setsid, further filters) and binds signals to the runner's own process id. A call must pass both. A runner
that may fork has a second filter that lets one thing more pass: a clone with exactly the flags of a plain fork. What it
forks inherits both, so signals go to the runner or nowhere.

Not covered: calls that are allowed but heavy (``fsync``, ``mmap``); memory that a pipe holds (``F_SETPIPE_SZ`` is
refused, the number of descriptors is limited). File metadata calls (chmod, utime), which Landlock does not cover, are
allowed only where everything but the scratch file system is mounted read-only.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable, Mapping

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.kernel import install_filter
from trace_mine.tracer.sandbox.layer import Confinement
from trace_mine.tracer.sandbox.syscalls import AUDIT_ARCHITECTURES, syscall_numbers

RETURN_ALLOW = 0x7FFF0000
RETURN_KILL_PROCESS = 0x80000000
RETURN_ERRNO = 0x00050000
X32_BIT = 0x40000000


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ALLOWED = _names("""
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close close_range open openat stat fstat lstat
newfstatat statx poll ppoll select pselect6 lseek mmap mprotect munmap brk mremap madvise msync mincore rt_sigaction
rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack access faccessat faccessat2 pipe
pipe2 sched_yield dup dup2 dup3 pause nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time getitimer
setitimer alarm timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime
timerfd_gettime getpid getppid gettid getuid geteuid getgid getegid getgroups getresuid getresgid getpgrp getpgid
getsid exit exit_group wait4 waitid uname flock fsync fdatasync sync_file_range truncate ftruncate fallocate fadvise64
getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat symlink symlinkat
link linkat readlink readlinkat umask getrlimit getrusage sysinfo times statfs fstatfs futex futex_waitv futex_wake
futex_wait futex_requeue set_robust_list get_robust_list rseq membarrier set_tid_address arch_prctl restart_syscall
sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getpriority getcpu
epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 sendfile
copy_file_range getrandom sendto recvfrom sendmsg recvmsg shutdown getsockopt getsockname getpeername getxattr lgetxattr
fgetxattr listxattr capget
""")
"""Allowed with any arguments. No setsockopt: it can attach programs to a socketpair, and asyncio does without."""

ZYGOTE_ONLY = _names("fork setsid seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self")
"""What the zygote needs to fork and confine a runner; the runner's own filter takes it away."""

METADATA = _names("chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat chown fchown lchown fchownat")
SIGNALS = _names("kill tgkill rt_sigqueueinfo rt_tgsigqueueinfo")
ABSENT = _names("clone3 openat2 statmount listmount")
"""Answered ENOSYS, so that the C library falls back to a call whose arguments a filter can read."""

CLONE_THREAD = 0x00010000
PLAIN_FORK = 0x01200011
"""CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID and SIGCHLD: glibc's ``fork``. musl's has other flags, and stays refused."""
CLONE_NEW_NAMESPACES = 0x7E020000
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032, 1034)
"""F_DUPFD .. F_SETLKW, open-file locks, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS. Not F_SETOWN and F_SETSIG: with
them a pipe sends SIGKILL to any process of the same user. Not F_SETPIPE_SZ: pipe memory escapes RLIMIT_AS.
"""
IOCTL_COMMANDS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (isatty), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL_SAFE = (3, 15, 16)
"""PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME."""
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP_SET_MODE_FILTER = 1
PID_PLACE = 0x5A5A5A5A
"""Stands for the runner's process id; above the largest possible one (2**22)."""

LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
OFFSET_NUMBER, OFFSET_ARCHITECTURE = 0, 4

Instruction = tuple[int, int, int, int]
DENY: list[Instruction] = [(RETURN, 0, 0, RETURN_ERRNO | errno.EPERM)]
ALLOW: list[Instruction] = [(RETURN, 0, 0, RETURN_ALLOW)]


def _argument(index: int) -> Instruction:
    """Loads the low 32 bits of an argument; every checked argument is a C int or has its flags there."""
    return (LOAD, 0, 0, 16 + 8 * index)


def _one_of(index: int, values: Iterable[int], otherwise: list[Instruction]) -> list[Instruction]:
    body = [_argument(index)]
    for value in values:
        body += [(JUMP_EQUAL, 0, 1, value), *ALLOW]
    return body + otherwise


def _on(number: int, body: list[Instruction]) -> list[Instruction]:
    """``body``, which must return, where the loaded system-call number is ``number``."""
    assert len(body) < 256, "a BPF jump reaches 255 instructions"
    return [(JUMP_EQUAL, 0, len(body), number), *body]


def _assemble(instructions: Iterable[Instruction]) -> bytes:
    return b"".join(struct.pack("HBBI", code, yes, no, k & 0xFFFFFFFF) for code, yes, no, k in instructions)


def zygote_filter(machine: str, *, signals: bool, metadata: bool) -> bytes:
    """The allowlist, as an array of struct sock_filter.

    ``signals``: signals to single processes (positive ids) pass here, because another layer (a process-id namespace,
    Landlock's signal scope) keeps them inside; without such a layer none pass, a runner's to itself included.
    """
    numbers = syscall_numbers(machine)
    program: list[Instruction] = [
        (LOAD, 0, 0, OFFSET_ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURES[machine]),
        (RETURN, 0, 0, RETURN_KILL_PROCESS),
        (LOAD, 0, 0, OFFSET_NUMBER),
    ]
    if machine == "x86_64":
        program += [(JUMP_GREATER_EQUAL, 0, 1, X32_BIT), (RETURN, 0, 0, RETURN_KILL_PROCESS)]
    allowed = [*ALLOWED, *ZYGOTE_ONLY, *(METADATA if metadata else ())]
    bodies: dict[str, list[Instruction]] = {name: ALLOW for name in allowed if name != "seccomp"}
    bodies |= {name: [(RETURN, 0, 0, RETURN_ERRNO | errno.ENOSYS)] for name in ABSENT}
    if not metadata:
        bodies["fchmodat2"] = [(RETURN, 0, 0, RETURN_ERRNO | errno.ENOSYS)]
    bodies["clone"] = [_argument(0), (JUMP_ANY_BIT, 0, 1, CLONE_NEW_NAMESPACES), *DENY, *ALLOW]
    bodies["fcntl"] = _one_of(1, FCNTL_COMMANDS, DENY)
    bodies["ioctl"] = _one_of(1, IOCTL_COMMANDS, [(RETURN, 0, 0, RETURN_ERRNO | errno.ENOTTY)])
    bodies["prctl"] = _one_of(0, (*PRCTL_SAFE, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS), DENY)
    bodies["seccomp"] = _one_of(0, (SECCOMP_SET_MODE_FILTER,), DENY)
    bodies["prlimit64"] = _one_of(0, (0,), DENY)
    bodies["setrlimit"] = ALLOW
    # asyncio's self-pipe. A datagram pair could sendto() a unix socket of the host; other families have no pairs.
    bodies["socketpair"] = [
        _argument(0), (JUMP_EQUAL, 1, 0, 1), *DENY,
        _argument(1), (AND, 0, 0, 0xF), (JUMP_EQUAL, 0, 1, 1), *ALLOW, *DENY,
    ]  # fmt: skip
    if signals:
        to_one_process = [_argument(0), (JUMP_EQUAL, 1, 0, 0), (JUMP_ANY_BIT, 0, 1, 0x80000000), *DENY, *ALLOW]
        bodies |= dict.fromkeys(SIGNALS, to_one_process)
    for name, body in bodies.items():
        if name in numbers:
            program += _on(numbers[name], body)
    return _assemble(program + DENY)


def for_pid(template: bytes, pid: int) -> bytes:
    """The filter of ``runner_template`` for one process; a replacement is 20 times cheaper than to assemble it
    again.
    """
    return template.replace(struct.pack("I", PID_PLACE), struct.pack("I", pid))


def runner_template(machine: str, *, forks: bool = False) -> bytes:
    """What a runner loses on top of the zygote's filter: processes, sessions, signals to others than PID_PLACE.

    ``forks``: a plain fork passes.
    """
    numbers: Mapping[str, int] = syscall_numbers(machine)
    bodies: dict[str, list[Instruction]] = dict.fromkeys(("vfork", *ZYGOTE_ONLY), DENY)
    bodies["clone"] = [_argument(0), (JUMP_ANY_BIT, 1, 0, CLONE_THREAD), *DENY, *ALLOW]
    if forks:
        bodies["clone"] = [_argument(0), (JUMP_EQUAL, 2, 0, PLAIN_FORK), *bodies["clone"][1:]]
    bodies["prctl"] = _one_of(0, PRCTL_SAFE, DENY)
    bodies |= {name: _one_of(0, (PID_PLACE,), DENY) for name in SIGNALS}
    program: list[Instruction] = [(LOAD, 0, 0, OFFSET_NUMBER)]
    for name, body in bodies.items():
        if name in numbers:
            program += _on(numbers[name], body)
    return _assemble(program + ALLOW)


# the layer: see ``layers.SECCOMP``


def prepare(confinement: Confinement) -> None:
    """Assembles the second filter once for all runners, with and without the right to fork."""
    confinement.filters = {forks: runner_template(confinement.machine, forks=forks) for forks in (False, True)}


def at_zygote(confinement: Confinement) -> None:
    """The first filter. Raises OSError."""
    # before version 6 Landlock has no signal scope
    scoped = "landlock" in confinement.layers and confinement.landlock_abi >= 6
    signals = confinement.namespaces or scoped
    install_filter(zygote_filter(confinement.machine, signals=signals, metadata=confinement.namespaces))


def at_runner(confinement: Confinement) -> None:
    """The second filter at once, where no run of this worker may fork: then it does not depend on the job."""
    if not confinement.may_fork:
        install_filter(for_pid(confinement.filters[False], os.getpid()))


def at_job(confinement: Confinement, limits: Limits, mapped_bytes: int) -> None:
    """The second filter, where the job decides whether its run may fork."""
    if confinement.may_fork:
        install_filter(for_pid(confinement.filters[limits.forks > 0], os.getpid()))
