"""The registry of figures: one file each."""

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
    """The figure of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in MODULES:
        raise ValueError(f"expected a figure among {', '.join(MODULES)} or all, got {name!r}")
    found: Figure = importlib.import_module(f"trace_mine.eval.figures.{MODULES[name]}").FIGURE
    return found


def figures(names: Sequence[str]) -> list[Figure]:
    """The figures of these names, ``all`` for every one."""
    chosen = list(MODULES) if "all" in names or not names else list(dict.fromkeys(names))
    return [figure(name) for name in chosen]
