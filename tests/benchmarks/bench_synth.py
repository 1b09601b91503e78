"""Tokens a second of synthetic sessions on one core: ``python tests/benchmarks/bench_synth.py [SECONDS]``.

A token is a word-level lexeme of the session's text: a name, number, operator, prompt or line end. Runs of spaces,
which the token stream has as words of their own, are not counted. What is timed is ``TokenStream.batch`` of 256
sessions and, with beliefs, the exact law of every reveal; a figure is the best of three rounds of SECONDS (wall clock,
numpy held to one thread). Rows, as traces and as Parquet columns, are timed too, one at a time. Exits with 1 where a
figure with a target stays below it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from trace_mine.corpus.rows import RowOrigin, make_row
from trace_mine.corpus.synthetic.stream import TokenStream, words
from trace_mine.corpus.synthetic.task import Stage
from trace_mine.corpus.synthetic.tasks import make_task

BATCH = 256
SIZES = ((16, 2), (64, 8))
# (task, parameters, with beliefs, tokens a second that the issue asks for)
STREAMS = (
    ("permutations", {"n": "5"}, False, 500_000),
    ("permutations", {"n": "5", "moves": "full"}, False, 500_000),
    ("pfsa", {"n": "3"}, True, 50_000),
    ("pfsa", {"n": "5"}, True, 50_000),
    ("pfsa", {"n": "5", "visible": "0.5"}, True, 50_000),
    ("pfsa", {"n": "5", "kind": "noisy-identity"}, True, 50_000),
    ("pfsa", {"n": "6"}, True, 0),
    ("groups", {"group": "S5"}, False, 0),
    ("groups", {"group": "A4xZ5"}, False, 0),
)


def tokens_per_second(name: str, parameters: dict[str, str], beliefs: bool, size: tuple[int, int], seconds: float):
    """Of one core; spaces not counted."""
    stage = Stage(commands=(size[0], size[0]), spacing=(size[1], size[1]))
    stream = TokenStream(make_task(name, parameters), seed=0, split="train", stage=stage)
    is_counted = np.array([bool(word.strip(" ")) for word in stream.vocabulary])
    first = counted = 0
    spent = 0.0
    while spent < seconds:
        start = time.perf_counter()
        batch = stream.batch(range(first, first + BATCH), beliefs=beliefs)
        spent += time.perf_counter() - start  # counting tokens is no part of making them
        first += BATCH
        counted += int(is_counted[batch.tokens].sum())
    return counted / spent


def rows_per_second(name: str, parameters: dict[str, str], size: tuple[int, int], seconds: float):
    """(traces, rows, tokens of them) a second, made one at a time as the dataset's workers do."""
    task = make_task(name, parameters)
    stage = Stage(commands=(size[0], size[0]), spacing=(size[1], size[1]))
    traces, spent = [], 0.0
    while spent < seconds:
        start = time.perf_counter()
        traces.append(task.trace(len(traces), seed=0, split="train", stage=stage))
        spent += time.perf_counter() - start
    tokens = sum(len([word for word in words(trace.text) if word.strip(" ")]) for trace in traces)
    origin = RowOrigin(
        origin="synthetic", repository="r", version=None, commit=None, licence="CC0-1.0", requires=(), path="p",
        name="n", line=0, end_line=0, entry="e", source_hash="h", num_skipped=0, seed=0,
    )  # fmt: skip
    start = time.perf_counter()
    for trace in traces:
        make_row(trace, origin)
    both = spent + time.perf_counter() - start
    return len(traces) / spent, len(traces) / both, tokens / both


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    failed = False
    print(f"{'tokens a second':58}{'16 commands':>14}{'64 commands':>14}{'target':>10}")
    for name, parameters, beliefs, target in STREAMS:
        figures = [max(tokens_per_second(name, parameters, beliefs, size, seconds) for _ in range(3)) for size in SIZES]
        failed |= min(figures) < target
        told = f"{name} {' '.join(f'{k}={v}' for k, v in parameters.items())}{' with beliefs' if beliefs else ''}"
        print(f"{told:58}" + "".join(f"{figure:14,.0f}" for figure in figures) + f"{target or '':>10}")
    print(f"\n{'rows a second (16 commands, every 2)':58}{'traces':>14}{'rows':>14}{'tokens':>10}")
    for name, parameters in (("permutations", {"n": "5"}), ("pfsa", {"n": "5"}), ("pfsa", {"kind": "fig9"})):
        figures = rows_per_second(name, parameters, SIZES[0], seconds)
        told = f"{name} {' '.join(f'{k}={v}' for k, v in parameters.items())}"
        print(f"{told:58}" + "".join(f"{figure:14,.0f}" for figure in figures[:2]) + f"{figures[2]:10,.0f}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
