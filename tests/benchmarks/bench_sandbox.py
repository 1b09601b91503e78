"""Sandboxed runs a second against one fresh interpreter per run: ``python tests/benchmarks/bench_sandbox.py [runs]``.

All ways take turns in one run, so that a busy machine slows them alike. ``bare`` starts ``python -I -S -c`` on the
snippet, neither confined nor traced; ``bare, traced`` does what the plain job does (trace events, JSON end record),
still unconfined; ``bare, tracer loaded`` also imports what a job of the miner needs. CPU is of all processes that a
way needs, this one's left out.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from trace_mine.tracer.inside.protocol.jobs import PlainJob
from trace_mine.tracer.limits import Limits
from trace_mine.tracer.sandbox import Jail, SandboxUnavailable, Worker

SNIPPET = "x = 1\nfor i in range(10):\n    x += i\nprint(x)\n"

TRACED = f"""
import json, random, sys
random.seed(0)
count = 0
def tracer(frame, event, argument):
    global count
    count += 1
    return tracer
code = compile({SNIPPET!r}, "snippet.py", "exec")
sys.settrace(tracer)
exec(code, {{"__name__": "__main__"}})
sys.settrace(None)
sys.stderr.write(json.dumps({{"end": "ok", "events": count}}))
"""
ROOT = str(Path(__file__).parents[2])
LOADED = f"import sys\nsys.path.insert(0, {ROOT!r})\nimport trace_mine.tracer.inside.jobs.registry\n{TRACED}"
BATCH = 10


def bare(source: str) -> Callable[[], None]:
    command = [os.path.realpath(sys.executable), "-I", "-S", "-c", source]

    def run() -> None:
        done = subprocess.run(command, capture_output=True, check=True)
        assert done.stdout == b"46\n"

    return run


def sandboxed(worker: Worker) -> Callable[[], None]:
    def run() -> None:
        outcome = worker.run(PlainJob(source=SNIPPET))
        assert (outcome.status, outcome.integrity, outcome.stdout) == ("ok", "clean", b"46\n")

    return run


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def jail_seconds() -> float:
    """CPU seconds of all processes below this one, those that they waited for included (a tick is 10 ms)."""
    parents, seconds = {}, {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            seconds[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    below = {os.getpid()}
    while new := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= new
    return sum(seconds[pid] for pid in below - {os.getpid()})


def main(runs: int) -> None:
    ways: dict[str, Callable[[], None]] = {"bare": bare(SNIPPET), "bare, traced": bare(TRACED)}
    ways["bare, tracer loaded"] = bare(LOADED)
    workers = []
    for level in (3, 2):
        try:
            workers.append(Worker(Jail(), Limits(), minimum_level=level, maximum_level=level))
        except SandboxUnavailable as error:
            print(f"level {level} does not work here: {error}")
            continue
        ways[f"level {level}: {workers[-1].layers}"] = sandboxed(workers[-1])
    walls: dict[str, list[float]] = {name: [] for name in ways}
    cpus: dict[str, float] = dict.fromkeys(ways, 0.0)
    for run in ways.values():
        run()
    for _ in range(max(1, runs // BATCH)):
        for name, run in ways.items():
            measure = children_seconds if name.startswith("bare") else jail_seconds
            cpu = measure()
            for _ in range(BATCH):
                started = time.perf_counter()
                run()
                walls[name].append(time.perf_counter() - started)
            cpus[name] += measure() - cpu
    base = len(walls["bare"]) / sum(walls["bare"])
    print(f"{'way':58} {'runs/s':>8} {'ratio':>6} {'median ms':>10} {'CPU ms/run':>11}")
    for name, times in walls.items():
        rate = len(times) / sum(times)
        cpu_ms = 1000 * cpus[name] / len(times)
        print(f"{name:58} {rate:8.1f} {rate / base:6.2f} {1000 * statistics.median(times):10.2f} {cpu_ms:11.2f}")
    for worker in workers:
        worker.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
