"""Freed memory that a process keeps: counted in page faults, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from trace_mine.train import allocator

PROGRAM = """
import resource
from trace_mine.train.allocator import keep_freed_memory
print(keep_freed_memory() if {keep} else False)
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytes([1]) * (6 << 20) for _ in range(10)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def said(keep: bool, **environment: str) -> tuple[bool, int]:
    """True if the process keeps freed memory; and its page faults over ten rounds of 60 MiB."""
    plain = {name: value for name, value in os.environ.items() if name not in allocator.OVERRIDES}
    command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    done = subprocess.run(command, env=plain | environment, capture_output=True, text=True, check=True)
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


def test_a_later_round_takes_the_memory_of_the_one_before() -> None:
    kept, faults = said(keep=True)
    if not kept:
        pytest.skip("another C library than glibc")
    assert faults < 1000  # 15,360 pages of 4 KiB a round
    assert said(keep=False)[1] > 10_000


def test_the_environment_decides_first() -> None:
    assert said(keep=True, MALLOC_TRIM_THRESHOLD_="131072")[0] is False
