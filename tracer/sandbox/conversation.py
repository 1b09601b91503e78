"""The supervisor's side of a run that gets its commands one by one: a replayer's. Runs on hostile input.

Nothing of what comes is parsed here: bytes are kept by pipe and counted, and time is bounded by init, which ends the
run at its wall clock like any other. Once the run's own end is known, so is everything that it wrote.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable

from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox.own_time import GUARD
from trace_mine.tracer.sandbox.verdict import Report

CHUNK_BYTES = 1 << 16
SPARE_SECONDS = 30.0
"""How long init may stay silent after the guard by the clock of a run (``own_time.GUARD``) before the jail is taken for
stuck."""
DRAIN_SECONDS = 0.5
"""How long pipes are read after init reported the run's end; by then only another process could hold a copy open."""
DONE = "done"
"""The reason with which the supervisor ends a run that has nothing more to say."""


class RunOver(Exception):
    """The run is over, or past a limit, before it said what was waited for. ``why``: ``ended`` or the limit."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RunLost(Exception):
    """The jail died, and the run with it, or took no such run: nothing is known of what the run did."""


class InitSilent(Exception):
    """Init does not report the end of a run: the jail is of no more use."""


class TalkPipes:
    """The four pipes of a conversation. A context manager: at its end all descriptors are closed.

    ``theirs`` are the ends to send to the runner: commands to read, then standard output, standard error and marks to
    write. ``commands``, ``out``, ``err`` and ``mark`` are the supervisor's ends. Raises OSError.
    """

    def __init__(self) -> None:
        self.theirs: list[int] = []
        self._ours: list[int] = []
        try:
            for is_commands in (True, False, False, False):
                reader, writer = os.pipe()
                self._ours.append(writer if is_commands else reader)
                self.theirs.append(reader if is_commands else writer)
                os.set_blocking(self._ours[-1], False)
        except OSError:
            self.close()
            raise
        self.commands, self.out, self.err, self.mark = self._ours

    def __enter__(self) -> TalkPipes:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close_theirs(self) -> None:
        """Close the supervisor's copies of the runner's ends, so that the ends of the pipes can be seen."""
        while self.theirs:
            os.close(self.theirs.pop())

    def close_commands(self) -> None:
        """End the commands. A second call does nothing."""
        if self.commands in self._ours:
            self._ours.remove(self.commands)
            os.close(self.commands)

    def close(self) -> None:
        """Close what is open; twice is fine."""
        self.close_theirs()
        while self._ours:
            os.close(self._ours.pop())


class Conversation:
    """A run that is spoken with. ``out``, ``err`` and ``mark`` hold what came and was not taken out yet.

    Args:
        pipes: the run's.
        limits: the run's; ``output_bytes`` bounds ``out`` and ``err`` together, ``record_bytes`` what is marked.
        control: descriptor of the socket to init.
        receive_report: receives init's next message about the run: its end, or None.
    """

    def __init__(
        self, pipes: TalkPipes, limits: Limits, control: int, receive_report: Callable[[], Report | None]
    ) -> None:
        self._pipes = pipes
        self._control = control
        self._receive_report = receive_report
        self._buffers = {pipes.out: bytearray(), pipes.err: bytearray(), pipes.mark: bytearray()}
        self.out, self.err, self.mark = self._buffers.values()
        self._open = set(self._buffers)
        self._left = {pipes.out: limits.output_bytes, pipes.mark: limits.record_bytes}
        self._deadline = time.monotonic() + GUARD * limits.wall_seconds + SPARE_SECONDS
        self.report: Report | None = None
        self._poll = select.poll()
        for fd in (*self._open, control):
            self._poll.register(fd, select.POLLIN)

    def send(self, data: bytes) -> None:
        """Send bytes of a command, and read what comes meanwhile: a run that prints is not to wait for one that reads.

        Raises:
            RunOver: the run ends before it has read them.
        """
        left = self._written(data)
        if not left:
            return
        self._poll.register(self._pipes.commands, select.POLLOUT)
        try:
            while left:
                self.wait()
                left = self._written(left)
        finally:
            self._poll.unregister(self._pipes.commands)

    def _written(self, data: bytes) -> bytes:
        """Write what the pipe takes now, and return the rest. Raises RunOver where nobody reads it any more."""
        try:
            return data[os.write(self._pipes.commands, data) :]
        except BlockingIOError:
            return data
        except BrokenPipeError:
            self._drain()
            raise RunOver(self._why()) from None

    def end_commands(self) -> None:
        """Tell the run that there are no more commands."""
        self._pipes.close_commands()

    def wait(self) -> None:
        """Wait until something comes.

        Raises:
            RunOver: the run has ended, and all that it wrote was read; or it wrote more than it may.
            InitSilent: neither the run nor init says anything.
        """
        if self.report is not None:
            raise RunOver(self._why())
        ready = self._poll.poll(max(0.0, self._deadline - time.monotonic()) * 1000)
        if not ready:
            raise InitSilent("init does not answer")
        for fd, _ in ready:
            if fd in self._open:
                self._take(fd)
            elif fd == self._control:
                self.report = self._receive_report()
        if self.report is not None:
            self._drain()

    def take_now(self) -> None:
        """Read what is there now, without waiting. Raises RunOver where it is more than the run may write."""
        for fd in tuple(self._open):
            self._take(fd)

    def finish(self, order_kill: Callable[[str], None]) -> Report:
        """End the run where it has not ended, and return init's report of it.

        Raises:
            InitSilent: there is none.
        """
        if self.report is None:
            order_kill(DONE)
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            deadline = time.monotonic() + SPARE_SECONDS
            while self.report is None:
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise InitSilent("init does not answer")
                self.report = self._receive_report()
        return self.report

    def _take(self, fd: int) -> None:
        kept = self._pipes.mark if fd == self._pipes.mark else self._pipes.out
        while fd in self._open:
            try:
                chunk = os.read(fd, CHUNK_BYTES)
            except BlockingIOError:
                return
            if not chunk:
                self._open.discard(fd)
                self._poll.unregister(fd)
                return
            self._left[kept] -= len(chunk)
            if self._left[kept] < 0:
                raise RunOver("output-limit")
            self._buffers[fd] += chunk
            if len(chunk) < CHUNK_BYTES:
                return  # all that was there; an end of the pipe shows at the next look

    def _drain(self) -> None:
        """Read the pipes to their ends, for a moment at most: their writer is gone. Waits for init's report too."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._open or self.report is None:
            seconds = (deadline if self.report is not None else self._deadline) - time.monotonic()
            ready = self._poll.poll(max(0.0, seconds) * 1000)
            if not ready:
                break
            for fd, _ in ready:
                if fd in self._open:
                    self._take(fd)
                elif fd == self._control and self.report is None:
                    self.report = self._receive_report()
                    deadline = time.monotonic() + DRAIN_SECONDS
            if self.report is not None:
                # init sends nothing more about this run, and what is for the next one is not to be read here
                self._poll.modify(self._control, 0)

    def _why(self) -> str:
        return (self.report.why if self.report is not None else "") or "ended"


def ended_as(report: Report, limits: Limits) -> str:
    """Return how a conversation's run ended, as a status: ``ok`` where the supervisor or the run itself ended it."""
    if report.why and report.why != DONE:
        return report.why
    if report.why or not report.signal:
        return "ok"
    used_up = report.cpu_seconds >= limits.cpu_seconds
    by_limit = report.signal in (signal.SIGKILL, signal.SIGXCPU) and used_up
    return "cpu" if by_limit else f"signal:{report.signal}"
