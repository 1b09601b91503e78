"""From nothing to a report: train what is missing within a budget, draw every figure, give verdicts."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trace_mine.eval import report, results
from trace_mine.eval.figures import base
from trace_mine.eval.figures import figures as chosen
from trace_mine.eval.plan import PlannedRun, planned
from trace_mine.eval.training import Trained, train_missing
from trace_mine.train import run_folder

log = logging.getLogger("trace-eval")

EVALUATION_SHARE = 0.2
"""Of the budget, for evaluating; at most ``MOST_EVALUATION`` seconds."""
MOST_EVALUATION = 900.0
FAST_BELOW = 1_200.0
"""A budget in seconds below which figures take fewer sessions and lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``seconds`` of wall time for training and evaluation together; ``gpu``: the paper's configuration too."""

    name: str
    seconds: float
    gpu: bool

    @property
    def training(self) -> float:
        """Seconds in which runs may be trained."""
        return self.seconds - min(MOST_EVALUATION, EVALUATION_SHARE * self.seconds)

    @property
    def is_fast(self) -> bool:
        """Whether figures leave out what takes longest."""
        return self.seconds < FAST_BELOW


def budget_of(text: str) -> Budget:
    """``10m``, ``60m``, ``2h``, ``90s`` or ``gpu`` (ten hours, with the paper's configuration).

    Raises:
        ValueError: it is none of these, or ``gpu`` where there is no CUDA device.
    """
    if text == "gpu":
        if not torch.cuda.is_available():
            raise ValueError("expected a CUDA device for --budget gpu, got none; give --budget 60m")
        return Budget(name=text, seconds=36_000.0, gpu=True)
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not found or float(found[1]) <= 0:
        raise ValueError(f"expected a budget such as 10m, 60m, 2h or gpu, got {text!r}")
    return Budget(name=text, seconds=float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]], gpu=False)


def reproduce(budget: Budget, out: Path, *, jobs: int, names: Sequence[str] = ()) -> Path:
    """Leaves ``runs/`` (finished ones of earlier calls are kept), ``figures/``, ``results.parquet``, ``results.csv``,
    ``report.md`` and the self-contained ``report.html``; returns the last.

    Raises:
        ValueError: a figure's name is unknown, or ``out/runs`` holds other runs under the plan's names.
    """
    wanted = chosen(names)
    begun = time.monotonic()
    torch.set_num_threads(1)
    plan = needed(planned(gpu=budget.gpu), wanted)
    trained = train_missing(plan, out / "runs", seconds=budget.training, jobs=jobs, say=log.info)
    drawn = draw_all(wanted, plan, out, fast=budget.is_fast)
    told = facts(plan, trained, out, budget, time.monotonic() - begun, jobs)
    return report.write(out, drawn, told)


def needed(plan: Sequence[PlannedRun], wanted: Sequence[base.Figure]) -> list[PlannedRun]:
    """The runs that these figures ask for, in the plan's order; those of the paper's configuration always."""
    groups = {group for figure in wanted for group in figure.needs}
    return [run for run in plan if run.group in groups or run.group.startswith("paper-")]


def draw_all(
    wanted: Sequence[base.Figure], plan: Sequence[PlannedRun], out: Path, *, fast: bool
) -> list[tuple[base.Figure, base.Drawn | None, float]]:
    """(figure, what was drawn or None where nothing was trained for it, seconds), each saved as it is drawn."""
    bench = base.Bench(plan=plan, runs=out / "runs", rows=32 if fast else 64, fast=fast)
    found: list[tuple[base.Figure, base.Drawn | None, float]] = []
    for figure in wanted:
        began = time.monotonic()
        log.info("drawing %s", figure.name)
        try:
            drawn: base.Drawn | None = figure.draw(bench)
        except base.NothingTrained as missing:
            log.warning("%s left out: none of the runs that it needs is finished (%s)", figure.name, missing)
            drawn = None
        if drawn is not None:
            base.save(figure, drawn, out / "figures")
        found.append((figure, drawn, time.monotonic() - began))
    rows = [row for _, drawn, _ in found if drawn is not None for row in drawn.rows]
    results.write(out / "results.parquet", rows)
    results.write(out / "results.csv", rows)
    return found


def facts(
    plan: Sequence[PlannedRun], trained: Trained, out: Path, budget: Budget, seconds: float, jobs: int
) -> dict[str, Any]:
    """What the report says of how it was made."""
    runs = {}
    for run in plan:
        final = out / "runs" / run.name / "final.json"
        if final.is_file() and run.name in trained.finished:
            told = json.loads(final.read_text(encoding="utf-8"))
            runs[run.name] = {key: told[key] for key in ("parameters", "step", "tokens", "seconds")}
    return {
        "budget": budget.name,
        "seconds": seconds,
        "training_seconds": trained.seconds,
        "run_seconds": sum(run["seconds"] for run in runs.values()),
        "jobs": jobs,
        "cores": os.cpu_count(),
        "runs": runs,
        "skipped": trained.skipped,
        "failed": {name: str(path) for name, path in trained.failed.items()},
        "versions": run_folder.versions(),
        "commit": run_folder.commit(),
    }


def draw_only(names: Sequence[str], out: Path) -> list[Path]:
    """Draws these figures from the finished runs under ``out/runs``, without training; returns the files.

    Raises:
        ValueError: a name is unknown, or none of the runs that a figure needs is finished.
    """
    bench = base.Bench(plan=planned(gpu=True), runs=out / "runs")
    found = []
    for figure in chosen(names):
        log.info("drawing %s", figure.name)
        try:
            found += base.save(figure, figure.draw(bench), out / "figures")
        except base.NothingTrained as missing:
            raise ValueError(
                f"expected finished runs in {out / 'runs'} for {figure.name} ({missing}), got none; give --budget 10m"
            ) from None
    return found
