"""Commands that a command of ours starts end when it ends, however it ends: killed, they would go on alone.

The starting command names itself in the environment. The started one looks there, and asks the kernel for a SIGTERM
when that process is gone; on it ``trace-train`` saves its run before it ends, and the others end at once.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping

PARENT = "TRACE_MINE_PARENT"
"""The environment variable: the process id of the command that started this one. It says nothing to other processes,
which inherit it and have another parent."""

_PR_SET_PDEATHSIG = 1


def environment_of_child(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which a command is started that is to end with this process.

    The kernel counts the *thread* that starts it: one that waits for the command, as ``subprocess.run`` does, is there
    as long as the process.
    """
    return {**variables, PARENT: str(os.getpid())}


def end_with_parent() -> None:
    """Have this process end with the command that started it, if one did; Linux alone can do that.

    Raises:
        OSError: the kernel refuses.
    """
    if sys.platform != "linux" or os.environ.get(PARENT) != str(os.getppid()):
        return
    from trace_mine.tracer.sandbox.kernel import prctl

    prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ[PARENT] != str(os.getppid()):  # it ended in between, and the kernel sends nothing
        os.kill(os.getpid(), signal.SIGTERM)
