"""Init's side of the conversation with the zygote, which must be taken for hostile. Runs inside.

The zygote may lie about everything that it says: process ids are believed only of children of init, messages are
limited in size, and each answer has a deadline.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message

ZYGOTE_SECONDS = 10.0
"""How long the zygote may take to answer; it only forks. Generous, because the machine may be busy."""
MAX_ZYGOTE_MESSAGE_BYTES = 1 << 16


class ZygoteGone(Exception):
    """The zygote died, hangs or lies: the jail must be restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What is watched while the zygote is waited for: the supervisor's socket, and a handle (pidfd) of its process."""

    control: socket.socket
    supervisor: int

    def __post_init__(self) -> None:
        if self.supervisor < 0 or self.control.fileno() < 0:
            raise ValueError(f"expected open descriptors, got {self.control.fileno()} and {self.supervisor}")


class ZygoteLink:
    """The socket to the zygote and a handle of its process; orders runners from it, one ahead of the jobs."""

    def __init__(self, sock: socket.socket, pid: int, ends: Ends, last_pid: int | None, process_id: int) -> None:
        """``last_pid`` is an open ``ns_last_pid`` or None; through it a runner gets the number ``process_id``, or the
        one after it where the zygote has more than one thread (see ``forking``).
        """
        self.pid = pid
        self.handle = os.pidfd_open(pid)
        self._socket = sock
        self._socket.settimeout(ZYGOTE_SECONDS)
        self._ends = ends
        self._last_pid = last_pid
        self._process_id = process_id

    def hear(self, deadline: float) -> dict[str, object]:
        """The zygote's next message.

        Raises:
            ZygoteGone: it died, or said nothing until ``deadline`` (of ``time.monotonic``).
            Hangup: the supervisor is gone.
        """
        zygote, control, supervisor = self._socket.fileno(), self._ends.control.fileno(), self._ends.supervisor
        poll = select.poll()
        for fd in (zygote, self.handle, supervisor):
            poll.register(fd, select.POLLIN)
        poll.register(control, select.POLLHUP)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ZygoteGone("timeout")
            ready = dict(poll.poll(left * 1000))
            if supervisor in ready or control in ready:
                raise Hangup("the supervisor is gone")
            if zygote in ready:
                try:
                    return receive_message(self._socket, max_bytes=MAX_ZYGOTE_MESSAGE_BYTES)[0]
                except (Hangup, ValueError, OSError) as error:
                    raise ZygoteGone(f"{type(error).__name__}: {error}") from error
            if self.handle in ready:
                raise ZygoteGone("died")

    def send(self, message: Mapping[str, object], payload: bytes = b"", fds: Iterable[int] = ()) -> None:
        """Raises ZygoteGone."""
        try:
            send_message(self._socket, message, payload, fds)
        except (Hangup, OSError) as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error

    def order_runner(self) -> None:
        """Asks the zygote for the next runner, which prepares itself in the scratch that it will run in. Raises
        ZygoteGone.
        """
        ours, theirs = socket.socketpair()
        try:
            if self._last_pid is not None:
                os.pwrite(self._last_pid, str(self._process_id - 1).encode(), 0)
            self.send({"do": "fork"}, fds=(theirs.fileno(),))
        except OSError as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error
        finally:
            theirs.close()
        ours.settimeout(ZYGOTE_SECONDS)
        self.next_runner = ours

    def meet_runner(self) -> tuple[int, int]:
        """Process id and handle of the ordered runner, once it is known to be a child of init. Raises ZygoteGone."""
        answer = self.hear(time.monotonic() + ZYGOTE_SECONDS)
        pid = answer.get("pid")
        if not isinstance(pid, int) or not self._is_own_child(pid):
            raise ZygoteGone(f"expected the process id of a child of init, got {str(answer)[:4000]}")
        return pid, os.pidfd_open(pid)

    def dismiss_runner(self) -> None:
        """Ends the ordered runner without a job; it was forked from a zygote that is about to change."""
        pid, handle = self.meet_runner()
        self.next_runner.close()
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        os.waitpid(pid, 0)

    def _is_own_child(self, pid: int) -> bool:
        """Whether ``pid`` may be signalled and waited for as a runner. At level 2 process ids are the host's: a zygote
        that names another process of the same user must not get it killed.
        """
        if pid <= 1 or pid == self.pid:
            return False
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except OSError:
            return False
        return True
