"""Many runs side by side: a line a model and variant, mean and spread over seeds, the best baseline beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from trace_mine.eval.results import Result, over_seeds, read

HIGHER_IS_BETTER = {"accuracy", "top-1", "share", "mass on outcomes"}
COLUMNS = (
    "metric",
    "task",
    "commands",
    "spacing",
    "model",
    "variant",
    "mean",
    "least",
    "most",
    "seeds",
    "best baseline",
)
TRUTH = "exact filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model's standing at one size of one task."""

    metric: str
    task: str
    commands: int
    spacing: int
    model: str
    variant: str
    values: tuple[float, ...]
    baseline: str

    def cells(self) -> tuple[str, ...]:
        """As text, in the order of ``COLUMNS``."""
        told = (f"{mean(self.values):.4f}", f"{min(self.values):.4f}", f"{max(self.values):.4f}", str(len(self.values)))
        where = (self.metric, self.task, str(self.commands), str(self.spacing), self.model, self.variant)
        return (*where, *told, self.baseline)


def board(results: Sequence[Result], metrics: Sequence[str]) -> list[Line]:
    """Lines in order: by metric and size of session, then the better mean first. Only whole-session numbers count (no
    ``place``); sizes and tasks are never mixed. The baseline is the best of those that aren't the truth itself.

    Raises:
        ValueError: a metric isn't among the results, or a line would count one seed twice: then some were given
            twice, or come from a version of before that didn't say the task's parameters.
    """
    kept = [each for each in results if not each.place]
    known = sorted({each.metric for each in kept})
    for metric in metrics:
        if metric not in known:
            raise ValueError(f"expected a metric among {', '.join(map(repr, known))}, got {metric!r}")
    lines = []
    for result, values in over_seeds([each for each in kept if each.metric in metrics and each.run]):
        refuse_twice([each for each in kept if same_line(each, result)])
        lines.append(
            Line(
                metric=result.metric,
                task=result.task,
                commands=result.commands,
                spacing=result.spacing,
                model=result.model,
                variant=result.variant,
                values=tuple(values),
                baseline=best_baseline(result, kept),
            )
        )
    return sorted(lines, key=lambda line: (metrics.index(line.metric), *standing(line)))


def standing(line: Line) -> tuple[str, int, int, float]:
    """Lines of one metric in order of these: by size of session, then the better mean first."""
    better_is_less = -1.0 if is_up(line.metric) else 1.0
    return line.task, line.commands, line.spacing, better_is_less * mean(line.values)


def best_baseline(result: Result, results: Sequence[Result]) -> str:
    """Name and mean of the best baseline that was measured as ``result`` was, the truth aside; empty: there is none."""
    beside: dict[str, list[float]] = {}
    for each in results:
        alike = (size_of(each), each.metric, each.split) == (size_of(result), result.metric, result.split)
        if alike and not each.run and each.model != TRUTH:
            beside.setdefault(each.model, []).append(each.value)  # one of each file, on other sessions
    if not beside:
        return ""
    best = (max if is_up(result.metric) else min)(beside, key=lambda name: mean(beside[name]))
    return f"{best} {mean(beside[best]):.4f}"


def same_line(one: Result, other: Result) -> bool:
    """Whether two runs' results are of one line."""
    who = one.metric, one.model, one.variant, one.split, size_of(one), bool(one.run)
    return who == (other.metric, other.model, other.variant, other.split, size_of(other), bool(other.run))


def refuse_twice(results: Sequence[Result]) -> None:
    """Raises ValueError where two of a line's results have one seed."""
    seeds = [each.seed for each in results]
    for seed in seeds:
        if seeds.count(seed) > 1:
            runs = ", ".join(sorted({each.run for each in results if each.seed == seed}))
            raise ValueError(
                f"expected each seed of {results[0].model} once for {results[0].metric}, got seed {seed} of {runs}; "
                "give results of one task's parameters at a time, and no file twice"
            )


def is_up(metric: str) -> bool:
    """Whether a larger number is a better one."""
    return any(metric.startswith(name) for name in HIGHER_IS_BETTER)


def size_of(result: Result) -> tuple[str, int, int]:
    """What must be the same for two numbers to be compared."""
    return result.task, result.commands, result.spacing


def markdown(lines: Sequence[Line]) -> str:
    """As a Markdown table."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(line.cells() for line in lines)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def as_csv(lines: Sequence[Line]) -> str:
    """As CSV."""
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *(line.cells() for line in lines)])
    return out.getvalue()


def make_board(files: Sequence[Path], metrics: Sequence[str], out: Path | None) -> list[Line]:
    """The board of these files of results, written to ``out`` (.md or .csv) where it is given.

    Raises:
        ValueError: as ``results.read`` and ``board`` do, or another ending.
    """
    if out is not None and out.suffix not in (".md", ".csv"):
        raise ValueError(f"expected a file that ends in .md or .csv, got {out}")
    lines = board([result for file in files for result in read(file)], metrics)
    if out is not None:
        out.write_text(markdown(lines) if out.suffix == ".md" else as_csv(lines), encoding="utf-8")
    return lines
