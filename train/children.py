"""How training processes are started, by another process or by hand: the same code, from wherever it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trace_mine


def command(*arguments: str) -> list[str]:
    """``trace-train ARGUMENTS`` as a process of this Python. Without -P a ``train.py`` in the working folder would be
    run instead.
    """
    return [sys.executable, "-P", "-m", "trace_mine.train", *arguments]


def typed(processes: int) -> str:
    """The command line that stands for ``trace-train`` in so many processes, for messages."""
    return f"torchrun --nproc_per_node={processes} -m trace_mine.train" if processes > 1 else "trace-train"


def environment() -> dict[str, str]:
    """The environment of such a process: it finds this package also where it isn't installed."""
    here = str(Path(trace_mine.__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
