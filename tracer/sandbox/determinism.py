"""Makes two runs of ordinary code alike: environment, seeds, and what a run is told of time and machine. Runs inside.

No safety depends on this file: code that wants the real clock finds it (the system call is allowed).

Not covered: addresses and ``id()``, thread schedules. ``time.sleep`` really sleeps, and the pinned clock moves on by as
much. What each file pins, and what it does not, stands there.
"""

from __future__ import annotations

import random
import sys

from trace_mine.tracer.sandbox.machine import Machine
from trace_mine.tracer.sandbox.pinned_clocks import pin_clocks
from trace_mine.tracer.sandbox.pinned_files import FileFacts, pin_files
from trace_mine.tracer.sandbox.pinned_machine import pin_machine
from trace_mine.tracer.sandbox.pinned_random import pin_random

_USUAL = Machine()


def environment(hash_seed: int, scratch: str = "/", machine: Machine = _USUAL) -> dict[str, str]:
    """Return all environment variables of a run; none is inherited, so that no secret of the host's can be read."""
    # one thread for each numerical library: sums are then added in one order, and no pool counts against RLIMIT_NPROC
    ones = (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "PYTHONDONTWRITEBYTECODE",
    )
    terminal = {"COLUMNS": str(machine.columns)} if machine.columns else {}
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": machine.language,
        "LC_ALL": "C.UTF-8",
        "TZ": machine.time_zone,
        "USER": machine.user,
        "LOGNAME": machine.user,
        "HOME": scratch,
        "TMPDIR": scratch,
        "PYTHONHASHSEED": str(hash_seed),
        **dict.fromkeys(ones, "1"),
        **terminal,
    }


def seed_generators(seed: int) -> None:
    """Seed the global generators of ``random`` and, where it is loaded, of numpy."""
    random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(seed)


_files: list[FileFacts] = []
"""What tells of files in this process, once ``pin_world`` was called."""


def pin_world(seed: int, machine: Machine, host_name: str) -> None:
    """Pin the clocks, the system's randomness and the machine, in this process and in what it forks.

    Called in the zygote, before its imports, so that ``from time import time`` binds the pinned clock.
    """
    clock = pin_clocks()
    pin_random(seed)
    modules = pin_machine(machine, host_name)
    _files.append(pin_files(clock, machine.user_id, modules))


def begin_run(*, may_set_times: bool) -> None:
    """Take files that are written from here on for the run's own (see ``FileFacts``); called in each runner."""
    for files in _files:
        files.begin_run(may_set_times=may_set_times)
