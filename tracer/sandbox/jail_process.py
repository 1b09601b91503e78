"""A running jail as the supervisor holds it, and what the two say to each other.

The supervisor talks with init only. A jail that does not answer, or answers that it can't go on, is a JailDied: the
worker starts another.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import selftest
from trace_mine.tracer.sandbox.bundle import BOOTSTRAP, bundle_sources
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.groups import end_session
from trace_mine.tracer.sandbox.jail import SandboxUnavailable
from trace_mine.tracer.sandbox.run_pipes import RunPipes
from trace_mine.tracer.sandbox.scratch import empty_folder
from trace_mine.tracer.sandbox.verdict import Report, outcome_of
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message
from trace_mine.tracer.schema import Outcome

START_SECONDS = 30.0
STOP_SECONDS = 5.0
SPARE_SECONDS = 15.0
"""How long init may stay silent after a run's wall clock is over before the jail is taken for stuck."""
DRAIN_SECONDS = 0.5
"""How long pipes are read after init reported the runner's end: by then only a hostile zygote can hold a copy open."""
KEY_BYTES = 16
RECORD_FDS = range(200, 900)
"""Numbers that the record pipe may have inside; another for each run, so that no program can count on one."""
MAX_STDERR_BYTES = 1 << 16


class JailDied(Exception):
    """The jail ended or says that it must be restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """How an attempt to import modules went.

    ``failures`` maps a module to why its import failed. ``stuck`` is the module at which the attempt came to an end (it
    hung or killed the zygote) and ``why`` what happened; empty where all were tried.
    """

    failures: dict[str, str]
    stuck: str = ""
    why: str = ""


class JailProcess:
    """One jail, from its start to its end; runs one job at a time.

    Raises:
        SandboxUnavailable: a layer is refused, or the jail does not come up; the message says why and what to do.
    """

    def __init__(self, executable: str, config: JailConfig, *, random_addresses: bool) -> None:
        """``executable`` is the interpreter to run inside. A ``config`` without namespaces names a scratch folder of
        the host, which belongs to this record from here on: it is emptied and removed at the end.
        """
        self._owner_pid = os.getpid()
        self._host_scratch = None if config.namespaces else config.scratch
        self._group: int | None = None  # of a run that may fork, where no namespace ends it with init
        self._control, theirs = socket.socketpair()
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        supervisor = os.pidfd_open(os.getpid())
        # no user site, no site, no bytecode, no current folder in the search path
        command = [executable, "-s", "-S", "-B", "-P", "-c", BOOTSTRAP]
        arguments = [str(theirs.fileno()), str(supervisor), "random" if random_addresses else "fixed"]
        try:
            self._popen = subprocess.Popen(
                [*command, *arguments],
                env=environment(config.hash_seed),
                pass_fds=(theirs.fileno(), supervisor),
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,
                cwd="/",
            )
        except BaseException:
            self._control.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()
            os.close(supervisor)
        try:
            self.layers = self._begin(config)
        except BaseException:
            self.stop()
            raise

    def _begin(self, config: JailConfig) -> str:
        """Sends our code and the configuration; the layers in use, once the jail stands."""
        self._control.settimeout(START_SECONDS)
        try:
            bundle = json.dumps([bundle_sources(), config.to_json()]).encode("ascii")
            self._control.sendall(len(bundle).to_bytes(8, "big") + bundle)
            message = self._hear()
        except (OSError, JailDied) as error:
            raise SandboxUnavailable(str(error)) from error
        if "ready" not in message:
            raise SandboxUnavailable(selftest.explain(str(message.get("fault")), message.get("errno")))
        self._control.settimeout(None)
        return str(message["layers"])

    def stop(self) -> None:
        """Init sees the hang-up, cleans up and ends; if it does not, it is killed. Forked copies of us leave it
        alone.
        """
        if self._owner_pid == os.getpid():
            with contextlib.suppress(OSError):  # already disconnected
                self._control.shutdown(socket.SHUT_RDWR)
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
            if self._group is not None:  # init was killed in the middle of the run
                end_session(self._group)
            if self._host_scratch is not None and os.path.isdir(self._host_scratch):  # init was killed
                empty_folder(self._host_scratch)
                os.rmdir(self._host_scratch)
        self._control.close()
        self._stderr.close()

    def warm(self, modules: Sequence[str], wall_seconds: float) -> Warmed:
        """Imports ``modules`` in the zygote, in order; where one gets stuck the jail is of no more use."""
        try:
            send_message(self._control, {"do": "warm", "modules": list(modules), "wall_seconds": wall_seconds})
            message = self._hear()
        except (Hangup, OSError, JailDied) as error:
            return Warmed(failures={}, stuck=modules[0], why=str(error))
        failures = {str(name): str(why) for name, why in message["failures"].items()}
        if "stuck" not in message:
            return Warmed(failures=failures)
        stuck = message["stuck"] if message["stuck"] in modules else modules[0]
        return Warmed(failures=failures, stuck=stuck, why=str(message["why"]))

    def run(self, job: bytes, limits: Limits) -> Outcome:
        """Runs a job (its JSON) in a fresh fork of the zygote. Raises JailDied where no run took place."""
        key = secrets.token_bytes(KEY_BYTES)
        message = {
            "do": "run",
            "limits": limits.as_dict(),
            "key": key.hex(),
            "record_fd": secrets.choice(RECORD_FDS),
        }
        with RunPipes(limits) as pipes:
            try:
                send_message(self._control, message, job, pipes.writers)
            except (Hangup, OSError) as error:
                raise JailDied(str(error)) from error
            finally:
                pipes.close_writers()
            report = self._collect(pipes, limits)
            record, out, err = pipes.collected()
        return outcome_of(report, record, out, err, key, limits)

    def _collect(self, pipes: RunPipes, limits: Limits) -> Report:
        """Reads the pipes until init reports the runner's end. Raises JailDied where no run took place."""
        control = self._control.fileno()
        poll = select.poll()
        for fd in (*pipes.open, control):
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + limits.wall_seconds + SPARE_SECONDS
        report: Report | None = None
        over = ""
        while report is None or pipes.open:
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                break
            for fd, _ in ready:
                if fd != control:
                    if not pipes.read(fd):
                        poll.unregister(fd)
                elif (ended := self._hear_of_run()) is not None:
                    report = ended
                    poll.unregister(control)
                    deadline = time.monotonic() + DRAIN_SECONDS
            limit = pipes.cut()
            if limit and not over:
                over = limit
                if report is None:
                    self._order_kill(over)
        if report is None:
            raise JailDied("init does not answer")
        # A run may end by itself before the kill arrives; its record is cut all the same.
        return replace(report, why=report.why or over)

    def _order_kill(self, why: str) -> None:
        try:
            send_message(self._control, {"do": "kill", "why": why})
        except (Hangup, OSError) as error:
            raise JailDied(str(error)) from error

    def _hear_of_run(self) -> Report | None:
        """Init's report, or None where it only told the run's process group. Raises JailDied for anything else."""
        answer = self._hear()
        if "group" in answer:
            self._group = answer["group"]
            return None
        if "done" not in answer:
            raise JailDied(str(answer.get("gone") or answer.get("traceback") or answer))
        self._group = None
        return Report(**answer["done"])

    def _hear(self) -> dict[str, Any]:
        """Init's next message. Raises JailDied, with what init wrote on stderr."""
        try:
            return receive_message(self._control)[0]
        except (Hangup, OSError, ValueError) as error:
            self._stderr.seek(0)
            text = self._stderr.read(MAX_STDERR_BYTES).decode("utf-8", "replace").strip()
            raise JailDied(f"{type(error).__name__}: {error}. {text[-2000:]}") from error
