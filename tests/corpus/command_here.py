"""``trace-mine`` in the process of the tests: one of its own takes a second of CPU to import what is here already."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from trace_mine.corpus.__main__ import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object) -> Told:
    """Run ``trace-mine`` with these arguments; the test is skipped where there is no sandbox."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*map(str, arguments)])
    if "expected a sandbox of level" in err.getvalue():
        pytest.skip(f"no sandbox here: {err.getvalue()[:200]}")
    return Told(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


def mine(out: Path, *arguments: object) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows and the statistics of a dataset that is mined with these arguments."""
    told = command(*arguments, "--out", out)
    assert told.returncode == 0, told.stderr
    rows = [row for shard in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(shard).to_pylist()]
    return rows, json.loads((out / "stats.json").read_text())
