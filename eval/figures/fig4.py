"""State tracking by model: accuracy by position of the reveal, up to four times the trained length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trace_mine.eval.claims import Claim, by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import BASELINE, LineStyle, legend_below, panels, style_of
from trace_mine.eval.measure import accuracy, compared
from trace_mine.eval.results import Result
from trace_mine.train.measure.predictors import baselines
from trace_mine.train.measure.sessions import sessions_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEEDS = ("swaps-delta", "swaps-delta01", "swaps-transformer", "swaps-path", "swaps-lstm")
DRAWN_BASELINES = {"chance", "last shown"}


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    rows: list[Result] = []
    figure, axes = panels(1, 2, width=3.6, sharey=True)
    # by group, for a reveal every 4 and every 8: the accuracy in the last quarter, by seed
    finals: dict[str, list[list[float]]] = {}
    # (times the trained length, spacing): both spacings were trained, 8 is the hardest of them
    for axis, (times, spacing) in zip(axes[0], ((4, 4), (4, 8)), strict=True):
        for number, group in enumerate(NEEDS):
            for subject in bench.group(group):
                commands = subject.trained[0] * times
                sessions = sessions_of(subject.task_batches, commands=commands, spacing=spacing, rows=bench.rows)
                results = accuracy(sessions, subject.predictor, **subject.named, times=times)
                rows += results
                label = subject.label if subject is bench.group(group)[0] else None
                last = plot_accuracy(axis, results, label, {**style_of(number), "marker": ""})
                finals.setdefault(group, [[], []])[int(spacing == 8)].append(last)
                # baselines once a panel, on the sessions of the first run
                if number == 0 and subject.seed == bench.group(group)[0].seed:
                    rows += compared(sessions, baselines(), accuracy, times=times)
        show_baselines(axis, rows, spacing)
        # all runs of the plan's contrast end at one length: any of them says where training ended
        trained = next(each for name in NEEDS for each in bench.group(name)).trained[0]
        name_axis(axis, trained, spacing)
    axes[0, 0].set_ylabel("accuracy of the reveal")
    legend_below(figure, axes, columns=3)
    by_model = "; ".join(f"{bench.group(g)[0].label} {numbers(values[1])}" for g, values in finals.items())
    caption = (
        "n = 3 swaps at 4 times the trained length, each line one seed (mean over three neighbouring reveals). In the "
        f"last quarter, with a reveal every 8: {by_model}; chance .333."
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=claims(finals))


def plot_accuracy(axis: Axes, results: Sequence[Result], label: str | None, style: LineStyle) -> float:
    """Draw one run's accuracy by reveal, smoothed, as a line; return its mean over the last quarter, not smoothed."""
    by_reveal = [result for result in results if result.metric == "accuracy by reveal"]
    # of 64 sessions a reveal's accuracy moves by .06 from one reveal to the next, by chance alone
    smooth = smoothed([result.value for result in by_reveal])
    axis.plot([result.at for result in by_reveal], smooth, label=label, alpha=0.8, **style)
    return float(np.mean([result.value for result in by_reveal[-max(1, len(by_reveal) // 4) :]]))


def name_axis(axis: Axes, trained: int, spacing: int) -> None:
    """Name and scale a panel's axes, and mark the length at which training ended."""
    axis.axvline(trained, color="k", linewidth=0.8)
    axis.annotate("trained to here", (trained, 0.02), fontsize=7, rotation=90, ha="right", va="bottom")
    axis.set_xlabel("commands so far")
    axis.set_title(f"a reveal every {spacing}")
    axis.set_ylim(0, 1.03)


def show_baselines(axis: Axes, results: Sequence[Result], spacing: int) -> None:
    """Draw the accuracy of two baselines at this spacing as lines across the panel, their names below the lower one."""
    of_panel = [each for each in results if each.metric == "accuracy" and each.spacing == spacing]
    baseline_results = [each for each in of_panel if each.model in DRAWN_BASELINES]
    for result in baseline_results:
        axis.axhline(result.value, **BASELINE)
    lowest = min(result.value for result in baseline_results)
    names = ", ".join(f"{result.model} {result.value:.2f}" for result in baseline_results)
    axis.annotate(names, (1.0, lowest - 0.01), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="top")


def smoothed(values: list[float]) -> list[float]:
    """Replace each value by the mean of it and its neighbours; the first and the last have one neighbour.

    >>> smoothed([0.0, 3.0, 3.0])
    [1.5, 2.0, 3.0]
    """
    return [float(np.mean(values[max(0, n - 1) : n + 2])) for n in range(len(values))]


def claims(finals: dict[str, list[list[float]]]) -> list[Claim]:
    """Judge the figure's claims by the accuracies in the last quarter, with a reveal every 8."""
    last = {group: values[1] for group, values in finals.items()}
    delta = last.get("swaps-delta", [])
    judged = [
        by_seeds(
            "DeltaNet with eigenvalues in [-1, 1] learns to track permutations and extrapolates (above .9)",
            "Fig. 4",
            [value - 0.9 for value in delta],
            f"Accuracy in the last quarter at 4 times the length: {numbers(delta)}.",
            NEEDS[:1],
        )
    ]
    # differences at one budget of tokens, each model at its own rate and pace of the curriculum, and not "does not
    # learn": nobody knows what more tokens would bring
    for group, name in (
        ("swaps-delta01", "DeltaNet with eigenvalues in [0, 1]"),
        ("swaps-transformer", "A Transformer"),
    ):
        values = last.get(group, [])
        judged.append(
            by_seeds(
                f"{name} is more than .3 behind it at the same data, curriculum and tokens",
                "Fig. 4",
                # not strict: of two models one may have been trained with fewer seeds yet
                [ours - theirs - 0.3 for ours, theirs in zip(delta, values, strict=False)],
                f"{numbers(values)}. With another curriculum or more tokens it may learn.",
                ["swaps-delta", group],
            )
        )
    for group, text in (
        ("swaps-path", "A Transformer whose positions are reflections (PaTH) tracks too (above .9)"),
        ("swaps-lstm", "A nonlinear RNN (LSTM, of twice the width) tracks too (above .9)"),
    ):
        values = last.get(group, [])
        judged.append(
            by_seeds(text, "not in the paper", [value - 0.9 for value in values], f"{numbers(values)}.", [group])
        )
    return judged


FIGURE = Figure(
    name="fig4",
    title="Who tracks state, and who extrapolates",
    recipe="contrast: n = 3 swaps, small models (LSTM: width 128), 9.4 M tokens; longer sessions once .95 of the "
    "shorter ones' reveals are right",
    paper="S5 full permutations, models of 265 M parameters on a GPU, L = 128, S = 16, 5 seeds: DeltaNet [-1, 1] "
    "learns and extrapolates, DeltaNet [0, 1] and the Transformer do not.",
    needs=NEEDS,
    draw=draw,
)
