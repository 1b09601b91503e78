"""The runner: a fork of the zygote that confines itself further and runs one job. Runs inside.

It is forked before its job is there, so that nobody waits for the preparation: new session; die with init;
seeds, clock and streams; scratch; Landlock with this run's scratch; the second system-call filter. Then init's
message, which is also its word that the process is known: pipes, with all other descriptors closed; resource limits;
the job.

Where a worker's runs may fork at all, the message says whether this one may; there the second filter waits for it.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import resource
import signal
import socket
import sys
import traceback
from time import monotonic, sleep  # bound before the clock is pinned
from typing import Any, NoReturn

from trace_mine.tracer.inside.channel import open_channel
from trace_mine.tracer.inside.observe.guard import Guard
from trace_mine.tracer.sandbox import determinism, kernel, landlock, seccomp
from trace_mine.tracer.sandbox.wire import Hangup, receive_message

BROKEN = 70
"""Exit status after an error of our own code (EX_SOFTWARE); its traceback is on the run's stderr."""
HIGHEST_FD = (1 << 31) - 1
PARENT_SECONDS = 5.0


class Setting:
    """What every runner of a zygote has in common, prepared once."""

    def __init__(
        self, bundle: Any, config: dict[str, Any], layers: set[str], machine: str, abi: int, init_pid: int
    ) -> None:
        self.bundle = bundle
        self.config = config
        self.layers = layers
        self.machine = machine
        self.abi = abi
        self.init_pid = init_pid
        namespaces = "namespaces" in layers
        self.readable = [target if namespaces else source for source, target in config["binds"]]
        self.rules: list[bytes] = []
        self.may_fork = config["limits"]["forks"] > 0
        self.filters: dict[bool, bytes] = {}
        self.kinds: dict[str, Any] = {}
        self.streams = open_streams()

    def prepare_confinement(self) -> None:
        """What all runners' Landlock rules and filters share; the paths must be visible already."""
        if "landlock" in self.layers:
            # the import system lists the folders of the search path, which hold nothing but binds
            inside = (*self.readable, *self.config["sys_path"], "/etc")
            read = inside if "namespaces" in self.layers else self.readable
            self.rules = landlock.rules_for(self.abi, read=read, devices=self.config["devices"])
        if "seccomp" in self.layers:
            self.filters = {forks: seccomp.runner_template(self.machine, forks=forks) for forks in (False, True)}

    def load_jobs(self) -> None:
        """Loads the code of every job kind, before any foreign code runs."""
        self.kinds["plain"] = self.bundle.load("trace_mine.tracer.inside.jobs.plain").run
        if "trace_mine.tracer.inside.jobs.registry" in self.bundle:
            self.kinds["*"] = self.bundle.load("trace_mine.tracer.inside.jobs.registry").run

    def prepare_interpreter(self) -> None:
        """Search path, environment and builtins (``exit``, ``quit``, ``help``) as a script finds them."""
        import site

        site.setquit()
        site.setcopyright()
        site.sethelper()
        sys.path[:0] = self.config["sys_path"]
        os.environ.clear()
        os.environ.update(determinism.environment(self.config["hash_seed"], self.config["scratch"]))
        sys.argv[:] = [""]
        sys.orig_argv[:] = [sys.executable]
        self.fresh_streams()
        if self.config["pinned_clock"]:
            determinism.pin_clock(self.config["seed"])
        if self.config["choices"]:
            # before the repository's imports, so that ``from random import random`` finds the interceptable one
            self.bundle.load("trace_mine.tracer.inside.draws.patches").install()

    def fresh_streams(self) -> None:
        """Empties the streams' buffers (in the zygote they lead nowhere), or opens new ones where a module closed them.

        The zygote imports with the streams that its runners use, because modules keep ``sys.stdout`` at import.
        """
        try:
            for stream in self.streams[1:]:
                io.TextIOWrapper.flush(stream)
        except (ValueError, OSError):
            self.streams = open_streams()
        sys.stdin, sys.stdout, sys.stderr = self.streams
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = self.streams  # type: ignore[misc]  # new streams are the point


def limit(which: int, soft: int, hard: int | None = None) -> None:
    """Sets a resource limit, never above an inherited lower hard limit. Raises OSError or ValueError."""
    inherited = resource.getrlimit(which)[1]
    hard = soft if hard is None else hard
    if inherited != resource.RLIM_INFINITY:
        soft, hard = min(soft, inherited), min(hard, inherited)
    resource.setrlimit(which, (soft, hard))


def main(setting: Setting, job_socket: int, mapped_bytes: int) -> NoReturn:
    """Prepares, waits for one job on ``job_socket``, runs it and ends the process."""
    try:
        failure = ""
        try:
            isolate(setting)
            determinism.seed_generators(setting.config["seed"])  # a fork seeds them from the system
            confine(setting)
        except BaseException:
            failure = traceback.format_exc()
        with socket.socket(fileno=job_socket) as job_source:
            message, payload, fds = receive_message(job_source, max_fds=3)
        record = take_pipes(fds, message["record_fd"])
        if failure:
            os.write(2, failure.encode("utf-8", "backslashreplace"))
            os._exit(BROKEN)
        forks = message["limits"]["forks"] > 0
        if setting.may_fork:
            take_away_calls(setting, forks=forks)
        limit_resources(setting, message["limits"], mapped_bytes)
        job = json.loads(payload)
        job.setdefault("limits", message["limits"])
        send, finish = open_channel(record, bytes.fromhex(message["key"]))
        guard = Guard(finish)
        if forks:
            keep_from_children(record)
        run = setting.kinds.get(job["kind"]) or setting.kinds["*"]
    except Hangup:
        os._exit(0)  # init has no job for this one
    except BaseException:
        report_own_error()
    try:
        end = run(job, send, guard)
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
    os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    os._exit(BROKEN)


def default_signals() -> None:
    """Python's own handlers and nothing blocked; in the zygote, before the imports, whose handlers a script has too."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


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
    """Scratch, then the layers that only a runner has. Raises OSError."""
    scratch = setting.config["scratch"]
    os.chdir(scratch)
    os.umask(0o022)
    if "landlock" in setting.layers:
        landlock.restrict(setting.abi, [*setting.rules, *landlock.rules_for(setting.abi, write=(scratch,))])
    if not setting.may_fork:
        take_away_calls(setting, forks=False)


def take_away_calls(setting: Setting, *, forks: bool) -> None:
    """The second filter, for good. Raises OSError."""
    if "seccomp" in setting.layers:
        kernel.install_filter(seccomp.for_pid(setting.filters[forks], os.getpid()))


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


def limit_resources(setting: Setting, limits: dict[str, Any], mapped_bytes: int) -> None:
    """This run's resource limits, never above inherited ones. Raises OSError."""
    if "rlimits" not in setting.layers:
        return
    limit(resource.RLIMIT_AS, mapped_bytes + limits["memory_bytes"])
    # SIGXCPU at the limit; SIGKILL a second later for those that ignore it
    limit(resource.RLIMIT_CPU, limits["cpu_seconds"], limits["cpu_seconds"] + 1)
    limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    limit(resource.RLIMIT_NOFILE, limits["open_files"])
    most = setting.config["tasks"] + limits["processes"]
    limit(resource.RLIMIT_NPROC, min(most, tasks_now(most) + limits["forks"]) if limits["forks"] else most)


def tasks_now(most: int) -> int:
    """How many tasks the kernel holds against this user's RLIMIT_NPROC, this process among them; ``most`` where a fork
    fails even so.

    Asked of the kernel, because what it counts (all of a user's tasks, or those of a namespace) differs by version. One
    fork, after a few that fail.
    """
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    for allowed in range(2, most + 1):
        resource.setrlimit(resource.RLIMIT_NPROC, (allowed, hard))
        try:
            pid = os.fork()
        except BlockingIOError:  # EAGAIN
            continue
        except OSError:
            return most  # a C library whose forks the filter doesn't know: there will be none
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return allowed - 1
    return most


def open_streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper, io.TextIOWrapper]:
    """Standard streams over descriptors 0, 1 and 2, whatever they lead to by then; made once, copied by each fork."""
    reader = io.BufferedReader(io.FileIO(0, "r", closefd=False))
    return io.TextIOWrapper(reader, encoding="utf-8", errors="surrogateescape"), _writer(1), _writer(2)


def _writer(fd: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
