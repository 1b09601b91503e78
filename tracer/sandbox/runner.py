"""The runner: a fork of the zygote that confines itself further and runs one job. Runs inside.

It is forked before its job is there, so that the preparation costs a run no time: new session; die with init; seeds;
scratch; Landlock with this run's scratch; the second system-call filter. Then it waits for init's message, which shows
too that init has accepted the process as a runner. After the message: pipes, with all other descriptors closed;
resource limits; the job.

The order matters. The filter comes last of the layers, because it refuses the calls that the others are made of; the
pipes come with the job, so that a runner that is never used holds none. Where a worker's runs may fork at all, the
message says if this one may; there the second filter is put on after the message.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import socket
import sys
import traceback
from os import getppid  # this and the next two bound before they are pinned
from resource import getrlimit
from time import monotonic, sleep
from typing import NoReturn

from trace_mine.tracer.inside.channel import open_channel
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import kernel
from trace_mine.tracer.sandbox.layers import in_use
from trace_mine.tracer.sandbox.pinned_world import begin_run
from trace_mine.tracer.sandbox.setting import Setting
from trace_mine.tracer.sandbox.wire import Hangup, field, receive_message

BROKEN = 70
"""Exit status after an error of our own code (EX_SOFTWARE); its traceback is on the run's stderr."""
HIGHEST_FD = (1 << 31) - 1
"""close_range takes any number up to this one; descriptors may lie above today's RLIMIT_NOFILE, opened before it."""
PARENT_SECONDS = 5.0
"""How long the process between the zygote and this one may take to end; it does nothing else."""


def main(setting: Setting, job_socket: int, mapped_bytes: int) -> NoReturn:
    """Prepare, wait for one job on ``job_socket``, run it and end the process.

    Args:
        setting: what the zygote prepared for all runners.
        job_socket: descriptor of a socket to init.
        mapped_bytes: address space of the zygote at the fork; the run's memory limit is counted from there.
    """
    try:
        failure = ""
        try:
            start_session(setting)
            seed_generators(setting.config.seed)  # a fork seeds them from the system
            confine(setting)
        except BaseException:
            failure = traceback.format_exc()  # shown once there is a stderr that leads to the supervisor
        with socket.socket(fileno=job_socket) as job_source:
            message, payload, fds = receive_message(job_source, max_fds=3)
        record = take_pipes(fds, field(message, "record_fd", int))
        if failure:
            os.write(2, failure.encode("utf-8", "backslashreplace"))
            os._exit(BROKEN)
        limits = Limits(**field(message, "limits", dict))
        confine_to_job(setting, limits, mapped_bytes)
        job = json.loads(payload)
        send, finish = open_channel(record, bytes.fromhex(field(message, "key", str)))
        guard = Guard(finish)
        if limits.forks:
            keep_from_children(record)
        # a snippet can walk to this frame; what still holds the key are the closures of the channel
        del message, payload, fds, record, finish
    except Hangup:
        os._exit(0)  # init has no job for this one
    except BaseException:
        report_own_error()
    try:
        end = setting.run_job(job, limits.as_dict(), send, guard)
    except BaseException as error:
        # what our own code does to report this must neither trip the guard nor call the snippet's trace function
        guard.disarm()
        sys.settrace(None)
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
        # past the metaclass, whose __getattribute__ ``type(error).__name__`` would call: code of the snippet
        name = type.__dict__["__name__"].__get__(type(error))[:80]
        end = {"end": "exception", "exception": name, "escaped": True}
    # os._exit, below, does not flush
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the snippet may have put anything there, closed streams most often
            continue
    try:
        guard.finish(end)
    except BaseException:
        report_own_error()
    # not sys.exit: neither atexit functions nor threads of the snippet are to run on
    os._exit(0)


def seed_generators(seed: int) -> None:
    """Seed the global generators of ``random`` and, where it is loaded, of numpy."""
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed)


def report_own_error() -> NoReturn:
    """End the process after an error of our own code, with the traceback on the run's standard error."""
    os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    os._exit(BROKEN)


def start_session(setting: Setting) -> None:
    """Start a new session, wait until init is the parent, and have the end of init end this process.

    Raises:
        RuntimeError: init did not become the parent; the jail is going down.
    """
    os.setsid()
    deadline = monotonic() + PARENT_SECONDS
    # PDEATHSIG is sent at the end of the parent that the process has when it asks for it. Set before this wait, it
    # would kill the runner at the end of the process between the zygote and this one.
    while getppid() != setting.init_pid:  # the process between the zygote and this one ends at once
        if monotonic() > deadline:
            raise RuntimeError(f"expected init ({setting.init_pid}) as parent, got {getppid()}; the jail is going down")
        sleep(0.00005)
    kernel.die_with_parent()


def confine(setting: Setting) -> None:
    """Enter the scratch, then have the layers confine this process as they do in each run. Raises OSError."""
    # again, though the zygote did: at level 3 another file system is mounted there for each run
    os.chdir(setting.config.scratch)
    begin_run(may_set_times=setting.config.namespaces)
    os.umask(0o022)  # an import may have set another, which would show in the modes of a program's files
    for layer in reversed(in_use(setting.confinement)):
        layer.at_runner(setting.confinement)


def confine_to_job(setting: Setting, limits: Limits, mapped_bytes: int) -> None:
    """Have the layers do what waits for the job. Raises OSError.

    The system-call filter comes first here: to set a run's limits a process is forked, which must not be able to leave
    the run's group.
    """
    for layer in in_use(setting.confinement):
        layer.at_job(setting.confinement, limits, mapped_bytes)


def take_pipes(fds: list[int], record_fd: int) -> int:
    """Make the run's pipes descriptors 1 and 2 and the record pipe, and close all others but 0.

    Args:
        fds: record, stdout and stderr as they came from init.
        record_fd: the number that the record pipe is to have; RLIMIT_NOFILE may bound it.

    Returns:
        The record pipe's descriptor.
    """
    record, out, err = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    highest = getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    record = fcntl.fcntl(record, fcntl.F_DUPFD_CLOEXEC, min(record_fd, highest))
    # Among them: the socket to init, descriptors of Landlock rules, whatever an import opened.
    os.closerange(3, record)
    os.closerange(record + 1, HIGHEST_FD)
    return record


def keep_from_children(record: int) -> None:
    """Keep the record pipe to the runner: a fork closes its copy before it does anything else.

    The supervisor sees the end of the pipe only when every copy is closed, and a fork that wrote there would mix its
    frames with the runner's.
    """
    open_record = [record]

    def close() -> None:
        if open_record:  # a fork of a fork has none, and the number may be a file of the program's by then
            os.close(open_record.pop())

    os.register_at_fork(after_in_child=close)
