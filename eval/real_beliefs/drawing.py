"""The ladder as a figure and a page: KL by rung for models and filters, the table, and a verdict on each claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean

from trace_mine.eval import results
from trace_mine.eval.figures.style import BASELINE, legend_below, panels, save, style_of
from trace_mine.eval.real_beliefs.ladder import RUNGS, WINDOWS
from trace_mine.eval.real_beliefs.plan import MODELS, TRAINED_ON
from trace_mine.eval.real_beliefs.ranking import table
from trace_mine.eval.real_beliefs.verdicts import Ladder, claims_of
from trace_mine.eval.results import Result

FILTERS = ("outcomes alike", *(f"filter of {window} commands" for window in WINDOWS))


def write_report(scored: Sequence[Result], out: Path) -> list[Path]:
    """Write ``ladder.png`` and ``.svg``, ``ladder.csv``, ``claims.json`` and ``README.md`` into a folder.

    Raises:
        ValueError: the results are of no benchmark.
    """
    ladder = Ladder.of(scored)
    rungs = [rung for rung in RUNGS if any(rung == known for _, known in ladder.known)]
    if not rungs:
        raise ValueError("expected results of trace-eval real-beliefs score, got none; score the benchmark first")
    out.mkdir(parents=True, exist_ok=True)
    figure, axes = panels(1, 2, width=4.6, height=3.1)
    places = range(len(rungs))
    for name in FILTERS:
        values = [ladder.known.get((name, rung), float("nan")) for rung in rungs]
        for axis in axes[0]:
            axis.plot(places, values, **BASELINE)
        # named at their ends: four dashed lines alike can't be told apart by a legend
        axes[0, 0].annotate(
            name.removesuffix(" commands"), (places[-1], values[-1]), fontsize=6, xytext=(3, 0),
            textcoords="offset points", va="center", color=BASELINE["color"], annotation_clip=False,
        )  # fmt: skip
    for number, model in enumerate(MODELS):
        values = [_mean_of(ladder, [model], "both", rung) for rung in rungs]
        axes[0, 0].plot(places, values, label=model, **style_of(number))
    for number, data in enumerate(TRAINED_ON, len(MODELS)):
        values = [_mean_of(ladder, [*MODELS], data, rung) for rung in rungs]
        axes[0, 1].plot(places, values, label=f"trained on {data}", **style_of(number))
    axes[0, 0].set_title("models trained on games and edited programs")
    axes[0, 1].set_title("mean of the models, by what they were trained on")
    for axis in axes[0]:
        axis.set_xticks([*places], rungs)
        axis.set_ylim(bottom=0)
        axis.set_ylabel("KL(exact || model) among outcomes, nats")
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
        "Lines are means over seeds.",
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


def _mean_of(ladder: Ladder, models: Sequence[str], data: str, rung: str) -> float:
    """The mean over models and seeds; nan where none of them was scored."""
    values = [value for (m, d, r, _), value in ladder.runs.items() if m in models and (d, r) == (data, rung)]
    return mean(values) if values else float("nan")
