"""The ladder as a figure and a page: KL by rung for models and filters, the table, and a verdict on each claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from matplotlib.axes import Axes

from trace_mine.eval import results
from trace_mine.eval.figures.style import BASELINE, legend_below, panels, save, style_of
from trace_mine.eval.real_beliefs.ladder import RUNGS, WINDOWS
from trace_mine.eval.real_beliefs.plan import MODELS, TRAINED_ON
from trace_mine.eval.real_beliefs.ranking import table
from trace_mine.eval.real_beliefs.scoring import MEMORY_EDGES
from trace_mine.eval.real_beliefs.verdicts import Ladder, claims_of
from trace_mine.eval.results import Result

FLOOR = 1e-3
"""Nats at which the figure's axis begins."""
NONE = float("nan")
BY_MEMORY = ("games", "unseen")
"""Rungs that are drawn by memory."""
MEMORY_NAMES = ("none", "1", "2-4", "5-16", "more")
"""The bins of ``MEMORY_EDGES`` as the axis has them."""
FILTERS = ("outcomes alike", *(f"filter of {window} commands" for window in WINDOWS))


def write_report(scored: Sequence[Result], out: Path) -> list[Path]:
    """Write ``ladder.png``, ``.svg`` and ``.pdf``, ``ladder.csv``, ``claims.json`` and ``README.md`` into a folder.

    Raises:
        ValueError: the results are of no benchmark.
    """
    ladder = Ladder.of(scored)
    rungs = [rung for rung in RUNGS if any(rung == known for _, known in ladder.known)]
    if not rungs:
        raise ValueError("expected results of trace-eval real-beliefs score, got none; score the benchmark first")
    out.mkdir(parents=True, exist_ok=True)
    figure, axes = panels(2, 2, width=4.6, height=3.2)
    for name in FILTERS:
        for axis in axes[0]:
            _draw_filter(axis, name, [ladder.known.get((name, rung), NONE) for rung in rungs])
        for axis, rung in zip(axes[1], BY_MEMORY, strict=True):
            _draw_filter(axis, name, [ladder.known_at.get(((name, rung), edge), NONE) for edge in MEMORY_EDGES[:-1]])
    for number, model in enumerate(MODELS):
        _draw_line(axes[0, 0], [_mean_of(ladder, [model], "both", rung) for rung in rungs], model, number)
    for number, data in enumerate(TRAINED_ON, len(MODELS)):
        values = [_mean_of(ladder, [*MODELS], data, rung) for rung in rungs]
        _draw_line(axes[0, 1], values, f"trained on {data}", number)
    axes[0, 0].set_title("models trained on games and edited programs")
    axes[0, 1].set_title("mean of the models, by what they were trained on")
    for axis, rung in zip(axes[1], BY_MEMORY, strict=True):
        for number, model in enumerate(MODELS):
            seeds = ladder.seeds([model], ["both"], [rung])
            values = [
                _mean([ladder.runs_at.get(((model, "both", rung, seed), edge), NONE) for seed in seeds])
                for edge in MEMORY_EDGES[:-1]
            ]
            _draw_line(axis, values, model, number)
        axis.set_title(f"{rung}, trained on both, by commands that must be remembered")
        axis.set_xticks([*range(len(MEMORY_NAMES))], MEMORY_NAMES)
    for axis in axes[0]:
        axis.set_xticks([*range(len(rungs))], rungs)
    for axis in [*axes[0], *axes[1]]:
        axis.set_yscale("log")
        axis.set_ylim(bottom=FLOOR / 2)
        axis.set_ylabel("KL to the exact law, nats")
    legend_below(figure, axes, columns=4)
    paths = save(figure, out, "ladder")
    claims = claims_of(ladder)
    (out / "claims.json").write_text(json.dumps([asdict(claim) for claim in claims], indent=1) + "\n", encoding="utf-8")
    results.write(out / "ladder.csv", scored)
    header, lines = table(scored)
    page = [
        "# The ladder of real-beliefs",
        "",
        "![KL by rung](ladder.png)",
        "",
        "KL from the exact law, among the outcomes, in nats: over all questions of a rung, a program counting once.",
        "Lines are means over seeds. The lower panels divide questions by the commands that a reader must remember.",
        "",
        "## Claims",
        "Thresholds stood in `eval/real_beliefs/verdicts.py` before the first of these runs was trained.",
        "",
        "| claim | verdict | evidence |",
        "|---|---|---|",
        *(f"| {claim.text} | {claim.verdict} | {claim.evidence} |" for claim in claims),
        "",
        "## All runs",
        "",
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]
    (out / "README.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    return [*paths, out / "claims.json", out / "ladder.csv", out / "README.md"]


def _floored(values: Sequence[float]) -> list[float]:
    """Values as a logarithmic axis takes them: what is below FLOOR stands at it."""
    return [max(value, FLOOR) if value == value else value for value in values]


def _draw_filter(axis: Axes, name: str, values: Sequence[float]) -> None:
    """Draw a baseline, and its name beside it: dashed lines alike can't be told apart by a legend."""
    axis.plot(range(len(values)), _floored(values), **BASELINE)
    above = name == FILTERS[0]
    axis.annotate(
        name.removesuffix(" commands"),
        (0, _floored(values)[0]),
        fontsize=6,
        xytext=(2, 3 if above else -3),
        textcoords="offset points",
        va="bottom" if above else "top",
        color=BASELINE["color"],
    )


def _draw_line(axis: Axes, values: Sequence[float], label: str, number: int) -> None:
    """Draw a line, of runs that were scored."""
    if any(value == value for value in values):
        axis.plot(range(len(values)), _floored(values), label=label, **style_of(number))


def _mean_of(ladder: Ladder, models: Sequence[str], data: str, rung: str) -> float:
    """The mean over models and seeds; nan where none of them was scored."""
    return _mean([value for (m, d, r, _), value in ladder.runs.items() if m in models and (d, r) == (data, rung)])


def _mean(values: Sequence[float]) -> float:
    return mean(values) if values else NONE
