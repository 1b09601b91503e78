"""Pins what a run is told of time, chance and machine: two runs are alike, and say nothing of the host. Runs inside.

No safety depends on this file: code that wants the real clock finds it (the system call is allowed). ``time.sleep``
really sleeps, and the pinned clock moves on by as much. What each ``pinned_*`` file pins, and what it does not, stands
there; ``facts`` lists all of it.
"""

from __future__ import annotations

import os
from dataclasses import replace

from trace_mine.tracer.sandbox.config import JailConfig
from trace_mine.tracer.sandbox.pinned_clocks import pin_clocks
from trace_mine.tracer.sandbox.pinned_files import FileFacts, pin_files
from trace_mine.tracer.sandbox.pinned_machine import pin_machine
from trace_mine.tracer.sandbox.pinned_random import pin_random

_files: list[FileFacts] = []
"""What tells of files in this process, once ``pin_world`` was called."""


def pin_world(config: JailConfig) -> None:
    """Pin the clocks, the system's randomness and the machine, in this process and in what it forks.

    Called in the zygote, before its imports, so that ``from time import time`` binds the pinned clock.
    """
    machine = config.machine
    if not config.namespaces and os.getuid() == machine.user_id:
        # the host's own user, whom the replaying jail would show as well
        machine = replace(machine, user_id=machine.user_id + 1)
    clock = pin_clocks()
    pin_random(config.seed)
    modules = pin_machine(machine, config.hostname)
    _files.append(pin_files(clock, machine.user_id, modules))


def begin_run(*, may_set_times: bool) -> None:
    """Take files that are written from here on for the run's own (see ``FileFacts``); called in each runner."""
    for files in _files:
        files.begin_run(may_set_times=may_set_times)
