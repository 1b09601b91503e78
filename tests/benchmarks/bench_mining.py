"""Two checkouts against each other: ``python tests/benchmarks/bench_mining.py BEFORE AFTER [INPUT ...]``.

Two measurements, in turns, so that a busy machine slows both checkouts alike; each line is a ratio with its spread:

* sandboxed runs a second over fresh ``python -I -S -c`` a second, of the same snippet, by one worker of level 3;
* CPU seconds for 1,000 rows mined from the inputs (modules of the standard library by default) by the whole command:
  user and system time of all its processes, jails included.

CPU seconds are exact: each command runs below a process that adopts its orphans and waits for all, and what a process
used is added to its parent's account when it is waited for (``getrusage``). Processes that are killed count too.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MODULES = ("module:statistics", "module:textwrap", "module:difflib", "module:fractions", "module:random")
PR_SET_CHILD_SUBREAPER = 36

RUNS = """
import json, os, subprocess, sys, time
from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, Worker
source = "x = 1\\nfor i in range(10):\\n    x += i\\nprint(x)\\n"
command = [os.path.realpath(sys.executable), "-I", "-S", "-c", source]
batches, each = int(sys.argv[1]), 10
bare = sandboxed = 0.0
with Worker(Jail(), Limits(), minimum_level=3) as worker:
    for batch in range(batches + 1):
        started = time.perf_counter()
        for _ in range(each):
            assert subprocess.run(command, capture_output=True, check=True).stdout == b"46\\n"
        between = time.perf_counter()
        for _ in range(each):
            outcome = worker.run(PlainJob(source=source))
            assert (outcome.status, outcome.stdout) == ("ok", b"46\\n"), outcome
        if batch:  # the first warms up
            bare += between - started
            sandboxed += time.perf_counter() - between
print(json.dumps({"bare": batches * each / bare, "sandboxed": batches * each / sandboxed}))
"""


def environment(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(checkout)}


def runs_a_second(checkout: Path, batches: int) -> float:
    """Sandboxed runs a second over bare ones."""
    command = [sys.executable, "-P", "-c", RUNS, str(batches)]
    done = subprocess.run(command, env=environment(checkout), cwd="/", capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"expected runs in {checkout}, got: {done.stderr[-2000:]}")
    rates = json.loads(done.stdout)
    ratio: float = rates["sandboxed"] / rates["bare"]
    return ratio


def cpu_seconds(command: Sequence[str], environ: dict[str, str], cwd: Path) -> float:
    """The CPU seconds of a command and of all processes that it makes, whoever waits for them."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with (cwd / "log").open("ab") as log:
            process = subprocess.Popen(command, env=environ, cwd=cwd, stdout=log, stderr=log)
        code = process.wait()
        while True:
            try:
                os.wait()  # orphans, until there are none
            except ChildProcessError:
                break
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        os.write(writing, json.dumps([code, usage.ru_utime + usage.ru_stime]).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        code, seconds = json.load(answer)
    os.waitpid(pid, 0)
    if code:
        raise SystemExit(f"expected {' '.join(command)} to end well, got {code}: {(cwd / 'log').read_text()[-2000:]}")
    return float(seconds)


def mined(checkout: Path, inputs: Sequence[str], jobs: int) -> tuple[float, int, int]:
    """(CPU seconds for 1,000 rows, rows, snippets found) of one run of ``trace-mine``."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        command = [sys.executable, "-P", "-m", "trace_mine.corpus", *inputs, "--out", "out", "--jobs", str(jobs)]
        seconds = cpu_seconds(command, environment(checkout), Path(folder))
        stats = json.loads(Path(folder, "out", "stats.json").read_text())
    return seconds / stats["rows"] * 1000, stats["rows"], stats["found"]


def shown(name: str, before: Sequence[float], after: Sequence[float], unit: str) -> None:
    """Print one measurement: medians, and the ratios of the rounds."""
    ratios = [b / a for a, b in zip(before, after, strict=True)]
    print(
        f"{name}: before {statistics.median(before):.3g}, after {statistics.median(after):.3g} {unit}; after / before "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}, {len(ratios)} rounds)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("inputs", nargs="*", default=MODULES, help="as for trace-mine")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=10, help="of ten runs each, per round and checkout")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    checkouts = (options.before.resolve(), options.after.resolve())
    inputs = [each if each.startswith("module:") else str(Path(each).resolve()) for each in options.inputs]
    runs: dict[Path, list[float]] = {each: [] for each in checkouts}
    cpu: dict[Path, list[float]] = {each: [] for each in checkouts}
    counts = {}
    for number in range(options.rounds):
        # the second of two is slowed or sped up by what the first left in caches: each is first in turn
        for checkout in checkouts if number % 2 == 0 else checkouts[::-1]:
            if options.batches:
                runs[checkout].append(runs_a_second(checkout, options.batches))
            seconds, *counts[checkout] = mined(checkout, inputs, options.jobs)
            cpu[checkout].append(seconds)
            print(f"round {number + 1}, {checkout}: {seconds:.1f} CPU seconds for 1,000 rows", flush=True)
    if options.batches:
        shown("runs a second over bare ones", *(runs[each] for each in checkouts), unit="")
    shown("CPU seconds for 1,000 rows", *(cpu[each] for each in checkouts), unit="s")
    for checkout in checkouts:
        print(f"{checkout}: {counts[checkout][0]} rows of {counts[checkout][1]} snippets")


if __name__ == "__main__":
    main()
