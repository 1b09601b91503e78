"""From nothing to a report: train what is missing within a budget, draw every figure, give verdicts.

Everything is kept under one folder and used again, so a call that was interrupted, or one with a longer budget, goes on
where the last one ended.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trace_mine.eval import report, results
from trace_mine.eval.figures import base
from trace_mine.eval.figures import figures as chosen
from trace_mine.eval.plan import PlannedRun, planned
from trace_mine.eval.rate_sweeps import as_results, choices
from trace_mine.eval.training import Trained, train_missing
from trace_mine.eval.tries import tries_of, with_tries
from trace_mine.train import run_folder

log = logging.getLogger("trace-eval")

EVALUATION_SHARE = 0.2
"""Share of a budget that is left for drawing, ``MOST_EVALUATION`` seconds at most: what drawing takes doesn't grow."""
MOST_EVALUATION = 900.0
FAST_BELOW = 1_200.0
"""A budget in seconds below which figures take fewer sessions and lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeBudget:
    """Wall time for training and evaluation together, in ``seconds``; ``gpu`` adds the paper's configuration."""

    name: str
    seconds: float
    gpu: bool

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ValueError(f"expected a positive number of seconds, got {self.seconds}")

    @property
    def training(self) -> float:
        """Seconds in which runs may be trained: the budget less what drawing takes."""
        return self.seconds - min(MOST_EVALUATION, EVALUATION_SHARE * self.seconds)

    @property
    def is_fast(self) -> bool:
        """True where figures leave out what takes longest, so that drawing fits into the rest of the budget."""
        return self.seconds < FAST_BELOW


def budget_of(text: str) -> TimeBudget:
    """Parse a budget: a number with s, m or h, or ``gpu`` (ten hours, with the paper's configuration).

    >>> budget_of("10m").seconds
    600.0

    Raises:
        ValueError: the text is no budget, or ``gpu`` where there is no CUDA device.
    """
    if text == "gpu":
        if not torch.cuda.is_available():
            raise ValueError("expected a CUDA device for --budget gpu, got none; give --budget 60m")
        return TimeBudget(name=text, seconds=36_000.0, gpu=True)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if not match or float(match[1]) <= 0:
        raise ValueError(f"expected a budget such as 10m, 60m, 2h or gpu, got {text!r}")
    return TimeBudget(name=text, seconds=float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]], gpu=False)


def reproduce(budget: TimeBudget, out: Path, *, jobs: int, names: Sequence[str] = ()) -> Path:
    """Train, draw and report within a budget; return the path of ``report.html``.

    Leaves under ``out``: ``runs/`` (finished ones of earlier calls are kept), ``figures/``, ``results.parquet``,
    ``results.csv``, ``report.md`` and the self-contained ``report.html``. ``names`` are figures, all by default; only
    the runs that they need are trained, ``jobs`` at a time.

    Raises:
        ValueError: a figure's name is unknown, or ``out/runs`` holds other runs under the plan's names.
    """
    wanted = chosen(names)
    begun = time.monotonic()  # monotonic: a budget must not end because somebody set the clock
    # two threads on busy cores were 2.5 to 7 times slower than one; the second core has a training process of its own
    torch.set_num_threads(1)
    plan = needed(planned(gpu=budget.gpu), wanted)
    trained = train_missing(plan, out / "runs", seconds=budget.training, jobs=jobs, say=log.info)
    drawn = draw_all(wanted, plan, out, fast=budget.is_fast)
    return report.write(out, drawn, facts(plan, trained, out, budget, time.monotonic() - begun, jobs))


def needed(plan: Sequence[PlannedRun], wanted: Sequence[base.Figure]) -> list[PlannedRun]:
    """Select the runs that these figures ask for, in the plan's order, and those of the paper's configuration.

    No figure asks for the latter by name; they are in the plan for a budget on a GPU alone, which was given for them.
    """
    groups = {group for figure in wanted for group in figure.needs}
    return [run for run in plan if run.group in groups or run.group.startswith("paper-")]


def draw_all(
    wanted: Sequence[base.Figure], plan: Sequence[PlannedRun], out: Path, *, fast: bool
) -> list[tuple[base.Figure, base.Drawn | None, float]]:
    """Draw and save figures, and write all their results into ``results.parquet`` and ``results.csv`` under ``out``.

    Losses by learning rate are among the results, and claims say what models were given (``tries``).

    Returns (figure, the drawing or None where none of its runs is finished, seconds) for each. A figure is saved as
    soon as it is drawn, so that an interrupted call leaves those before.
    """
    bench = base.Bench(plan=plan, runs=out / "runs", rows=32 if fast else 64, fast=fast)
    tries = tries_of(plan, bench.runs)
    drawings: list[tuple[base.Figure, base.Drawn | None, float]] = []
    for figure in wanted:
        began = time.monotonic()
        log.info("drawing %s", figure.name)
        try:
            drawn: base.Drawn | None = figure.draw(bench)
        except base.NothingTrained as missing:
            # a short budget trains nothing for some figures: the report says so, and draws the others
            log.warning("%s left out: none of the runs that it needs is finished (%s)", figure.name, missing)
            drawn = None
        if drawn is not None:
            drawn = replace(drawn, claims=[with_tries(claim, tries) for claim in drawn.claims])
            base.save(figure, drawn, out / "figures")
        drawings.append((figure, drawn, time.monotonic() - began))
    rows = [row for _, drawn, _ in drawings if drawn is not None for row in drawn.rows]
    rows += as_results(choices(bench.runs, plan))
    results.write(out / "results.parquet", rows)
    results.write(out / "results.csv", rows)
    return drawings


def facts(
    plan: Sequence[PlannedRun], trained: Trained, out: Path, budget: TimeBudget, seconds: float, jobs: int
) -> report.Facts:
    """Collect the circumstances of a report; sizes of runs are read from the ``final.json`` that each left."""
    runs = {}
    for run in plan:
        final = out / "runs" / run.name / "final.json"
        # a run of the plan may have been finished by an earlier call: its name is in ``finished`` too
        if final.is_file() and run.name in trained.finished:
            record = run_folder.read_final(final.parent)
            runs[run.name] = report.RunFacts(
                parameters=record["parameters"],
                step=record["step"],
                tokens=record["tokens"],
                seconds=record["seconds"],
            )
    return report.Facts(
        budget=budget.name,
        seconds=seconds,
        training_seconds=trained.seconds,
        jobs=jobs,
        cores=os.cpu_count(),
        runs=runs,
        tries=tries_of(plan, out / "runs"),
        skipped=trained.skipped,
        failed=list(trained.failed),
        versions=run_folder.versions(),
        commit=run_folder.commit(),
    )


def draw_only(names: Sequence[str], out: Path) -> list[Path]:
    """Draw these figures from the finished runs under ``out/runs``, without training; return the files written.

    Raises:
        ValueError: a name is unknown, or none of the runs that a figure needs is finished.
    """
    # the longest plan: whatever somebody trained here may be drawn
    bench = base.Bench(plan=planned(gpu=True), runs=out / "runs")
    tries = tries_of(bench.plan, bench.runs)
    paths = []
    for figure in chosen(names):
        log.info("drawing %s", figure.name)
        try:
            drawn = figure.draw(bench)
            claims = [with_tries(claim, tries) for claim in drawn.claims]
            paths += base.save(figure, replace(drawn, claims=claims), out / "figures")
        except base.NothingTrained as missing:
            raise ValueError(
                f"expected finished runs in {out / 'runs'} for {figure.name} ({missing}), got none; give --budget 10m"
            ) from None
    return paths
