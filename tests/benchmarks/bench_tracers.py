"""What watching a program costs: our settrace record against PySnooper, hunter's VarsSnooper, coverage and the floor.

Run ``python tests/benchmarks/bench_tracers.py [ROUNDS]``; it needs the extra [benchmarks]. Each round times every
tracer on every workload once, in turn, so that a change of the machine's pace hits all alike; a figure is the median
over the rounds. Each tracer sees the workload's frames and nothing else, at any depth. What is timed is the run under
the tracer: ours keeps snapshots, which are turned into text and JSON after the run; PySnooper and hunter write their
text as they go, into memory.

Exits with 1 where PySnooper or VarsSnooper costs less than ``TARGET`` times as much as ours.
"""

from __future__ import annotations

import ctypes
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import coverage
import hunter
import pysnooper

from trace_mine.tracer.inside.observe.record import Recorder

TARGET = 10.0
ROUNDS = 5
PLAIN_REPEATS = 15
"""The untraced run takes under a millisecond, so its smallest time of several is taken in each round."""

WORKLOADS = {
    "loop": """
def main():
    total = 0
    for i in range(3000):
        square = i * i
        if square % 3 == 0:
            total += square
        else:
            total -= 1
    return total
""",
    "recursion": """
def fib(n):
    if n < 2:
        return n
    left = fib(n - 1)
    right = fib(n - 2)
    return left + right


def main():
    return fib(15)
""",
    "small calls": """
def scale(x, factor):
    y = x * factor
    return y


def clip(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x


def main():
    total = 0
    for i in range(800):
        total += clip(scale(i, 3), 10, 1000)
    return total
""",
    "sort 90 items": """
def main():
    xs = [(i * 7919) % 1009 for i in range(90)]
    for i in range(1, len(xs)):
        x = xs[i]
        j = i - 1
        while j >= 0 and xs[j] > x:
            xs[j + 1] = xs[j]
            j -= 1
        xs[j + 1] = x
    return xs
""",
}

Main = Callable[[], Any]
Watch = Callable[[Main, str], AbstractContextManager[Main]]
"""From a workload's function and file name to a context manager; what it gives is run inside."""


@contextmanager
def untraced(main: Main, filename: str) -> Iterator[Main]:
    yield main


@contextmanager
def ours(main: Main, filename: str) -> Iterator[Main]:
    recorder = Recorder(lambda name: name == filename, max_depth=10_000, max_events=10**9, module_names=frozenset())
    recorder.start()
    try:
        yield main
    finally:
        recorder.stop()
    assert recorder.frames, "the recorder saw nothing: nothing was measured"


@contextmanager
def settrace_python(main: Main, filename: str) -> Iterator[Main]:
    def trace(frame: Any, event: str, argument: Any) -> Any:
        return trace

    sys.settrace(trace)
    try:
        yield main
    finally:
        sys.settrace(None)


_set_c_trace = ctypes.pythonapi.PyEval_SetTrace
_set_c_trace.argtypes = [ctypes.c_void_p, ctypes.py_object]
_set_c_trace.restype = None
# A C function that does nothing and returns 0 for (object, frame, event, argument), where 0 means "go on": it
# compares its
# first two arguments, which differ, and finds the others in registers that it does not read.
_do_nothing = ctypes.cast(ctypes.CDLL(None).pthread_equal, ctypes.c_void_p)


@contextmanager
def settrace_c(main: Main, filename: str) -> Iterator[Main]:
    _set_c_trace(_do_nothing, None)
    try:
        yield main
    finally:
        sys.settrace(None)


@contextmanager
def coverage_lines(main: Main, filename: str) -> Iterator[Main]:
    measure = coverage.Coverage(data_file=None, include=[filename], config_file=False, timid=False)
    measure.start()
    try:
        yield main
    finally:
        measure.stop()


@contextmanager
def py_snooper(main: Main, filename: str) -> Iterator[Main]:
    written = io.StringIO()
    yield pysnooper.snoop(output=written.write, depth=10_000)(main)
    assert written.tell(), "PySnooper wrote nothing: nothing was measured"


@contextmanager
def vars_snooper(main: Main, filename: str) -> Iterator[Main]:
    written = io.StringIO()
    with hunter.trace(hunter.Query(filename=filename), action=hunter.VarsSnooper(stream=written)):
        yield main
    assert written.tell(), "hunter wrote nothing: nothing was measured"


TRACERS: dict[str, Watch] = {
    "settrace, C no-op": settrace_c,
    "settrace, Python no-op": settrace_python,
    "coverage, C, lines only": coverage_lines,
    "our settrace record": ours,
    "PySnooper": py_snooper,
    "hunter VarsSnooper": vars_snooper,
}
OURS = "our settrace record"
RIVALS = ("PySnooper", "hunter VarsSnooper")


def seconds(main: Main, watch: Watch, filename: str) -> float:
    """CPU time of one watched run, without starting and stopping the tracer: wall time doubles on a shared core."""
    with watch(main, filename) as run:
        started = time.process_time()
        run()
        return time.process_time() - started


def load(folder: Path) -> dict[str, tuple[Main, str]]:
    """Each workload's function and the file it stands in: PySnooper shows lines of it, coverage wants one."""
    mains: dict[str, tuple[Main, str]] = {}
    for name, source in WORKLOADS.items():
        file = folder / f"{name.replace(' ', '_')}.py"
        file.write_text(source)
        namespace: dict[str, Any] = {"__name__": file.stem, "__file__": str(file)}
        exec(compile(source, str(file), "exec"), namespace)
        mains[name] = namespace["main"], str(file)
    return mains


def measure(mains: dict[str, tuple[Main, str]], rounds: int) -> dict[str, dict[str, float]]:
    """Median slowdown against the untraced run of the same round: ``[workload][tracer]``."""
    found: dict[str, dict[str, list[float]]] = {name: {tracer: [] for tracer in TRACERS} for name in WORKLOADS}
    for _ in range(rounds):
        for name, (main, filename) in mains.items():
            plain = min(seconds(main, untraced, filename) for _ in range(PLAIN_REPEATS))
            for tracer, watch in TRACERS.items():
                found[name][tracer].append(seconds(main, watch, filename) / plain)
    return {name: {tracer: statistics.median(times) for tracer, times in row.items()} for name, row in found.items()}


def table(slowdowns: dict[str, dict[str, float]]) -> str:
    """Slowdowns, and in brackets the ratio to ours."""
    lines = [" " * 26 + "".join(f"{name:>20}" for name in slowdowns)]
    for tracer in TRACERS:
        cells = [f"{row[tracer]:.1f} ({row[tracer] / row[OURS]:.2f})" for row in slowdowns.values()]
        lines.append(f"{tracer:26}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def main(rounds: int = ROUNDS) -> int:
    with TemporaryDirectory() as folder:
        slowdowns = measure(load(Path(folder)), rounds)
    print(f"Slowdown against the untraced program, (ratio to ours); Python {sys.version.split()[0]}, {rounds} rounds")
    print(table(slowdowns))
    least = {rival: min(row[rival] / row[OURS] for row in slowdowns.values()) for rival in RIVALS}
    for rival, ratio in least.items():
        print(f"{rival}: at least {ratio:.1f} times our cost (target {TARGET:.0f})")
    return 0 if min(least.values()) >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:])))
