"""The runner: a fork of the zygote that confines itself further and runs one job. Runs inside.

Order: wait for init's word; new session; die with init; own descriptors only; signals; scratch; resource limits; Landlock
with this run's scratch; the second system-call filter last. Then environment, seeds and clock; then the job.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import resource
import signal
import sys
import traceback
from typing import Any, NoReturn

from tracer.inside.channel import open_channel
from tracer.inside.guard import Guard
from tracer.sandbox import determinism, kernel, landlock, seccomp

BROKEN = 70
"""Exit status after an error of our own code (EX_SOFTWARE); its traceback is on the run's stderr."""


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
        if namespaces:
            self.readable += ["/etc", "/tmp"]
        self.kinds: dict[str, Any] = {}

    def load_jobs(self) -> None:
        """Loads the code of every job kind, before any foreign code runs."""
        self.kinds["plain"] = self.bundle.load("tracer.inside.plain").run
        if "tracer.inside.jobs" in self.bundle:
            self.kinds["*"] = self.bundle.load("tracer.inside.jobs").run

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
        sys.dont_write_bytecode = True


def limit(which: int, soft: int, hard: int | None = None) -> None:
    """Sets a resource limit, never above an inherited lower hard limit. Raises OSError or ValueError."""
    inherited = resource.getrlimit(which)[1]
    hard = soft if hard is None else hard
    if inherited != resource.RLIM_INFINITY:
        soft, hard = min(soft, inherited), min(hard, inherited)
    resource.setrlimit(which, (soft, hard))


def main(setting: Setting, message: dict[str, Any], payload: bytes, fds: list[int], mapped_bytes: int) -> NoReturn:
    """Runs one job and ends the process; ``fds`` are the record pipe, stdout, stderr and init's go."""
    try:
        record, out, err, go = fds
        os.dup2(err, 2)
        if os.read(go, 1) != b"g":
            os._exit(BROKEN)
        record = isolate(setting, record, out, message["record_fd"])
        confine(setting, message["limits"], mapped_bytes)
        job = json.loads(payload)
        job.setdefault("limits", message["limits"])
        send, finish = open_channel(record, bytes.fromhex(message["key"]))
        fresh_interpreter(setting)
        guard = Guard(finish)
        run = setting.kinds.get(job["kind"]) or setting.kinds["*"]
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


def isolate(setting: Setting, record: int, out: int, wanted: int) -> int:
    """New session, own descriptors only, default signals; returns the record pipe's descriptor."""
    os.setsid()
    kernel.die_with_parent()
    if os.getppid() != setting.init_pid:
        raise RuntimeError(f"expected init ({setting.init_pid}) as parent, got {os.getppid()}; the jail is going down")
    os.dup2(out, 1)
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    record = fcntl.fcntl(record, fcntl.F_DUPFD_CLOEXEC, min(wanted, highest))
    os.closerange(3, record)
    os.closerange(record + 1, (1 << 31) - 1)
    for number in signal.valid_signals():
        if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return record


def confine(setting: Setting, limits: dict[str, Any], mapped_bytes: int) -> None:
    """Resource limits, then the layers that only a runner has. Raises OSError."""
    os.chdir(setting.config["scratch"])
    os.umask(0o022)
    layers = setting.layers
    if "rlimits" in layers:
        limit(resource.RLIMIT_AS, mapped_bytes + limits["memory_bytes"])
        # SIGXCPU at the limit; SIGKILL a second later for those that ignore it
        limit(resource.RLIMIT_CPU, limits["cpu_seconds"], limits["cpu_seconds"] + 1)
        limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
        limit(resource.RLIMIT_NOFILE, limits["open_files"])
        limit(resource.RLIMIT_NPROC, setting.config["tasks"] + limits["processes"])
    if "landlock" in layers:
        devices = setting.config["devices"]
        landlock.restrict(setting.abi, setting.readable, (setting.config["scratch"],), devices)
    if "seccomp" in layers:
        kernel.install_filter(seccomp.runner_filter(setting.machine, os.getpid()))


def fresh_interpreter(setting: Setting) -> None:
    """Standard streams on this run's descriptors, seeds, and the clock."""
    config = setting.config
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(  # type: ignore[misc]  # a new stream is the point
        io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8", errors="surrogateescape"
    )
    sys.stdout = sys.__stdout__ = _writer(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _writer(2)  # type: ignore[misc]
    determinism.seed_generators(config["seed"])
    if config["pinned_clock"]:
        determinism.pin_clock(config["seed"])


def _writer(fd: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
