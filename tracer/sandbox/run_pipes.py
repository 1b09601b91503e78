"""The three pipes of one run, seen from the supervisor, which makes them: record, stdout, stderr.

A run's identity is its pipes: what arrives on them belongs to this run and to no other. Each has a limit, because what
writes may be hostile.
"""

from __future__ import annotations

import fcntl
import os

from trace_mine.tracer.limits import Limits

PIPE_BYTES = 1 << 18
"""Record pipe: four times the default spares the runner three of four waits for us; 64 pages of a user's 16,384."""


class RunPipes:
    """Makes the pipes at once. A context manager: at its end all descriptors are closed.

    ``writers`` are to be sent to the runner, then closed here with ``close_writers``, so that the ends of the pipes can
    be seen. Raises OSError where there are no descriptors left.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._readers: list[int] = []
        self.writers: list[int] = []
        try:
            for _ in range(3):
                reader, writer = os.pipe()
                self._readers.append(reader)
                self.writers.append(writer)
        except OSError:
            self.close()
            raise
        self._buffers = {fd: bytearray() for fd in self._readers}
        self.open = set(self._readers)
        try:
            fcntl.fcntl(self.writers[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pass  # the user's pipe memory is used up: slower, nothing else

    def __enter__(self) -> RunPipes:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close_writers(self) -> None:
        """Closes our copies of the writing ends; twice is fine."""
        while self.writers:
            os.close(self.writers.pop())

    def close(self) -> None:
        """Closes what is open; twice is fine."""
        self.close_writers()
        while self._readers:
            os.close(self._readers.pop())

    def read(self, fd: int) -> bool:
        """Takes what is there on a pipe of ``open``; False where it has ended, which takes it out of ``open``."""
        chunk = os.read(fd, PIPE_BYTES)
        if not chunk:
            self.open.discard(fd)
            return False
        self._buffers[fd] += chunk
        return True

    def cut(self) -> str:
        """Cuts what is over a limit and names the limit: ``trace-limit``, ``output-limit`` or ``''``. Standard output
        and standard error count together, and each is cut to the limit.
        """
        record, *streams = self._buffers.values()
        over = ""
        if len(record) > self._limits.record_bytes:
            over = "trace-limit"
            del record[self._limits.record_bytes :]
        if sum(map(len, streams)) > self._limits.output_bytes:
            over = over or "output-limit"
            for stream in streams:
                del stream[self._limits.output_bytes :]
        return over

    def collected(self) -> tuple[bytearray, bytearray, bytearray]:
        """Record, stdout and stderr as far as they were read."""
        record, out, err = self._buffers.values()
        return record, out, err
