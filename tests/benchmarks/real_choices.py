"""Beliefs over real code: short scripts that call functions with randomness of their own, held against two references.

    PYTHONPATH=. python tests/benchmarks/real_choices.py [--packages FOLDER] [--show NAME]

FOLDER is an unpacked or installed package (more_itertools, toolz, pydash, networkx); scripts of one that is missing are
left out. For each script: the session under ``branch``, its beliefs' method, the largest difference from the slow
reference (each path in a process of its own), and the chi-square of the first uncertain reveal against native draws
(statistic, degrees of freedom). Nothing here is timed.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from trace_mine.eval.real_beliefs.draws import SCRIPTS
from trace_mine.tracer.inside.protocol.jobs import PathJob, Program, SamplesJob
from trace_mine.tracer.schema import Trace
from trace_mine.tracer.scripts import script_snippet
from trace_mine.tracer.session import Tracer, TracerConfig
from trace_mine.tracer.show import beliefs_shown
from trace_mine.tracer.views import parse_view

MOST_PATHS = 400
SECONDS = 5.0
NATIVE_RUNS = 2_000


def reference(worker: Any, program: Program, commands: tuple[str, ...]) -> tuple[list[tuple[float, list[str]]], float]:
    """(weight, texts) of each path, each in its own process, likeliest first; and the mass that is left."""
    waiting: list[tuple[float, list[int]]] = [(1.0, [])]
    found: list[tuple[float, list[str]]] = []
    while waiting and len(found) < MOST_PATHS:
        waiting.sort()
        _, prefix = waiting.pop()
        job = PathJob(program=program, commands=commands, prefix=tuple(prefix), max_seconds=SECONDS)
        outcome = worker.run(job)
        record = outcome.records[0]
        if outcome.status != "ok" or record.is_sampled:
            return [], 1.0
        weight, taken = 1.0, []
        for position, choice in enumerate(record.choices):
            probabilities, index = choice.probabilities, choice.taken
            if position >= len(prefix):
                for other, p in enumerate(probabilities):
                    if other != index and p > 0:
                        waiting.append((weight * p, [*taken, other]))
            weight *= probabilities[index]
            taken.append(index)
        found.append((weight, list(record.texts)))
    return found, 1.0 - sum(weight for weight, _ in found)


def compare(made: Trace, paths: list[tuple[float, list[str]]]) -> float:
    """The largest difference between a belief and the reference's."""
    worst = 0.0
    for belief in made.beliefs:
        step = made.segments[belief.segment].step
        law: Counter[str] = Counter()
        for weight, texts in paths:
            if all(texts[n] == made.steps[n].output for n in range(step)):
                law[texts[step]] += weight
        total = sum(law.values())
        told = dict(zip(belief.outcomes, belief.probabilities, strict=True))
        for text in law.keys() | told.keys():
            worst = max(worst, abs(law[text] / total - told.get(text, 0.0)))
    return worst


def chi_square(worker: Any, program: Program, made: Trace) -> tuple[float, int] | None:
    """Native draws at the first uncertain reveal: statistic and degrees of freedom."""
    belief = next((b for b in made.beliefs if len(b.outcomes) > 1), None)
    if belief is None:
        return None
    step = made.segments[belief.segment].step
    counts: Counter[str] = Counter()
    commands = tuple(step.source for step in made.steps)
    for first in range(0, NATIVE_RUNS, 500):
        job = SamplesJob(program=program, commands=commands, first_seed=first, num_samples=500, max_seconds=SECONDS)
        for record in worker.run(job).records:
            if all(record.texts[n] == made.steps[n].output for n in range(step)):
                counts[record.texts[step]] += 1
    total = counts.total()
    expected = {text: total * p for text, p in zip(belief.outcomes, belief.probabilities, strict=True)}
    if belief.method == "exact" and counts.keys() - expected.keys():
        return float("inf"), 1
    errors = {text: (total * error) ** 2 for text, error in zip(belief.outcomes, belief.stderr, strict=True)}
    terms = [(counts[text] - mass) ** 2 / (mass + errors[text]) for text, mass in expected.items()]
    return sum(terms), len(expected) - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--packages", type=Path, nargs="*", default=[])
    parser.add_argument("--show", default="")
    options = parser.parse_args()
    names = {path.name.removesuffix(".py") for path in options.packages}
    counts: Counter[str] = Counter()
    config = TracerConfig(
        view=parse_view("branch+every:0"), packages=tuple(options.packages), warm=tuple(sorted(names))
    )
    with Tracer(config) as tracer:
        for name, source in SCRIPTS.items():
            package = name.split(".")[0]
            if package in ("more_itertools", "pydash", "toolz", "networkx") and package not in names:
                counts["package missing"] += 1
                continue
            made = tracer.trace(script_snippet(source, "script.py", ()))
            if not isinstance(made, Trace):
                counts[made.reason] += 1
                print(f"{name:52} {made.reason}: {made.evidence[:90]}")
                continue
            methods = {belief.method for belief in made.beliefs}
            method = next((m for m in ("sampled", "bounded", "exact") if m in methods), "none")
            program = Program(code=made.setup["code"])
            paths, left = reference(tracer._recorder, program, tuple(step.source for step in made.steps))
            told = f"{compare(made, paths):.1e}" if paths and left < 1e-9 else f"(left {left:.2g})"
            square = chi_square(tracer._recorder, program, made)
            counts[method] += 1
            shown = "-" if square is None else f"{square[0]:.1f}/{square[1]}"
            print(
                f"{name:52} {method:8} choices {len(made.choices):3} paths {len(paths):4} off {told:12} chi2 {shown}",
                flush=True,
            )
            if options.show and options.show in name:
                print(beliefs_shown(made, colour=False))
    print(dict(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
