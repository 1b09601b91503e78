"""Beliefs over hidden inputs by brute force, with nothing of trace-mine: every input of a row's prior in a plain run of
its own, and Bayes over what those runs show.

    python tests/corpus/brute_force.py DATASET NAME=FOLDER ...

The rows' code runs here, WITHOUT A SANDBOX. Rows whose function draws by itself, or whose outputs were not all
followed, are left out and counted.
"""

from __future__ import annotations

import collections
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

RUN = r"""
import io, json, re, resource, sys, traceback

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))

def main(job):
    sys.path[:0] = job["sys_path"]
    name_space, texts = {"__name__": "__main__", "__builtins__": __builtins__}, []
    for source in job["commands"]:
        told = sys.stdout = io.StringIO()
        try:
            exec(compile(source + "\n", "<command>", "single"), name_space)
            text = told.getvalue()
        except Exception as error:
            last = "".join(traceback.format_exception_only(type(error), error))
            text = told.getvalue() + "Traceback (most recent call last):\n    ...\n" + last
        lines = text.removesuffix("\n").split("\n")
        shown = "\n".join(line if line.strip() else "<BLANKLINE>" for line in lines) if text else ""
        texts.append(re.sub(r" at 0x[0-9a-f]+", " at 0x", shown))
    sys.__stdout__.write(json.dumps(texts))

main(json.load(sys.stdin))
"""


def commands_of(row: dict[str, Any]) -> list[str]:
    return [step["source"] for step in row["steps"]]


def texts_of(row: dict[str, Any]) -> list[str]:
    return [step["output"] for step in row["steps"]]


def runs_of(row: dict[str, Any], root: str) -> list[tuple[float, list[str]]]:
    """(probability, what each command shows) of every input of the prior that the row's view states."""
    inputs = json.loads(row["view"])["inputs"]
    setup = json.loads(row["setup"])
    assert not setup["code"] and setup["module"] is None
    counts = [collections.Counter(outcomes) for outcomes in inputs.values()]
    runs = []
    for chosen in itertools.product(*counts):
        values = dict(zip(inputs, chosen, strict=True))
        commands = []
        for source in commands_of(row):
            target = source.partition(" = choice([")[0]
            commands.append(f"{target} = {values.pop(target)}" if target in values and target != source else source)
        assert not values, f"{row['name']}: no command draws {list(values)}"
        job = {"commands": commands, "sys_path": [os.path.join(root, folder) for folder in setup["sys_path"]]}
        environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "HOME": "/scratch"}  # as in the sandbox
        with tempfile.TemporaryDirectory() as scratch:
            done = subprocess.run(
                [sys.executable, "-B", "-c", RUN],
                input=json.dumps(job),
                capture_output=True,
                text=True,
                cwd=scratch,
                env=environment,
                check=True,
                timeout=60,
            )
        weight = math.prod(count[one] / count.total() for count, one in zip(counts, chosen, strict=True))
        runs.append((weight, json.loads(done.stdout)))
    return runs


def worst_difference(row: dict[str, Any], runs: list[tuple[float, list[str]]]) -> float:
    """The largest difference between a belief's probability and that of Bayes over the runs."""
    shown = texts_of(row)
    worst = 0.0
    for belief in row["beliefs"]:
        step = row["segments"][belief["segment"]]["step"]
        agreeing = [(weight, texts[step]) for weight, texts in runs if texts[:step] == shown[:step]]
        total = sum(weight for weight, _ in agreeing)
        law: dict[str, float] = collections.defaultdict(float)
        for weight, text in agreeing:
            law[text] += weight / total
        told: dict[str, float] = collections.defaultdict(float)
        for text, probability in zip(belief["outcomes"], belief["probabilities"], strict=True):
            told[re.sub(r" at 0x[0-9a-f]+", " at 0x", text)] += probability
        worst = max([worst, *(abs(law.get(text, 0.0) - told.get(text, 0.0)) for text in {*law, *told})])
    return worst


def can_be_checked(row: dict[str, Any]) -> bool:
    """Whether the inputs are all that is drawn, and every belief is exact."""
    num_draws = len(json.loads(row["view"])["inputs"])
    return len(row["choices"]) == num_draws and all(belief["method"] == "exact" for belief in row["beliefs"])


def main(dataset: Path, roots: dict[str, str]) -> int:
    import pyarrow.parquet

    counts: collections.Counter[str] = collections.Counter()
    worst = 0.0
    for file in sorted(dataset.glob("data/*.parquet")):
        for row in pyarrow.parquet.read_table(file).to_pylist():
            if not can_be_checked(row):
                counts["left out"] += 1
                continue
            difference = worst_difference(row, runs_of(row, roots.get(row["repository"], "")))
            worst = max(worst, difference)
            counts["agrees" if difference < 1e-12 else "differs"] += 1
            counts["beliefs"] += len(row["beliefs"])
            if difference >= 1e-12:
                print(f"--- {row['name']}: {difference}\n{row['text'][:1500]}")
    print(dict(counts), f"worst difference {worst:.3g}")
    return 1 if counts["differs"] or not counts["agrees"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), dict(pair.split("=", 1) for pair in sys.argv[2:])))
