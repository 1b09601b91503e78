"""What the zygotes of recorders and of replayers begin with alike. Runs inside, in init or in the zygote itself."""

from __future__ import annotations

import signal

from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.layer import Confinement
from trace_mine.tracer.sandbox.syscalls import machine_of_this_process


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
    )


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
