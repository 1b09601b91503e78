"""The layer of seccomp: two system-call filters, one for the zygote and all it forks, a second on top in each runner.

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
from trace_mine.tracer.sandbox.layer import Confinement, Orders
from trace_mine.tracer.sandbox.syscalls import AUDIT_ARCHITECTURES, syscall_numbers

RETURN_ALLOW = 0x7FFF0000
RETURN_KILL_PROCESS = 0x80000000
RETURN_ERRNO = 0x00050000
X32_BIT = 0x40000000
"""Marks calls of the x32 table, which an x86-64 kernel takes under the same architecture with other numbers."""


def _names(text: str) -> tuple[str, ...]:
    """Split a table of names."""
    return tuple(text.split())


ALLOWED = _names("""
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 close close_range open openat stat fstat lstat
newfstatat statx poll ppoll select pselect6 lseek mmap mprotect munmap brk mremap madvise msync mincore rt_sigaction
rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack access faccessat faccessat2 pipe
pipe2 sched_yield dup dup2 dup3 pause nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time getitimer
setitimer alarm timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime
timerfd_gettime getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getpgrp getpgid
getsid exit exit_group wait4 waitid uname fsync fdatasync sync_file_range ftruncate fallocate fadvise64
getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir unlink unlinkat
link linkat umask getrlimit getrusage sysinfo times statfs fstatfs futex futex_waitv futex_wake
futex_wait futex_requeue set_robust_list get_robust_list rseq membarrier set_tid_address arch_prctl restart_syscall
sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min getpriority getcpu
epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 sendfile
copy_file_range getrandom sendto recvfrom sendmsg recvmsg shutdown getsockopt getsockname getpeername capget
""")
"""Calls that are allowed with any arguments. No socket: a network namespace does not hold AF_VSOCK, which reaches the
hypervisor. No setsockopt: it can attach programs to a socketpair, and asyncio does without."""

ZYGOTE_ONLY = _names("fork setsid seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self")
"""Calls that the zygote needs to fork and confine a runner; the runner's own filter takes them away."""

# No Landlock right covers these: at level 2 they would change files of the host that belong to the jail's user.
METADATA = _names("chmod fchmod fchmodat fchmodat2 utime utimes futimesat utimensat chown fchown lchown fchownat")
SIGNALS = _names("kill tgkill rt_sigqueueinfo rt_tgsigqueueinfo")
FEIGNED = _names("getgroups flock")
"""Answered 0 without being made. Groups: the supervisor's are the host's business; root gives them up, an ordinary user
can't where a user namespace is to be had (``setgroups`` must be denied there). Locks: see LOCKS."""
LOCKS = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW and the same for open-file locks: answered 0 without being made, as ``flock`` is.

Any file that can be read can be locked, a library of the host or of another jail too, and whoever waits for it waits as
long as the run. Nobody else can have a file of the scratch open, so that the locks of a process, which never exclude
the process itself, lose nothing by it; an error instead would stop sqlite, dbm and mailbox. What does differ: two
descriptors of one program that lock the same file exclude each other elsewhere.
"""
ATTRIBUTES = _names("""
getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr lremovexattr
fremovexattr
""")
"""Answered as by a file system that has none. Landlock does not cover them, so that those of any file of the host could
be read; ``shutil.copy2`` asks for them, and takes this answer."""
LINKS = _names("readlink readlinkat")
"""Read where to links lead. At level 2, where Landlock does not cover them, refused with EACCES: those of /proc show
what the user's other processes have open. Not EINVAL, the answer for a file that is no link: a session that shows it
would be taken for true, while one that shows EACCES is dropped.
"""
MADE_LINKS = _names("symlink symlinkat")
"""Not at level 2: a link that can be made and not be read tells another story than elsewhere, and silently so where
``os.path.realpath`` takes any error of ``readlink`` for the end of the way, as that of newer interpreters does."""
TIMERS = _names("timer_create")
"""Not at level 2, where a run is stopped to be measured: a timer can send SIGCONT."""
O_ACCMODE, O_TRUNC = 3, 0o1000
ABSENT = _names("clone3 openat2 statmount listmount")
"""Answered ENOSYS, so that the C library falls back to a call whose arguments a filter can read."""

CLONE_THREAD = 0x00010000
PLAIN_FORK = 0x01200011
"""CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID and SIGCHLD: glibc's ``fork``. musl's has other flags, and stays refused."""
CLONE_NEW_NAMESPACES = 0x7E020000
"""All CLONE_NEW* flags: a new user namespace would bring back the right to mount, and kernel code that it opens."""
FCNTL_COMMANDS = (0, 1, 2, 3, 4, 5, 36, 1030, 1032, 1034)
"""F_DUPFD .. F_GETLK, F_OFD_GETLK, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS. Not F_SETOWN and F_SETSIG: with them a
pipe sends SIGKILL to any process of the same user. Not F_SETPIPE_SZ: pipe memory escapes RLIMIT_AS. Not F_SETLEASE and
F_NOTIFY: with them others wait, or can be watched.
"""
IOCTL_COMMANDS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS (isatty), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX."""
PRCTL_SAFE = (3, 15, 16)
"""PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME."""
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SECCOMP_SET_MODE_FILTER = 1
PID_PLACE = 0x5A5A5A5A
"""Stands for the runner's process id; above the largest possible one (2**22)."""

# Operations of classic BPF (linux/bpf_common.h) and the offsets of struct seccomp_data that they load from.
LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
OFFSET_NUMBER, OFFSET_ARCHITECTURE = 0, 4

Instruction = tuple[int, int, int, int]
"""Operation, instructions to skip where a test holds, where it does not, operand (struct sock_filter)."""
DENY: list[Instruction] = [(RETURN, 0, 0, RETURN_ERRNO | errno.EPERM)]
ALLOW: list[Instruction] = [(RETURN, 0, 0, RETURN_ALLOW)]


def _argument(index: int) -> Instruction:
    """Load the low 32 bits of an argument; every argument that is checked is a C int or has its flags there.

    The kernel ignores the high bits of a C int too, so a program can't hide a value in them.
    """
    return (LOAD, 0, 0, 16 + 8 * index)


def _answer(number: int) -> list[Instruction]:
    """Answer with an error without making the call; 0 is the answer of a call that succeeded."""
    return [(RETURN, 0, 0, RETURN_ERRNO | number)]


def _if_argument_in(
    index: int, values: Iterable[int], otherwise: list[Instruction], then: list[Instruction] = ALLOW
) -> list[Instruction]:
    """Allow a call whose argument is one of ``values``, or do ``then``; ``otherwise`` is for the rest. Both return."""
    assert len(then) == 1, "the comparison skips one instruction"
    body = [_argument(index)]
    for value in values:
        body += [(JUMP_EQUAL, 0, 1, value), *then]
    return body + otherwise


def _unless_read_only_truncates(index: int) -> list[Instruction]:
    """Allow an open whose flags (an argument) don't ask for reading alone and for truncation: the kernel truncates."""
    return [_argument(index), (AND, 0, 0, O_ACCMODE | O_TRUNC), (JUMP_EQUAL, 0, 1, O_TRUNC), *DENY, *ALLOW]


def _if_number(number: int, body: list[Instruction]) -> list[Instruction]:
    """Run ``body``, which must return, where the loaded system-call number is ``number``."""
    assert len(body) < 256, "a BPF jump reaches 255 instructions"
    return [(JUMP_EQUAL, 0, len(body), number), *body]


def _assemble(instructions: Iterable[Instruction]) -> bytes:
    """Return the instructions as an array of struct sock_filter."""
    return b"".join(struct.pack("HBBI", code, yes, no, k & 0xFFFFFFFF) for code, yes, no, k in instructions)


def zygote_filter(machine: str, *, signals: bool, metadata: bool, truncates: bool = True) -> bytes:
    """Assemble the first filter, the allowlist, as an array of struct sock_filter.

    The program checks the architecture, loads the number, and compares it with each call that it knows; behind each
    stands a body that ends in a verdict. What no comparison matches is denied.

    Args:
        machine: ``x86_64`` or ``aarch64``.
        signals: True lets signals to single processes (positive ids) pass here, because another layer (a process-id
            namespace, Landlock's signal scope) keeps them inside; without such a layer none pass, a runner's to itself
            included.
        metadata: True allows METADATA, LINKS, MADE_LINKS and TIMERS: nothing of the host is there to be changed or read
            so.
        truncates: False refuses to truncate by name, and by an open that does not ask to write; before version 3
            Landlock does not cover these, and any file of the jail's user would do.

    Raises:
        ValueError: another machine.
    """
    numbers = syscall_numbers(machine)
    program: list[Instruction] = [
        (LOAD, 0, 0, OFFSET_ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURES[machine]),
        # 32-bit calls (int 0x80 in a 64-bit program): their numbers mean other calls, so none may be compared
        (RETURN, 0, 0, RETURN_KILL_PROCESS),
        (LOAD, 0, 0, OFFSET_NUMBER),
    ]
    if machine == "x86_64":
        program += [(JUMP_GREATER_EQUAL, 0, 1, X32_BIT), (RETURN, 0, 0, RETURN_KILL_PROCESS)]
    allowed = [*ALLOWED, *ZYGOTE_ONLY, *((*METADATA, *LINKS, *MADE_LINKS, *TIMERS) if metadata else ())]
    bodies: dict[str, list[Instruction]] = {name: ALLOW for name in allowed if name != "seccomp"}
    bodies |= dict.fromkeys(ABSENT, _answer(errno.ENOSYS))
    bodies |= dict.fromkeys(FEIGNED, _answer(0))
    bodies |= dict.fromkeys(ATTRIBUTES, _answer(errno.EOPNOTSUPP))
    if not metadata:
        # ENOSYS, where the C library asks if the kernel has it: it then tries fchmodat, which answers EPERM
        bodies["fchmodat2"] = _answer(errno.ENOSYS)
        bodies |= dict.fromkeys(LINKS, _answer(errno.EACCES))
    if truncates:
        bodies["truncate"] = ALLOW
    else:
        bodies |= {"open": _unless_read_only_truncates(1), "openat": _unless_read_only_truncates(2)}
    bodies["clone"] = [_argument(0), (JUMP_ANY_BIT, 0, 1, CLONE_NEW_NAMESPACES), *DENY, *ALLOW]
    bodies["fcntl"] = _if_argument_in(1, FCNTL_COMMANDS, _if_argument_in(1, LOCKS, DENY, then=_answer(0)))
    bodies["ioctl"] = _if_argument_in(1, IOCTL_COMMANDS, [(RETURN, 0, 0, RETURN_ERRNO | errno.ENOTTY)])
    bodies["prctl"] = _if_argument_in(0, (*PRCTL_SAFE, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS), DENY)
    bodies["seccomp"] = _if_argument_in(0, (SECCOMP_SET_MODE_FILTER,), DENY)
    # Only for the caller itself (process id 0): a limit of 0 CPU seconds on the parent would kill it. By the caller's
    # own number too it is refused, since the zygote's filter is made before the runner has one.
    bodies["prlimit64"] = _if_argument_in(0, (0,), DENY)
    bodies["setrlimit"] = ALLOW  # for itself, and never above the hard limit without a capability
    # asyncio's self-pipe. A datagram pair could sendto() a unix socket of the host; other families have no pairs.
    bodies["socketpair"] = [
        _argument(0), (JUMP_EQUAL, 1, 0, 1), *DENY,
        _argument(1), (AND, 0, 0, 0xF), (JUMP_EQUAL, 0, 1, 1), *ALLOW, *DENY,
    ]  # fmt: skip
    if signals:
        # neither 0 nor negative: those mean groups, and the own group may reach out of the process-id namespace
        to_one_process = [_argument(0), (JUMP_EQUAL, 1, 0, 0), (JUMP_ANY_BIT, 0, 1, 0x80000000), *DENY, *ALLOW]
        bodies |= dict.fromkeys(SIGNALS, to_one_process)
    for name, body in bodies.items():
        if name in numbers:
            program += _if_number(numbers[name], body)
    return _assemble(program + DENY)  # EPERM, not a kill: libraries try calls and go on without them


def for_pid(template: bytes, pid: int) -> bytes:
    """Return the filter of ``runner_template`` for the process ``pid``.

    A replacement of bytes, because that is 20 times cheaper than to assemble the filter for each run.
    """
    return template.replace(struct.pack("I", PID_PLACE), struct.pack("I", pid))


def runner_template(machine: str, *, forks: bool = False) -> bytes:
    """Assemble the second filter, which denies processes, sessions, further filters, and signals to others than
    PID_PLACE, and allows the rest: the first filter is still asked.

    Args:
        machine: ``x86_64`` or ``aarch64``.
        forks: True lets a plain fork pass.

    Raises:
        ValueError: another machine.
    """
    numbers: Mapping[str, int] = syscall_numbers(machine)
    bodies: dict[str, list[Instruction]] = dict.fromkeys(("vfork", *ZYGOTE_ONLY), DENY)
    bodies["clone"] = [_argument(0), (JUMP_ANY_BIT, 1, 0, CLONE_THREAD), *DENY, *ALLOW]
    if forks:
        # the whole word is compared: no other flag beside, so no vfork, no CLONE_PARENT (a sibling that init never
        # waits for), no namespace
        bodies["clone"] = [_argument(0), (JUMP_EQUAL, 2, 0, PLAIN_FORK), *bodies["clone"][1:]]
    bodies["prctl"] = _if_argument_in(0, PRCTL_SAFE, DENY)
    bodies |= {name: _if_argument_in(0, (PID_PLACE,), DENY) for name in SIGNALS}
    program: list[Instruction] = [(LOAD, 0, 0, OFFSET_NUMBER)]
    for name, body in bodies.items():
        if name in numbers:
            program += _if_number(numbers[name], body)
    return _assemble(program + ALLOW)


# the layer: see ``layers.SECCOMP``


def prepare(confinement: Confinement) -> None:
    """Assemble the second filter once for all runners, with and without the right to fork."""
    confinement.filters = {forks: runner_template(confinement.machine, forks=forks) for forks in (False, True)}


def first_filter(confinement: Confinement) -> bytes:
    """Assemble the first filter as this jail needs it."""
    # Level 2 has no process-id namespace; before version 6 Landlock has no signal scope.
    scoped = "landlock" in confinement.layers and confinement.landlock_abi >= 6
    signals = confinement.namespaces or scoped
    # At level 3 all but the scratch is mounted read-only; Landlock has a right to truncate from version 3 on.
    truncates = confinement.namespaces or confinement.landlock_abi >= 3
    return zygote_filter(confinement.machine, signals=signals, metadata=confinement.namespaces, truncates=truncates)


def at_zygote(confinement: Confinement) -> None:
    """Install the first filter. Raises OSError."""
    install_filter(first_filter(confinement))


def order_zygote(confinement: Confinement, orders: Orders) -> None:
    """Order the first filter."""
    orders.filters.append(first_filter(confinement))


def order_runner(confinement: Confinement, orders: Orders) -> None:
    """Order the second filter: no run of a replayer may fork."""
    orders.filters.append(confinement.filters[False])


def at_runner(confinement: Confinement) -> None:
    """Install the second filter at once where no run of this worker may fork: then it does not depend on the job.

    Raises OSError.
    """
    if not confinement.may_fork:
        install_filter(for_pid(confinement.filters[False], os.getpid()))


def at_job(confinement: Confinement, limits: Limits, mapped_bytes: int) -> None:
    """Install the second filter where it depends on the job whether its run may fork. Raises OSError."""
    if confinement.may_fork:
        install_filter(for_pid(confinement.filters[limits.forks > 0], os.getpid()))
