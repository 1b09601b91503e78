"""Prepares once what all runners of a zygote share, before any foreign code is imported. Runs inside.

A runner is a fork, so it inherits all of it at no cost: our code for each kind of job, loaded; the interpreter as a
script finds it; the standard streams.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
import time
from typing import TYPE_CHECKING

from trace_mine.tracer.sandbox import determinism
from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.layer import Confinement
from trace_mine.tracer.sandbox.pinned_world import pin_world

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trace_mine.tracer.inside.channel import Send
    from trace_mine.tracer.inside.observe.guard import Guard
    from trace_mine.tracer.sandbox.loader import Bundle


class Setting:
    """The state that a runner is forked with.

    ``run_job`` does a job of any kind, once ``load_jobs`` was called; ``confinement`` is where the layers keep what
    they prepare; ``init_pid`` is init's process id as this process sees it; ``streams`` are standard input, output and
    error.
    """

    def __init__(self, bundle: Bundle, config: JailConfig, confinement: Confinement, init_pid: int) -> None:
        self.bundle = bundle
        self.config = config
        self.confinement = confinement
        self.init_pid = init_pid
        self.run_job: Callable[[object, Mapping[str, object], Send, Guard], dict[str, object]]
        self.streams = open_streams()

    def load_jobs(self) -> None:
        """Load the code of every kind of job, before any foreign code runs."""
        self.run_job = self.bundle.load("trace_mine.tracer.inside.jobs.registry").run

    def note_modules(self) -> None:
        """Note what is loaded, so that no run has to look at all of it."""
        self.bundle.load("trace_mine.tracer.inside.observe.loaded").note()

    def prepare_interpreter(self) -> None:
        """Set up search path, environment, clock and builtins (``exit``, ``quit``, ``help``) as a script finds them."""
        # The interpreter was started without site (-S), which would read .pth files, code of the host; these three
        # calls make the names that a script finds in builtins.
        import site

        site.setquit()
        site.setcopyright()
        site.sethelper()
        sys.path[:0] = self.config.sys_path
        os.environ.clear()
        os.environ.update(determinism.environment(self.config.hash_seed, self.config.scratch, self.config.machine))
        time.tzset()
        # in place: modules that are loaded already hold these lists
        sys.argv[:] = [""]
        sys.orig_argv[:] = [sys.executable]
        self.fresh_streams()
        if self.config.pinned_clock:
            pin_world(self.config)
        if self.config.choices:
            # before the repository's imports, so that ``from random import random`` finds the interceptable one
            self.bundle.load("trace_mine.tracer.inside.draws.patches").install()

    def fresh_streams(self) -> None:
        """Empty the streams' buffers, or open new streams where a module closed them.

        The zygote imports with the very streams that its runners use, because modules keep ``sys.stdout`` at import. In
        the zygote they lead to /dev/null, so text that is still in a buffer must go there: it would come out in every
        run.
        """
        try:
            for stream in self.streams[1:]:
                io.TextIOWrapper.flush(stream)  # not stream.flush: a module may have patched the object
        except (ValueError, OSError):
            self.streams = open_streams()
        # never freed: the ``__del__`` of a stream that a module put there would run in all forks, and nowhere else
        ctypes.pythonapi.Py_IncRef(ctypes.py_object((sys.stdin, sys.stdout, sys.stderr)))
        sys.stdin, sys.stdout, sys.stderr = self.streams
        sys.__stdin__, sys.__stdout__, sys.__stderr__ = self.streams  # type: ignore[misc]  # new streams are the point


def open_streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper, io.TextIOWrapper]:
    """Open standard streams over descriptors 0, 1 and 2.

    The runner replaces the descriptors below them (dup2), so that the streams then lead to its own pipes.
    """
    reader = io.BufferedReader(io.FileIO(0, "r", closefd=False))
    return io.TextIOWrapper(reader, encoding="utf-8", errors="surrogateescape"), _writer(1), _writer(2)


def _writer(fd: int) -> io.TextIOWrapper:
    """Open a standard stream for writing. ``backslashreplace``: a lone surrogate shows as its escape and is no
    error."""
    raw = io.BufferedWriter(io.FileIO(fd, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
