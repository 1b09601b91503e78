"""Init: builds the jail, then is the parent of every runner. Trusted code only; at level 3 process 1 of the jail.

Init keeps the right to mount (each run gets a fresh scratch) and is the only source of a run's status: wait4, rusage,
wall clock and kills are init's. What the zygote says is checked before use (see ``zygote_link``): a hostile import
there can spoil the runs of its own repository, never their status or timing (docs/decisions/0002-confined-zygote.md).

A run's processes are one process group, which they can't leave (setsid and setpgid are refused), and its orphans become
children of init. So however a run ends, one signal ends all of its processes, and they have ended when no process of
the group is left to wait for.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import groups, kernel, recorder, rlimits
from trace_mine.tracer.sandbox.config import NO_START, JailConfig
from trace_mine.tracer.sandbox.import_limits import limit_passed
from trace_mine.tracer.sandbox.isolation import isolate
from trace_mine.tracer.sandbox.landlock import landlock_abi
from trace_mine.tracer.sandbox.layer import Orders
from trace_mine.tracer.sandbox.own_time import LOOK_SECONDS, OwnTime
from trace_mine.tracer.sandbox.replayer import Replayer, become_zygote
from trace_mine.tracer.sandbox.scratch import DISK_POLL_SECONDS, FolderScratch, MountedScratch, empty_folder
from trace_mine.tracer.sandbox.wire import Hangup, field, receive_message, send_message
from trace_mine.tracer.sandbox.working_folder import WorkingFolder
from trace_mine.tracer.sandbox.zygote_link import ZYGOTE_SECONDS, Ends, ZygoteGone, ZygoteLink

if TYPE_CHECKING:
    from trace_mine.tracer.sandbox.loader import Bundle

ORPHAN_SECONDS = 5.0
"""How long a jail may take to end by itself once its supervisor is gone."""
CONTROL_SECONDS = 60.0
"""How long one message to or from the supervisor may take; then the jail ends. So long because the supervisor may be
stopped in the middle (Ctrl-Z); not for ever, because a fork of a supervisor that died may hold the socket open."""


def soon() -> float:
    """Return the deadline of a message that is exchanged now with a process of ours."""
    return time.monotonic() + CONTROL_SECONDS


def main(bundle: Bundle, data: Mapping[str, object], control_fd: int, supervisor_fd: int) -> NoReturn:
    """Build the jail and serve the supervisor until it hangs up; the bootstrap enters here. Never returns.

    An error while building is sent to the supervisor, which knows the settings of a host that cause it.

    Args:
        bundle: our own code.
        data: a JailConfig as JSON.
        control_fd: descriptor of the socket to the supervisor.
        supervisor_fd: a pidfd of the supervisor. The socket alone does not show its end where a fork of the supervisor
            (a multiprocessing worker, say) holds a copy of the other end.
    """
    # A supervisor's 0o077 would make the folders of the view root's alone: the jail's user then finds no library.
    os.umask(0o022)
    control = socket.socket(fileno=control_fd)
    config = JailConfig.from_json(data)
    try:
        init = Init(bundle, config, control, supervisor_fd)
        init.serve()
    except Hangup:
        pass  # the supervisor closed the worker or is gone: everything here goes with it
    except ZygoteGone as error:
        _report(control, {"gone": str(error)})
    except BaseException as error:
        number = error.errno if isinstance(error, OSError) else None
        fault = f"{type(error).__name__}: {error}"
        _report(control, {"fault": fault, "errno": number, "traceback": traceback.format_exc()})
    finally:
        _end_everything(config)


def _report(control: socket.socket, report: Mapping[str, object]) -> None:
    """Send a last message to the supervisor; where that fails, write it to stderr, a file that the supervisor reads."""
    try:
        send_message(control, report)
    except (Hangup, OSError):
        sys.stderr.write(str(report.get("traceback") or report))


def _end_everything(config: JailConfig) -> NoReturn:
    """End this process and all others of the jail.

    With a process-id namespace the kernel kills the others when process 1 ends. Without one init is a subreaper, so
    killing its children until there are none ends their descendants too: each orphan becomes a child of init.
    """
    if os.getpid() == 1:
        os._exit(0)
    try:
        while children := _children():  # again, because a child may have forked before the signal came
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
        if not config.namespaces:
            empty_folder(config.scratch)
            os.rmdir(config.scratch)
    finally:
        os._exit(0)


def _children() -> list[int]:
    """Return the process ids of this process's children."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


class Init:
    """The first process of a jail: making the object builds the jail, ``serve`` runs jobs in it."""

    def __init__(self, bundle: Bundle, config: JailConfig, control: socket.socket, supervisor_fd: int) -> None:
        self._config = config
        self._control = control
        self._supervisor = supervisor_fd
        self._replayer: Replayer | None = None
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # opened now: the view of level 3 shows none
        self._life, self._alive = os.pipe()  # by which the outer process, where there is one, sees the end of this one
        last_pid = isolate(config, proc, self._wait_as_outer_process)
        recorder.find_library(config)
        self._proc = proc  # kept, for the clocks of what runs; the zygote closes its copy
        os.close(self._life)
        if not config.namespaces:
            kernel.continue_when_ready(control.fileno())  # no outer process ends a stopped init
        self._scratch = MountedScratch(config.scratch) if config.namespaces else FolderScratch(config.scratch)
        self._folder = WorkingFolder()
        self._disk_bytes = config.limits.disk_bytes
        self._scratch.renew(self._disk_bytes)
        self._zygote = self._start_zygote(bundle, proc, last_pid)
        rlimits.at_init(proc)  # not sooner: the zygote would inherit them

    def _wait_as_outer_process(self, pid: int) -> NoReturn:
        """Go on as the process that the supervisor started, outside the namespace: wait for process 1.

        When this process dies, process 1 dies with it (PDEATHSIG), and with that the kernel ends the namespace. It also
        dies ORPHAN_SECONDS after the supervisor: process 1 ends at once then, unless somebody stopped it.
        """
        # its copies would keep the socket open after the end of process 1, and the supervisor would not see that end
        self._control.close()
        os.close(self._alive)
        kernel.continue_when_ready(self._life)  # stopped, this process would never see the end of process 1
        poll = select.poll()
        for fd in (self._supervisor, handle := os.pidfd_open(pid)):
            poll.register(fd, select.POLLIN)
        if handle not in dict(poll.poll()):
            poll.unregister(self._supervisor)
            if not poll.poll(ORPHAN_SECONDS * 1000):
                os._exit(1)
        _, status = os.waitpid(pid, 0)
        os._exit(0 if status == 0 else 1)

    def _start_zygote(self, bundle: Bundle, proc: int, last_pid: int | None) -> ZygoteLink:
        """Fork the zygote, wait until it is confined, order the first runner and tell the supervisor the layers."""
        ours, theirs = socket.socketpair()
        init_pid = os.getpid()
        if self._config.zygote == "replayer":
            self._replayer = Replayer(self._config, landlock_abi())
        pid = os.fork()
        if pid == 0:
            # The zygote will run hostile imports: what init holds must not be open there. tests/tracer/sandbox
            # (test_what_an_import_inherits) counts what is.
            ours.close()
            self._control.close()
            os.close(self._supervisor)
            os.close(self._alive)
            if last_pid is not None:
                os.close(last_pid)
            become_zygote(self._config, self._replayer, theirs, proc)
        theirs.close()
        ends = Ends(control=self._control, supervisor=self._supervisor)
        runner_orders = Orders if self._replayer is None else self._replayer.runner_orders
        link = ZygoteLink(ours, pid, ends, last_pid, self._config.process_id, runner_orders, proc)
        try:
            if self._replayer is None:
                recorder.introduce(self._config, bundle, ours, proc, init_pid, landlock_abi())
            else:
                self._replayer.introduce(bundle, ours, init_pid)
        except OSError:
            pass  # it ended before it had read all: what it said before, or its end, is received below
        if self._config.namespaces:
            kernel.no_new_privileges()  # not sooner: the zygote sets its own, and drops its capabilities before it
        try:
            message = link.receive(link.clock(ZYGOTE_SECONDS))
        except ZygoteGone as error:
            raise RuntimeError(f"{NO_START} at {self._config.executable}: {error}") from error
        if "ready" not in message:
            raise RuntimeError(message.get("fault") or f"the zygote said {message!r} instead of being ready")
        link.order_runner()
        self._tell({"ready": True, "layers": message["ready"]})
        return link

    def serve(self) -> NoReturn:
        """Answer the supervisor until it hangs up.

        Raises:
            Hangup: the supervisor closed the socket or is gone.
            ZygoteGone: the zygote is of no more use, so the jail must end.
        """
        poll = select.poll()
        for fd in (self._control.fileno(), self._zygote.handle, self._supervisor):
            poll.register(fd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._supervisor in ready:
                raise Hangup("the supervisor is gone")
            if self._control.fileno() not in ready:
                raise ZygoteGone("died between runs")
            message, payload, fds = receive_message(self._control, max_fds=4, deadline=soon())
            if message["do"] == "warm":
                self._warm(message, payload)
            elif message["do"] == "run":
                self._run(message, payload, fds)
            elif message["do"] == "folder":
                self._folder = WorkingFolder.unpacked(message, payload)
            # "kill" is dropped here: it may arrive just after the run that it meant has ended

    def _warm(self, message: dict[str, object], payload: bytes) -> None:
        """Have the zygote import modules, and report to the supervisor how each went.

        A module that hangs or kills the zygote ends the jail; the supervisor starts it again without that module. The
        report says how much of its own time the zygote took, since load must not decide how many modules are tried.
        """
        modules = field(message, "modules", list)
        # the runner that waits was forked before the imports and would not have them
        self._zygote.dismiss_runner()
        self._zygote.send(message, payload)
        clock = self._zygote.clock(field(message, "wall_seconds", float))
        self._scratch.belongs_to(self._zygote.pid, self._config.limits)
        failures: dict[str, str] = {}
        current = ""
        try:
            for _ in range(2 * len(modules) + 1):  # two messages for each module, and one at the end
                answer = self._zygote.receive(clock, self._imports_passed)
                if "begin" in answer:
                    current = str(answer["begin"])[:500]
                # other names than these could fill init's memory
                elif answer.get("failed") in modules and "why" in answer:
                    failures[str(answer["failed"])] = str(answer["why"])[:500]  # the text is the module's own
                elif "warmed" in answer:
                    break
                else:
                    raise ZygoteGone(str(answer.get("fault") or answer)[:500])
            else:
                raise ZygoteGone(f"expected two messages for each of {len(modules)} modules, got more")
            if limit := self._disk_limit():  # what the zygote keeps open would count against each run
                raise ZygoteGone(limit)
        except ZygoteGone as error:
            clock.look()
            self._tell({"stuck": current, "why": str(error), "failures": failures, "seconds": clock.own_seconds})
            raise Hangup("restart") from error
        clock.look()
        self._scratch.belongs_to(None, self._config.limits)
        self._scratch.renew(self._disk_bytes)  # imports may have written files, which no run is to find
        self._zygote.order_runner()
        self._tell({"warmed": True, "failures": failures, "seconds": clock.own_seconds})

    def _run(self, message: dict[str, object], payload: bytes, fds: list[int]) -> None:
        """Give the waiting runner its job, wait for the end of the run, report it, and prepare the next runner.

        The supervisor is told before the runner is: where init dies later, the run may have begun, and where it dies
        sooner the run has not.

        ``payload`` and ``fds`` (the ends of the run's pipes) go on to the runner unread.
        """
        limits = Limits(**field(message, "limits", dict))
        try:
            # a run's limit is for what it writes itself
            disk_bytes = limits.disk_bytes + self._folder.num_bytes
            if disk_bytes != self._disk_bytes:
                self._disk_bytes = disk_bytes
                self._scratch.resize(self._disk_bytes)
            self._folder.lay(self._config.scratch)
            pid, handle = self._zygote.accept_runner()
            # the group: at level 2 the supervisor ends what outlives init
            self._tell({"begun": pid if limits.forks and not self._config.namespaces else 0})
            if self._replayer is not None:
                message["orders"] = self._replayer.job_orders(limits).as_json()
            started = time.monotonic()  # the preparation before is the same for all runs and counts for none
            clock = OwnTime(pid, handle, self._proc, limits.wall_seconds, forks=limits.forks > 0)
            send_message(self._zygote.next_runner, message, payload, fds, started + ZYGOTE_SECONDS)
        except (Hangup, OSError) as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error
        finally:
            # the supervisor sees the end of a pipe only when every copy of its writing end is closed
            self._zygote.next_runner.close()
            for fd in fds:
                os.close(fd)
        self._scratch.belongs_to(pid, limits, self._zygote.runner_sockets)
        cpu_of_forks: list[float] = []
        if limits.forks:
            # what the run forked and left counts against its limit until it is waited for
            signal.signal(signal.SIGCHLD, lambda *_: cpu_of_forks.append(groups.reap(pid)))
        try:
            why = self._watch(handle, clock, limits)
        finally:
            os.close(handle)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._scratch.belongs_to(None, limits)
            groups.kill(pid)  # before wait4, after which the group's number could be another's
        _, status, usage = os.wait4(pid, 0)
        # until all are gone: the scratch must not be renewed, nor the next run begin, while one of them still writes
        cpu_of_forks.append(groups.reap(pid, until_gone=True))
        report = {
            "status": status,
            "why": why,
            "wall_seconds": time.monotonic() - started,
            "cpu_seconds": usage.ru_utime + usage.ru_stime + sum(cpu_of_forks),
            "peak_memory_bytes": usage.ru_maxrss * 1024,  # Linux counts kilobytes
        }
        self._tell({"done": report})
        self._reap_orphans()
        self._scratch.renew(self._disk_bytes)  # after the report, so that the supervisor does not wait for it
        self._zygote.order_runner()

    def _watch(self, handle: int, clock: OwnTime, limits: Limits) -> str:
        """Wait for the runner's end, and kill the runner at a limit.

        Args:
            handle: the runner's pidfd; unlike its process id it can't come to mean another process.
            clock: of the runner's own time.
            limits: the run's.

        Returns:
            Why the runner was killed: ``cpu``, ``wall``, ``disk-limit`` or the supervisor's reason; empty where it
            ended by itself.
        """
        control = self._control.fileno()
        poll = select.poll()
        for fd in (handle, control, self._supervisor):
            poll.register(fd, select.POLLIN)
        why = ""
        while not why:
            wait_seconds = clock.wait_seconds(LOOK_SECONDS if self._config.namespaces else DISK_POLL_SECONDS)
            # a millisecond more, so that the time is over when poll returns for it
            ready = dict(poll.poll(wait_seconds * 1000 + 1))
            if handle in ready:
                return ""
            if self._supervisor in ready:
                raise Hangup("the supervisor is gone")
            if control in ready:
                why = field(receive_message(self._control, deadline=soon())[0], "why", str)
            else:
                why = self._limit_passed(clock, limits)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        # what else the supervisor sends is for ``serve``; only the end of the runner is still waited for
        poll.unregister(control)
        poll.unregister(self._supervisor)
        poll.poll()
        return why

    def _limit_passed(self, clock: OwnTime, limits: Limits) -> str:
        """Return the limit of time or disk that the run has passed; empty for none."""
        is_over = clock.over()
        # Processes of the run count together here only where it is said which limit its own time meant; RLIMIT_CPU
        # bounds each of them.
        if not limits.forks and clock.cpu_seconds >= limits.cpu_seconds:
            return "cpu"
        if is_over:
            return "cpu" if clock.mostly_computed else "wall"
        return self._disk_limit()

    def _imports_passed(self) -> str:
        """Return the limit that imports have passed; else nothing."""
        return limit_passed(self._proc, self._config.limits) or self._disk_limit()

    def _disk_limit(self) -> str:
        """Return ``disk-limit`` where more is held than may be; else nothing."""
        return "disk-limit" if self._scratch.over(self._disk_bytes) else ""

    def _tell(self, message: Mapping[str, object]) -> None:
        """Send the supervisor a message. Raises Hangup, OSError."""
        send_message(self._control, message, deadline=soon())

    def _reap_orphans(self) -> None:
        """Wait for other ended children of init: processes that a hostile zygote made and left.

        Each would otherwise stay a zombie and hold a process id. The zygote's own end is left to be seen by ``serve``.
        """
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None or ended.si_pid == self._zygote.pid:
                return
            os.waitpid(ended.si_pid, 0)
