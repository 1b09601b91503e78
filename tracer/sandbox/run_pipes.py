"""Makes and reads the three pipes of one run: record, stdout, stderr. Runs in the supervisor.

A run's identity is its pipes: data that arrive on them belong to this run and to no other. Each has a limit, because
the process that writes may be hostile.
"""

from __future__ import annotations

import fcntl
import os

from trace_mine.tracer.limits import Limits

PIPE_BYTES = 1 << 18
"""Size of the record pipe: four times the default spares the runner three of four waits for the supervisor. It takes 64
of the 16,384 pages that a user may have in pipes (/proc/sys/fs/pipe-user-pages-soft)."""


class RunPipes:
    """The pipes of one run, made at once. A context manager: at its end all descriptors are closed.

    ``writers`` are the ends to send to the runner, in the order record, stdout, stderr; after that they must be closed
    here with ``close_writers``, so that the ends of the pipes can be seen. ``open`` are the reading ends of pipes that
    have not ended.

    Raises:
        OSError: there are no descriptors left.
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
        """Close the supervisor's copies of the writing ends; twice is fine."""
        while self.writers:
            os.close(self.writers.pop())

    def close(self) -> None:
        """Close all ends that are open; twice is fine."""
        self.close_writers()
        while self._readers:
            os.close(self._readers.pop())

    def read(self, fd: int) -> bool:
        """Read what is there on a pipe of ``open``. False means that it has ended; it is then no longer in ``open``."""
        chunk = os.read(fd, PIPE_BYTES)
        if not chunk:
            self.open.discard(fd)
            return False
        self._buffers[fd] += chunk
        return True

    def cut(self) -> str:
        """Cut what was read to the limits, and name the one that was passed.

        Standard output and standard error count together, and each is cut to the limit. Called after each read, so the
        buffers never hold more than the limits and one read.

        Returns:
            ``trace-limit`` (the record), ``output-limit``, or ``''`` where no limit was passed.
        """
        record, *streams = self._buffers.values()
        limit_passed = ""
        if len(record) > self._limits.record_bytes:
            limit_passed = "trace-limit"
            del record[self._limits.record_bytes :]
        if sum(map(len, streams)) > self._limits.output_bytes:
            limit_passed = limit_passed or "output-limit"
            for stream in streams:
                del stream[self._limits.output_bytes :]
        return limit_passed

    def collected(self) -> tuple[bytearray, bytearray, bytearray]:
        """Return record, stdout and stderr as far as they were read."""
        record, out, err = self._buffers.values()
        return record, out, err
