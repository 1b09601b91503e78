"""Ends a run's processes and collects them. Used by init, and by the supervisor where init was killed.

A run's processes are one process group and one session, which they can't leave: the second filter refuses setsid, and
no filter allows setpgid. A run that may not fork is a group of one.
"""

from __future__ import annotations

import os
import signal


def kill(runner: int) -> None:
    """Kill the process group that ``runner`` leads, at once and whole.

    The kernel signals all members of a group under one lock that fork takes too, so no process that is just being
    forked escapes; killing them one by one would race with a program that forks faster. Call it before the runner is
    waited for: until then no other process can get its id.
    """
    try:
        os.killpg(runner, signal.SIGKILL)
    except ProcessLookupError:
        pass  # a hostile zygote's runner leads no group: there is none to end


def reap(runner: int, *, until_gone: bool = False) -> float:
    """Wait for what a run forked and left to init, but not for the runner itself.

    Args:
        runner: the process id of the runner, which is the id of its group too.
        until_gone: wait until no process of the group is left. The runner must have been waited for before. A process
            of the group is a child of init or has an ancestor in the group that is, so no child left means no process
            left.

    Returns:
        CPU seconds of the processes collected now, user and system together.
    """
    seconds = 0.0
    options = os.WEXITED | os.WNOWAIT | (0 if until_gone else os.WNOHANG)
    while True:
        try:
            # WNOWAIT only looks: the runner's own end must stay for the wait4 that makes the report
            ended = os.waitid(os.P_PGID, runner, options)
        except ChildProcessError:
            return seconds
        if ended is None or ended.si_pid == runner:
            return seconds
        usage = os.wait4(ended.si_pid, 0)[2]
        seconds += usage.ru_utime + usage.ru_stime


def end_session(leader: int) -> None:
    """Kill what is left of a session whose leader may be gone: a run's processes after the end of their init.

    Not killpg: once the leader was waited for, its number may name another group. So members are found in /proc. Each
    is looked at again once a pidfd holds it, because its number could be another process's by then. The search is
    repeated until it finds none, because a process may have forked just before it was killed.
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
                continue  # it ended after it was looked at again
            finally:
                os.close(handle)


def _session(pid: int) -> int | None:
    """Return the session id of a process, or None where it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    # a zombie keeps its session until its parent waits for it, which may be never: it must not count as left
    return None if fields[0] in "ZX" else int(fields[3])
