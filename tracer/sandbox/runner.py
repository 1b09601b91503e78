"""The runner: a fork of the zygote that confines itself further and runs one job. Runs inside.

It is forked before its job is there, so that nobody waits for the preparation: new session; die with init;
seeds, clock and streams; scratch; Landlock with this run's scratch; the second system-call filter. Then init's
message, which is also its word that the process is known: pipes, with all other descriptors closed; resource limits;
the job.

Where a worker's runs may fork at all, the message says whether this one may; there the second filter waits for it.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import sys
import traceback
from time import monotonic, sleep  # bound before the clock is pinned
from typing import NoReturn

from trace_mine.tracer.inside.channel import open_channel
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import determinism, kernel
from trace_mine.tracer.sandbox.layers import in_use
from trace_mine.tracer.sandbox.setting import Setting
from trace_mine.tracer.sandbox.wire import Hangup, receive_message

BROKEN = 70
"""Exit status after an error of our own code (EX_SOFTWARE); its traceback is on the run's stderr."""
HIGHEST_FD = (1 << 31) - 1
"""close_range takes any number up to this one; descriptors may lie above today's RLIMIT_NOFILE, opened before it."""
PARENT_SECONDS = 5.0
"""How long the process between the zygote and this one may take to end; it does nothing else."""


def main(setting: Setting, job_socket: int, mapped_bytes: int) -> NoReturn:
    """Prepares, waits for one job on ``job_socket``, runs it and ends the process."""
    try:
        failure = ""
        try:
            isolate(setting)
            determinism.seed_generators(setting.config.seed)  # a fork seeds them from the system
            confine(setting)
        except BaseException:
            failure = traceback.format_exc()
        with socket.socket(fileno=job_socket) as job_source:
            message, payload, fds = receive_message(job_source, max_fds=3)
        record = take_pipes(fds, message["record_fd"])
        if failure:
            os.write(2, failure.encode("utf-8", "backslashreplace"))
            os._exit(BROKEN)
        limits = Limits(**message["limits"])
        confine_to_job(setting, limits, mapped_bytes)
        job = json.loads(payload)
        send, finish = open_channel(record, bytes.fromhex(message["key"]))
        guard = Guard(finish)
        if limits.forks:
            keep_from_children(record)
    except Hangup:
        os._exit(0)  # init has no job for this one
    except BaseException:
        report_own_error()
    try:
        end = setting.run_job(job, message["limits"], send, guard)
    except BaseException as error:
        guard.disarm()
        sys.settrace(None)
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
        name = type.__dict__["__name__"].__get__(type(error))[:80]
        end = {"end": "exception", "exception": name, "escaped": True}
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the snippet may have put anything there, closed streams most often
            continue
    try:
        guard.finish(end)
    except BaseException:
        report_own_error()
    os._exit(0)


def report_own_error() -> NoReturn:
    """Ends the process after an error of our own code, with the traceback on the run's standard error."""
    os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    os._exit(BROKEN)


def isolate(setting: Setting) -> None:
    """New session; init as the parent, whose end is this process's too."""
    os.setsid()
    deadline = monotonic() + PARENT_SECONDS
    while os.getppid() != setting.init_pid:  # the process between the zygote and this one ends at once
        if monotonic() > deadline:
            raise RuntimeError(
                f"expected init ({setting.init_pid}) as parent, got {os.getppid()}; the jail is going down"
            )
        sleep(0.00005)
    kernel.die_with_parent()


def confine(setting: Setting) -> None:
    """Scratch, then what the layers do in each run's process. Raises OSError."""
    os.chdir(setting.config.scratch)
    os.umask(0o022)
    for layer in reversed(in_use(setting.confinement)):
        layer.at_runner(setting.confinement)


def confine_to_job(setting: Setting, limits: Limits, mapped_bytes: int) -> None:
    """What the layers do once the job is known. Raises OSError.

    The system-call filter comes first here: to set a run's limits a process is forked, which must not be able to leave
    the run's group.
    """
    for layer in in_use(setting.confinement):
        layer.at_job(setting.confinement, limits, mapped_bytes)


def take_pipes(fds: list[int], wanted: int) -> int:
    """The run's own stdout and stderr; returns the record pipe's descriptor, the only other one left open."""
    record, out, err = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    record = fcntl.fcntl(record, fcntl.F_DUPFD_CLOEXEC, min(wanted, highest))
    os.closerange(3, record)
    os.closerange(record + 1, HIGHEST_FD)
    return record


def keep_from_children(record: int) -> None:
    """The record pipe is the runner's alone: what is forked closes it before it does anything else."""
    held = [record]

    def close() -> None:
        if held:
            os.close(held.pop())

    os.register_at_fork(after_in_child=close)
