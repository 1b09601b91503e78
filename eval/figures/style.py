"""How figures look: readable in print and for the colour-blind; colour never tells alone, markers and lines do too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's palette, without its yellow, which is too pale on paper."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 1, 2)))
BASELINE: dict[str, Any] = {"color": "#555555", "linewidth": 1.0, "linestyle": (0, (2, 2)), "zorder": 1}
SETTINGS: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "trace-mine",
}


def panels(rows: int = 1, columns: int = 1, *, width: float = 3.4, height: float = 2.7, **keys: Any) -> tuple[Any, Any]:
    """A figure and its axes, always as an array [rows, columns]."""
    matplotlib.rcParams.update(SETTINGS)  # for as long as the figure is drawn: texts take their size when they are made
    return plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, **keys)


def look(number: int) -> dict[str, Any]:
    """Colour, marker and line of the number-th thing compared."""
    place = number % len(COLOURS)
    return {
        "color": COLOURS[place],
        "marker": MARKERS[place],
        "linestyle": LINES[place],
        "markersize": 4,
        "linewidth": 1.4,
    }


def legend_below(figure: Any, axes: Any, columns: int = 3) -> None:
    """One legend for all panels, under them, each label once."""
    found: dict[str, Any] = {}
    for axis in axes.flat:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns, frameon=False)


def save(figure: Any, folder: Path, name: str) -> list[Path]:
    """PNG and SVG, the same bytes for the same figure; closes it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    with plt.rc_context(SETTINGS):
        figure.savefig(paths[0], dpi=150, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None, "Creator": None})
    plt.close(figure)
    return paths
