"""Init: builds the jail, then is the parent of every runner. Trusted code only; at level 3 process 1 of the jail.

It keeps the right to mount (a fresh scratch for each run) and is the only source of status: wait4, rusage, wall clock
and kills come from here. What the zygote says is checked before use (see ``zygote_link``): a hostile import there can
spoil the runs of its own repository, never their status or timing.

A run's processes are one process group, which they can't leave (setsid and setpgid are refused), and orphans come here.
So however a run ends, one signal ends all of it, and it has ended when nobody of the group is left to wait for.
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
from typing import TYPE_CHECKING, Any, NoReturn

from trace_mine.tracer.sandbox import groups, kernel, zygote
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.isolation import isolate
from trace_mine.tracer.sandbox.landlock import landlock_abi
from trace_mine.tracer.sandbox.scratch import FolderScratch, MountedScratch, empty_folder
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message
from trace_mine.tracer.sandbox.zygote_link import ZYGOTE_SECONDS, Ends, ZygoteGone, ZygoteLink

if TYPE_CHECKING:
    from trace_mine.tracer.sandbox.loader import Bundle

DISK_POLL_SECONDS = 0.05
"""How often a scratch folder is measured at level 2, where no file system limits it."""


def main(bundle: Bundle, data: Mapping[str, object], control_fd: int, supervisor_fd: int) -> NoReturn:
    """Entered by the bootstrap; never returns. What goes wrong while building is told to the supervisor.

    ``data`` is a JailConfig as JSON, ``control_fd`` the socket to the supervisor, ``supervisor_fd`` its pidfd.
    """
    control = socket.socket(fileno=control_fd)
    config = JailConfig.from_json(data)
    try:
        init = Init(bundle, config, control, supervisor_fd)
        init.serve()
    except Hangup:
        pass  # the supervisor closed the worker or is gone: everything here goes with it
    except ZygoteGone as error:
        _tell(control, {"gone": str(error)})
    except BaseException as error:
        number = error.errno if isinstance(error, OSError) else None
        fault = f"{type(error).__name__}: {error}"
        _tell(control, {"fault": fault, "errno": number, "traceback": traceback.format_exc()})
    finally:
        _end_everything(config)


def _tell(control: socket.socket, report: Mapping[str, object]) -> None:
    try:
        send_message(control, report)
    except (Hangup, OSError):
        sys.stderr.write(str(report.get("traceback") or report))


def _end_everything(config: JailConfig) -> NoReturn:
    """Kills what is left of the jail. With a process-id namespace the kernel does it when process 1 ends."""
    if os.getpid() == 1:
        os._exit(0)
    try:
        while children := _children():
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
        if not config.namespaces:
            empty_folder(config.scratch)
            os.rmdir(config.scratch)
    finally:
        os._exit(0)


def _children() -> list[int]:
    """Children of this process, which as a subreaper inherits what they leave behind."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


class Init:
    """The first process of a jail. Building it builds the jail; ``serve`` runs jobs in it."""

    def __init__(self, bundle: Bundle, config: JailConfig, control: socket.socket, supervisor_fd: int) -> None:
        self._config = config
        self._control = control
        self._supervisor = supervisor_fd
        proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)  # the view of level 3 shows none
        last_pid = isolate(config, proc, self._wait_as_outer_process)
        self._scratch = MountedScratch(config.scratch) if config.namespaces else FolderScratch(config.scratch)
        self._disk_bytes = config.limits.disk_bytes
        self._scratch.renew(self._disk_bytes)
        self._zygote = self._start_zygote(bundle, proc, last_pid)
        os.close(proc)

    def _wait_as_outer_process(self, pid: int) -> NoReturn:
        """The process that the supervisor knows: when it dies, process 1 dies, and with it the whole namespace."""
        self._control.close()
        os.close(self._supervisor)
        _, status = os.waitpid(pid, 0)
        os._exit(0 if status == 0 else 1)

    def _start_zygote(self, bundle: Bundle, proc: int, last_pid: int | None) -> ZygoteLink:
        ours, theirs = socket.socketpair()
        init_pid = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._control.close()
            os.close(self._supervisor)
            if last_pid is not None:
                os.close(last_pid)
            zygote.main(bundle, self._config, theirs, proc, init_pid, landlock_abi())
        theirs.close()
        ends = Ends(control=self._control, supervisor=self._supervisor)
        link = ZygoteLink(ours, pid, ends, last_pid, self._config.process_id)
        if self._config.namespaces:
            kernel.no_new_privileges()  # not sooner: the zygote sets its own, and drops its capabilities before it
        message = link.hear(time.monotonic() + ZYGOTE_SECONDS)
        if "ready" not in message:
            raise RuntimeError(message.get("fault") or f"the zygote said {message!r} instead of being ready")
        link.order_runner()
        send_message(self._control, {"ready": True, "layers": message["ready"]})
        return link

    def serve(self) -> NoReturn:
        """Answers the supervisor until it hangs up; after a ZygoteGone the jail is of no more use and ends."""
        poll = select.poll()
        for fd in (self._control.fileno(), self._zygote.handle, self._supervisor):
            poll.register(fd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._supervisor in ready:
                raise Hangup("the supervisor is gone")
            if self._control.fileno() not in ready:
                raise ZygoteGone("died between runs")
            message, payload, fds = receive_message(self._control, max_fds=3)
            if message["do"] == "warm":
                self._warm(message, payload)
            elif message["do"] == "run":
                self._run(message, payload, fds)
            # "kill" may arrive just after the run it meant has ended

    def _warm(self, message: dict[str, Any], payload: bytes) -> None:
        """Passes on what each import says; the supervisor restarts the jail without a module that hangs or kills it."""
        self._zygote.dismiss_runner()
        self._zygote.send(message, payload)
        deadline = time.monotonic() + message["wall_seconds"]
        failures: dict[str, str] = {}
        current = ""
        try:
            while True:
                answer = self._zygote.hear(deadline)
                if "begin" in answer:
                    current = str(answer["begin"])
                elif "failed" in answer:
                    failures[str(answer["failed"])] = str(answer["why"])[:500]
                elif "warmed" in answer:
                    break
                else:
                    raise ZygoteGone(str(answer.get("fault"))[:500])
        except ZygoteGone as error:
            send_message(self._control, {"stuck": current, "why": str(error), "failures": failures})
            raise Hangup("restart") from error
        self._scratch.renew(self._disk_bytes)
        self._zygote.order_runner()
        send_message(self._control, {"warmed": True, "failures": failures})

    def _run(self, message: dict[str, Any], payload: bytes, fds: list[int]) -> None:
        limits = message["limits"]
        try:
            if limits["disk_bytes"] != self._disk_bytes:
                self._disk_bytes = limits["disk_bytes"]
                self._scratch.resize(self._disk_bytes)
            pid, handle = self._zygote.meet_runner()
            if limits["forks"] and not self._config.namespaces:  # the supervisor ends what would outlive us
                send_message(self._control, {"group": pid})
            started = time.monotonic()
            send_message(self._zygote.next_runner, message, payload, fds)
        except (Hangup, OSError) as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error
        finally:
            self._zygote.next_runner.close()
            for fd in fds:
                os.close(fd)
        forked: list[float] = []
        if limits["forks"]:
            # what the run forked and left counts against its limit until it is waited for
            signal.signal(signal.SIGCHLD, lambda *_: forked.append(groups.reap(pid)))
        try:
            why = self._watch(handle, started + limits["wall_seconds"], limits["disk_bytes"])
        finally:
            os.close(handle)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            groups.kill(pid)
        _, status, usage = os.wait4(pid, 0)
        forked.append(groups.reap(pid, until_gone=True))
        report = {
            "status": status,
            "why": why,
            "wall_seconds": time.monotonic() - started,
            "cpu_seconds": usage.ru_utime + usage.ru_stime + sum(forked),
            "peak_memory_bytes": usage.ru_maxrss * 1024,
        }
        send_message(self._control, {"done": report})
        self._reap_orphans()
        self._scratch.renew(self._disk_bytes)  # after the answer, so that nobody waits for it
        self._zygote.order_runner()

    def _watch(self, handle: int, deadline: float, disk_bytes: int) -> str:
        """Waits for the runner's end, and says why it was killed: ``wall``, ``disk-limit``, the supervisor's word, or
        ``''``.
        """
        control = self._control.fileno()
        poll = select.poll()
        for fd in (handle, control, self._supervisor):
            poll.register(fd, select.POLLIN)
        why = ""
        while not why:
            left = deadline - time.monotonic()
            if left <= 0:
                why = "wall"
                break
            ready = dict(poll.poll((left if self._config.namespaces else min(left, DISK_POLL_SECONDS)) * 1000 + 1))
            if handle in ready:
                return ""
            if self._supervisor in ready:
                raise Hangup("the supervisor is gone")
            if control in ready:
                why = str(receive_message(self._control)[0]["why"])
            elif self._scratch.over(disk_bytes):
                why = "disk-limit"
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        poll.unregister(control)
        poll.unregister(self._supervisor)
        poll.poll()
        return why

    def _reap_orphans(self) -> None:
        """Collects what else was re-parented here (children that a hostile zygote left); the zygote's own end is not
        theirs.
        """
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid == self._zygote.pid:
                return
            os.waitpid(found.si_pid, 0)
