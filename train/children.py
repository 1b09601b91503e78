"""Command lines and environments of processes that train.

Sweeps and the reproduction of the figures start such processes; messages name their command lines. A child runs the
code of this package, whether it is installed or only a checkout.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trace_mine
from trace_mine.tracer.parent_process import environment_of_child


def command(*arguments: str) -> list[str]:
    """Return the argument list that runs ``trace-train ARGUMENTS`` in a new process of this Python."""
    # -P keeps the working folder off sys.path: a `trace_mine` or `torch.py` there would be imported instead.
    return [sys.executable, "-P", "-m", "trace_mine.train", *arguments]


def typed_command(num_processes: int) -> str:
    """Return the command that a user types to train in ``num_processes`` processes, without its arguments.

    >>> typed_command(1)
    'trace-train'
    >>> typed_command(2)
    'torchrun --nproc_per_node=2 -m trace_mine.train'
    """
    return f"torchrun --nproc_per_node={num_processes} -m trace_mine.train" if num_processes > 1 else "trace-train"


def environment() -> dict[str, str]:
    """Return this process's environment with the folder that holds ``trace_mine`` first on ``PYTHONPATH``; a command
    that has it ends with this process.

    A child needs the entry in a checkout that isn't installed, because ``command`` keeps the working folder off its
    path.
    """
    here = str(Path(trace_mine.__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return environment_of_child({**os.environ, "PYTHONPATH": os.pathsep.join(paths)})
