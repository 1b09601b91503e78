"""A run's processes: one group and one session, which they can't leave. Init ends them, or the supervisor after it.

A run that may not fork is a group of one.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path


def kill(runner: int) -> None:
    """Ends a run's processes at once, those that are being forked included. The runner is still to be waited for, so
    that nobody else can have its id.
    """
    try:
        os.killpg(runner, signal.SIGKILL)
    except ProcessLookupError:
        pass  # a hostile zygote's runner leads no group: there is none to end


def reap(runner: int, *, until_gone: bool = False) -> float:
    """Collects what the run forked and left to init, but for the runner; gives the CPU seconds of it. ``until_gone``
    waits for all of it, and the runner must have been waited for.

    A process is a child of init or has an ancestor of its group that is: no child left means no process left.
    """
    seconds = 0.0
    options = os.WEXITED | os.WNOWAIT | (0 if until_gone else os.WNOHANG)
    while True:
        try:
            found = os.waitid(os.P_PGID, runner, options)
        except ChildProcessError:
            return seconds
        if found is None or found.si_pid == runner:
            return seconds
        usage = os.wait4(found.si_pid, 0)[2]
        seconds += usage.ru_utime + usage.ru_stime


def end_session(leader: int) -> None:
    """Kills what is left of a session whose leader may be gone: a run's processes after the end of their init.

    Each is looked at again once it is held, because its number could be another's by then; until none is left, because
    a process that is killed may just have forked.
    """
    while members := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _session(pid) == leader]:
        for pid in members:
            try:
                handle = os.pidfd_open(pid)
            except OSError:
                continue  # it ended meanwhile
            try:
                if _session(pid) == leader:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            except ProcessLookupError:
                continue  # the same
            finally:
                os.close(handle)


def _session(pid: int) -> int | None:
    """The session of a process that runs; None where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[3])
