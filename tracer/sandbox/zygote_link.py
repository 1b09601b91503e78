"""Init's side of the conversation with the zygote, which must be taken for hostile. Runs inside.

The zygote may lie in every message: init believes process ids only of its own children, limits the size of messages,
and gives the zygote so much time for each answer, of its own (``own_time``), and each message so much by the clock.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from trace_mine.tracer.sandbox.layer import Orders
from trace_mine.tracer.sandbox.own_time import OwnTime
from trace_mine.tracer.sandbox.scratch import DISK_POLL_SECONDS
from trace_mine.tracer.sandbox.wire import Hangup, receive_message, send_message

ZYGOTE_SECONDS = 10.0
"""How long of its own time the zygote may take to answer; it only forks."""
MESSAGE_SECONDS = 5.0
"""How long one message may take from its first byte to its last, by the clock: its sender writes it in one call."""
MAX_ZYGOTE_MESSAGE_BYTES = 1 << 16
"""Room for a traceback of 4,000 characters, escaped; nothing else that it says is long."""


class ZygoteGone(Exception):
    """The zygote died, hangs or lies: the jail must be restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two signs of the supervisor's end, watched while init waits for the zygote.

    ``control`` is the socket to the supervisor, ``supervisor`` a handle (pidfd) of its process.

    Raises:
        ValueError: one of them is closed.
    """

    control: socket.socket
    supervisor: int

    def __post_init__(self) -> None:
        if self.supervisor < 0 or self.control.fileno() < 0:
            raise ValueError(f"expected open descriptors, got {self.control.fileno()} and {self.supervisor}")


class ZygoteLink:
    """The socket to the zygote and a handle of its process.

    Runners are ordered from it one ahead of the jobs: ``next_runner`` is the socket to the one that waits, and
    ``runner_sockets`` has the inode of its other end.
    """

    def __init__(
        self,
        sock: socket.socket,
        pid: int,
        ends: Ends,
        last_pid: int | None,
        process_id: int,
        runner_orders: Callable[[], Orders] = Orders,
        proc: int | None = None,
    ) -> None:
        """Connect to a zygote.

        Args:
            sock: the socket to it.
            pid: its process id.
            ends: what shows the supervisor's end.
            last_pid: an open descriptor of ``ns_last_pid``, or None where it can't be written.
            process_id: the number that runners are to get through ``last_pid``; the one after it where the zygote has
                more than one thread (see ``forking``).
            runner_orders: makes the orders of the next runner; none where runners hold our code, which acts by itself.
            proc: an open descriptor of the host's /proc, or None where there is none.
        """
        self.pid = pid
        self.handle = os.pidfd_open(pid)
        self._socket = sock
        self._ends = ends
        self._last_pid = last_pid
        self._process_id = process_id
        self._runner_orders = runner_orders
        self._proc = proc

    def clock(self, seconds: float) -> OwnTime:
        """Start a clock of the zygote's own time, to be given to ``receive``."""
        return OwnTime(self.pid, self.handle, self._proc, seconds)

    def receive(self, clock: OwnTime, limit_passed: Callable[[], str] = str) -> dict[str, object]:
        """Receive the zygote's next message.

        Args:
            clock: of the zygote's own time.
            limit_passed: names another limit that it has passed, or gives an empty text; asked every DISK_POLL_SECONDS.

        Raises:
            ZygoteGone: it died, said nothing before its ``clock`` was over, passed the other limit, or took more than
                MESSAGE_SECONDS over one message.
            Hangup: the supervisor is gone.
        """
        zygote, control, supervisor = self._socket.fileno(), self._ends.control.fileno(), self._ends.supervisor
        poll = select.poll()
        for fd in (zygote, self.handle, supervisor):
            poll.register(fd, select.POLLIN)
        # its hang-up only: a message of the supervisor, an order to kill say, is for later
        poll.register(control, select.POLLHUP)
        while True:
            if clock.is_due() and clock.over():  # also where one message follows the other
                raise ZygoteGone("timeout")
            if why := limit_passed():
                raise ZygoteGone(why)
            ready = dict(poll.poll(clock.wait_seconds(DISK_POLL_SECONDS) * 1000 + 1))
            if supervisor in ready or control in ready:
                raise Hangup("the supervisor is gone")
            if zygote in ready:  # before the handle: what it sent before it died tells why
                deadline = time.monotonic() + MESSAGE_SECONDS
                try:
                    return receive_message(self._socket, max_bytes=MAX_ZYGOTE_MESSAGE_BYTES, deadline=deadline)[0]
                except (Hangup, ValueError, OSError, RecursionError) as error:  # RecursionError: deeply nested JSON
                    raise ZygoteGone(f"{type(error).__name__}: {error}") from error
            if self.handle in ready:
                raise ZygoteGone("died")

    def send(self, message: Mapping[str, object], payload: bytes = b"", fds: Iterable[int] = ()) -> None:
        """Send a message to the zygote. Raises ZygoteGone."""
        try:
            send_message(self._socket, message, payload, fds, time.monotonic() + ZYGOTE_SECONDS)
        except (Hangup, OSError) as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error

    def order_runner(self) -> None:
        """Ask the zygote for the next runner, which prepares itself in the scratch that it will run in.

        Raises:
            ZygoteGone: it died or does not take the message.
        """
        ours, theirs = socket.socketpair()
        self.runner_sockets = frozenset({os.fstat(theirs.fileno()).st_ino})
        orders = Orders()
        try:
            orders = self._runner_orders()
            # the kernel gives the next process the next free number after this one
            if self._last_pid is not None:
                os.pwrite(self._last_pid, str(self._process_id - 1).encode(), 0)
            self.send({"do": "fork", "orders": orders.as_json()}, fds=(theirs.fileno(), *orders.rulesets))
        except OSError as error:
            raise ZygoteGone(f"{type(error).__name__}: {error}") from error
        finally:
            theirs.close()
            for ruleset in orders.rulesets:
                os.close(ruleset)
        self.next_runner = ours

    def accept_runner(self) -> tuple[int, int]:
        """Wait until the ordered runner exists, and check that it is a child of init.

        Returns:
            The runner's process id and a handle (pidfd) of it, which the caller closes.

        Raises:
            ZygoteGone: the zygote names no child of init, or nothing in time.
        """
        answer = self.receive(self.clock(ZYGOTE_SECONDS))
        pid = answer.get("pid")
        if not isinstance(pid, int) or not self._is_own_child(pid):
            raise ZygoteGone(f"expected the process id of a child of init, got {str(answer)[:4000]}")
        # no race: a child of init keeps its number until init waits for it
        return pid, os.pidfd_open(pid)

    def dismiss_runner(self) -> None:
        """End the ordered runner without a job: it was forked from a zygote that is about to import more."""
        pid, handle = self.accept_runner()
        self.next_runner.close()
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        os.waitpid(pid, 0)

    def _is_own_child(self, pid: int) -> bool:
        """Return True if ``pid`` may be signalled and waited for as a runner.

        At level 2 process ids are the host's: a zygote that names another process of the same user must not get it
        killed. A number below 2 means groups to kill() and waitid(), or init itself.
        """
        if pid <= 1 or pid == self.pid:
            return False
        try:
            # only looks (WNOWAIT), and fails with ECHILD for a process that is no child
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except (OSError, OverflowError):  # OverflowError: a number that no process can have
            return False
        return True
