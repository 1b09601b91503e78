"""Training processes that another process starts: the same code, wherever they are started from."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def command(*arguments: str) -> list[str]:
    """``trace-train ARGUMENTS`` as a process of this Python. Without -P a ``train.py`` in the working folder would be
    run instead.
    """
    return [sys.executable, "-P", "-m", "train", *arguments]


def environment() -> dict[str, str]:
    """The environment of such a process: it finds these packages also where they aren't installed."""
    here = str(Path(__file__).resolve().parent.parent)
    paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
