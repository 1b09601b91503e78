"""The supervisor's side of a running jail: starts it, sends it jobs, reads a run's pipes, takes it down.

The supervisor talks with init only. A jail that does not answer, or answers that it can't go on, raises JailDied: the
worker starts another. Over 400 lines because all that is said between supervisor and init is said here.
"""

from __future__ import annotations

import contextlib
import json
import marshal
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO, TypeVar

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import selftest
from trace_mine.tracer.sandbox.bundle import BOOTSTRAP, START_SECONDS, VERSION, bundle_bytes
from trace_mine.tracer.sandbox.cgroups import JAIL_TASKS, ControlGroup, bounds_of
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.conversation import Conversation, InitSilent, TalkPipes
from trace_mine.tracer.sandbox.determinism import environment
from trace_mine.tracer.sandbox.groups import end_session
from trace_mine.tracer.sandbox.jail import SandboxUnavailable
from trace_mine.tracer.sandbox.own_time import GUARD
from trace_mine.tracer.sandbox.run_pipes import RunPipes
from trace_mine.tracer.sandbox.scratch import empty_folder
from trace_mine.tracer.sandbox.verdict import Report, outcome_of
from trace_mine.tracer.sandbox.wire import Hangup, field, receive_message, send_message
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.sandbox.zygote_link import ZYGOTE_SECONDS
from trace_mine.tracer.schema import Outcome

STOP_SECONDS = 5.0
"""How long init may take to clean up before it is killed."""
SPARE_SECONDS = 30.0
"""How long init may stay silent after the guard by the clock (``own_time.GUARD``) of a run, or of imports, before the
jail is taken for stuck."""
MESSAGE_SECONDS = 30.0
"""How long one message from or to init may take, from its first byte to its last."""
DRAIN_SECONDS = 0.5
"""How long pipes are read after init reported the runner's end: by then only a hostile zygote can hold a copy open."""
IMPORT_TASKS = 8
"""Threads that imports may start, where a control group counts them; and processes, were these not refused. numpy with
one BLAS thread starts none, tqdm one; a pool of a module's own has as many as there are processors."""
KEY_BYTES = 16
RECORD_FDS = range(200, 900)
"""Numbers that the record pipe may have inside: another for each run, so that no program can count on one; above those
that a program's own files get. Where RLIMIT_NOFILE is lower, the runner takes the next number below."""
MAX_STDERR_BYTES = 1 << 16
"""How much of init's stderr is read for an error message; it is our own text, but may repeat a hostile one."""


T = TypeVar("T")


class JailDied(Exception):
    """The jail ended, or init says that it must be restarted.

    Where ``begun`` is False no run took place: it may be tried again in another jail. Where it is True the run may have
    done anything before its end; to run it again would hide that. ``out_of_memory`` is True where the kernel killed a
    process of the jail meanwhile because the jail's memory was used up.
    """

    def __init__(self, why: str, *, begun: bool = False) -> None:
        super().__init__(why)
        self.begun = begun
        self.out_of_memory = False


class JobTooLong(Exception):
    """A job is longer than a message may be: nothing was sent, and the jail goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmed:
    """The result of an attempt to import modules.

    ``failures`` maps a module to why its import failed. ``stuck`` is the module at which the attempt came to an end (it
    hung or killed the zygote) and ``why`` what happened; both are empty where all modules were tried. ``seconds`` is
    what the attempt took of the zygote's own time, as init measured it, or by the clock where init does not say.

    Raises:
        ValueError: one of ``stuck`` and ``why`` is empty and the other is not.
    """

    failures: dict[str, str]
    stuck: str = ""
    why: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if bool(self.stuck) != bool(self.why):
            raise ValueError(f"expected Warmed.stuck and why together, got {self.stuck!r} and {self.why!r}")


class JailProcess:
    """One jail, from its start to its end. It runs one job at a time.

    ``layers`` is the text that rows store, e.g. ``namespaces+seccomp+landlock7+rlimits``; ``environment`` are the
    variables of its runs, ``scratch`` is the folder that they begin in.

    Raises:
        SandboxUnavailable: a layer is refused, or the jail does not come up; the message says why and what to do.
    """

    def __init__(
        self, executable: str, config: JailConfig, *, random_addresses: bool, group: ControlGroup | None = None
    ) -> None:
        """``executable`` is the interpreter to run inside. A ``config`` without namespaces names a scratch folder of
        the host, which belongs to this record from here on: it is emptied and removed at the end. So is ``group``.
        """
        self._cgroup = group
        self._tasks = bounds_of(config.limits).tasks
        self.environment = environment(config.hash_seed, config.scratch, config.machine)
        self._same_interpreter = executable == os.path.realpath(sys.executable)
        self._owner_pid = os.getpid()
        self.scratch = config.scratch
        self._host_scratch = None if config.namespaces else config.scratch
        self._folder = WorkingFolder()
        self._begun = False
        self._group: int | None = None  # of a run that may fork, where no namespace ends it with init
        self._control, theirs = socket.socketpair()
        # a file, not a pipe: nobody reads it meanwhile, and a full pipe would block init
        self._stderr: IO[bytes] = tempfile.TemporaryFile()
        supervisor = os.pidfd_open(os.getpid())
        # No user site (-s), no site (-S), no bytecode files (-B), no current folder in the search path (-P). Not -I,
        # which would ignore PYTHONHASHSEED.
        command = [executable, "-s", "-S", "-B", "-P", "-c", BOOTSTRAP]
        arguments = [str(theirs.fileno()), str(supervisor), "random" if random_addresses else "fixed"]
        try:
            self._popen = subprocess.Popen(
                [*command, *arguments],
                env=environment(config.hash_seed, machine=config.machine),
                pass_fds=(theirs.fileno(), supervisor),
                stdin=subprocess.DEVNULL,
                stdout=self._stderr,
                stderr=self._stderr,
                start_new_session=True,  # Ctrl-C on the terminal is for the supervisor, which then takes the jail down
                cwd="/",
            )
        except BaseException:
            self._control.close()
            self._stderr.close()
            raise
        finally:
            theirs.close()  # while a copy is open here, the end of the jail can't be seen
            os.close(supervisor)
        try:
            self.layers = self._begin(config)
        except BaseException:
            self.stop()
            raise

    def _begin(self, config: JailConfig) -> str:
        """Send our code and the configuration; return the layers in use, once the jail is built."""
        deadline = time.monotonic() + START_SECONDS
        if self._cgroup is not None:
            try:
                self._cgroup.add(self._popen.pid)  # before it has any code of ours to go on with
            except OSError as error:
                raise SandboxUnavailable(f"{error}: the jail can't be moved into its control group") from error
        self._control.settimeout(START_SECONDS)  # sendall's is for all bytes together
        try:
            bundle = bundle_bytes(with_code=self._same_interpreter)
            start = marshal.dumps((bundle, json.dumps(config.to_json())), VERSION)
            self._control.sendall(len(start).to_bytes(8, "big") + start)
            message = self._receive(deadline)
        except (OSError, JailDied) as error:
            raise SandboxUnavailable(str(error)) from error
        if "ready" not in message:
            errno = message.get("errno")
            raise SandboxUnavailable(
                selftest.explain(str(message.get("fault")), errno if isinstance(errno, int) else None)
            )
        return str(message["layers"])

    def stop(self) -> None:
        """Take the jail down: init sees the hang-up, cleans up and ends; if it does not, it is killed.

        In a fork of the supervisor only the fork's own descriptors are closed: the jail is not the fork's.
        """
        if self._owner_pid == os.getpid():
            # not close: forks of the supervisor may hold copies of the socket, and init would see no end of it
            with contextlib.suppress(OSError):  # already disconnected
                self._control.shutdown(socket.SHUT_RDWR)
            try:
                self._popen.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
            if self._group is not None:  # init was killed in the middle of the run
                end_session(self._group)
            if self._cgroup is not None:
                self._cgroup.remove()
            if self._host_scratch is not None and os.path.isdir(self._host_scratch):  # init was killed
                empty_folder(self._host_scratch)
                os.rmdir(self._host_scratch)
        self._control.close()
        self._stderr.close()

    def warm(self, modules: Sequence[str], wall_seconds: float) -> Warmed:
        """Import ``modules`` in the zygote, in order, in at most ``wall_seconds`` of its own time together.

        Where the answer names a module that got stuck, the jail has ended. Never raises: whatever the jail says or does
        not say is an answer.
        """
        began = time.monotonic()
        # Init bounds the time itself; this is for an init that can't.
        guard = began + GUARD * (wall_seconds + ZYGOTE_SECONDS) + SPARE_SECONDS
        order = {"do": "warm", "modules": list(modules), "wall_seconds": float(wall_seconds)}
        try:
            self._bound_tasks(JAIL_TASKS + IMPORT_TASKS)
            send_message(self._control, order, deadline=guard)
            message = self._receive(guard)
            self._bound_tasks(self._tasks)
        except (Hangup, OSError, ValueError, JailDied) as error:  # ValueError: names of modules without end
            why = f"MemoryError: the jail's memory is used up ({error})" if self._ran_out_of_memory() else str(error)
            return Warmed(failures={}, stuck=modules[0], why=why, seconds=time.monotonic() - began)
        reported = message.get("seconds")
        seconds = reported if isinstance(reported, float) else time.monotonic() - began
        if "failures" not in message:  # init went down over an answer of the zygote, and says why
            why = str(message.get("gone") or message.get("fault") or message)
            return Warmed(failures={}, stuck=modules[0], why=why, seconds=seconds)
        failures = {str(name): str(why) for name, why in field(message, "failures", dict).items()}
        if "stuck" not in message:
            return Warmed(failures=failures, seconds=seconds)
        # the name comes from the zygote, which may lie or die before it tells one; some module must be left out next
        # time, or the attempts would never end
        stuck = field(message, "stuck", str)
        stuck = stuck if stuck in modules else modules[0]
        why = str(message["why"])
        if self._ran_out_of_memory():
            why = f"MemoryError: the jail's memory is used up ({why})"
        return Warmed(failures=failures, stuck=stuck, why=why, seconds=seconds)

    def _bound_tasks(self, tasks: int) -> None:
        """Bound the tasks of the jail, where it has a control group. Raises OSError."""
        if self._cgroup is not None:
            self._cgroup.bound_tasks(tasks)

    def _ran_out_of_memory(self) -> bool:
        """Return True if the kernel has killed a process of the jail for memory since the last call."""
        return self._cgroup is not None and self._cgroup.ran_out_of_memory()

    def hold_folder(self, folder: WorkingFolder) -> None:
        """Have runs find ``folder`` in their scratch from here on; sent once. Raises JailDied."""
        if folder is self._folder:
            return
        index, payload = folder.packed()
        try:
            send_message(self._control, {"do": "folder", **index}, payload, deadline=soon())
        except (Hangup, OSError) as error:
            raise JailDied(str(error)) from error
        self._folder = folder

    def run(self, job: bytes, limits: Limits) -> Outcome:
        """Run a job (its JSON) in a fresh fork of the zygote.

        Raises:
            JailDied: the jail ended; ``begun`` says if the run may have taken place.
            JobTooLong: no message holds it.
        """
        self._begun = False
        self._ran_out_of_memory()  # what happened between the runs is no run's
        key = secrets.token_bytes(KEY_BYTES)
        message = {
            "do": "run",
            "limits": limits.as_dict(),
            "key": key.hex(),
            "record_fd": secrets.choice(RECORD_FDS),
        }
        with RunPipes(limits) as pipes:
            try:
                send_message(self._control, message, job, pipes.writers, soon())
            except (Hangup, OSError) as error:
                raise JailDied(str(error)) from error
            except ValueError as error:
                raise JobTooLong(str(error)) from error
            finally:
                pipes.close_writers()  # only then do the pipes end with the run
            try:
                report = self._collect(pipes, limits)
            except JailDied as error:
                error.out_of_memory = self._ran_out_of_memory()
                raise
            record, out, err = pipes.collected()
        return outcome_of(self._with_memory(report), record, out, err, key, limits)

    def converse(self, job: bytes, limits: Limits, talk: Callable[[Conversation], T]) -> tuple[T, Report]:
        """Speak with a run in a fresh fork of a replayer's zygote; return what ``talk`` gives, and init's report.

        The run is ended when ``talk`` returns or raises.

        Raises:
            JailDied: the jail ended or does not answer; ``begun`` says if the run may have taken place.
            JobTooLong: no message holds the job.
        """
        self._begun = False
        self._ran_out_of_memory()  # what happened between the runs is no run's
        with TalkPipes() as pipes:
            try:
                send_message(self._control, {"do": "run", "limits": limits.as_dict()}, job, pipes.theirs, soon())
            except (Hangup, OSError) as error:
                raise JailDied(str(error)) from error
            except ValueError as error:
                raise JobTooLong(str(error)) from error
            finally:
                pipes.close_theirs()
            conversation = Conversation(pipes, limits, self._control.fileno(), self._receive_of_run)
            try:
                spoken = talk(conversation)
                return spoken, self._with_memory(conversation.finish(self._order_kill))
            except InitSilent as error:
                raise JailDied(str(error), begun=self._begun) from error

    def _with_memory(self, report: Report) -> Report:
        """Return a run's report, which says so where the kernel killed a process of the jail for memory meanwhile.

        Whichever process it was: what the run did is then not all that it would have done.
        """
        return replace(report, why="memory") if self._ran_out_of_memory() else report

    def _collect(self, pipes: RunPipes, limits: Limits) -> Report:
        """Read the pipes until they end and init has reported the runner's end.

        All must be read meanwhile: a run that fills a pipe waits until somebody reads it. Where a pipe is over its
        limit, init is told to kill the run, and its pipes are still read and cut. After the report they are read for
        DRAIN_SECONDS at most, because a process that outlives the run could hold an end open.

        Raises:
            JailDied: init does not answer, or answers that the jail has ended.
        """
        control = self._control.fileno()
        poll = select.poll()
        for fd in (*pipes.open, control):
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + GUARD * limits.wall_seconds + SPARE_SECONDS
        report: Report | None = None
        limit_reached = ""
        while report is None or pipes.open:
            ready = poll.poll(max(0.0, deadline - time.monotonic()) * 1000)
            if not ready:
                break
            for fd, _ in ready:
                if fd != control:
                    if not pipes.read(fd):
                        poll.unregister(fd)
                elif (run_report := self._receive_of_run()) is not None:
                    report = run_report
                    poll.unregister(control)
                    deadline = time.monotonic() + DRAIN_SECONDS
            limit = pipes.cut()
            if limit and not limit_reached:
                limit_reached = limit
                if report is None:
                    self._order_kill(limit_reached)
        if report is None:
            raise JailDied("init does not answer", begun=self._begun)
        # A run may end by itself before the kill arrives; its record is cut all the same.
        return replace(report, why=report.why or limit_reached)

    def _order_kill(self, why: str) -> None:
        """Tell init to kill the run, which may have ended by itself meanwhile. Raises JailDied."""
        try:
            send_message(self._control, {"do": "kill", "why": why}, deadline=soon())
        except (Hangup, OSError) as error:
            raise JailDied(str(error), begun=self._begun) from error

    def _receive_of_run(self) -> Report | None:
        """Receive init's report, or None where init only says that the run begins.

        Raises:
            JailDied: init's message is anything else.
        """
        answer = self._receive(soon())
        if "begun" in answer:
            self._begun = True
            self._group = field(answer, "begun", int) or None
            return None
        if "gone" in answer:  # said only before the runner has its job, or between runs
            raise JailDied(str(answer["gone"]))
        if "done" not in answer:
            raise JailDied(str(answer.get("traceback") or answer), begun=self._begun)
        self._group = None
        return Report(**field(answer, "done", dict))

    def _receive(self, deadline: float) -> dict[str, object]:
        """Receive init's next message.

        Raises:
            JailDied: there is none before the deadline, or a bad one; the text ends with what init wrote on stderr.
        """
        try:
            return receive_message(self._control, deadline=deadline)[0]
        except (Hangup, OSError, ValueError) as error:
            self._stderr.seek(0)
            text = self._stderr.read(MAX_STDERR_BYTES).decode("utf-8", "replace").strip()
            raise JailDied(f"{type(error).__name__}: {error}. {text[-2000:]}", begun=self._begun) from error


def soon() -> float:
    """Return the deadline of one message that is exchanged now with init."""
    return time.monotonic() + MESSAGE_SECONDS
