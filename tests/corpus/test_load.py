"""The load of the machine decides nothing: a dataset mined beside 16 busy processes has the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Make = Callable[..., Path]

COMPUTE = """
def compute(numbers):
    '''
    >>> compute(15_000_000)
    True
    '''
    total = sum(range(numbers))
    return total > 0


def loop():
    '''
    >>> sum(1 for _ in iter(int, 1))
    0
    '''


def sleep():
    '''
    >>> import time
    >>> time.sleep(0.8)
    >>> 1 + 1
    2
    '''


def wait():
    '''
    >>> import threading
    >>> threading.Event().wait(1000)
    False
    '''
"""
SCRIPT = """
import random, time

def toss():
    return random.random() < 0.5

if __name__ == "__main__":
    time.sleep(0.4)
    total = sum(range(10_000_000))
    x = toss()
    if x:
        total += 1
    print(total > 0, x)
"""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes that always want a processor."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


def mined(repository: Path, out: Path, *options: str) -> dict[str, bytes]:
    """The files of a dataset, without the ledger of the run that made it."""
    command = [sys.executable, "-m", "trace_mine.corpus", "mine", str(repository), "--out", str(out)]
    told = subprocess.run(
        [*command, "--jobs", "2", "--timeout", "2", "--sources", "doctest,script", *options],
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert told.returncode == 0, told.stderr
    files = {str(path.relative_to(out)): path for path in sorted(out.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not name.startswith(".ledger")}


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("options", [(), ("--view", "branch")], ids=["whole", "hidden outcomes"])
def test_the_same_bytes_at_load_1_and_at_load_16(
    tmp_path: Path, make_repository: Make, options: tuple[str, ...]
) -> None:
    """Limits of 2 seconds and 2 CPU seconds. At load 16 on two cores half a second of computing takes four."""
    # a view that shows outcomes has no row of a program whose draws differ, and its evidence tells the draw
    script = SCRIPT if options else SCRIPT.replace("random.random() < 0.5", "True")
    repository = make_repository("r", {"r/__init__.py": "", "r/m.py": COMPUTE, "draws.py": script})
    alone = mined(repository, tmp_path / "alone", *options)
    with busy(16):
        beside = mined(repository, tmp_path / "beside", *options)
    assert sorted(alone) == sorted(beside)
    assert [name for name in alone if alone[name] != beside[name]] == []
    stats = json.loads((tmp_path / "beside" / "stats.json").read_text())
    assert stats["rows"] == 3, stats
    assert {"cpu", "wall"} <= set(stats["drops"]), stats
