"""What every runner of a zygote has in common, prepared once, before any foreign code is imported. Runs inside."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from trace_mine.tracer.sandbox import determinism
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.layer import Confinement

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from trace_mine.tracer.sandbox.loader import Bundle


class Setting:
    """What a runner is forked with: our code for each kind of job, the streams, and what its layers need.

    ``confinement`` is where the layers keep what they prepare; ``init_pid`` is init's process id as seen here.
    """

    def __init__(self, bundle: Bundle, config: JailConfig, confinement: Confinement, init_pid: int) -> None:
        self.bundle = bundle
        self.config = config
        self.confinement = confinement
        self.init_pid = init_pid
        self.run_job: Callable[..., dict[str, Any]]
        self.streams = open_streams()

    def load_jobs(self) -> None:
        """Loads the code of every job kind, before any foreign code runs."""
        self.run_job = self.bundle.load("trace_mine.tracer.inside.jobs.registry").run

    def prepare_interpreter(self) -> None:
        """Search path, environment and builtins (``exit``, ``quit``, ``help``) as a script finds them."""
        import site

        site.setquit()
        site.setcopyright()
        site.sethelper()
        sys.path[:0] = self.config.sys_path
        os.environ.clear()
        os.environ.update(determinism.environment(self.config.hash_seed, self.config.scratch))
        sys.argv[:] = [""]
        sys.orig_argv[:] = [sys.executable]
        self.fresh_streams()
        if self.config.pinned_clock:
            determinism.pin_clock(self.config.seed)
        if self.config.choices:
            # before the repository's imports, so that ``from random import random`` finds the interceptable one
            self.bundle.load("trace_mine.tracer.inside.draws.patches").install()

    def fresh_streams(self) -> None:
        """Empties the streams' buffers (in the zygote they lead nowhere), or opens new ones where a module closed them.

        The zygote imports with the streams that its runners use, because modules keep ``sys.stdout`` at import.
        """
        try:
            for stream in self.streams[1:]:
                io.TextIOWrapper.flush(stream)
        except (ValueError, OSError):
            self.streams = open_streams()
        sys.stdin, sys.stdout, sys.stderr = self.streams
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = self.streams  # type: ignore[misc]  # new streams are the point


def open_streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper, io.TextIOWrapper]:
    """Standard streams over descriptors 0, 1 and 2, whatever they lead to by then; made once, copied by each fork."""
    reader = io.BufferedReader(io.FileIO(0, "r", closefd=False))
    return io.TextIOWrapper(reader, encoding="utf-8", errors="surrogateescape"), _writer(1), _writer(2)


def _writer(fd: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
