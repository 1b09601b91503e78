"""Init: builds the jail, then is the parent of every runner. Trusted code only; at level 3 process 1 of the jail.

It keeps the right to mount (a fresh scratch for each run) and is the only source of status: wait4, rusage, wall clock
and kills come from here. What the zygote says is checked before use: a hostile import there can spoil the runs of its
own repository, never their status or timing.

A run's processes are one process group, which they can't leave (setsid and setpgid are refused), and orphans come here.
So however a run ends, one signal ends all of it, and it has ended when nobody of the group is left to wait for.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

from trace_mine.tracer.sandbox import groups, kernel, view, zygote
from trace_mine.tracer.sandbox.landlock import landlock_abi
from trace_mine.tracer.sandbox.scratch import FolderScratch, MountedScratch, empty_folder
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message

ZYGOTE_SECONDS = 10.0
"""How long the zygote may take to answer; it only forks. Generous, because the machine may be busy."""
DISK_POLL_SECONDS = 0.05
MAX_ZYGOTE_MESSAGE_BYTES = 1 << 16


def main(bundle: Any, config: dict[str, Any], control_fd: int, supervisor_fd: int) -> NoReturn:
    """Entered by the bootstrap; never returns. What goes wrong while building is told to the supervisor."""
    control = socket.socket(fileno=control_fd)
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


def _tell(control: socket.socket, report: dict[str, Any]) -> None:
    try:
        send_message(control, report)
    except (Hangup, OSError):
        sys.stderr.write(str(report.get("traceback") or report))


def _end_everything(config: dict[str, Any]) -> NoReturn:
    """Kills what is left of the jail. With a process-id namespace the kernel does it when process 1 ends."""
    if os.getpid() == 1:
        os._exit(0)
    try:
        while children := _children():
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)
        if "namespaces" not in config["layers"]:
            empty_folder(config["scratch"])
            os.rmdir(config["scratch"])
    finally:
        os._exit(0)


def _children() -> list[int]:
    """Children of this process, which as a subreaper inherits what they leave behind."""
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


class Init:
    def __init__(self, bundle: Any, config: dict[str, Any], control: socket.socket, supervisor_fd: int) -> None:
        self._config = config
        self._control = control
        self._supervisor = supervisor_fd
        self._layers = set(config["layers"])
        # The id after it where the zygote has more than one thread: see forking.
        self._process_id: int = config["process_id"]
        self._proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        self._last_pid: int | None = None
        self._isolate()
        if not self._namespaces:
            kernel.adopt_orphans()
        self._scratch: MountedScratch | FolderScratch
        self._scratch = MountedScratch(config["scratch"]) if self._namespaces else FolderScratch(config["scratch"])
        self._disk_bytes = config["limits"]["disk_bytes"]
        self._scratch.renew(self._disk_bytes)
        self._start_zygote(bundle)
        os.close(self._proc)

    @property
    def _namespaces(self) -> bool:
        return "namespaces" in self._layers

    def _isolate(self) -> None:
        config = self._config
        uid = config["uid"]
        binds = [(source, target) for source, target in config["binds"]]
        if not self._namespaces:
            if uid is not None:
                self._give_up_root(uid)
            return
        outer_id = os.getuid()
        if uid is not None:  # real root builds the view (it may read what the new user may not), then gives root up
            kernel.unshare(kernel.NEW_MOUNTS)
            view.make_mounts_private()
            view.enter_view(binds, config["devices"], config["scratch"])
            os.chmod("/", 0o755)
            kernel.become(uid)
            outer_id = uid
        kernel.unshare(
            kernel.NEW_USERS | kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_NETWORK
            | kernel.NEW_IPC | kernel.NEW_HOST_NAME | kernel.NEW_CGROUPS
        )  # fmt: skip
        outer_group = outer_id if uid is not None else os.getegid()
        self._write_proc("self/setgroups", "deny")
        self._write_proc("self/uid_map", f"1000 {outer_id} 1")
        self._write_proc("self/gid_map", f"1000 {outer_group} 1")
        view.make_mounts_private()
        if uid is None:
            view.enter_view(binds, config["devices"], config["scratch"])
        kernel.set_host_name(config["hostname"])
        try:
            self._last_pid = os.open("sys/kernel/ns_last_pid", os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._proc)
        except OSError:
            self._last_pid = None  # /proc/sys is read-only in many containers: then process ids vary
        pid = os.fork()
        if pid:
            self._wait_as_outer_process(pid)
        kernel.die_with_parent()
        view.make_root_read_only()

    def _give_up_root(self, uid: int) -> None:
        """Without namespaces the jail's user may be unable to read what root can (an interpreter below /root).

        Then one capability stays: to read whatever the modes say, within Landlock's list. Never without Landlock.
        """
        os.chown(self._config["scratch"], uid, uid)
        needed = not self._config["readable_by_all"]
        allowed = "landlock" in self._layers and kernel.permitted_capabilities() >> kernel.CAP_DAC_READ_SEARCH & 1
        if needed and not allowed:
            raise PermissionError(
                errno.EACCES,
                f"user {uid} of the jail can't read the interpreter or a mount; make them readable to all, move them "
                "out of the home folder, or add CAP_DAC_READ_SEARCH (and Landlock)",
            )
        kernel.become(uid, kernel.CAP_DAC_READ_SEARCH if needed else None)

    def _wait_as_outer_process(self, pid: int) -> NoReturn:
        """The process that the supervisor knows: when it dies, process 1 dies, and with it the whole namespace."""
        self._control.close()
        os.close(self._supervisor)
        _, status = os.waitpid(pid, 0)
        os._exit(0 if status == 0 else 1)

    def _write_proc(self, path: str, text: str) -> None:
        fd = os.open(path, os.O_WRONLY, dir_fd=self._proc)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)

    def _start_zygote(self, bundle: Any) -> None:
        ours, theirs = socket.socketpair()
        init_pid = os.getpid()
        self._zygote_pid = os.fork()
        if self._zygote_pid == 0:
            ours.close()
            self._control.close()
            os.close(self._supervisor)
            if self._last_pid is not None:
                os.close(self._last_pid)
            zygote.main(bundle, self._config, theirs, self._proc, init_pid, landlock_abi())
        theirs.close()
        self._zygote = ours
        self._zygote.settimeout(ZYGOTE_SECONDS)
        self._zygote_handle = os.pidfd_open(self._zygote_pid)
        if self._namespaces:
            kernel.no_new_privileges()
        message = self._hear_zygote(time.monotonic() + ZYGOTE_SECONDS)
        if "ready" not in message:
            raise RuntimeError(message.get("fault") or f"the zygote said {message!r} instead of being ready")
        self._order_runner()
        send_message(self._control, {"ready": True, "layers": message["ready"]})

    def _hear_zygote(self, deadline: float, handles: tuple[int, ...] = ()) -> dict[str, Any]:
        """The zygote's next message.

        Raises:
            ZygoteGone: it died, or said nothing until ``deadline``.
            Hangup: the supervisor is gone.
        """
        poll = select.poll()
        for fd in (self._zygote.fileno(), self._zygote_handle, self._supervisor):
            poll.register(fd, select.POLLIN)
        poll.register(self._control.fileno(), select.POLLHUP)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ZygoteGone("timeout")
            ready = dict(poll.poll(left * 1000))
            if self._supervisor in ready or self._control.fileno() in ready:
                raise Hangup("the supervisor is gone")
            if self._zygote.fileno() in ready:
                try:
                    return receive_message(self._zygote, max_bytes=MAX_ZYGOTE_MESSAGE_BYTES)[0]
                except (Hangup, ValueError, OSError) as error:
                    raise ZygoteGone(f"{type(error).__name__}: {error}") from error
            if self._zygote_handle in ready:
                raise ZygoteGone("died")

    def serve(self) -> NoReturn:
        """Answers the supervisor until it hangs up; after a ZygoteGone the jail is of no more use and ends."""
        poll = select.poll()
        for fd in (self._control.fileno(), self._zygote_handle, self._supervisor):
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
        self._dismiss_runner()
        send_message(self._zygote, message, payload)
        deadline = time.monotonic() + message["wall_seconds"]
        failures: dict[str, str] = {}
        current = ""
        try:
            while True:
                answer = self._hear_zygote(deadline)
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
        self._order_runner()
        send_message(self._control, {"warmed": True, "failures": failures})

    def _order_runner(self) -> None:
        """Asks the zygote for the next runner, which prepares itself in the scratch that it will run in."""
        ours, theirs = socket.socketpair()
        try:
            if self._last_pid is not None:
                os.pwrite(self._last_pid, str(self._process_id - 1).encode(), 0)
            send_message(self._zygote, {"do": "fork"}, fds=(theirs.fileno(),))
        except (Hangup, OSError) as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error
        finally:
            theirs.close()
        ours.settimeout(ZYGOTE_SECONDS)
        self._next_runner = ours

    def _meet_runner(self) -> tuple[int, int]:
        """Process id and handle of the ordered runner, once it is known to be a child of ours."""
        answer = self._hear_zygote(time.monotonic() + ZYGOTE_SECONDS)
        pid = answer.get("pid")
        if not isinstance(pid, int) or not self._is_own_child(pid):
            raise ZygoteGone(f"expected the process id of a child of init, got {str(answer)[:4000]}")
        return pid, os.pidfd_open(pid)

    def _dismiss_runner(self) -> None:
        """Ends the ordered runner without a job; it was forked from a zygote that is about to change."""
        pid, handle = self._meet_runner()
        self._next_runner.close()
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        os.waitpid(pid, 0)

    def _run(self, message: dict[str, Any], payload: bytes, fds: list[int]) -> None:
        limits = message["limits"]
        try:
            if limits["disk_bytes"] != self._disk_bytes:
                self._disk_bytes = limits["disk_bytes"]
                self._scratch.resize(self._disk_bytes)
            pid, handle = self._meet_runner()
            if limits["forks"] and not self._namespaces:  # the supervisor ends what would outlive us
                send_message(self._control, {"group": pid})
            started = time.monotonic()
            send_message(self._next_runner, message, payload, fds)
        except (Hangup, OSError) as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error
        finally:
            self._next_runner.close()
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
        self._order_runner()

    def _is_own_child(self, pid: int) -> bool:
        if pid <= 1 or pid == self._zygote_pid:
            return False
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except OSError:
            return False
        return True

    def _watch(self, handle: int, deadline: float, disk_bytes: int) -> str:
        """Waits for the runner's end, and says why it was killed: ``wall``, ``disk-limit``, the supervisor's word, or
        ``''``.
        """
        poll = select.poll()
        for fd in (handle, self._control.fileno(), self._supervisor):
            poll.register(fd, select.POLLIN)
        why = ""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 and not why:
                why = "wall"
            if why:
                signal.pidfd_send_signal(handle, signal.SIGKILL)
                poll.unregister(self._control.fileno())
                poll.unregister(self._supervisor)
                poll.poll()
                return why
            ready = dict(poll.poll((left if self._namespaces else min(left, DISK_POLL_SECONDS)) * 1000 + 1))
            if handle in ready:
                return ""
            if self._supervisor in ready:
                raise Hangup("the supervisor is gone")
            if self._control.fileno() in ready:
                why = str(receive_message(self._control)[0]["why"])
            elif self._scratch.over(disk_bytes):
                why = "disk-limit"

    def _reap_orphans(self) -> None:
        """Collects what else was re-parented here (children that a hostile zygote left); the zygote's own end is not
        theirs.
        """
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid == self._zygote_pid:
                return
            os.waitpid(found.si_pid, 0)


class ZygoteGone(Exception):
    """The zygote died, hangs or lies: the jail must be restarted."""
