"""The registry of figures: one file each, imported when its figure is asked for, because matplotlib takes a second."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from trace_mine.eval.figures.base import Figure

MODULES = {
    "fig3": "fig3",
    "fig4": "fig4",
    "fig5": "fig5",
    "fig6": "fig6",
    "fig9": "fig9",
    "fig10": "fig10",
    "belief-drift": "belief_drift",
    "calibration": "calibration",
    "simplex": "simplex",
    "adversary": "adversary",
}
"""Figure name to the module that draws it, in the order of the report."""


def figure(name: str) -> Figure:
    """Import the figure of that name.

    Raises:
        ValueError: there is no such figure.
    """
    if name not in MODULES:
        raise ValueError(f"expected a figure among {', '.join(MODULES)} or all, got {name!r}")
    # annotated, for the attribute of a module that is found at run time is Any
    named_figure: Figure = importlib.import_module(f"trace_mine.eval.figures.{MODULES[name]}").FIGURE
    return named_figure


def figures(names: Sequence[str]) -> list[Figure]:
    """Import the figures of these names, each once, in their order; ``all`` or no name at all means every figure.

    Raises:
        ValueError: a name is unknown.
    """
    chosen = list(MODULES) if "all" in names or not names else list(dict.fromkeys(names))
    return [figure(name) for name in chosen]
