"""The supervisor: one jail, one run at a time. A run's identity is its pipes; they are made here.

A Worker picks the strongest level whose self-test passes, keeps it for its life, and restarts a jail that died.
Workers are independent: several live side by side in one process and in many. ``run`` may be called from any thread;
calls queue.

Over 400 lines because starting, serving and restarting a jail share the state that makes each of them safe.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import selftest
from trace_mine.tracer.sandbox.bundle import BOOTSTRAP, bundle_sources
from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.frames import verify_frames
from trace_mine.tracer.sandbox.groups import end_session
from trace_mine.tracer.sandbox.identity import tasks_of_this_user, unused_uid
from trace_mine.tracer.sandbox.jail import (
    DEVICES,
    Interpreter,
    Jail,
    SandboxUnavailable,
    hidden_from_runs,
    probe_interpreter,
)
from trace_mine.tracer.sandbox.scratch import empty_folder
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message
from trace_mine.tracer.schema import Outcome

LEVELS: dict[int, frozenset[str]] = {
    3: frozenset({"namespaces", "seccomp", "landlock", "rlimits"}),
    2: frozenset({"seccomp", "landlock", "rlimits"}),
    0: frozenset({"rlimits"}),
}
"""Strongest first. Level 1 (seatbelt on macOS) is not built."""

START_SECONDS = 30.0
WARM_SECONDS = 60.0
WARM_ATTEMPTS = 3
STOP_SECONDS = 5.0
SPARE_SECONDS = 15.0
"""How long init may stay silent after a run's wall clock is over before the jail is taken for stuck."""
COUNTED_CPU = 0.6
"""RLIMIT_CPU counts clock ticks, rusage the time really had: on a busy virtual machine 0.78 s of 1 s were seen. Below
this share of the limit, SIGXCPU or SIGKILL came from the snippet itself."""
FORKING = frozenset({"beliefs", "kernel"})
"""Kinds of job that may fork where the limits allow it: those that follow choices. What shows how a program runs never
does."""
PIPE_BYTES = 1 << 18
"""Record pipe: four times the default spares the runner three of four waits for us; 64 pages of a user's 16,384."""


class JailDied(Exception):
    """The jail ended or says that it must be restarted."""


@dataclass(slots=True)
class _Process:
    """A running jail as the supervisor holds it."""

    popen: subprocess.Popen[bytes]
    control: socket.socket
    stderr: IO[bytes]
    host_scratch: str | None
    owner_pid: int = field(default_factory=os.getpid)
    group: int | None = None
    """Process group of a run that may fork, where no namespace ends it with init."""

    def stop(self) -> None:
        """Init sees the hang-up, cleans up and ends; if it does not, it is killed. Forked copies of us leave it
        alone.
        """
        if self.owner_pid == os.getpid():
            with contextlib.suppress(OSError):  # already disconnected
                self.control.shutdown(socket.SHUT_RDWR)
            try:
                self.popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
            if self.group is not None:  # init was killed in the middle of the run
                end_session(self.group)
            if self.host_scratch is not None and os.path.isdir(self.host_scratch):  # init was killed
                empty_folder(self.host_scratch)
                os.rmdir(self.host_scratch)
        self.control.close()
        self.stderr.close()


def _stop_all(processes: list[_Process]) -> None:
    while processes:
        processes.pop().stop()


class Worker:
    """Runs jobs in a jail; a context manager. Starts at once.

    Raises:
        PermissionError: root runs this, and a mount can't be read by others (level 3).
        SandboxUnavailable: no level of at least ``minimum_level`` works here; the message says why and what to do.
        ValueError: a level below 2 without ``allow_unsafe``, or a jail that can't be (see Jail).
    """

    def __init__(
        self,
        jail: Jail,
        limits: Limits,
        *,
        minimum_level: int = 2,
        allow_unsafe: bool = False,
        maximum_level: int = 3,
        warm_seconds: float = WARM_SECONDS,
        ablate: frozenset[str] = frozenset(),
    ) -> None:
        """``maximum_level`` forces a weaker level and ``ablate`` leaves single layers out; both are for tests."""
        if minimum_level < 2 and not allow_unsafe:
            raise ValueError(
                f"expected minimum_level >= 2, got {minimum_level}; below it nothing confines a snippet: "
                "pass allow_unsafe=True only for code that you would run without a sandbox"
            )
        if not sys.platform.startswith("linux"):
            raise SandboxUnavailable(
                f"expected Linux, got {sys.platform}; namespaces, seccomp and Landlock exist nowhere else: "
                "use a virtual machine"
            )
        self.jail = jail
        self.limits = limits
        self.warm_failures: dict[str, str] = {}
        self.restarts = 0
        self._interpreter: Interpreter = probe_interpreter(jail.python)
        self.python_version = self._interpreter.version
        self._ablate = ablate
        self._warm_seconds = warm_seconds
        self._lock = threading.RLock()
        self._processes: list[_Process] = []
        self._finalizer = weakref.finalize(self, _stop_all, self._processes)
        self._closed = False
        self.level = -1
        self.layers = ""
        self.scratch = ""
        self._choose_level(minimum_level, maximum_level)
        hidden = [str(mount.source) for mount in jail.mounts if hidden_from_runs(mount.source)]
        if hidden and self.level == 3:
            self.close()
            raise PermissionError(
                f"expected mounts that every user can read, got {hidden[0]}; runs belong to an unprivileged user: "
                "chmod -R o+rX it, or run as its owner instead of root"
            )
        self._warm()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Takes the jail down and waits for it; the host keeps no trace. A closed worker can't run."""
        with self._lock:
            self._closed = True
            self._finalizer()

    def inside(self, path: Path) -> str:
        """``path``, a host path below a mount's source, as code inside sees it; at level 2 the same path.

        Raises:
            ValueError: no mount shows it.
        """
        path = Path(os.path.realpath(path))
        for mount in self.jail.mounts:
            source = Path(os.path.realpath(mount.source))
            if path.is_relative_to(source):
                relative = path.relative_to(source)
                place = str(source) if self.level < 3 else mount.target
                return place if relative == Path(".") else f"{place}/{relative.as_posix()}"
        raise ValueError(f"expected a path below a mount of the jail, got {path}; add a Mount for it")

    def run(self, job: Mapping[str, Any], limits: Limits | None = None) -> Outcome:
        """Runs one job (see ``tracer.inside.jobs.registry``) in a fresh fork. The snippet's doings are an Outcome.

        Raises:
            ValueError: ``limits.memory_bytes`` or ``forks`` above the worker's own, or the worker is closed.
            SandboxUnavailable: the jail died and could not be started again.
        """
        limits = limits or self.limits
        for name in ("memory_bytes", "forks"):
            most, wanted = getattr(self.limits, name), getattr(limits, name)
            if wanted > most:
                raise ValueError(
                    f"expected {name} <= {most}, the worker's, got {wanted}; start a worker with larger limits"
                )
        if job.get("kind") not in FORKING:
            limits = replace(limits, forks=0)
        payload = json.dumps(dict(job)).encode("ascii")
        with self._lock:
            if self._closed:
                raise ValueError("expected an open Worker, got a closed one; start a new one")
            for attempt in (1, 2):
                try:
                    if not self._processes:
                        self._restart()
                    return self._run_once(payload, limits)
                except JailDied as error:
                    # The run did not start: the zygote died before it, e.g. by a thread that an import left behind.
                    self._stop()
                    if attempt == 2:
                        return Outcome(
                            status="no-end", integrity="truncated", stderr=f"the jail died: {error}".encode()
                        )
            raise AssertionError("unreachable")

    # starting ---------------------------------------------------------------------------------------------------------

    def _choose_level(self, minimum: int, maximum: int) -> None:
        reasons = []
        for level, layers in LEVELS.items():
            if not minimum <= level <= maximum:
                continue
            try:
                self.level = level
                self._start(level, layers - self._ablate)
                failures = selftest.failures(self) if not self._ablate else []
            except SandboxUnavailable as error:
                reasons.append(f"level {level}: {error}")
            else:
                if not failures:
                    return
                reasons.append(f"level {level}: self-test failed: {'; '.join(failures)}")
            self._stop()
        self._closed = True
        raise SandboxUnavailable(
            f"expected a sandbox of level {minimum} or more, got none. " + " | ".join(reasons) + f". {selftest.ADVICE}"
        )

    def _start(self, level: int, layers: frozenset[str]) -> None:
        host_scratch = None if "namespaces" in layers else tempfile.mkdtemp(prefix="trace-mine-")
        config = self._config(layers, host_scratch)
        ours, theirs = socket.socketpair()
        supervisor = os.pidfd_open(os.getpid())
        stderr = tempfile.TemporaryFile()
        addresses = "random" if self.jail.aslr else "fixed"
        command = [self._interpreter.executable, "-s", "-S", "-B", "-P", "-c", BOOTSTRAP]
        try:
            popen = subprocess.Popen(
                [*command, str(theirs.fileno()), str(supervisor), addresses],
                env=environment(self.jail.hash_seed),
                pass_fds=(theirs.fileno(), supervisor),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
                cwd="/",
            )
        finally:
            theirs.close()
            os.close(supervisor)
        process = _Process(popen, ours, stderr, host_scratch)
        self._processes.append(process)
        ours.settimeout(START_SECONDS)
        try:
            bundle = json.dumps([bundle_sources(), config]).encode("ascii")
            ours.sendall(len(bundle).to_bytes(8, "big") + bundle)
            message = self._hear()
        except (OSError, JailDied) as error:
            raise SandboxUnavailable(str(error)) from error
        if "ready" not in message:
            raise SandboxUnavailable(selftest.explain(str(message.get("fault")), message.get("errno")))
        ours.settimeout(None)
        self.layers = message["layers"]
        self.scratch = config["scratch"]

    def _config(self, layers: frozenset[str], host_scratch: str | None) -> dict[str, Any]:
        namespaces = host_scratch is None
        mounts = [(os.path.realpath(mount.source), mount.target) for mount in self.jail.mounts]
        binds = [*((path, path) for path in self._interpreter.paths if os.path.lexists(path)), *mounts]
        uid = unused_uid()
        return {
            "layers": sorted(layers),
            "binds": binds,
            "devices": [device for device in DEVICES if os.path.exists(device)],
            "sys_path": [path if namespaces else _to_source(path, mounts) for path in self.jail.sys_path],
            "scratch": host_scratch or self.jail.scratch,
            "hostname": self.jail.hostname,
            "process_id": self.jail.process_id,
            "hash_seed": self.jail.hash_seed,
            "seed": self.jail.seed,
            "pinned_clock": self.jail.pinned_clock,
            "choices": self.jail.choices,
            "uid": uid,
            "tasks": 8 + (tasks_of_this_user() if uid is None else 0),
            "readable_by_all": all(_readable_by_all(source) for source, _ in binds),
            "limits": self.limits.as_dict(),
        }

    def _warm(self) -> None:
        """Imports ``jail.warm``; a module that hangs or kills the zygote is left out of the next attempt and reported.

        An attempt may take ``warm_seconds``; after WARM_ATTEMPTS times that, what was not tried yet is left out.
        """
        waiting = list(self.jail.warm)
        deadline = time.monotonic() + WARM_ATTEMPTS * self._warm_seconds
        while waiting:
            try:
                order = {"do": "warm", "modules": waiting, "wall_seconds": self._warm_seconds}
                send_message(self._processes[-1].control, order)
                message = self._hear()
            except (Hangup, OSError, JailDied) as error:
                message = {"stuck": waiting[0], "why": str(error), "failures": {}}
            self.warm_failures |= message["failures"]
            if "stuck" not in message:
                return
            stuck = message["stuck"] if message["stuck"] in waiting else waiting[0]
            self.warm_failures[stuck] = message["why"]
            if time.monotonic() >= deadline:
                late = waiting[waiting.index(stuck) + 1 :]
                self.warm_failures |= dict.fromkeys(late, "not tried: the time for imports was used up")
            waiting = [name for name in waiting if name not in self.warm_failures]
            self._stop()
            self._start(self.level, LEVELS[self.level] - self._ablate)

    def _restart(self) -> None:
        """The same level again, never a weaker one."""
        self.restarts += 1
        self._start(self.level, LEVELS[self.level] - self._ablate)
        modules = [name for name in self.jail.warm if name not in self.warm_failures]
        if modules:
            control = self._processes[-1].control
            send_message(control, {"do": "warm", "modules": modules, "wall_seconds": self._warm_seconds})
            if "warmed" not in self._hear():
                raise JailDied("a module that was imported before hangs or crashes now")

    def _stop(self) -> None:
        _stop_all(self._processes)

    def _hear(self) -> dict[str, Any]:
        """Init's next message. Raises JailDied, with what init wrote on stderr."""
        process = self._processes[-1]
        try:
            return receive_message(process.control)[0]
        except (Hangup, OSError, ValueError) as error:
            process.stderr.seek(0)
            text = process.stderr.read(1 << 16).decode("utf-8", "replace").strip()
            raise JailDied(f"{type(error).__name__}: {error}. {text[-2000:]}") from error

    # running ----------------------------------------------------------------------------------------------------------

    def _run_once(self, payload: bytes, limits: Limits) -> Outcome:
        key = secrets.token_bytes(16)
        message = {
            "do": "run",
            "limits": limits.as_dict(),
            "key": key.hex(),
            "record_fd": 200 + secrets.randbelow(700),
        }
        with contextlib.ExitStack() as stack:
            readers, writers = zip(*(os.pipe() for _ in range(3)), strict=True)
            for fd in readers:
                stack.callback(os.close, fd)
            try:
                _widen(writers[0])
                send_message(self._processes[-1].control, message, payload, writers)
            except (Hangup, OSError) as error:
                raise JailDied(str(error)) from error
            finally:
                for fd in writers:
                    os.close(fd)
            report, (record, out, err) = self._collect(readers, limits)
        return outcome_of(report, record, out, err, key, limits)

    def _collect(self, readers: tuple[int, ...], limits: Limits) -> tuple[dict[str, Any], list[bytearray]]:
        """Reads the pipes until init reports the runner's end. Raises JailDied where no run took place."""
        process = self._processes[-1]
        control = process.control.fileno()
        buffers = {fd: bytearray() for fd in readers}
        record = readers[0]
        poll = select.poll()
        for fd in (*readers, control):
            poll.register(fd, select.POLLIN)
        open_fds = set(readers)
        deadline = time.monotonic() + limits.wall_seconds + SPARE_SECONDS
        report: dict[str, Any] | None = None
        killed = False
        while report is None or open_fds:
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                if report is not None:
                    break  # a hostile zygote kept a copy of a pipe
                raise JailDied("init does not answer")
            for fd, _ in ready:
                if fd == control:
                    answer = self._hear()
                    if "group" in answer:
                        process.group = answer["group"]
                        continue
                    if "done" not in answer:
                        raise JailDied(str(answer.get("gone") or answer.get("traceback") or answer))
                    report = answer["done"]
                    process.group = None
                    poll.unregister(control)
                    deadline = time.monotonic() + 0.5
                    continue
                chunk = os.read(fd, PIPE_BYTES)
                if not chunk:
                    open_fds.discard(fd)
                    poll.unregister(fd)
                    continue
                buffers[fd] += chunk
            over = ""
            if len(buffers[record]) > limits.record_bytes:
                over = "trace-limit"
                del buffers[record][limits.record_bytes :]
            if sum(len(buffers[fd]) for fd in readers[1:]) > limits.output_bytes:
                over = over or "output-limit"
                for fd in readers[1:]:
                    del buffers[fd][limits.output_bytes :]
            if over and report is None and not killed:
                killed = True
                try:
                    send_message(process.control, {"do": "kill", "why": over})
                except (Hangup, OSError) as error:
                    raise JailDied(str(error)) from error
            elif over and report is not None and not report["why"]:
                report["why"] = over
        return report, [buffers[fd] for fd in readers]


def outcome_of(
    report: Mapping[str, Any], record: bytearray, out: bytearray, err: bytearray, key: bytes, limits: Limits
) -> Outcome:
    """Status from init's report first; the runner's own word counts only where it ended in good order."""
    received = verify_frames(record, key)
    end, integrity = received.end, received.integrity
    signalled = os.WTERMSIG(report["status"]) if os.WIFSIGNALED(report["status"]) else 0
    exception = None
    tripped: tuple[str, ...] = ()
    if report["why"]:
        status = report["why"]
    elif signalled:
        used_up = report["cpu_seconds"] >= limits.cpu_seconds * COUNTED_CPU
        status = "cpu" if signalled in (9, 24) and used_up else f"signal:{signalled}"
    elif end is None or report["status"] != 0:
        status = "no-end"
    else:
        status = end.get("end")
        exception = end.get("exception")
        if status not in ("ok", "exception", "exit", "syntax", "trace-limit") or not isinstance(exception, str | None):
            status, exception, integrity = "no-end", None, "forged"
        elif exception == "MemoryError":
            status = "memory"
    if end is not None:
        named = end.get("tripped")
        tripped = tuple(str(name)[:80] for name in named) if isinstance(named, list) else ()
        if end.get("tampered"):
            tripped += ("tracer replaced",)
        if end.get("escaped"):
            tripped += ("error of our own code",)
        if integrity == "clean" and tripped:
            integrity = "suspect"
        if integrity == "clean" and (report["status"] != 0 or report["why"]):
            integrity = "truncated"
    return Outcome(
        status=status,
        integrity=integrity,
        records=received.records,
        stdout=bytes(out),
        stderr=bytes(err),
        exception=exception,
        tripped=tripped,
        wall_seconds=report["wall_seconds"],
        cpu_seconds=report["cpu_seconds"],
        peak_memory_bytes=report["peak_memory_bytes"],
    )


def _widen(pipe: int) -> None:
    import fcntl

    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        return  # the user's pipe memory is used up: slower, nothing else


def _to_source(path: str, mounts: list[tuple[str, str]]) -> str:
    """A path inside as a host path, for level 2."""
    for source, target in sorted(mounts, key=lambda mount: -len(mount[1])):
        if path == target or path.startswith(f"{target}/"):
            return source + path[len(target) :]
    return path


def _readable_by_all(path: str) -> bool:
    """Whether any user may read ``path`` and search the folders above it."""
    place = Path(os.path.realpath(path))
    if not place.exists() or not place.stat().st_mode & 0o004:
        return False
    return all(folder.stat().st_mode & 0o001 for folder in place.parents)
