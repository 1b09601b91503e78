"""Who tracks state: accuracy by reveal position, up to several times the trained length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trace_mine.eval.claims import Claim, by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, legend_below, look, panels
from trace_mine.eval.measure import accuracy, compared
from trace_mine.eval.results import Result
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.sessions import sessions_of

NEEDS = ("swaps-delta", "swaps-delta01", "swaps-transformer", "swaps-lstm")
SHOWN = {"chance", "last shown"}


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    rows: list[Result] = []
    figure, axes = panels(1, 2, width=3.6, sharey=True)
    finals: dict[str, list[list[float]]] = {}
    for axis, (times, spacing) in zip(axes[0], ((4, 4), (4, 8)), strict=True):
        for number, group in enumerate(NEEDS):
            for subject in bench.group(group):
                commands = subject.trained[0] * times
                sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=bench.rows)
                found = accuracy(sessions, subject.predictor, **subject.named, times=times)
                rows += found
                label = subject.label if subject is bench.group(group)[0] else None
                last = line(axis, found, label, {**look(number), "marker": ""})
                finals.setdefault(group, [[], []])[int(spacing == 8)].append(last)
                if number == 0 and subject.seed == bench.group(group)[0].seed:
                    rows += compared(sessions, baselines(), accuracy, times=times)
        show_baselines(axis, [r for r in rows if r.model in SHOWN and r.metric == "accuracy" and r.spacing == spacing])
        trained = next(each for name in NEEDS for each in bench.group(name)).trained[0]
        name_axis(axis, trained, spacing)
    axes[0, 0].set_ylabel("accuracy of the reveal")
    legend_below(figure, axes, columns=4)
    told = "; ".join(f"{bench.group(g)[0].label} {numbers(values[1])}" for g, values in finals.items())
    caption = (
        "n = 3 swaps at 4 times the trained length, each line one seed (mean over three neighbouring reveals). "
        "In the last "
        f"quarter, with a reveal every 8: {told}; chance .333."
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims(finals))


def line(axis: Any, results: Sequence[Result], label: str | None, style: Mapping[str, Any]) -> float:
    """One run's accuracy by reveal as a line; returns the mean over its last quarter."""
    by_reveal = [result for result in results if result.metric == "accuracy by reveal"]
    smooth = smoothed([result.value for result in by_reveal])
    axis.plot([result.at for result in by_reveal], smooth, label=label, alpha=0.8, **style)
    return float(np.mean([result.value for result in by_reveal[-max(1, len(by_reveal) // 4) :]]))


def name_axis(axis: Any, trained: int, spacing: int) -> None:
    """Title and scale, and where training ended."""
    axis.axvline(trained, color="k", linewidth=0.8)
    axis.annotate("trained to here", (trained, 0.02), fontsize=7, rotation=90, ha="right", va="bottom")
    axis.set_xlabel("commands so far")
    axis.set_title(f"a reveal every {spacing}")
    axis.set_ylim(0, 1.03)


def show_baselines(axis: Any, results: Sequence[Result]) -> None:
    """Their values as lines across, and their names below the lowest."""
    for result in results:
        axis.axhline(result.value, **BASELINE)
    lowest = min(result.value for result in results)
    names = ", ".join(f"{result.model} {result.value:.2f}" for result in results)
    axis.annotate(names, (1.0, lowest - 0.01), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="top")


def smoothed(values: list[float]) -> list[float]:
    """The mean with the neighbours on both sides."""
    return [float(np.mean(values[max(0, n - 1) : n + 2])) for n in range(len(values))]


def claims(finals: dict[str, list[list[float]]]) -> list[Claim]:
    """Of the last quarter with a reveal every 8."""
    last = {group: values[1] for group, values in finals.items()}
    delta = last.get("swaps-delta", [])
    told = f"Accuracy in the last quarter at 4 times the length: {numbers(delta)}."
    found = [
        by_seeds(
            "DeltaNet with eigenvalues in [-1, 1] learns to track permutations and extrapolates (above .9)",
            "Fig. 4",
            [value - 0.9 for value in delta],
            told,
        )
    ]
    for group, name in (
        ("swaps-delta01", "DeltaNet with eigenvalues in [0, 1]"),
        ("swaps-transformer", "a Transformer"),
    ):
        values = last.get(group, [])
        found.append(
            by_seeds(
                f"{name} does not (below .6), at the same data and steps",
                "Fig. 4",
                [0.6 - value for value in values],
                f"{numbers(values)}. With other budgets it may.",
            )
        )
    lstm = last.get("swaps-lstm", [])
    found.append(
        by_seeds(
            "A nonlinear RNN (LSTM) tracks too, given a longer and gentler curriculum (above .9)",
            "not in the paper",
            [value - 0.9 for value in lstm],
            f"{numbers(lstm)}, with 2.8 times the steps and twice the width.",
        )
    )
    return found


FIGURE = Figure(
    name="fig4",
    title="Who tracks state, and who extrapolates",
    recipe="contrast: n = 3 swaps, small models, 480 steps (LSTM: width 128, 1,350 steps, shorter first stages)",
    paper="S5 full permutations, models of 265 M parameters on a GPU, L = 128, S = 16, 5 seeds: DeltaNet [-1, "
    "1] learns and "
    "extrapolates, DeltaNet [0, 1] and the Transformer do not.",
    needs=NEEDS,
    draw=draw,
)
