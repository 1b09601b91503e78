"""The look of figures: readable in print and for the colour-blind, and the same bytes for the same numbers.

Whatever a colour distinguishes, a marker and a line style distinguish too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

# before pyplot is imported, which else looks for a display
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.artist import Artist
from matplotlib.figure import Figure as Canvas

AxesGrid = NDArray[np.object_]
"""[rows, columns] of matplotlib's ``Axes``."""
# Any, for matplotlib's own keyword arguments are: a name picks its value's type.
LineStyle = dict[str, Any]
"""Keyword arguments of ``Axes.plot`` and the like."""

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's palette, without its yellow, which is too pale on paper."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Four lines have names; the others are (offset, (points drawn, points left out, ...)).
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 1, 2)))
BASELINE: LineStyle = {"color": "#555555", "linewidth": 1.0, "linestyle": (0, (2, 2)), "zorder": 1}
"""The look of baselines: thin grey dashes, below the models' lines."""
SETTINGS: dict[Any, Any] = {  # Any as matplotlib's rcParams: it types their names one by one
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
    "svg.fonttype": "none",  # texts stay texts, which can be searched and copied
    "svg.hashsalt": "trace-mine",  # ids in the file are hashes of this; without it they are drawn at random
}


_chosen: dict[Any, Any] = {}  # the settings of the reader's own style, over ours


def use_style(name: str) -> None:
    """Draw all further figures in a style of matplotlib: sizes, fonts, grids and lines of axes.

    Colours, markers and line styles of what is compared stay, because captions and other figures have the same.

    Args:
        name: a style that matplotlib knows (``plt.style.available``), or a file in matplotlib's format (``.mplstyle``);
            "": our own again.

    Raises:
        ValueError: there is no such style or file.
    """
    # what an earlier style has set is set back: ``panels`` sets what styles name, and nothing else
    matplotlib.rcParams.update({key: matplotlib.rcParamsDefault[key] for key in _chosen})
    _chosen.clear()
    if not name:
        return
    if name in plt.style.library:
        _chosen.update(plt.style.library[name])
    elif Path(name).is_file():
        _chosen.update(matplotlib.rc_params_from_file(name, use_default_template=False))
    else:
        known = ", ".join(each for each in plt.style.available if not each.startswith("_"))
        raise ValueError(f"expected a file of matplotlib's style settings, or one of {known}, got {name!r}")


def _settings() -> dict[Any, Any]:
    # what files promise stays, whatever a style says: texts that can be searched, the same bytes, room for legends
    kept = {key: SETTINGS[key] for key in ("svg.fonttype", "svg.hashsalt", "figure.constrained_layout.use")}
    return {**SETTINGS, **_chosen, **kept}


def panels(
    rows: int = 1, columns: int = 1, *, width: float = 3.4, height: float = 2.7, sharey: bool = False
) -> tuple[Canvas, AxesGrid]:
    """Make a figure of rows by columns panels, of ``width`` by ``height`` inches each, and its axes [rows, columns]."""
    # not within rc_context: texts take their size when they are made, so the settings must last until the end
    matplotlib.rcParams.update(_settings())
    # squeeze would give one Axes or a flat array where there is one row: then every figure would index differently
    return plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False, sharey=sharey)


def style_of(number: int) -> LineStyle:
    """The colour, marker and line of the number-th thing that is compared; they repeat after eight."""
    # all three lists have eight entries, so that a colour always goes with the same marker and line
    place = number % len(COLOURS)
    return {
        "color": COLOURS[place],
        "marker": MARKERS[place],
        "linestyle": LINES[place],
        "markersize": 4,
        "linewidth": 1.4,
    }


def legend_below(figure: Canvas, axes: AxesGrid, columns: int = 3) -> None:
    """Draw one legend for all panels below them, each label once."""
    handles: dict[str, Artist] = {}
    for axis in axes.ravel().tolist():
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False)


def save(figure: Canvas, folder: Path, name: str) -> list[Path]:
    """Write NAME.png, NAME.svg and NAME.pdf, whose bytes depend on the figure alone, and close the figure."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{ending}" for ending in ("png", "svg", "pdf")]
    with plt.rc_context(_settings()):
        # no version of matplotlib and no date in the files: both would change bytes when no number did
        figure.savefig(paths[0], dpi=150, metadata={"Software": None})
        figure.savefig(paths[1], metadata={"Date": None, "Creator": None})
        # with TrueType fonts inside, where matplotlib's default are Type 3 fonts, which journals refuse
        with plt.rc_context({"pdf.fonttype": 42}):
            figure.savefig(paths[2], metadata={"CreationDate": None, "Creator": None, "Producer": None})
    plt.close(figure)  # pyplot holds every figure until it is closed, and warns at the twentieth
    return paths
