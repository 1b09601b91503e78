"""``trace-mine`` in the process of the tests: one of its own takes a second of CPU to import what is here already.

With ``--jobs 1`` its units are run and its repositories read in this process too (``own_process``); with more jobs by
workers and a jail, as always elsewhere. What is mined here was written by these tests.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from own_process import in_own_process
from trace_mine.corpus.__main__ import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def main_here(arguments: Sequence[str]) -> int:
    """``main`` of the command: its exit code."""
    is_here = "--engine" not in arguments and ("--jobs", "1") in pairwise(arguments)
    with in_own_process() if is_here else contextlib.nullcontext():
        return main(arguments)


def command(*arguments: object) -> Told:
    """Run ``trace-mine`` with these arguments; the test is skipped where there is no sandbox."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main_here([*map(str, arguments)])
    if "expected a sandbox of level" in err.getvalue():
        pytest.skip(f"no sandbox here: {err.getvalue()[:200]}")
    return Told(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def mine(out: Path, *arguments: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the statistics of a dataset that is mined with these arguments."""
    told = command(*arguments, "--out", out)
    assert told.returncode == 0, told.stderr
    rows = [row for shard in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(shard).to_pylist()]
    return rows, json.loads((out / "stats.json").read_text())
