"""Many runs side by side: one line for each model and variant, with mean and spread over seeds and the best baseline.

Numbers are compared only where they were measured alike: on one task, with one number of commands and one spacing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from trace_mine.eval.results import Result, over_seeds, read

# Beginnings of metrics' names: "accuracy, drift" and "accuracy of the last reveal" are among them. Every other metric
# is a KL, a loss or an error, where less is better.
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
# The baseline that is no baseline: nothing can be better, so as "best baseline" it would hide all others.
TRUTH = "exact filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardLine:
    """One model's numbers at one size of one task: ``values`` by seed, and the best ``baseline`` as text."""

    metric: str
    task: str
    commands: int
    spacing: int
    model: str
    variant: str
    values: tuple[float, ...]
    baseline: str

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"expected at least one seed's value of {self.metric} for {self.model}, got none")

    def cells(self) -> tuple[str, ...]:
        """The line as text, in the order of ``COLUMNS``."""
        where = (self.metric, self.task, str(self.commands), str(self.spacing), self.model, self.variant)
        spread = (f"{value:.4f}" for value in (mean(self.values), min(self.values), max(self.values)))
        return (*where, *spread, str(len(self.values)), self.baseline)


def board(results: Sequence[Result], metrics: Sequence[str]) -> list[BoardLine]:
    """Make the lines of these metrics, ordered by metric and size of session, then the better mean first.

    Only numbers of whole sessions count, that is results without a ``place``. The baseline of a line is the best one
    that isn't the truth itself.

    Raises:
        ValueError: a metric isn't among the results; or a line would count one seed twice, because a file was given
            twice, or was written by an older version, which didn't name the task's parameters.
    """
    of_sessions = [result for result in results if not result.place]
    measured_metrics = sorted({result.metric for result in of_sessions})
    for metric in metrics:
        if metric not in measured_metrics:
            raise ValueError(f"expected a metric among {', '.join(map(repr, measured_metrics))}, got {metric!r}")
    lines = []
    # baselines have no run, and no line of their own: the best one stands at the end of each model's line
    for result, values in over_seeds([each for each in of_sessions if each.metric in metrics and each.run]):
        refuse_repeated_seeds([each for each in of_sessions if same_line(each, result)])
        lines.append(
            BoardLine(
                metric=result.metric,
                task=result.task,
                commands=result.commands,
                spacing=result.spacing,
                model=result.model,
                variant=result.variant,
                values=tuple(values),
                baseline=best_baseline(result, of_sessions),
            )
        )
    return sorted(lines, key=lambda line: (metrics.index(line.metric), *rank(line)))


def rank(line: BoardLine) -> tuple[str, int, int, float]:
    """The key by which lines of one metric are sorted: size of session, then the better mean first."""
    sign = -1.0 if is_higher_better(line.metric) else 1.0
    return line.task, line.commands, line.spacing, sign * mean(line.values)


def best_baseline(result: Result, results: Sequence[Result]) -> str:
    """Name and mean of the best baseline that was measured as ``result`` was, the truth aside; "" where none was."""
    by_baseline: dict[str, list[float]] = {}
    for each in results:
        alike = (size_of(each), each.metric, each.split) == (size_of(result), result.metric, result.split)
        if alike and not each.run and each.model != TRUTH:
            # a value for each file of results: seeds have test sessions of their own, and so baselines of their own
            by_baseline.setdefault(each.model, []).append(each.value)
    if not by_baseline:
        return ""
    best = (max if is_higher_better(result.metric) else min)(by_baseline, key=lambda name: mean(by_baseline[name]))
    return f"{best} {mean(by_baseline[best]):.4f}"


def same_line(one: Result, other: Result) -> bool:
    """Tell if two results belong to one line of a board, that is differ in run and seed at most."""
    # bool(run): a baseline may bear the name of a model, such as one that somebody called "chance"
    who = one.metric, one.model, one.variant, one.split, size_of(one), bool(one.run)
    return who == (other.metric, other.model, other.variant, other.split, size_of(other), bool(other.run))


def refuse_repeated_seeds(results: Sequence[Result]) -> None:
    """Raise ValueError where two of a line's results have one seed: their mean would weigh that seed twice."""
    seeds = [each.seed for each in results]
    for seed in seeds:
        if seeds.count(seed) > 1:
            runs = ", ".join(sorted({each.run for each in results if each.seed == seed}))
            raise ValueError(
                f"expected each seed of {results[0].model} once for {results[0].metric}, got seed {seed} of {runs}; "
                "give results of one task's parameters at a time, and no file twice"
            )


def is_higher_better(metric: str) -> bool:
    """Tell if a larger number of this metric is a better one."""
    return any(metric.startswith(name) for name in HIGHER_IS_BETTER)


def size_of(result: Result) -> tuple[str, int, int]:
    """(task, commands, spacing): numbers are compared only where these are equal."""
    return result.task, result.commands, result.spacing


def markdown(lines: Sequence[BoardLine]) -> str:
    """The lines as a Markdown table, a header before them."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(line.cells() for line in lines)]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def as_csv(lines: Sequence[BoardLine]) -> str:
    """The lines as CSV, a header before them."""
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *(line.cells() for line in lines)])
    return out.getvalue()


def make_board(files: Sequence[Path], metrics: Sequence[str], out: Path | None) -> list[BoardLine]:
    """Make the board of these files of results, and write it to ``out`` (.md or .csv) where that is given.

    Raises:
        ValueError: ``out`` has another ending, or as ``results.read`` and ``board`` do.
    """
    # before anything is read: a long list of files must not end in a complaint about the output's name
    if out is not None and out.suffix not in (".md", ".csv"):
        raise ValueError(f"expected a file that ends in .md or .csv, got {out}")
    lines = board([result for file in files for result in read(file)], metrics)
    if out is not None:
        out.write_text(markdown(lines) if out.suffix == ".md" else as_csv(lines), encoding="utf-8")
    return lines
