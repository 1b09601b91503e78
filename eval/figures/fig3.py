"""Longer and sparser than in training: accuracy over a grid of commands by reveal spacing, for both eigenvalue ranges.

A swap is a reflection, an eigenvalue of -1. Models whose eigenvalues lie in [0, 1] can't make one in a single step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trace_mine.corpus.synthetic.game import Floats
from trace_mine.eval.claims import by_seeds, numbers
from trace_mine.eval.figures.base import Bench, Drawn, Figure, at_least_one
from trace_mine.eval.figures.style import panels
from trace_mine.eval.grid import extrapolation
from trace_mine.eval.results import Result, over_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NEEDS = ("swaps-delta", "swaps-delta01")
COMMANDS = (32, 64, 128, 256)
"""The recipe ``contrast`` trains on 32 at most."""
SPACINGS = (1, 2, 4, 8, 16)
"""The recipe ``contrast`` trains on 8 at most."""


def draw(bench: Bench) -> Drawn:
    """See ``Figure.draw``."""
    at_least_one(bench, NEEDS)
    rows = []
    commands = COMMANDS[:2] if bench.fast else COMMANDS
    figure, axes = panels(1, len(NEEDS), width=3.6, height=2.9)
    far: dict[str, list[float]] = {}
    for axis, group in zip(axes[0], NEEDS, strict=True):
        subjects = bench.group(group)
        results = [r for each in subjects for r in extrapolation(each, commands, SPACINGS, rows=bench.rows // 2)]
        rows += results
        table, values = by_size(results, commands)
        if values:
            far[group] = values
        # from chance up, one scale for all panels; cividis reads the same without colours
        image = axis.imshow(table, vmin=1 / 3, vmax=1, cmap="cividis", origin="lower", aspect="auto")
        write_numbers(axis, table)
        axis.set_xticks(range(len(commands)), [str(c) for c in commands])
        axis.set_yticks(range(len(SPACINGS)), [str(s) for s in SPACINGS])
        axis.set_xlabel("commands (trained: up to 32)")
        axis.set_ylabel("reveal spacing (trained: up to 8)")
        axis.set_title(f"{subjects[0].label if subjects else group}, mean of {len(subjects)} seed(s)")
        axis.grid(False)
    # of the last image, for all have one scale
    figure.colorbar(image, ax=axes, label="accuracy of reveals (chance 1/3)")
    good, poor = far.get(NEEDS[0], []), far.get(NEEDS[1], [])
    caption = (
        f"Accuracy of all reveals on test sessions of n = 3 swaps. At {commands[-1]} commands and a reveal every 16, "
        f"both beyond training: eigenvalues in [-1, 1] {numbers(good)}; in [0, 1] {numbers(poor)}; chance .333."
    )
    claim = by_seeds(
        "DeltaNet with eigenvalues in [-1, 1] extrapolates to longer and sparser sessions where [0, 1] does not (by "
        ".2)",
        "section 4",
        [a - b - 0.2 for a, b in zip(good, poor, strict=False)],
        f"[-1, 1]: {numbers(good)}; [0, 1]: {numbers(poor)}.",
        NEEDS,
    )
    return Drawn(figure=figure, rows=rows, caption=caption, claims=[claim])


def by_size(results: Sequence[Result], commands: Sequence[int]) -> tuple[Floats, list[float]]:
    """Give (the mean accuracy over seeds [spacings, commands], the accuracies of the longest and sparsest sessions by
    seed). Sizes without a result are nan.
    """
    table, far = np.full((len(SPACINGS), len(commands)), np.nan), []
    for result, values in over_seeds([r for r in results if r.metric == "accuracy" and r.run]):
        table[SPACINGS.index(result.spacing), commands.index(result.commands)] = np.mean(values)
        if (result.spacing, result.commands) == (SPACINGS[-1], commands[-1]):
            far = values  # where the two ranges of eigenvalues differ most
    return table, far


def write_numbers(axis: Axes, table: Floats) -> None:
    """Write each number of the table [spacings, commands] onto its cell of the image."""
    for (y, x), value in np.ndenumerate(table):
        if not np.isnan(value):
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", color="w" if value < 0.7 else "k", fontsize=8)


FIGURE = Figure(
    name="fig3",
    title="Longer and sparser than in training",
    recipe="contrast (n = 3 swaps, one layer, 9.4 M tokens), evaluated over commands x spacing",
    paper="partial reveals every S commands teach state tracking; models are tested beyond the lengths they saw. (A "
    "grid of our own: the paper's figure of this number was not at hand.)",
    needs=NEEDS,
    draw=draw,
)
