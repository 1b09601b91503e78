"""What the zygotes of recorders and of replayers begin with alike. Runs inside, in init or in the zygote itself."""

from __future__ import annotations

import os
import signal

from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.layer import Confinement
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process

OOM_SCORE = b"500"
"""Half of what the kernel ranks a process by that has all memory: more than any that behaves well has."""


def confinement_of(config: JailConfig, landlock_abi: int, statm: int) -> Confinement:
    """Return what the layers act on, with the paths as this process sees them."""
    return Confinement(
        layers=frozenset(config.layers),
        machine=machine_of_this_process(),
        landlock_abi=landlock_abi,
        readable=tuple(target if config.namespaces else source for source, target in config.binds),
        loadable=config.loadable,
        sys_path=config.sys_path,
        devices=config.devices,
        scratch=config.scratch,
        tasks=config.tasks,
        limits=config.limits,
        statm=statm,
        cgroup=config.cgroup,
    )


def prefer_for_oom_kill(proc: int) -> None:
    """Make the zygote and its runners the first that the kernel kills where memory is used up, in the jail's group or
    on the whole machine: init must stay to report it, and the host's processes have nothing to do with it.

    ``proc`` is an open descriptor of the host's /proc. Raises OSError.
    """
    fd = os.open("self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        os.write(fd, OOM_SCORE)
    finally:
        os.close(fd)


def reset_signals() -> None:
    """Give signals Python's own handlers, and block none.

    Signals that the supervisor ignores or blocks (nohup ignores SIGHUP) are inherited even by a new program. Before the
    imports, because handlers that a module sets are there in a script too.
    """
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # ignored as Python does at its start, so that a write to a closed pipe or over RLIMIT_FSIZE is an OSError
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
